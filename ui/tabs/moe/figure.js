// The routing picture of one side. Gradio gives `element`, `props`, `trigger`, `watch` and `server`.
// Everything is put in as text; an array is a sentence, which `say.js` says. A tick costs what is new: the counts of all experts, and new tokens.
const root = element.querySelector(".routing"), $ = (selector) => root.querySelector(selector);
const grid = $(".grid"), tokens = $(".tokens"), told = $(".told"), bars = $(".bars"), input = $("input");
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) phi.put(node, text);
  return node;
};
const label = (node, said) => phi.put(node, said, "sayLabel");
const BUSIEST = ["busiest"], ITS_MULTIPLE = ["The busiest expert, as a multiple of an even spread"];
const FULL = 3; // a cell has its full colour where an expert takes three times its even share
const LONG = 200; // tokens of a prompt that would hide what the answer's are like
const RUN = 90; // tokens of a paragraph at most: the browser lays out the last one anew at each tick

let key = null, live = null, opened = null, part = "both";
let shape = { layers: 0, experts: 0, perToken: 0 }, expertCounts = [[], []], counted = [0, 0];
let column = null, cells = [], strengths = [], meters = [], busiest = [], columns = [];
let known = [], spans = [], prompt = 0; // of each token: [text, experts, thousandths of weights], and where it stands
let active = { token: -1, cell: -1 }, pinned = false, layerShown = -1;
const marked = { cells: [], tokens: [] };

// ── The grid: a row for each layer, a column for each expert ─────────────────────────────────
const build = () => {
  grid.replaceChildren(); bars.replaceChildren();
  grid.style.setProperty("--experts", shape.experts);
  grid.classList.toggle("many", shape.layers > 12);
  const head = grid.appendChild(make("div", "row head"));
  head.setAttribute("role", "row");
  const heading = (text, heard) => {
    const node = head.appendChild(make("span", "number", text));
    node.setAttribute("role", "columnheader");
    if (heard) label(node, heard);
  };
  heading("");
  head.lastElementChild.appendChild(make("span", "heard", ["Layer"]));
  for (let e = 1; e <= shape.experts; e++) heading(`${e}`, ["Expert {number}", { number: e }]);
  heading(BUSIEST);
  column = head.lastElementChild;
  phi.put(column, ITS_MULTIPLE, "sayTitle");
  cells = []; meters = []; strengths = []; columns = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    const row = grid.appendChild(make("div", "row"));
    row.setAttribute("role", "row");
    row.appendChild(make("span", "number", `${layer + 1}`)).setAttribute("role", "rowheader");
    for (let e = 0; e < shape.experts; e++) {
      const cell = row.appendChild(make("span", "cell"));
      cell.setAttribute("role", "gridcell");
      cell.id = `${element.closest("[id]")?.id || "routing"}-${layer}-${e}`;
      cell.dataset.n = cells.length;
      cells.push(cell);
    }
    meters.push(row.appendChild(make("span", "meter")));
    meters[layer].setAttribute("role", "gridcell");
  }
  for (let e = 0; e < shape.experts; e++) columns.push(bars.appendChild(make("i")));
  phi.put($(".full"), ["{share:percent} of the tokens or more", { share: FULL * even() }]);
};

const used = () => part === "both" ? [0, 1] : part === "prompt" ? [0] : [1];
const taken = (n) => used().reduce((sum, which) => sum + (expertCounts[which][n] || 0), 0);
const all = () => used().reduce((sum, which) => sum + counted[which], 0);
const even = () => shape.perToken / shape.experts;

const drawLoads = () => {
  const total = all() || 1;
  for (let layer = 0; layer < shape.layers; layer++) {
    let most = 0;
    for (let e = 0; e < shape.experts; e++) {
      const n = layer * shape.experts + e, share = taken(n) / total;
      most = Math.max(most, share);
      const strength = Math.round(100 * Math.min(1, share / (FULL * even())));
      if (strengths[n] === strength) continue;
      strengths[n] = strength;
      cells[n].style.setProperty("--strength", `${strength}%`);
      cells[n].classList.toggle("idle", !share);
    }
    busiest[layer] = most / even();
  }
  if (active.token < 0) drawMeters();
  drawBars();
  drawTable();
  if (active.cell >= 0) tellCell();
  if (live?.ended || opened) cells.forEach((cell, n) => label(cell, ["{percent:tenths} %", { percent: 100 * taken(n) / total }]));
};

