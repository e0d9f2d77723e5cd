// Follow the growing answer, unless the reader has scrolled away, or looks at another tab. Its end
// is the line of numbers below it: on some tabs there is more below that.
phi.parts.push((view) => {
  const { part, isShown } = view;
  let following = false; // from the start of a run on, until the reader scrolls away
  let turnedAway = -1e9;
  const scroller = () => document.scrollingElement || document.documentElement;
  const beyond = () => { // pixels by which the answers' end is below what can be seen
    const feet = ["left", "right"].map((side) => part(`line-${side}`)).filter((line) => line.checkVisibility());
    const busy = feet.filter((line) => ["waiting", "streaming"].includes(line.querySelector(".numbers")?.dataset.state));
    const [first, second] = feet.map((line) => line.getBoundingClientRect());
    const stacked = second && second.left < first.right; // on a phone: the first one that grows
    const ends = (stacked ? (busy.length ? busy : feet).slice(0, 1) : feet).map((line) => line.getBoundingClientRect().bottom);
    return Math.max(0, ...ends) - (window.innerHeight - part("composer").offsetHeight - 8);
  };
  const turnAway = () => { following = false; turnedAway = performance.now(); };
  window.addEventListener("wheel", (event) => { if (event.deltaY < 0 && isShown()) turnAway(); }, { passive: true });
  window.addEventListener("touchmove", () => { if (isShown()) turnAway(); }, { passive: true });
  window.addEventListener("keydown", (event) => {
    if (["PageUp", "Home", "ArrowUp"].includes(event.key) && event.target === document.body && isShown()) turnAway();
  });
  window.addEventListener("scroll", () => {
    if (isShown() && performance.now() - turnedAway > 400) following = Math.abs(beyond()) < 140;
  }, { passive: true });
  let scheduled = false;
  view.startFollowing = () => { following = true; };
  view.follow = () => {
    if (!following || scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      const more = isShown() && following ? beyond() : 0;
      if (more > 0) scroller().scrollTop += more;
    });
  };
});
