// The matrix: a row for each language, a column for each model and task. Gradio gives `element`,
// `props`, `trigger` and `watch`. Its value is a message of `board.py`; what is on the page is
// patched. What models wrote is put in as text; an array is a sentence, which `say.js` says.
const root = element.querySelector(".matrix"), $ = (selector) => root.querySelector(selector);
const table = $("table"), thead = $("thead");
const { put } = phi;
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) put(node, text);
  return node;
};
const label = (node, said) => put(node, said, "sayLabel");
// Sentences one after the other, with a mark between them; a text in them is a name.
const chain = (between, ...all) => {
  const some = all.filter((one) => one && one.length);
  return [some.map((_, n) => `{s${n}}`).join(between), Object.fromEntries(some.map((one, n) => [`s${n}`, one]))];
};
const SHAPES = { right: "✓", wrong: "✕", unreadable: "?" };
const OUTCOMES = { right: ["right"], wrong: ["wrong"], unreadable: ["unreadable"] };
const FILLS = { stayed: ["in the language"], left: ["in another language"], undecided: ["language undecided"] };
const MARKS = 6; // more items of a task than these are counted, not drawn
// Copied: Gradio's own objects are watched, and reading them takes a hundred times as long.
const languages = new Map(JSON.parse(JSON.stringify(props.languages)).map((one) => [one.code, one]));
const known = (code) => languages.get(code) || { code, name: code, english: code, script: "", dir: "auto", family: ["Others"] };
const narrow = matchMedia("(max-width: 700px)");

let number = 0, key = null, asked = false, told = {}, opened = 0;
let wasGoing = false, cells = new Map(), only = "a", rows = new Map();
const models = () => (told.models || []).slice(0, 4);
const WIDE = 16; // columns; if there were more, a model has one for all tasks together
const ALL = { id: "*", title: ["all tasks"], short: ["All"] };
const shownKinds = () => {
  const one = $(".kind").value, every = told.kinds || [];
  if (one) return every.filter((kind) => kind.id === one);
  return every.length > 1 && every.length * models().length > WIDE ? [ALL] : every;
};
const press = (act, more = {}) => trigger("select", { act, n: number, ...more });

