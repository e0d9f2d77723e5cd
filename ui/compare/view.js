// A view: one comparison, on a tab of its own. What belongs to it stands in several files, each of
// which adds its part to `phi.parts`; all of them are called once, when the view has been drawn.
{
  phi.parts = [];
  phi.views = {}; // those that have begun, by name

  const NEEDED = ["state-a", "prompt", "composer", "settings", "transcript"];
  const begun = new Set();
  const recorded = new URLSearchParams(location.search).has("recording"); // of the link, before it changes
  phi.begin = (name) => {
    if (begun.has(name)) return;
    begun.add(name);
    const part = (id) => document.getElementById(`${name}-${id}`);
    phi.when(() => NEEDED.every(part) && part("prompt").querySelector("textarea"), () => watch(name, part));
  };

  const watch = (name, part) => {
    const root = part("view"), promptBox = () => part("prompt").querySelector("textarea");
    const view = phi.views[name] = {
      name, part, root, promptBox,
      isShown: () => root.checkVisibility(),
      hasKeyboard: matchMedia("(pointer: fine)").matches, // on a phone one would pop up and hide the page
      onPrompt: (type, react) => root.addEventListener(type, (event) => {
        if (event.target === promptBox()) react(event);
      }, true),
      // A button that hides itself takes the keyboard's place along: it goes on in the prompt box.
      settle: () => {
        if (view.hasKeyboard && view.isShown() && document.activeElement === document.body) promptBox().focus({ preventScroll: true });
      },
    };
    phi.parts.forEach((add) => add(view));
    if (phi.away) view.leave();
    part("open")?.click(); // a view that does not open with the page does so when it is first seen
  };

  phi.parts.push(({ name, part, root, settle }) => {
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.id === `${name}-undo`) phi.announce(phi.say("Taken back"));
      if (button.id === `${name}-clear`) phi.announce(phi.say("Cleared"));
      if (button.id === `${name}-get`) { // the keyboard goes along to the question
        phi.when(() => part("get-confirm") || !part("get"), () => part("get-confirm")?.focus());
      }
      // The answer to a press may come late: only then does the button go.
      phi.when(() => document.activeElement !== button || !button.checkVisibility(), () => setTimeout(settle, 100), 250);
    });
    // What is used less: a sheet on a phone, closed by what is pressed in it.
    const less = part("less-used");
    less.popover = "auto";
    less.role = "group";
    less.dataset.sayLabel = '["More"]';
    less.ariaLabel = phi.say("More");
    less.addEventListener("click", (event) => {
      if (event.target.closest("button") && less.matches(":popover-open")) less.hidePopover();
    });
    // Opened settings come out from under the prompt box.
    part("settings").addEventListener("click", (event) => {
      if (event.target.closest(".settings > button")) setTimeout(() => part("settings").scrollIntoView({ block: "end" }), 120);
    });
    // A recorded answer that the address names: see `recorded.py`.
    if (recorded) phi.when(() => root.querySelector(".state[data-state]"), () => part("play-recorded")?.click());
    // What follows the opening, and may take long.
    phi.when(() => root.querySelector(".state[data-state]"), () => part("follow")?.click());
    // Gradio has a live region of its own, for progress that this page says in words.
    document.querySelectorAll(".sr-only[aria-live]").forEach((node) => node.setAttribute("aria-live", "off"));
  });
}
