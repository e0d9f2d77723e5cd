// The transcript: a turn is a row, a side a column. Gradio gives `element`, `props`, `trigger` and
// `watch`. Its value is a message of `rows.py`; what is on the page is patched, never made anew: the
// answer that grows is the answer that stays. What people wrote is put in as text; HTML is what the
// server's own renderer made.
const root = element.querySelector(".transcript"), view = props.view;
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const button = (act, text, label) => {
  const node = make("button", "", text);
  node.type = "button";
  node.dataset.act = act;
  if (label) { node.title = label; node.setAttribute("aria-label", label); }
  return node;
};
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const RUNNING = ["waiting", "streaming"];

const chooser = root.appendChild(make("div", "switch"));
const turns = root.appendChild(make("div", "turns"));
const programs = root.appendChild(make("div", "programs answers"));
const hint = root.appendChild(make("p", "hint"));
const latest = root.appendChild(button("latest", "↓ Latest"));
latest.className = "latest";
latest.hidden = true;
chooser.setAttribute("role", "group");
chooser.setAttribute("aria-label", "Which side to show");

let number = 0, sides = [], busy = false, shown = "", asked = false, settled = false;
const rows = new Map(); // by id: what is known of a turn
const letters = () => sides.map((side) => side.letter);
const running = () => [...rows.values()].some((row) => Object.values(row.cells).some((cell) => RUNNING.includes(cell.state)));

// ── What the server sends ───────────────────────────────────────────────────────────────────────
const apply = (message) => {
  if (message.n <= number && message.since) return;
  if (message.since > number) { // too much was skipped
    if (!asked) trigger("select", { act: "resync" });
    asked = true;
    return;
  }
  asked = false;
  number = message.n;
  if (message.sides) setSides(message.sides);
  if (message.hint !== undefined) put(hint, message.hint);
  setRows(message.order);
  for (const [id, prompt] of Object.entries(message.turns || {})) setPrompt(rows.get(Number(id)), prompt);
  for (const [id, cells] of Object.entries(message.cells || {}))
    for (const [letter, fields] of Object.entries(cells)) setCell(rows.get(Number(id)), letter, fields);
  for (const [letter, html] of Object.entries(message.programs || {})) setProgram(letter, html);
  hint.hidden = rows.size > 0;
  if (message.busy !== undefined) setBusy(message.busy);
  settled = true;
};
const setBusy = (now) => {
  if (now && !busy) follow.start();
  busy = now;
  root.toggleAttribute("data-busy", busy);
  for (const one of turns.querySelectorAll("[data-act=edit], [data-act=version], [data-act=use]")) one.disabled = busy;
  root.dispatchEvent(new CustomEvent("transcript:busy", { bubbles: true, detail: { busy } }));
};