// While an answer grows, ten times a second is enough for eyes, and painting 512 cells takes a while.
let drawnAt = 0, due = 0;
const drawLoadsSoon = () => {
  const wait = drawnAt + 100 - performance.now();
  if (wait > 0) { due ||= setTimeout(drawLoadsNow, wait); return; }
  drawLoadsNow();
};
const drawLoadsNow = () => {
  clearTimeout(due);
  due = 0;
  drawnAt = performance.now();
  if (shape.layers) drawLoads();
};

const drawMeters = () => meters.forEach((meter, layer) => {
  phi.put(meter, ["{times:tenths} ×", { times: Math.round(10 * (busiest[layer] || 0)) / 10 }]);
});

const drawBars = () => {
  const total = all() || 1, layers = layerShown < 0 ? shape.layers : 1;
  phi.put($(".load p"), layerShown < 0 ? ["Load, all layers together; the line is an even spread"]
    : ["Load of layer {layer}; the line is an even spread", { layer: layerShown + 1 }]);
  for (let e = 0; e < shape.experts; e++) {
    let sum = 0;
    for (let layer = 0; layer < shape.layers; layer++) {
      if (layerShown < 0 || layerShown === layer) sum += taken(layer * shape.experts + e);
    }
    columns[e].style.setProperty("--height", `${100 * Math.min(1, sum / total / layers / (FULL * even()))}%`);
  }
};

// ── The same as a table, for those who listen and those who copy ─────────────────────────────
const fold = $(".table");
let table = [];
const drawTable = () => {
  if (!fold.open) return;
  const total = all();
  if (!table.length) {
    const box = fold.querySelector("div"), body = make("table");
    const caption = body.appendChild(make("caption"));
    const head = body.appendChild(make("thead")).appendChild(make("tr"));
    const names = [["Layer"], ...Array.from({ length: shape.experts }, (_, e) => ["Expert {number}", { number: e + 1 }])];
    for (const name of names) head.appendChild(make("th", "", name)).scope = "col";
    const rows = body.appendChild(make("tbody"));
    for (let layer = 0; layer < shape.layers; layer++) {
      const row = rows.appendChild(make("tr"));
      row.appendChild(make("th", "", `${layer + 1}`)).scope = "row";
      for (let e = 0; e < shape.experts; e++) table.push(row.appendChild(make("td")));
    }
    table.caption = caption;
    box.replaceChildren(body);
  }
  phi.put(table.caption, ["How many of {all} tokens each expert took; an even spread would be {even:tenths}", { all: total, even: total * even() }]);
  table.forEach((node, n) => phi.put(node, ["{n}", { n: taken(n) }]));
};
fold.addEventListener("toggle", drawTable);