// ── What the server sends ───────────────────────────────────────────────────────────────────────
const apply = (message) => {
  if (message.n <= number && message.since) return;
  if (message.since > number) { // too much was skipped
    if (!asked) press("resync");
    asked = true;
    return;
  }
  asked = false;
  number = message.n;
  const began = message.key !== undefined && message.key !== key;
  if (began) { key = message.key; cells = new Map(); told = {}; }
  const { cells: fresh = [], ...rest } = message;
  Object.assign(told, rest);
  for (const row of fresh) cells.set(`${row[0]}|${row[1]}`, row);
  drawHead(rest);
  if (began || rest.kinds || rest.models) fillKinds();
  if (began || rest.kinds || rest.models || rest.order) build();
  else if (fresh.length) drawCells(fresh);
  if (fresh.length) filter();
  if (rest.detail) openAnswers(rest.detail);
  if ("pictures" in rest) drawPictures();
  if ("tax" in rest) drawTax();
};
const drawHead = (rest) => {
  put($(".headline"), told.headline || "");
  put($(".rule"), told.rule || "");
  put($(".origin"), chain(" · ", told.origin, told.asks));
  if (rest.models) {
    const named = models().map((model) => {
      const node = make("span", "who");
      node.dataset.side = model.side;
      node.append(make("i", "letter", model.side.toUpperCase()), make("b", "", model.name), " ", make("span", "", model.demo ? ["tiny demonstration"] : model.place));
      return node;
    });
    $(".models").replaceChildren(...named);
  }
  $(".going").hidden = !told.going;
  $(".begin").hidden = Boolean(told.going);
  $("[data-act=go-on]").hidden = !told.left;
  if (told.left) put($("[data-act=go-on]"), ["Go on: {n} answers are missing", { n: told.left }, "Go on: {n} answer is missing"]);
  if (rest.going) { // the inputs close, and the keyboard's place with them
    phi.chooseRun(false);
    setTimeout(() => { if (told.going && document.activeElement === document.body) $("[data-act=stop]").focus(); }, 150);
  }
  if (rest.going === false && wasGoing) {
    phi.announce(phi.text(told.said || told.ended || told.headline));
    setTimeout(() => { if (document.activeElement === document.body) $("[data-act=choose]").focus(); }, 150);
  }
  wasGoing = Boolean(told.going);
  put($(".status"), told.status || "");
  $(".going .bar i").style.inlineSize = `${100 * (told.share || 0)}%`;
  for (const name of ["said", "ended"]) { put($(`.${name}`), told[name] || ""); $(`.${name}`).hidden = !told[name]; }
  root.dataset.state = told.models ? "shown" : "empty";
  if (rest.facts) {
    const pairs = rest.facts.flatMap(([name, fact]) => [make("dt", "", name), make("dd", "", fact)]);
    $(".method dl").replaceChildren(...pairs);
    put($(".method pre"), told.command || "");
  }
};
document.addEventListener("phi-away", () => { // the page's own server is gone, and a run with it
  if (!told.going) return;
  $(".going").hidden = true;
  $(".said").hidden = false;
  put($(".said"), chain(" ", ["The page's own server has stopped answering, and this run with it."], told.kept
    ? ["What came is in {file}: once the server is back, open that file here, and go on.", { file: told.kept }]
    : ["What came is shown here until this page opens anew."]));
});
const fillKinds = () => {
  const every = told.kinds || [], was = $(".kind").value;
  $(".kind").replaceChildren(...[["", ["all"]], ...every.map((kind) => [kind.id, kind.title])].map(([value, text]) => {
    const one = make("option", "", text);
    one.value = value;
    return one;
  }));
  $(".kind").value = every.some((kind) => kind.id === was) ? was : "";
  $(".task").hidden = every.length < 2;
  $(".differ").closest("label").hidden = models().length < 2;
  if (!models().some((model) => model.side === only)) only = models()[0]?.side || "a";
};

