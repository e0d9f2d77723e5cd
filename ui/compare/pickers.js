// The pickers: what cannot work can be read, not chosen; and nothing is asked while they change.
{
  const STATES = ["Retired", "Unreachable", "Too large"], NONE = "No models listed";
  const cannot = (option) => {
    const label = option?.getAttribute("aria-label") || "";
    return [NONE, phi.say(NONE)].includes(label)
      || STATES.some((state) => [state, phi.say(state)].some((word) => label.endsWith(`— ${word.toLowerCase()}`)));
  };
  const markOptions = () => document.querySelectorAll(".pickers [role=option]").forEach((option) => {
    const disabled = String(Boolean(cannot(option)));
    if (option.getAttribute("aria-disabled") !== disabled) option.setAttribute("aria-disabled", disabled);
  });
  const drawnOptions = new MutationObserver(markOptions); // also when states change while a list is open
  document.addEventListener("focusin", (event) => {
    const picker = event.target.closest?.(".pickers");
    if (!picker) return;
    markOptions();
    drawnOptions.observe(picker, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"] });
  });
  document.addEventListener("focusout", () => drawnOptions.disconnect());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.closest?.(".pickers")) return;
    if (cannot(phi.$(".options [role=option].active"))) { event.preventDefault(); event.stopPropagation(); }
  }, true);

  const picks = {}; // of each pane: choices of a backend that are not answered yet
  phi.picking = (id, by) => {
    const pane = document.getElementById(id);
    picks[id] = (picks[id] || 0) + by;
    pane.setAttribute("aria-busy", picks[id] > 0);
    if (!picks[id]) pane.dispatchEvent(new Event("picked", { bubbles: true }));
  };

  // A backend was chosen and its models are on their way: what would ask one of them waits. This
  // part comes before those that react to Compare.
  phi.parts.push((view) => {
    const ASKS = `#${view.name}-compare, #${view.name}-regenerate, #${view.name}-transcript :is([data-act=regenerate], [data-act=again]), [id^=${view.name}-code]`;
    let held = null;
    const opened = () => view.root.querySelector(".state[data-state]");
    const picking = () => !phi.away && (!opened() || view.root.querySelector(".pane[aria-busy=true]"));
    view.release = () => {
      held?.removeAttribute("aria-busy");
      const button = held;
      held = null;
      return button;
    };
    view.root.addEventListener("click", (event) => {
      const button = event.target.closest?.(ASKS);
      if (!button || !picking()) return;
      event.stopImmediatePropagation();
      view.release();
      held = button;
      held.setAttribute("aria-busy", true);
    }, true);
    // Pressed before the page has opened: it waits until the models are known.
    phi.when(opened, () => setTimeout(() => { if (!picking()) view.release()?.click(); }, 50));
    view.root.addEventListener("picked", () => setTimeout(() => {
      if (!picking()) view.release()?.click();
    }, 50)); // Gradio may be about to ask for another backend that was chosen meanwhile
  });

  // A state's row that begins to show a download is kept up to date until that has ended. What was
  // said before another thing may arrive after it: the row is then drawn once more, as it is now.
  phi.parts.push((view) => {
    const rows = Object.fromEntries([..."abcd"].map((side) => [side, { busy: false, newest: 0 }]));
    const look = () => {
      for (const [side, known] of Object.entries(rows)) {
        const row = view.part(`state-${side}`); // a side that is added later has one then
        if (!row) continue;
        const number = Number(row.querySelector("[data-row]")?.dataset.row ?? known.newest);
        const late = number < known.newest;
        known.newest = late ? 0 : number; // a server that has begun anew counts from 0
        if (late) view.part(`redraw-${side}`)?.click();
        const now = Boolean(row.querySelector("[data-state=busy]"));
        if (now && !known.busy) view.part(`watch-${side}`)?.click();
        known.busy = now;
      }
    };
    new MutationObserver(look).observe(view.part("panes"), { childList: true, subtree: true });
    look();
  });
}