// ── The tokens, in paragraphs: the prompt's, then the answer's ───────────────────────────────
let run = null, inRun = 0, runPart = -1;
const begin = (which) => {
  if (which !== runPart) {
    const group = tokens.appendChild(make("div", `group ${which ? "answer" : "prompt"}`));
    group.setAttribute("role", "group");
    const name = which ? ["Answer"] : ["Prompt"];
    label(group, name);
    group.appendChild(make("b", "", name)).setAttribute("aria-hidden", "true");
    runPart = which;
  }
  run = tokens.lastElementChild.appendChild(make("div", "run"));
  run.setAttribute("role", "presentation");
  run.dir = "auto";
  inRun = 0;
};
const put = (n, text) => {
  const which = n < prompt ? 0 : 1;
  if (which !== runPart || inRun >= RUN && /^\s/.test(text) || inRun >= 2 * RUN) begin(which);
  const span = make("span", "token", text === "\n" ? "↵" : text);
  if (/^<0x[0-9A-F]{2}>$/.test(text)) { span.textContent = text.slice(3, 5); span.classList.add("byte"); }
  else if (/^<.*>$/.test(text) || text === "\n") span.classList.add("control");
  span.setAttribute("role", "option");
  span.setAttribute("aria-selected", "false");
  span.id = `${element.closest("[id]")?.id || "routing"}-t${n}`;
  span.dataset.n = n;
  run.appendChild(span);
  inRun += 1;
  if (text === "\n") inRun = 2 * RUN;
  return span;
};
// A page that was late has missed some: a mark stands for them until the answer has ended.
const addTokens = (from, fresh) => {
  for (let i = 0; i < fresh.length; i++) {
    const n = from + i;
    if (known[n]) continue;
    if (n > known.length && !spans[n - 1]) {
      if (n < prompt || runPart !== 1) begin(n < prompt ? 0 : 1);
      run.appendChild(make("span", "gap", " … "));
    }
    known[n] = fresh[i];
    spans[n] = put(n, fresh[i][0]);
    if (active.cell >= 0) markToken(n);
  }
};
const clearTokens = () => {
  tokens.replaceChildren();
  known = []; spans = []; run = null; runPart = -1; inRun = 0;
};

// ── Pointing: at a token, its experts; at an expert, its tokens ──────────────────────────────
const unmark = () => {
  marked.cells.forEach((n) => { cells[n]?.classList.remove("active"); delete cells[n]?.dataset.rank; });
  marked.tokens.forEach((n) => spans[n]?.classList.remove("took", "active"));
  if (active.token >= 0) spans[active.token]?.setAttribute("aria-selected", "false");
  marked.cells = []; marked.tokens = [];
  active = { token: -1, cell: -1 };
  if (column.classList.contains("weights")) {
    column.classList.remove("weights");
    phi.put(column, BUSIEST);
    phi.put(column, ITS_MULTIPLE, "sayTitle");
    drawMeters();
  }
  grid.removeAttribute("aria-activedescendant");
  tokens.removeAttribute("aria-activedescendant");
};
// What is seen changes with every token; what is heard only where the reader goes.
const tell = (seen, heard = "") => {
  phi.put(told, seen);
  phi.put($(".spoken"), heard);
};
const named = (text) => text === "\n" ? ["line break"] : text.trim() || ["space"];
// A part of a sentence for each of many: with a mark between them.
const chain = (between, all) => [all.map((_, n) => `{s${n}}`).join(between), Object.fromEntries(all.map((one, n) => [`s${n}`, one]))];
const pointToken = (n) => {
  if (!known[n]) return;
  unmark();
  active.token = n;
  const [text, experts, weights] = known[n], token = named(text);
  const where = n < prompt ? ["token {number} of the prompt", { number: n + 1 }] : ["token {number} of the answer", { number: n - prompt + 1 }];
  const layers = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    const each = [], row = [];
    for (let k = 0; k < shape.perToken; k++) {
      const at = layer * shape.perToken + k, cell = layer * shape.experts + experts[at];
      cells[cell].dataset.rank = k + 1;
      marked.cells.push(cell);
      const weight = (weights[at] / 1000).toFixed(2);
      row.push(weight);
      each.push(["{expert} with weight {weight}", { expert: experts[at] + 1, weight }]);
    }
    phi.put(meters[layer], row.join(" "));
    layers.push(["layer {layer}: {experts}", { layer: layer + 1, experts: each.length === 2 ? ["{a} and {b}", { a: each[0], b: each[1] }] : chain(", ", each) }]);
  }
  column.classList.add("weights");
  phi.put(column, ["weights"]);
  phi.put(column, ["Each between 0 and 1 by itself: they need not sum to one"], "sayTitle");
  spans[n].classList.add("active");
  spans[n].setAttribute("aria-selected", "true");
  marked.tokens.push(n);
  tokens.setAttribute("aria-activedescendant", spans[n].id);
  tell(["“{token}”, {where}: its first and second expert in each layer, and their weights.", { token, where }],
    ["“{token}”, {where}. {layers}.", { token, where, layers: chain("; ", layers) }]);
  showLayer(-1);
};
const markToken = (n) => {
  const layer = Math.floor(active.cell / shape.experts), expert = active.cell % shape.experts;
  if (!known[n] || !used().includes(n < prompt ? 0 : 1)) return;
  for (let k = 0; k < shape.perToken; k++) {
    if (known[n][1][layer * shape.perToken + k] === expert) { spans[n].classList.add("took"); marked.tokens.push(n); }
  }
};
const tellCell = () => {
  const layer = Math.floor(active.cell / shape.experts), expert = active.cell % shape.experts;
  const total = all(), took = taken(active.cell);
  const text = ["Layer {layer}, expert {expert}: took {took} of {all} tokens, {percent:tenths} %; an even spread would be {even:tenths} %.",
    { layer: layer + 1, expert: expert + 1, took, all: total, percent: 100 * took / (total || 1), even: 100 * even() }];
  tell(text);
  return text;
};
const pointCell = (n) => {
  if (!cells[n]) return;
  unmark();
  active.cell = n;
  cells[n].classList.add("active");
  marked.cells.push(n);
  grid.setAttribute("aria-activedescendant", cells[n].id);
  for (let token = 0; token < known.length; token++) markToken(token);
  label(cells[n], tellCell()); // its name is read out as the keyboard comes to it
  showLayer(Math.floor(n / shape.experts));
};
const showLayer = (layer) => { layerShown = layer; drawBars(); };
const rest = () => {
  unmark();
  pinned = false;
  tell(["Point at a token to see its experts, at an expert to see its tokens."]);
  showLayer(-1);
};