// ── The table ───────────────────────────────────────────────────────────────────────────────────
const head = (text, scope, title) => {
  const node = make("th", "", text);
  node.scope = scope;
  if (title) put(node, title, "sayTitle");
  return node;
};
const build = () => {
  const kinds = shownKinds(), top = make("tr"), second = make("tr");
  const alone = kinds.length === 1;
  root.toggleAttribute("data-alone", alone);
  const corner = head(["Language"], "col");
  if (!alone) corner.rowSpan = 2;
  top.append(corner);
  for (const { side, name } of models()) {
    const over = head("", alone ? "col" : "colgroup");
    over.dataset.side = side;
    if (!alone) over.colSpan = kinds.length + 1;
    over.append(make("i", "letter", side.toUpperCase()), make("span", "", name));
    top.append(over);
    if (alone) continue;
    for (const kind of kinds) {
      const one = head(kind.short, "col", kind.title);
      one.dataset.side = side;
      second.append(one);
    }
    const each = head(["each"], "col", ["Seconds and tokens of an answer, on average"]);
    each.className = "each";
    each.dataset.side = side;
    second.append(each);
  }
  thead.replaceChildren(...(alone ? [top] : [top, second]));
  put($("caption"), chain(" ", told.headline, alone ? ["A row for each language, a column for each model."]
    : ["A row for each language, a column for each model and task."], ["Arrow keys move; Enter opens the answers."]));
  rows = new Map();
  for (const body of table.tBodies.length ? [...table.tBodies] : []) body.remove();
  const byFamily = $(".order").value === "family";
  const groups = new Map();
  for (const code of told.order || []) {
    const [group] = byFamily ? known(code).family : [""];
    groups.set(group, [...(groups.get(group) || []), code]);
  }
  const sorted = [...groups].sort(([one], [other]) => phi.say(one).localeCompare(phi.say(other)));
  for (const [group, codes] of sorted) {
    const body = table.appendChild(make("tbody"));
    if (group) {
      const line = body.appendChild(make("tr", "family")), cell = line.appendChild(head([group], "rowgroup"));
      cell.colSpan = 1 + models().length * (alone ? 1 : kinds.length + 1);
    }
    for (const code of codes) body.append(addRow(code, kinds, alone));
  }
  drawCells(cells.values());
  filter();
};
// What a language is called on this page, beside its own name.
const named = (one) => ["{language:language}", { language: one.english }];
const SCRIPTS = {
  Arabic: ["Arabic script, ←"], Cyrillic: ["Cyrillic script"], Han: ["Han script"], Hangul: ["Hangul script"],
  Hebrew: ["Hebrew script, ←"], Japanese: ["Japanese script"], Thai: ["Thai script"],
};
const addRow = (code, kinds, alone) => {
  const one = known(code), line = make("tr"), name = line.appendChild(head("", "row"));
  const own = name.appendChild(make("span", "own-name", one.name));
  own.lang = code; own.dir = one.dir;
  name.append(make("span", "english", named(one)));
  if (one.script && one.script !== "Latin") name.append(make("span", "script", SCRIPTS[one.script] || one.script));
  const row = { code, line, places: new Map(), sides: new Map() };
  for (const { side } of models()) {
    for (const kind of kinds) {
      const cell = line.appendChild(make("td", "marks"));
      cell.dataset.side = side;
      row.places.set(`${kind.id}|${side}`, { cell, items: new Map(), side, kind });
    }
    const each = alone ? null : line.appendChild(make("td", "each"));
    if (each) each.dataset.side = side;
    row.sides.set(side, each);
  }
  rows.set(code, row);
  return line;
};
const itemParts = new Map();
const parts = (item) => {
  let found = itemParts.get(item);
  if (!found) {
    const [kind, code, index] = item.split("/");
    itemParts.set(item, found = { kind, code, index: Number(index) });
  }
  return found;
};
const words = (data) => {
  const [item, side, outcome, stayed, , , , error] = data, { kind, code, index } = parts(item);
  const model = models().find((one) => one.side === side), task = told.kinds.find((one) => one.id === kind);
  return ["{model}, {language:language}, {task} {number}: {worth}", {
    model: model?.name || side, language: known(code).english, task: task?.title || kind, number: index + 1,
    worth: error ? ["could not be asked"] : worthOf(outcome, stayed),
  }];
};
const worthOf = (outcome, stayed) => chain(", ", OUTCOMES[outcome], FILLS[stayed]);
// What many answers share is drawn once for all of them.
const drawCells = (fresh) => {
  const counts = new Set(), marks = [], sides = new Map();
  for (const data of fresh) {
    const { kind, code, index } = parts(data[0]), row = rows.get(code);
    const place = row?.places.get(`${kind}|${data[1]}`) || row?.places.get(`*|${data[1]}`);
    if (!place) continue;
    place.items.set(data[0], data);
    marks.push([place, index, data]);
    sides.set(row.sides.get(data[1]), [row, data[1]]);
  }
  for (const [place, index, data] of marks) {
    if (place.items.size > MARKS || place.kind === ALL) counts.add(place);
    else drawMark(place, index, data);
  }
  counts.forEach(drawCount);
  for (const [row, side] of sides.values()) drawEach(row, side);
};
const drawMark = (place, index, data) => {
  let node = [...place.cell.children].find((one) => Number(one.dataset.index) === index);
  if (!node) {
    node = make("button", "mark");
    node.type = "button";
    node.dataset.index = index;
    node.tabIndex = -1;
    const after = [...place.cell.children].find((one) => Number(one.dataset.index) > index);
    place.cell.insertBefore(node, after || null);
  }
  const [item, , outcome, stayed, text, seconds, tokens, error] = data;
  node.dataset.item = item;
  node.className = `mark ${error ? "failed" : stayed || "plain"} ${outcome}`;
  put(node, error ? "!" : SHAPES[outcome] || "");
  label(node, words(data));
  put(node, text || words(data), "sayTitle");
  if (!root.hasAttribute("data-alone") && shownKinds().length > 1) return;
  const said = node.nextElementSibling?.className === "said-here" ? node.nextElementSibling : node.insertAdjacentElement("afterend", make("span", "said-here"));
  said.dataset.index = index + .5;
  if (place.items.size > 1) { said.remove(); for (const one of place.cell.querySelectorAll(".said-here")) one.remove(); return; }
  const words_ = make("span", "snippet", text), took = make("span", "took", numbers(seconds, tokens));
  words_.lang = stayed === "stayed" ? code(item) : ""; words_.dir = "auto";
  said.replaceChildren(words_, took);
};
const code = (item) => parts(item).code;
const numbers = (seconds, tokens) => chain(" · ",
  seconds !== null && [seconds < 1 ? "{time:duration}" : seconds < 10 ? "{time:tenths} s" : "{time:seconds}", { time: seconds }],
  tokens !== null && ["{tokens} tok", { tokens }]);
