// Pictures for the next prompt: how they are added, and the tray in which they lie.
phi.parts.push(({ name, part, root, isShown }) => {
  if (name !== "vision") return;
  // Pictures come from the button, or are dropped anywhere on the view, or pasted.
  {
    // Looked for each time: Gradio may have drawn the button anew, or not yet.
    const input = () => part("add")?.parentElement.querySelector("input[type=file]");
    const add = (files) => {
      if (!files.length || !isShown()) return false;
      const given = new DataTransfer();
      [...files].forEach((file) => given.items.add(file));
      phi.when(input, () => {
        input().files = given.files;
        input().dispatchEvent(new Event("change", { bubbles: true }));
      });
      return true;
    };
    document.addEventListener("paste", (event) => {
      // Office puts a picture of every text beside it: who types wants the text.
      const typing = event.target.closest?.("textarea, input") && event.clipboardData?.types.includes("text/plain");
      if (!typing && add(event.clipboardData?.files || [])) event.preventDefault();
    });
    root.addEventListener("dragover", (event) => {
      if (!phi.carriesFiles(event)) return;
      event.preventDefault();
      root.classList.add("dropping");
    });
    root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.classList.remove("dropping"); });
    root.addEventListener("drop", (event) => {
      root.classList.remove("dropping");
      if (!phi.carriesFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      add(event.dataTransfer.files);
    }, true);
  }

  // The strip is drawn anew at every change: what was open stays open, the keyboard stays with
  // its picture, and who cannot see it hears what is there.
  phi.when(() => part("strip"), () => {
    const strip = part("strip");
    let unfolded = false, moved = null, heard = "";
    strip.addEventListener("click", (event) => {
      if (event.target.closest("summary")) unfolded = !strip.querySelector("details").open;
      const button = event.target.closest("[data-act]");
      if (button) moved = { ...button.dataset }; // the button itself may soon be another picture's
    }, true);
    new MutationObserver(() => {
      const fold = strip.querySelector("details");
      if (fold && unfolded && !fold.open) fold.open = true;
      const names = [...strip.querySelectorAll("li")].map((card) => card.querySelector("p span").textContent);
      const said = names.map((name, n) => phi.say("picture {number}: {name}", { number: n + 1, name })).join(", ") || phi.say("no pictures");
      const now = strip.querySelector(".reading")?.textContent.replace(/ \d+ s$/, "") || said;
      if (now === heard) return;
      if (heard || names.length) phi.announce(now);
      heard = now;
      if (!moved || strip.querySelector(".reading")) return;
      const own = [...strip.querySelectorAll("[data-act]")].filter((one) => one.dataset.picture === moved.picture);
      (own.find((one) => one.dataset.act === moved.act) || own[0] || strip.querySelector("[data-act]") || part("add"))?.focus();
      moved = null;
    }).observe(strip, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["open"] });
  });
});
