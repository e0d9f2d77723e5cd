// What Gradio draws of a conversation: its direction, its prompts as they were typed, nothing in an
// answer that could be pressed; and what a screen reader hears of it.
{
  // ── A message has one direction, that of most of its letters; code does not count ──────────
  // Its paragraphs may still each go their own way.
  const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/g, LTR = /[A-Za-z\u00c0-\u024f\u0370-\u052f\u3040-\ud7af]/g;
  const MESSAGE = ".message-content > .prose, .md.prose";
  const direct = (messages) => messages.forEach((message) => {
    // Its beginning is enough, and a long answer is looked at again at every tick.
    const text = [...message.children].slice(0, 12).filter((node) => !node.querySelector("pre"))
      .map((node) => node.textContent.slice(0, 1000)).join(" ");
    const direction = (text.match(RTL) || []).length > (text.match(LTR) || []).length ? "rtl" : "ltr";
    if (message.getAttribute("dir") !== direction) message.setAttribute("dir", direction);
  });
  // An answer is text: a form, a field, a button or a style in it is shown as it was written. Gradio's
  // own are a button without words above code, and the boxes of task lists. The conversation's parser
  // knows what Markdown does not make itself (ui/compare/pane.py), but not in diagrams, nor while an
  // answer grows.
  const ACTIVE = "form, fieldset, select, textarea, dialog, style:not(svg *), button, " +
    "input:not([type=checkbox][disabled])";
  const isGradios = (node) => node.matches(".code_wrap > .copy_code_button") && !node.textContent.trim();
  const STYLED = "[style]:not(.katex *, svg, svg *, pre *)";
  const disarm = (messages) => messages.forEach((message) => {
    message.querySelectorAll(ACTIVE).forEach((node) => { if (!isGradios(node)) node.replaceWith(node.outerHTML); });
    message.querySelectorAll(STYLED).forEach((node) => node.removeAttribute("style"));
  });
  // Gradio would draw a prompt as Markdown, without its tags: it is shown as it was typed. What
  // stands before it are pictures (ui/compare/chat.py), which are read out by their names.
  const PICTURES = /^user's message: !\[[^\]]*\]\(data:image\//;
  const asTyped = (prompts) => prompts.forEach((prompt) => {
    const label = prompt.getAttribute("aria-label");
    const content = prompt.querySelector(".message-content");
    if (!label || !content || prompt.closest(".shown-pictures")) return;
    if (PICTURES.test(label)) {
      prompt.parentElement.classList.add("shown-pictures");
      const names = [...content.querySelectorAll("img")].map((picture) => picture.alt);
      return prompt.setAttribute("aria-label", `Pictures: ${names.join(", ")}`);
    }
    const shown = content.querySelector(".typed") || content.appendChild(document.createElement("p"));
    shown.className = "typed";
    const text = label.replace(/^user's message: /, "");
    if (shown.textContent !== text) shown.textContent = text;
  });

  const hear = (view, side) => {
    let last = "";
    return () => {
      const line = view.part(`line-${side}`).querySelector(".numbers");
      const state = line ? line.dataset.state : "";
      if (state === last) return;
      last = state;
      const words = line ? line.dataset.words : "";
      const name = side === "left" ? "Left" : "Right";
      if (state === "done") phi.announce(`${name}: done, ${words}`);
      if (state === "stopped") phi.announce(`${name}: stopped, ${words}`);
      if (state === "failed") { phi.announce(`${name}: ${words}`); setTimeout(() => phi.$("#recheck")?.click(), 300); }
      if (state === "waiting") phi.announce(`${name}: thinking`);
    };
  };
  const watchSide = (view, side) => {
    const line = view.part(`line-${side}`), answer = view.part(`answer-${side}`), conversation = view.part(`conversation-${side}`);
    new MutationObserver(hear(view, side)).observe(line, { childList: true, subtree: true });
    new MutationObserver(() => {
      const growing = answer.querySelectorAll(MESSAGE);
      disarm(growing);
      direct(growing);
      view.follow();
    }).observe(answer, { childList: true, subtree: true, characterData: true });
    answer.setAttribute("translate", "no");
    conversation.setAttribute("translate", "no");
    const every = (node, selector) => [...(node.matches(selector) ? [node] : []), ...node.querySelectorAll(selector)];
    const quiet = (fresh) => {
      every(fresh, "[aria-live]:not([aria-live=off])").forEach((node) => node.setAttribute("aria-live", "off"));
      // A button within a button, without a name: the outer one does it all.
      every(fresh, ".thought-group .arrow").forEach((node) => { node.inert = true; });
      every(fresh, "[role=complementary]").forEach((node) => node.removeAttribute("role"));
      every(fresh, "[role=log]").forEach((node) =>
        node.setAttribute("aria-label", `${side === "left" ? "Left" : "Right"} conversation`));
      const messages = every(fresh, MESSAGE);
      disarm(messages);
      direct(messages);
      asTyped(every(fresh, "[data-testid=user]"));
    };
    // Only what is new: in a long conversation all of it would take longer than a frame.
    new MutationObserver((changes) => {
      const fresh = new Set();
      for (const { target, addedNodes } of changes) {
        const row = target.closest(".message-row");
        if (row) fresh.add(row);
        else for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) fresh.add(node);
      }
      fresh.forEach(quiet);
    }).observe(conversation, { childList: true, subtree: true });
    quiet(conversation);
  };
  phi.parts.push((view) => ["left", "right"].forEach((side) => watchSide(view, side)));
}
