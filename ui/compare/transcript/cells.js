// An answer: its cell, and how what is new becomes part of the page. `setCell` takes what a message says
// of it; its text goes through `setBlocks` to `morph`, where a token becomes pixels.
const addCell = (row, letter) => {
  const node = make("div", "cell"), head = node.appendChild(make("div", "head")), who = head.appendChild(make("h2", "who"));
  const named = { letter: letter.toUpperCase() };
  const cell = { row, letter, node, html: [], thought: "", state: "" };
  cell.only = button("only", "");
  cell.only.append(make("i", "letter", letter.toUpperCase()), cell.name = make("span", "name"));
  who.append(cell.only, cell.place = make("small"), make("span", "pulse"));
  who.id = `${view}-who-${row.id}-${letter}`;
  head.append(cell.pace = make("span", "pace"), button("again", "↻", "Regenerate side {letter}", named), button("stop", "Stop", "Stop side {letter}", named));
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
  cell.details = button("more", "Details", "Details of {letter}", named);
  cell.more = cell.line.appendChild(make("div", "more"));
  cell.more.popover = "auto";
  cell.details.popoverTargetElement = cell.more;
  cell.details.hidden = true;
  cell.tools = cell.line.appendChild(make("div", "cell-tools"));
  cell.versions = make("span", "versions");
  // On a phone what is used less stands in a sheet of its own; elsewhere in the line.
  const less = make("div", "less-used"), open = button("less", "⋯", "More for side {letter}", named);
  less.popover = "auto";
  less.role = "group";
  label(less, "More for side {letter}", named);
  open.className = "less-used-open";
  open.popoverTargetElement = less;
  less.append(button("copy-plain", "Copy text", "Copy as plain text"), button("use", "Use in all", "Use this answer in all sides"), cell.details);
  cell.tools.append(
    button("continue", "Continue", "Let side {letter} go on where it was cut off", named), button("regenerate", "Regenerate", "Regenerate side {letter}", named),
    button("copy", "Copy", "Copy as Markdown"), less, open, cell.versions);
  row.cells[letter] = cell;
  offerOnly(cell);
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
  if (fields.pace !== undefined) cell.pace.innerHTML = fields.pace;
  if (fields.more !== undefined) { cell.more.innerHTML = fields.more; cell.details.hidden = !fields.more; }
  if (fields.words !== undefined) cell.words = fields.words;
  if (fields.source) {
    const [keep, tail] = fields.source;
    cell.source = (cell.source || "").slice(0, keep) + tail;
  }
  if (fields.thought !== undefined) { cell.thinking.hidden = !fields.thought; say(cell.summary, ...fields.thought || [""]); }
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
  const now = { who: `${cell.letter.toUpperCase()}, ${cell.name.textContent}`, words: cell.words || [""] };
  const heard = { waiting: "{who}: thinking", done: "{who}: done, {words}", stopped: "{who}: stopped, {words}", failed: "{who}: {words}" }[state];
  if (heard) window.phi?.announce(english(heard, now));
  if (["done", "stopped", "failed"].includes(state)) {
    tellNews(cell.letter);
  }
  if (state === "failed") setTimeout(() => document.querySelector("#recheck")?.click(), 300);
};

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
