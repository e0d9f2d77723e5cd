// What Gradio's page, or the browser, would lose.
{
  // ── What is typed into settings, or a tab, that have only just been opened ────────────────
  // A picture later Gradio's page sets all that is in there to what it was at first. On a busy
  // machine that is time enough to type. Never a key: its field is emptied because it was taken.
  let typed = null;
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[role=tab], .settings > button")) return;
    const mine = typed = new Map();
    const again = (frames) => requestAnimationFrame(() => {
      for (const [field, text] of mine) if (field.isConnected && field.value !== text) phi.write(field, text);
      if (frames > 1) again(frames - 1);
      else if (typed === mine) typed = null;
    });
    again(4);
  }, true);
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (field.matches?.("textarea, input[type=text], input[type=number]")) typed?.set(field, field.value);
  }, true);

  // ── A file that is dropped where none is wanted: the browser would open it, and the page be gone
  phi.carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  ["dragover", "drop"].forEach((type) => document.addEventListener(type, (event) => {
    if (phi.carriesFiles(event)) event.preventDefault();
  }));
}
