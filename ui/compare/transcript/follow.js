// Keeps the reader's place: the page follows the answers that grow, until the reader turns away. The
// page's own growth and its own scrolling are never taken for the reader's. Where it can, the browser
// does it, in the same picture as the growth: `overflow-anchor` has it hold the end of the answers still.
const follow = (() => {
  let following = false, scheduled = false, until = 0;
  const composer = () => document.getElementById(`${view}-composer`);
  const page = () => document.scrollingElement;
  const foot = () => { // of what can be seen above the prompt box
    const box = composer();
    return window.innerHeight - (box && getComputedStyle(box).position === "sticky" ? box.offsetHeight : 0) - 8;
  };
  const below = () => { // pixels by which the answers end below what can be seen
    const cells = [...turns.querySelectorAll(".turn[data-last] .cell:not([data-away])")];
    return Math.max(0, ...cells.map((cell) => cell.getBoundingClientRect().bottom)) - foot();
  };
  const isSeen = () => element.checkVisibility();
  const offer = () => { latest.hidden = following || !isSeen() || below() < 40; };
  const set = (now) => root.toggleAttribute("data-following", following = now);
  const turnAway = () => { if (isSeen()) set(false); };
  const away = (event) => event.deltaY < 0 && turnAway();
  window.addEventListener("wheel", away, { passive: true });
  window.addEventListener("touchmove", turnAway, { passive: true });
  window.addEventListener("keydown", (event) => {
    if (["PageUp", "Home", "ArrowUp"].includes(event.key) && !event.target.closest?.("textarea, input, [role=listbox], [role=grid]")) turnAway();
  });
  window.addEventListener("scroll", () => {
    if (performance.now() < until || !isSeen()) return; // the page's own
    if (!scheduled) requestAnimationFrame(() => {
      // Only the reader scrolls now: at the end, they want to go along again.
      if (below() < 4) set(true);
      offer();
    });
  }, { passive: true });
  const step = () => {
    scheduled = false;
    if (!isSeen()) return;
    const more = below();
    if (following && more > 0) {
      until = performance.now() + 80;
      page().scrollTop += more;
    }
    offer();
  };
  const grown = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(step);
  };
  const start = () => {
    // Or else the browser would hold what is above, as long as that can be seen.
    for (let node = root; node !== document.body; node = node.parentElement)
      for (let above = node; (above = above.previousElementSibling);) above.style.overflowAnchor = "none";
    set(true);
    grown();
  };
  return { grown, start };
})();
