// On the board, times are the reader's own.
phi.when(() => phi.$("#board"), () => {
  const board = phi.$("#board");
  const local = () => board.querySelectorAll("time[datetime]").forEach((node) => {
    const text = `checked ${new Date(node.dateTime).toLocaleTimeString()}`;
    if (node.textContent !== text) node.textContent = text;
  });
  new MutationObserver(local).observe(board, { childList: true, subtree: true });
  local();
}, 200);