const over = (event) => event.target.closest?.("[data-n]");
const point = (node) => {
  if (node.classList.contains("token")) pointToken(Number(node.dataset.n));
  else pointCell(Number(node.dataset.n));
};
for (const place of [grid, tokens]) {
  place.addEventListener("pointerover", (event) => { if (!pinned && event.pointerType !== "touch" && over(event)) point(over(event)); });
  place.addEventListener("pointerleave", () => { if (!pinned && document.activeElement !== place && shape.layers) rest(); });
  place.addEventListener("click", (event) => {
    const node = over(event);
    if (!node) return;
    const again = pinned && (node.classList.contains("active"));
    if (again) return rest();
    point(node);
    pinned = true;
  });
  place.addEventListener("blur", () => { if (!pinned && shape.layers) rest(); });
}
grid.addEventListener("focus", () => { if (active.cell < 0 && !pinned && grid.matches(":focus-visible")) pointCell(0); });
tokens.addEventListener("focus", () => { if (active.token < 0 && !pinned && tokens.matches(":focus-visible")) pointToken(Math.min(prompt, known.length - 1)); });
const keys = (place, steps, go, at, last) => place.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pinned = !pinned; return; }
  const move = steps()[event.key];
  if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  pinned = false;
  const to = event.key === "Home" ? 0 : event.key === "End" ? last()
    : typeof move === "function" ? move(Math.max(0, at())) : Math.max(0, at()) + move;
  if (to < 0 || to > last()) return;
  go(to);
  marked.tokens.length && spans[active.token]?.scrollIntoView({ block: "nearest" });
});
keys(grid, () => ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -shape.experts, ArrowDown: shape.experts, Home: 0, End: 0 }),
  pointCell, () => active.cell, () => cells.length - 1);
const inLine = (step) => (from) => { // the token above or below
  const here = spans[from].getBoundingClientRect();
  let best = from, top = null;
  for (let n = from + step; spans[n]; n += step) {
    const there = spans[n].getBoundingClientRect();
    if (Math.abs(there.top - here.top) < 4) continue;
    top ??= there.top;
    if (Math.abs(there.top - top) > 4) break;
    if (best === from || Math.abs(there.left - here.left) < Math.abs(spans[best].getBoundingClientRect().left - here.left)) best = n;
  }
  return best;
};
root.addEventListener("keydown", (event) => { if (event.key === "Escape" && shape.layers) rest(); });
keys(tokens, () => ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: inLine(-1), ArrowDown: inLine(1), Home: 0, End: 0 }),
  pointToken, () => active.token, () => known.length - 1);