const drawCount = (place) => {
  const all = [...place.items.values()], stayed = all.filter((one) => one[3] === "stayed").length, spoken = all.filter((one) => one[3]).length;
  // All tasks together: only those with a right answer count as right or not.
  const checked = all.filter((one) => told.kinds.find((kind) => kind.id === parts(one[0]).kind)?.checked);
  const every = place.kind === ALL && checked.length ? checked : all, good = every.filter((one) => one[2] === "right").length;
  let node = place.cell.querySelector(".count");
  if (!node) {
    node = make("button", "count");
    node.type = "button"; node.tabIndex = -1;
    node.append(make("b"), make("i"), make("span"));
    place.cell.replaceChildren(node);
  }
  node.dataset.item = every.find((one) => one[2] !== "right")?.[0] || every[0][0];
  put(node.firstChild, `${good}/${every.length}`);
  node.children[1].style.setProperty("--share", `${spoken ? 100 * stayed / spoken : 0}%`);
  node.children[1].hidden = !spoken;
  const language = known(code(node.dataset.item)).english, inIt = { stayed, all: spoken, language };
  put(node.lastChild, root.hasAttribute("data-alone") ? chain(" · ", ["right"], spoken && ["{stayed} of {all} in {language:language}", inIt]) : "");
  const model = models().find((one) => one.side === place.side), right = ["{good} of {all} right", { good, all: every.length }];
  const text = ["{model}, {language:language}, {task}: {worth}", {
    model: model?.name, language, task: place.kind.title, worth: chain(", ", right, spoken && ["{stayed} in the language", { stayed }]),
  }];
  put(node, text, "sayTitle");
  label(node, text);
};
const drawEach = (row, side) => {
  const cell = row.sides.get(side);
  if (!cell) return;
  let seconds = 0, timed = 0, tokens = 0, counted = 0;
  for (const place of row.places.values()) {
    if (place.side !== side) continue;
    for (const data of place.items.values()) {
      if (data[5] !== null) { seconds += data[5]; timed++; }
      if (data[6] !== null) { tokens += data[6]; counted++; }
    }
  }
  put(cell, numbers(timed ? seconds / timed : null, counted ? Math.round(tokens / counted) : null));
};

