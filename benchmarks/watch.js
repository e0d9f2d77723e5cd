({ sides, end }) => {
  // Notes when the first character and the last word of each side's answer have been painted,
  // for how long the main thread was blocked, and by how much what was there has moved without being
  // asked to. Times are milliseconds since 1970.
  const seen = Object.fromEntries(Object.keys(sides).map((side) => [side, {}]));
  const frames = [], shifts = [];
  const newest = (selector) => {
    const nodes = document.querySelectorAll(selector);
    return nodes.length ? nodes[nodes.length - 1].textContent.trim() : "";
  };
  const answers = Object.values(sides).map(({ growing }) => growing).join();
  const painted = new MessageChannel();
  let drawn = [], scheduled = false;
  painted.port1.onmessage = () => {
    scheduled = false;
    const now = performance.timeOrigin + performance.now();
    for (const [side, what] of drawn) seen[side][what] = now;
    drawn = [];
  };
  const look = () => {
    for (const [side, { growing }] of Object.entries(sides)) {
      if (seen[side].last) continue;
      const text = newest(growing);
      if (!seen[side].first && text) drawn.push([side, "first"]);
      if (text.endsWith(end)) drawn.push([side, "last"]);
    }
    painted.port2.postMessage(0);  // runs after the frame that is being made has been painted
  };
  const changes = new MutationObserver(() => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(look);
  });
  changes.observe(document.body, { childList: true, subtree: true, characterData: true });
  const slow = new PerformanceObserver((list) => list.getEntries().forEach((entry) => frames.push({
    duration: entry.duration,
    scripts: entry.scripts.map((script) => [script.invoker, Math.round(script.duration)]),
  })));
  slow.observe({ type: "long-animation-frame" });
  // As the browser computes it for all that moved: the part of the window that it was on or is on now,
  // times the part of the window's longer side by which it moved.
  const score = (sources) => {
    let area = 0, most = 0;
    for (const { previousRect: old, currentRect: now } of sources) {
      const wide = Math.max(old.right, now.right) - Math.min(old.left, now.left);
      const high = Math.max(old.bottom, now.bottom) - Math.min(old.top, now.top);
      area += wide * high;
      most = Math.max(most, Math.abs(now.x - old.x), Math.abs(now.y - old.y));
    }
    return area / (innerWidth * innerHeight) * most / Math.max(innerWidth, innerHeight);
  };
  const moved = new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
    if (entry.hadRecentInput) return;
    const texts = entry.sources.filter(({ node }) => (node?.closest ? node : node?.parentElement)?.closest(answers));
    shifts.push([performance.timeOrigin + entry.startTime, entry.value, Math.min(entry.value, score(texts))]);
  }));
  moved.observe({ type: "layout-shift" });
  window.watched = {
    complete: () => Object.values(seen).every((side) => side.last),
    stop: () => {
      changes.disconnect(); slow.disconnect(); moved.disconnect();
      const skew = Date.now() - performance.timeOrigin - performance.now();
      return { seen, frames, shifts, skew };
    },
  };
}
