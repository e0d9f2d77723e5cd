// On the board, times are the reader's own, and what was opened or folded away stays so.
phi.when(() => phi.$("#board"), () => {
  const board = phi.$("#board");
  const local = () => board.querySelectorAll("time[datetime]").forEach((node) => {
    const text = phi.say("checked {time}", { time: new Date(node.dateTime).toLocaleTimeString(document.documentElement.lang) });
    if (node.textContent !== text) node.textContent = text;
  });
  const folds = {}; // by card: as the reader left it, since each check draws the card anew
  board.addEventListener("click", (event) => {
    const fold = event.target.closest("summary")?.parentElement, card = fold?.closest(".card");
    if (card) folds[card.id] = !fold.open; // the click itself comes before the change
  });
  const refold = () => Object.entries(folds).forEach(([id, unfolded]) => {
    const fold = document.getElementById(id)?.querySelector("details");
    if (fold && fold.open !== unfolded) fold.open = unfolded;
  });
  new MutationObserver(() => { local(); refold(); }).observe(board, {
    // A card that is drawn anew keeps its nodes where only their text is another.
    childList: true, subtree: true, characterData: true,
    attributes: true, attributeFilter: ["open", "datetime"],
  });
  local();
}, 200);
