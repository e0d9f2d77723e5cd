// The prompt box: Enter, drafts, what was sent; and what becomes of it when the server is gone.
{
  phi.draft = (name, text) => phi.views[name]?.draft(text);

  phi.parts.push((view) => {
    const { name, part, root, promptBox, onPrompt, isShown, hasKeyboard } = view;

    // Keyboard: Enter compares, Shift+Enter is a new line; never while an input method composes.
    onPrompt("keypress", (event) => {
      // Gradio would take Shift+Enter as "send".
      if (event.key === "Enter") event.stopPropagation();
    });
    onPrompt("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
      const touch = matchMedia("(pointer: coarse)").matches;
      const command = event.ctrlKey || event.metaKey;
      if (event.shiftKey || event.altKey || (touch && !command)) return;
      event.preventDefault();
      event.stopPropagation();
      if (part("compare")) part("compare").click();
      else if (promptBox().value.trim()) queue(true);
    });
    // Enter while models answer: the question is asked when they have ended, unless it is taken back.
    let queued = null;
    const queue = (wanted) => {
      queued?.remove();
      queued = null;
      if (!wanted) return;
      queued = document.createElement("p");
      queued.className = "notice hint";
      queued.dataset.say = '["Asked next, when the answers have ended. Escape takes it back."]';
      phi.sayIn(queued);
      part("composer").prepend(queued);
      phi.announce(queued.textContent);
    };
    onPrompt("keydown", (event) => { if (event.key === "Escape" && queued) queue(false); });

    // What is typed survives a reload; what was asked stands in the conversation.
    const unsent = phi.kept(`draft-${name}`);
    let asked = "";
    view.draft = (text) => phi.keep(`draft-${name}`, text);
    promptBox().setAttribute("dir", "auto");
    const asks = phi.asksAgain(view); // Compare was pressed before the page opened anew
    phi.when(() => root.querySelector(".state[data-state]"), () => {
      if (!promptBox().value && unsent) phi.write(promptBox(), unsent);
      if (asks && promptBox().value) setTimeout(() => part("compare")?.click(), 100);
    });
    // Where a keyboard is at hand, type at once.
    if (hasKeyboard && isShown()) promptBox().focus({ preventScroll: true });

    // A prompt is begun: the models may get ready.
    let prepared = null;
    const prepare = () => {
      const query = String(phi.queryOf(name));
      if (prepared === query) return;
      prepared = query;
      part("typing")?.click();
    };
    onPrompt("input", prepare);
    root.addEventListener("click", (event) => { if (event.target.closest(".chip")) prepare(); }, true);

    // A prompt is sent: once the models answer, the box is emptied of it, and of no more.
    let sent = null, answering = false;
    root.addEventListener("click", (event) => { if (part("compare")?.contains(event.target)) sent = promptBox().value; }, true);
    const noticeRun = () => {
      const busy = Boolean(part("stop")) && !phi.away;
      if (busy === answering) return;
      answering = busy;
      const box = promptBox();
      asked = busy ? sent || "" : "";
      if (!busy) {
        const next = queued && !phi.away;
        queue(false);
        if (next) setTimeout(() => part("compare")?.click(), 50);
        else setTimeout(view.settle, 100);
        return view.draft(box.value);
      }
      if (sent !== null && box.value.startsWith(sent)) phi.write(box, box.value.slice(sent.length));
      sent = null;
      if (hasKeyboard && isShown() && document.activeElement === document.body) box.focus({ preventScroll: true });
    };
    new MutationObserver(noticeRun).observe(part("composer"), { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "style"] });

    // The page's own server is gone: nothing is waited for any more, and Compare is where Stop was.
    const compare = part("compare")?.cloneNode(true);
    root.addEventListener("click", (event) => {
      if (!phi.away || !part("compare")?.contains(event.target)) return;
      event.stopPropagation();
      phi.tryAgain(view);
    }, true);
    view.leave = () => {
      view.release();
      const notice = document.createElement("p"), box = promptBox(), stop = part("stop");
      notice.id = `${name}-away`;
      notice.className = "notice";
      notice.dataset.say = JSON.stringify([phi.AWAY]);
      phi.sayIn(notice);
      part("composer").prepend(notice);
      part("transcript").querySelector(".transcript").dispatchEvent(new Event("transcript:away"));
      if (stop) {
        if (!box.value) phi.write(box, asked || sent || "");
        stop.style.setProperty("display", "none");
        if (compare && !part("compare")) stop.after(compare);
      }
      noticeRun();
      const draft = () => view.draft(box.value);
      onPrompt("input", draft);
      draft();
    };
  });
}
