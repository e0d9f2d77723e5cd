// The transcript: a turn is a row, a side a column. Its value is a message of `rows.py`; what is on the
// page is patched, never made anew: the answer that grows is the answer that stays. What people wrote is
// put in as text; HTML is what the server's own renderer made. It begins at the end: `take` has `apply`
// bring a message onto the page.
let number = 0, sides = [], busy = false, shown = "", asked = false, settled = false;
const rows = new Map(); // by id: what is known of a turn
const letters = () => sides.map((side) => side.letter);

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
  if (message.hint !== undefined) put(hint, window.phi?.word?.("transcript_hint") ?? message.hint);
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
  for (const row of rows.values()) Object.values(row.cells).forEach(offerOnly);
  // The pickers above, and what stands beneath, go along.
  const scope = document.getElementById(`${view}-view`);
  for (const side of scope?.querySelectorAll(".pane, .beneath-side") || [])
    side.toggleAttribute("data-shown", side.classList.contains(only));
  scope?.toggleAttribute("data-one", Boolean(letter));
};
alone.addEventListener("change", () => show(shown));
const offerOnly = (cell) => { // its name shows it alone, and all again
  const only = root.dataset.shown === cell.letter;
  cell.only.disabled = alone.matches || sides.length < 2;
  cell.only.setAttribute("aria-pressed", only);
  title(cell.only, cell.only.disabled ? "" : only ? "Show all" : "Show only {letter}", { letter: cell.letter.toUpperCase() });
};
const tellNews = (letter) => {
  const only = root.dataset.shown, one = [...chooser.children].find((each) => each.dataset.side === letter);
  if (!only || only === letter || !one) return;
  one.dataset.news = "";
  say(one.querySelector(".news"), " has answered");
};

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────
const setRows = (order) => {
  for (const [id, row] of rows) if (!order.includes(id)) { row.node.remove(); rows.delete(id); }
  order.forEach((id, index) => {
    if (!rows.has(id)) rows.set(id, addRow(id));
    const row = rows.get(id), last = index === order.length - 1;
    label(row.node, "Turn {number}", { number: index + 1 });
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
    say(row.fold, "Show all");
    row.fold.setAttribute("aria-expanded", false);
  }
  if (fields.lang !== undefined) row.typed.lang = fields.lang;
  if (fields.pictures) row.pictures.replaceChildren(...fields.pictures.map(({ src, name }) => Object.assign(make("img"), { src, alt: name, title: name })));
};

// ── Programs ────────────────────────────────────────────────────────────────────────────────────
const setProgram = (letter, html) => {
  let panel = [...programs.children].find((one) => one.dataset.side === letter);
  if (html === null) return panel?.remove();
  if (!panel) {
    panel = programs.appendChild(make("div", "program md notranslate"));
    panel.role = "group";
    panel.translate = false;
    panel.dataset.side = letter;
    label(panel, "Code of side {letter}", { letter: letter.toUpperCase() });
    panel.toggleAttribute("data-away", Boolean(root.dataset.shown) && root.dataset.shown !== letter);
  }
  panel.style.gridColumn = root.dataset.shown ? 1 : letters().indexOf(letter) + 1;
  panel.innerHTML = html;
};

// ── The page goes, or its server ────────────────────────────────────────────────────────────────
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
// The page's own server is gone: nothing more will come.
root.addEventListener("transcript:away", () => {
  for (const row of rows.values()) for (const cell of Object.values(row.cells)) {
    if (!RUNNING.includes(cell.state)) continue;
    cell.pace.replaceChildren();
    const cut = make("span");
    say(cut, cell.text.innerText.trim() ? "cut off" : "Cut off before the first token.");
    cell.numbers.replaceChildren(cut);
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