// ── Sides: the columns, and which of them is shown alone ────────────────────────────────────────
const setSides = (now) => {
  sides = now;
  root.dataset.sides = sides.length;
  root.style.setProperty("--sides", sides.length);
  if (shown && !letters().includes(shown)) shown = "";
  const narrow = sides.map(({ letter, name }) => {
    const one = button("show", "");
    one.dataset.side = letter;
    one.append(make("i", "letter", letter.toUpperCase()), make("span", "name", name), make("span", "news"));
    return one;
  });
  const all = button("show", "All");
  all.dataset.side = "";
  chooser.replaceChildren(...narrow, all);
  chooser.hidden = sides.length < 2;
  for (const row of rows.values()) arrange(row);
  for (const panel of programs.children) panel.hidden = !letters().includes(panel.dataset.side);
  show(shown);
};
const alone = matchMedia("(max-width: 700px)");
const show = (letter) => {
  shown = letter;
  const only = letter || (alone.matches ? letters()[0] : "");
  root.dataset.shown = only;
  for (const one of chooser.children) {
    one.setAttribute("aria-pressed", one.dataset.side === (alone.matches ? only : letter));
    if (one.dataset.side === only) { one.removeAttribute("data-news"); put(one.querySelector(".news") || one.appendChild(make("span", "news")), ""); }
  }
  for (const cell of root.querySelectorAll(".cell, .program")) cell.toggleAttribute("data-away", Boolean(only) && cell.dataset.side !== only);
  // The pickers above, and what stands beneath, go along.
  const scope = document.getElementById(`${view}-view`);
  for (const side of scope?.querySelectorAll(".pane, .beneath-side") || [])
    side.toggleAttribute("data-shown", side.classList.contains(only));
  scope?.toggleAttribute("data-one", Boolean(letter));
};
alone.addEventListener("change", () => show(shown));
const tellNews = (letter) => {
  const only = root.dataset.shown, one = [...chooser.children].find((each) => each.dataset.side === letter);
  if (!only || only === letter || !one) return;
  one.dataset.news = "";
  put(one.querySelector(".news"), " has answered");
};

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────
const setRows = (order) => {
  for (const [id, row] of rows) if (!order.includes(id)) { row.node.remove(); rows.delete(id); }
  order.forEach((id, index) => {
    if (!rows.has(id)) rows.set(id, addRow(id));
    const row = rows.get(id), last = index === order.length - 1;
    row.node.setAttribute("aria-label", `Turn ${index + 1}`);
    row.node.toggleAttribute("data-last", last);
    if (turns.children[index] !== row.node) turns.insertBefore(row.node, turns.children[index] || null);
  });
};
const addRow = (id) => {
  const node = make("div", "turn"), prompt = node.appendChild(make("div", "prompt"));
  const pictures = prompt.appendChild(make("div", "pictures")), typed = prompt.appendChild(make("p", "typed"));
  const tools = prompt.appendChild(make("div", "cell-tools")), fold = button("unfold", "Show all");
  node.dataset.turn = id;
  node.role = "group";
  typed.dir = "auto";
  fold.hidden = true;
  tools.append(fold, button("edit", "Edit"), button("copy-prompt", "Copy"));
  const row = { id, node, prompt, pictures, typed, fold, cells: {} };
  row.answers = node.appendChild(make("div", "answers"));
  arrange(row);
  return row;
};
const arrange = (row) => { // an empty place for each side without an answer, so that columns stay
  const known = Object.fromEntries([...row.answers.children].map((node) => [node.dataset.side, node]));
  const wanted = letters().map((letter) => row.cells[letter]?.node || known[letter] || emptyPlace(letter));
  wanted.forEach((node, index) => { if (row.answers.children[index] !== node) row.answers.insertBefore(node, row.answers.children[index] || null); });
  while (row.answers.children.length > wanted.length) row.answers.lastElementChild.remove();
};
const emptyPlace = (letter) => {
  const node = make("div", "cell empty");
  node.dataset.side = letter;
  node.toggleAttribute("data-away", Boolean(root.dataset.shown) && root.dataset.shown !== letter);
  return node;
};
const setPrompt = (row, fields) => {
  if (fields.prompt !== undefined) {
    put(row.typed, fields.prompt);
    row.text = fields.prompt;
    // Long ones are folded, told by their length: measuring would lay the page out anew.
    const long = fields.prompt.length > 900 || fields.prompt.split("\n").length > 9;
    row.fold.hidden = !long;
    row.typed.classList.toggle("folded", long);
    put(row.fold, "Show all");
    row.fold.setAttribute("aria-expanded", false);
  }
  if (fields.lang !== undefined) row.typed.lang = fields.lang;
  if (fields.pictures) row.pictures.replaceChildren(...fields.pictures.map(({ src, name }) => Object.assign(make("img"), { src, alt: name, title: name })));
};

