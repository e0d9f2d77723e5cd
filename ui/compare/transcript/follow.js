// Keeps the reader's place: the page follows the answers that grow, until the reader turns away. The
// page's own growth and its own scrolling are never taken for the reader's.
const follow = (() => {
  let following = false, scheduled = false, until = 0;
  const latestButton = () => element.querySelector(".latest");
  const composer = () => document.getElementById(`${props.view}-composer`);
  const page = () => document.scrollingElement;
  const foot = () => { // of what can be seen above the prompt box
    const box = composer();
    return window.innerHeight - (box && getComputedStyle(box).position === "sticky" ? box.offsetHeight : 0) - 8;
  };
  const below = () => { // pixels by which the answers end below what can be seen
    const cells = [...element.querySelectorAll(".turn[data-last] .cell:not([data-away])")];
    return Math.max(0, ...cells.map((cell) => cell.getBoundingClientRect().bottom)) - foot();
  };
  const isSeen = () => element.checkVisibility();
  const offer = () => { latestButton().hidden = following || !isSeen() || below() < 40; };
  const turnAway = () => { if (isSeen()) { following = false; } };
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
      if (below() < 4) following = true;
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
  return {
    grown,
    start: () => { following = true; grown(); },
    resume: () => { following = true; grown(); },
  };
})();
