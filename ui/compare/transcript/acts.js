// What is pressed, typed and swiped in the transcript.
const ask = (press) => { phi.pressed = press; trigger("submit"); }; // goes with the whole form: see gathered.py
const edit = (row) => {
  if (busy || row.editor) return;
  const area = row.editor = make("textarea", "editor"), tools = make("div", "cell-tools");
  const send = button("send", "Ask again"), leave = button("leave", "Cancel");
  const close = () => { area.remove(); tools.remove(); row.editor = null; row.typed.hidden = false; row.prompt.querySelector("[data-act=edit]").focus(); };
  const submit = () => { const text = area.value; close(); ask({ act: "edit", turn: row.id, text }); };
  area.value = row.text;
  area.dir = "auto";
  label(area, "Edit the prompt");
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  send.addEventListener("click", submit);
  leave.addEventListener("click", close);
  tools.append(send, leave);
  row.typed.hidden = true;
  row.typed.after(area, tools);
  area.focus();
};
root.addEventListener("click", (event) => {
  const pressed = event.target.closest("button[data-act]");
  if (!pressed) return;
  const sheet = pressed.closest(".less-used:popover-open");
  if (sheet) sheet.hidePopover(); // before what the button opens itself, which else would close along
  const row = rows.get(Number(pressed.closest(".turn")?.dataset.turn)), cell = row?.cells[pressed.closest(".cell")?.dataset.side];
  const told = { turn: row?.id, side: cell?.letter };
  const act = {
    show: () => show(pressed.dataset.side),
    only: () => show(root.dataset.shown ? "" : cell.letter),
    latest: () => follow.start(),
    unfold: () => {
      const open = row.typed.classList.toggle("folded") === false;
      pressed.setAttribute("aria-expanded", open);
      say(pressed, open ? "Show less" : "Show all");
    },
    edit: () => edit(row),
    "copy-prompt": () => phi.copy(row.text),
    copy: () => phi.copy(cell.source || cell.text.innerText),
    "copy-plain": () => phi.copy(cell.text.innerText),
    "copy-code": () => phi.copy(pressed.parentElement.querySelector("pre").textContent.replace(/\n$/, "")),
    regenerate: () => ask({ act: "regenerate", ...told }),
    again: () => ask({ act: "regenerate", ...told }), // before the answer has ended
    continue: () => ask({ act: "continue", ...told }),
    stop: () => trigger("select", { act: "stop", ...told }),
    use: () => trigger("select", { act: "use", ...told }),
    version: () => trigger("select", { act: "version", ...told, index: Number(pressed.dataset.index) }),
  }[pressed.dataset.act];
  act?.();
});
// A swipe across an answer shows the next side, where one is shown at a time.
let touched = null;
turns.addEventListener("touchstart", (event) => {
  touched = event.target.closest("pre, .table, textarea") ? null : [event.touches[0].clientX, event.touches[0].clientY];
}, { passive: true });
turns.addEventListener("touchend", (event) => {
  if (!touched || !alone.matches || sides.length < 2) return;
  const across = event.changedTouches[0].clientX - touched[0], along = event.changedTouches[0].clientY - touched[1];
  if (Math.abs(across) < 70 || Math.abs(along) > Math.abs(across) / 2) return;
  const at = letters().indexOf(root.dataset.shown) + (across < 0 ? 1 : -1);
  if (letters()[at]) show(letters()[at]);
}, { passive: true });