// ── Cells ───────────────────────────────────────────────────────────────────────────────────────
const addCell = (row, letter) => {
  const node = make("div", "cell"), who = node.appendChild(make("h2", "who"));
  const cell = { row, letter, node, html: [], thought: "", state: "" };
  who.append(make("i", "letter", letter.toUpperCase()), cell.name = make("span", "name"), cell.place = make("small"), make("span", "pulse"));
  who.id = `${view}-who-${row.id}-${letter}`;
  node.role = "group";
  node.setAttribute("aria-labelledby", who.id);
  node.dataset.side = letter;
  node.toggleAttribute("data-away", Boolean(root.dataset.shown) && root.dataset.shown !== letter);
  cell.thinking = node.appendChild(make("details", "thinking"));
  cell.summary = cell.thinking.appendChild(make("summary"));
  cell.thoughts = cell.thinking.appendChild(make("p"));
  cell.thoughts.dir = "auto";
  cell.thinking.hidden = true;
  cell.text = node.appendChild(make("div", "md"));
  cell.text.translate = false;
  cell.line = node.appendChild(make("div", "line"));
  cell.numbers = cell.line.appendChild(make("div", "numbers"));
  cell.details = button("more", "Details", `Details of ${letter.toUpperCase()}`);
  cell.more = cell.line.appendChild(make("div", "more"));
  cell.more.popover = "auto";
  cell.details.popoverTargetElement = cell.more;
  cell.details.hidden = true;
  cell.tools = cell.line.appendChild(make("div", "cell-tools"));
  const name = `side ${letter.toUpperCase()}`;
  cell.versions = make("span", "versions");
  cell.tools.append(
    button("stop", "Stop", `Stop ${name}`), button("continue", "Continue", `Let ${name} go on where it was cut off`), button("regenerate", "Regenerate", `Regenerate ${name}`),
    button("copy", "Copy", "Copy as Markdown"), button("copy-plain", "Copy text", "Copy as plain text"),
    button("use", "Use in all", "Use this answer in all sides"), cell.details, cell.versions);
  row.cells[letter] = cell;
  arrange(row);
  return cell;
};
const setCell = (row, letter, fields) => {
  let cell = row.cells[letter];
  if (!fields) {
    if (cell) { delete row.cells[letter]; cell.node.replaceWith(emptyPlace(letter)); }
    return;
  }
  cell ||= addCell(row, letter);
  if (fields.name !== undefined) put(cell.name, fields.name);
  if (fields.place !== undefined) put(cell.place, fields.place);
  if (fields.lang !== undefined) cell.text.lang = fields.lang;
  if (fields.dir !== undefined) cell.text.dir = fields.dir;
  if (fields.line !== undefined) cell.numbers.innerHTML = fields.line;
  if (fields.more !== undefined) { cell.more.innerHTML = fields.more; cell.details.hidden = !fields.more; }
  if (fields.words !== undefined) cell.words = cell.numbers.dataset.words = fields.words;
  if (fields.source) {
    const [keep, tail] = fields.source;
    cell.source = (cell.source || "").slice(0, keep) + tail;
  }
  if (fields.thought !== undefined) { cell.thinking.hidden = !fields.thought; put(cell.summary, fields.thought); }
  if (fields.thinking) {
    const [keep, tail] = fields.thinking;
    grow(cell.thoughts.firstChild || cell.thoughts.appendChild(document.createTextNode("")), cell.thought = cell.thought.slice(0, keep) + tail);
  }
  if (fields.cut !== undefined) cell.node.toggleAttribute("data-cut", fields.cut);
  if (fields.blocks) setBlocks(cell, fields.blocks);
  if (fields.version !== undefined) setVersions(cell, fields.version);
  if (fields.state !== undefined) setState(cell, fields.state);
};
const setBlocks = (cell, { count, set }) => {
  while (cell.text.children.length > count) cell.text.lastElementChild.remove();
  cell.html.length = Math.min(cell.html.length, count);
  while (cell.text.children.length < count) cell.text.append(make("div", "block"));
  for (const [index, keep, tail] of set) {
    const html = (cell.html[index] || "").slice(0, keep) + tail;
    if (html === cell.html[index]) continue;
    cell.html[index] = html;
    const made = document.createElement("template");
    made.innerHTML = html;
    morph(cell.text.children[index], made.content);
  }
};
const setVersions = (cell, version) => {
  cell.version = version;
  if (!version) return cell.versions.replaceChildren();
  const [at, count] = version, back = button("version", "‹", "Earlier version"), on = button("version", "›", "Later version");
  back.dataset.index = at - 2;
  on.dataset.index = at;
  back.hidden = at <= 1;
  on.hidden = at >= count;
  cell.versions.replaceChildren(back, make("span", "", `${at}/${count}`), on);
};
const setState = (cell, state) => {
  const before = cell.state;
  cell.state = cell.node.dataset.state = cell.numbers.dataset.state = state;
  if (!settled || state === before) return;
  const who = `${cell.letter.toUpperCase()}, ${cell.name.textContent}`;
  if (state === "waiting") window.phi?.announce(`${who}: thinking`);
  if (["done", "stopped", "failed"].includes(state)) {
    window.phi?.announce(state === "failed" ? `${who}: ${cell.words}` : `${who}: ${state}, ${cell.words}`);
    tellNews(cell.letter);
  }
  if (state === "failed") setTimeout(() => document.querySelector("#recheck")?.click(), 300);
};
const setProgram = (letter, html) => {
  let panel = [...programs.children].find((one) => one.dataset.side === letter);
  if (html === null) return panel?.remove();
  if (!panel) {
    panel = programs.appendChild(make("div", "program md notranslate"));
    panel.role = "group";
    panel.translate = false;
    panel.dataset.side = letter;
    panel.setAttribute("aria-label", `Code of side ${letter.toUpperCase()}`);
    panel.toggleAttribute("data-away", Boolean(root.dataset.shown) && root.dataset.shown !== letter);
  }
  panel.style.gridColumn = root.dataset.shown ? 1 : letters().indexOf(letter) + 1;
  panel.innerHTML = html;
};