let chosen = false; // by the reader: until then a long prompt is left out once there is an answer
const count = (name) => {
  part = root.dataset.counted = name;
  root.querySelectorAll("[data-part]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.part === name));
  if (active.cell >= 0) pointCell(active.cell);
  drawLoads();
};
root.querySelectorAll("[data-part]").forEach((button) => button.addEventListener("click", () => {
  chosen = true;
  count(button.dataset.part);
}));

// ── What comes from the server, or from a file ───────────────────────────────────────────────
const state = (name) => {
  root.dataset.state = name;
  const drawn = name === "drawn";
  $(".says").hidden = drawn;
  $(".drawn").hidden = $(".parts").hidden = $(".whose").hidden = !drawn;
  $(".save").hidden = !live?.ended || Boolean(opened);
};
const draw = (now, which) => {
  if (which !== key) {
    key = which;
    clearTokens(); table = []; marked.cells = []; marked.tokens = []; active = { token: -1, cell: -1 };
    busiest = [];
    fold.querySelector("div").replaceChildren();
    shape = { layers: now.num_layers, experts: now.num_experts, perToken: now.experts_per_token };
    build();
    rest();
  }
  state("drawn");
  expertCounts = now.expert_counts; prompt = now.prompt; counted = [now.prompt, now.total - now.prompt];
  const atEnd = tokens.scrollHeight - tokens.scrollTop - tokens.clientHeight < 30;
  // At the end the whole is sent: if something was missed, all is put in anew.
  if (now.ended && now.from === 0 && spans.filter(Boolean).length !== now.total) {
    const was = active.token;
    unmark(); clearTokens(); addTokens(0, now.tokens);
    if (was >= 0) pointToken(was);
  } else addTokens(now.from, now.tokens);
  if (atEnd && !now.ended) tokens.scrollTop = tokens.scrollHeight;
  $(".whose").textContent = now.model;
  const usual = now.prompt > LONG && counted[1] ? "answer" : "both";
  if (!chosen && part !== usual) count(usual);
  now.ended ? drawLoadsNow() : drawLoadsSoon();
};
const showLive = () => {
  if (live?.key) return draw(live, live.key);
  key = null;
  clearTokens();
  phi.put($(".says"), live?.placeholder || "");
  state("empty");
};
const closeFile = () => { opened = null; $(".opened").hidden = $(".close").hidden = $(".failed").hidden = true; };
const receive = () => {
  if (!props.value) return;
  const now = JSON.parse(props.value);
  if (now.key && now.key !== live?.key) closeFile(); // a new answer begins
  live = now;
  if (!opened) showLive();
};
watch("value", receive);
receive();

const say = (where, text) => {
  phi.put($(where), text);
  $(where).hidden = !text;
};
$(".open").addEventListener("click", () => input.click());
input.addEventListener("change", async () => {
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  let now;
  try {
    now = file.size > props.largest ? { refused: ["This file is too large to be a routing. Open one that this page saved."] }
      : await server.open_routing(await file.text());
  } catch {
    now = { refused: ["The page's server did not answer. Try again in a moment."] };
  }
  say(".failed", now.refused || "");
  if (now.refused) return;
  opened = now;
  const tokens = ["{n} tokens", { n: now.total }];
  say(".opened", ["Opened: {name}, {model}, {tokens}.", { name: file.name, model: now.model, tokens }]);
  $(".close").hidden = false;
  draw(now, `file ${file.name} ${Date.now()}`);
});
$(".close").addEventListener("click", () => { closeFile(); key = null; showLive(); $(".open").focus(); });
$(".save").addEventListener("click", () => trigger("download"));