// ── What is left out, and which side a phone shows ─────────────────────────────────────────────
const differs = (row) => {
  const facts = new Map(); // by item: what each side's answer is
  for (const place of row.places.values()) for (const [name, data] of place.items) {
    facts.set(name, (facts.get(name) || new Set()).add(`${data[2]}|${data[3]}`));
  }
  return [...facts.values()].some((every) => every.size > 1);
};
const filter = () => {
  const wanted = $(".differ").checked && models().length > 1;
  let left = 0;
  for (const row of rows.values()) {
    row.line.hidden = wanted && !differs(row);
    left += !row.line.hidden;
  }
  for (const body of table.tBodies) body.hidden = ![...body.rows].some((line) => !line.hidden && line.className !== "family");
  $(".none").hidden = !wanted || left > 0;
  const counted = Boolean(table.querySelector(".count"));
  $(".legend .for-counts").hidden = !counted;
  for (const one of root.querySelectorAll(".legend div:not(.for-counts)")) one.hidden = counted && !table.querySelector(".mark");
  chooseSide();
  const current = table.querySelector("[tabindex='0']");
  if (!current || !isShown(current)) { if (current) current.tabIndex = -1; const first = marksOf(table)[0]; if (first) first.tabIndex = 0; }
};
const chooseSide = () => {
  $(".sides").hidden = models().length < 2;
  const names = models().map(({ side, name }) => {
    const one = make("button", "");
    one.type = "button";
    one.dataset.side = side;
    one.setAttribute("aria-pressed", side === only);
    one.append(make("i", "letter", side.toUpperCase()), make("span", "", name));
    return one;
  });
  if ($(".sides").dataset.drawn !== `${key}|${only}`) { $(".sides").replaceChildren(...names); $(".sides").dataset.drawn = `${key}|${only}`; }
  for (const one of table.querySelectorAll("[data-side]")) one.toggleAttribute("data-away", narrow.matches && one.dataset.side !== only);
};
narrow.addEventListener("change", filter);
$(".sides").addEventListener("click", (event) => {
  const side = event.target.closest("[data-side]")?.dataset.side;
  if (!side) return;
  only = side;
  filter();
  $(`.sides [data-side=${side}]`).focus();
});
$(".differ").addEventListener("change", filter);
$(".order").addEventListener("change", build);
$(".kind").addEventListener("change", build);

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────
// Told from what is hidden, not from the layout: asking for that while answers come costs a frame.
const isShown = (node) => !node.closest("[hidden], [data-away]");
const marksOf = (scope) => [...scope.querySelectorAll(".mark, .count")].filter(isShown);
const goTo = (node) => {
  if (!node) return;
  for (const one of table.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  node.tabIndex = 0;
  node.focus();
  node.scrollIntoView({ block: "nearest", inline: "nearest" });
};
table.addEventListener("keydown", (event) => {
  const at = event.target.closest(".mark, .count");
  if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
  const line = at.closest("tr"), inLine = marksOf(line), n = inLine.indexOf(at);
  const lines = [...table.querySelectorAll("tbody tr")].filter((one) => marksOf(one).length), m = lines.indexOf(line);
  const upOrDown = (to) => {
    if (!lines[to]) return null;
    const place = [...line.cells].indexOf(at.closest("td")), there = marksOf(lines[to].cells[place] || lines[to]);
    return there[Math.min(marksOf(at.closest("td")).indexOf(at), there.length - 1)] || marksOf(lines[to])[Math.min(n, marksOf(lines[to]).length - 1)];
  };
  const to = { ArrowRight: () => inLine[n + 1], ArrowLeft: () => inLine[n - 1], ArrowDown: () => upOrDown(m + 1), ArrowUp: () => upOrDown(m - 1),
    Home: () => inLine[0], End: () => inLine.at(-1), PageUp: () => upOrDown(0), PageDown: () => upOrDown(lines.length - 1) }[event.key];
  if (!to) return;
  event.preventDefault();
  goTo(to());
});
table.addEventListener("click", (event) => {
  const cell = event.target.closest("td"), at = event.target.closest(".mark, .count") || cell?.querySelector(".mark, .count");
  if (!at) return;
  for (const one of table.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  at.tabIndex = 0;
  at.focus();
  press("answers", { item: at.dataset.item });
});
$("[data-act=choose]").addEventListener("click", () => phi.chooseRun());
$("[data-act=go-on]").addEventListener("click", () => trigger("submit", {}));
$(".going").addEventListener("click", (event) => { if (event.target.closest("[data-act=stop]")) press("stop"); });
root.querySelectorAll("[data-save]").forEach((one) => one.addEventListener("click", () => {
  one.closest("details").open = false;
  trigger("download", { as: one.dataset.save });
}));