// What has come of a run is kept when the page goes in the middle of it.
window.addEventListener("pagehide", () => {
  const last = [...rows.values()].at(-1), running = last && Object.values(last.cells).some((cell) => RUNNING.includes(cell.state));
  if (!running) return;
  const answers = letters().map((letter) => {
    const cell = last.cells[letter];
    if (!cell?.source) return null;
    return { model: cell.name.textContent, backend: cell.place.textContent, text: cell.source, state: "stopped" };
  });
  window.phi?.keepAnswers(view, answers);
});

// ── Patching: nodes that are alike stay, with what is selected in them ──────────────────────────
const grow = (node, text) => {
  if (text.startsWith(node.data)) { if (text.length > node.data.length) node.appendData(text.slice(node.data.length)); }
  else node.data = text;
};
const morph = (old, now) => {
  const fresh = [...now.childNodes];
  fresh.forEach((next, index) => {
    const have = old.childNodes[index];
    if (!have) return old.append(next);
    if (have.nodeType !== next.nodeType || have.nodeName !== next.nodeName) return have.replaceWith(next);
    if (have.nodeType === Node.TEXT_NODE) return grow(have, next.data);
    for (const { name, value } of next.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    for (const { name } of [...have.attributes]) if (!next.hasAttribute(name) && name !== "open") have.removeAttribute(name);
    morph(have, next);
  });
  while (old.childNodes.length > fresh.length) old.lastChild.remove();
};

// ── What is pressed ─────────────────────────────────────────────────────────────────────────────
const edit = (row) => {
  if (busy || row.editor) return;
  const area = row.editor = make("textarea", "editor"), tools = make("div", "cell-tools");
  const send = button("send", "Ask again"), leave = button("leave", "Cancel");
  const close = () => { area.remove(); tools.remove(); row.editor = null; row.typed.hidden = false; row.prompt.querySelector("[data-act=edit]").focus(); };
  const submit = () => { const text = area.value; close(); trigger("submit", { act: "edit", turn: row.id, text }); };
  area.value = row.text;
  area.dir = "auto";
  area.setAttribute("aria-label", "Edit the prompt");
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
  const row = rows.get(Number(pressed.closest(".turn")?.dataset.turn)), cell = row?.cells[pressed.closest(".cell")?.dataset.side];
  const told = { turn: row?.id, side: cell?.letter };
  const act = {
    show: () => show(pressed.dataset.side),
    latest: () => follow.resume(),
    unfold: () => {
      const open = row.typed.classList.toggle("folded") === false;
      pressed.setAttribute("aria-expanded", open);
      put(pressed, open ? "Show less" : "Show all");
    },
    edit: () => edit(row),
    "copy-prompt": () => phi.copy(row.text),
    copy: () => phi.copy(cell.source || cell.text.innerText),
    "copy-plain": () => phi.copy(cell.text.innerText),
    regenerate: () => trigger("submit", { act: "regenerate", ...told }),
    continue: () => trigger("submit", { act: "continue", ...told }),
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
// The page's own server is gone: nothing more will come.
root.addEventListener("transcript:away", () => {
  for (const row of rows.values()) for (const cell of Object.values(row.cells)) {
    if (!RUNNING.includes(cell.state)) continue;
    cell.numbers.replaceChildren(make("span", "", cell.text.innerText.trim() ? "cut off" : "Cut off before the first token."));
    cell.state = cell.node.dataset.state = cell.numbers.dataset.state = "cut";
  }
  setBusy(false);
});

const take = () => {
  const value = props.value;
  if (!value) return;
  apply(JSON.parse(value));
  follow.grown();
};
watch("value", take);
take();
