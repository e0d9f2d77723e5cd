() => {
  // Notes when each answer of the matrix has been painted, when a file was chosen and when its run
  // has been painted whole, and for how long the main thread was blocked. Milliseconds since 1970.
  const seen = {}, frames = [], opened = {};
  const matrix = document.querySelector("#languages-matrix .matrix");
  const now = () => performance.timeOrigin + performance.now();
  const painted = new MessageChannel();
  let drawn = [], scheduled = false, begun = false;
  painted.port1.onmessage = () => {
    scheduled = false;
    for (const [where, name] of drawn) where[name] ??= now();
    drawn = [];
  };
  const look = () => {
    // Before a run begins, the marks are those of the one before.
    begun ||= !matrix.querySelector(".going").hidden;
    if (begun) for (const mark of matrix.querySelectorAll(".mark[data-item]")) {
      const name = `${mark.dataset.item}|${mark.closest("[data-side]").dataset.side}`;
      if (!seen[name]) drawn.push([seen, name]);
    }
    if (opened.chosen && matrix.querySelector(".headline").textContent !== opened.before) drawn.push([opened, "painted"]);
    painted.port2.postMessage(0);  // runs after the frame that is being made has been painted
  };
  const changes = new MutationObserver(() => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(look);
  });
  changes.observe(matrix, { childList: true, subtree: true, characterData: true, attributes: true });
  document.addEventListener("change", (event) => {
    if (event.target.type !== "file") return;
    opened.before = matrix.querySelector(".headline").textContent;
    opened.chosen = now();
  }, true);
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => frames.push({
    duration: entry.duration,
    scripts: entry.scripts.map((script) => [script.sourceFunctionName || script.invoker, Math.round(script.duration)]),
  }))).observe({ type: "long-animation-frame" });
  window.watched = { seen, frames, opened };
}
