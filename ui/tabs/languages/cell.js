// One item and the answers of all models to it, in a dialog of the matrix.
const dialog = $("dialog.answers");
const itemsOf = (code) => { // in the order in which they stand in the row
  const row = rows.get(code), found = [];
  for (const place of row?.places.values() || [])
    for (const item of place.items.keys()) if (!found.includes(item)) found.push(item);
  const order = (told.kinds || []).map((kind) => kind.id);
  return found.map(parts).sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind) || one.index - other.index)
    .map((one) => `${one.kind}/${one.code}/${one.index}`);
};
const field = (name, text, more = {}) => {
  const box = make("div", `field ${more.class || ""}`), value = make("p", "value", text);
  if (more.lang !== undefined) value.lang = more.lang;
  value.dir = more.dir || "auto";
  box.append(make("h3", "", name), value);
  return box;
};
const openAnswers = (now) => {
  if (now.number === opened) return;
  opened = now.number;
  const { code: at } = { code: parts(now.item).code }, every = itemsOf(at), n = every.indexOf(now.item);
  const top = make("header"), title = make("h2", "", chain(" · ", now.language, now.kind)), close = make("button", "close", "✕");
  title.id = "languages-answers-title";
  close.type = "button";
  label(close, ["Close"]);
  close.addEventListener("click", () => dialog.close());
  top.append(title, close);
  const asks = make("div", "asks");
  asks.append(field(["Prompt"], now.prompt, { lang: now.lang, dir: now.dir }));
  if (now.english) asks.append(field(["In English"], now.english, { lang: "en", dir: "ltr" }));
  if (now.expected) asks.append(field(["Right is"], now.expected, { class: "expected" }));
  const answers = make("div", "both");
  answers.style.setProperty("--sides", Math.min(now.answers.length, 4));
  for (const one of now.answers.slice(0, 4)) answers.append(answerOf(one));
  const foot = make("footer");
  for (const [text, href] of [[["Play as recorded"], now.play], [["Ask it in Text"], now.link]]) {
    if (!href) continue;
    const link = foot.appendChild(make("a", "", text));
    link.href = href;
    link.target = "_blank";
    link.rel = "noopener";
  }
  const before = step("before", ["‹ Before"], every[n - 1]), after = step("next", ["Next ›"], every[n + 1]);
  const where = ["{number} of {all} in {language}", { number: n + 1, all: every.length, language: now.language }];
  foot.append(make("span", "where", every.length > 1 ? where : ""), before, after);
  const had = document.activeElement?.dataset?.step;
  dialog.replaceChildren(top, asks, answers, foot);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  const again = had && foot.querySelector(`[data-step="${had}"]`);
  (again && !again.disabled ? again : close).focus();
};
const step = (name, text, item) => {
  const node = make("button", "", text);
  node.type = "button";
  node.dataset.step = name;
  node.disabled = !item;
  node.addEventListener("click", () => press("answers", { item }));
  return node;
};
const answerOf = (one) => {
  const box = make("section", "answer"), title = make("h3");
  box.dataset.side = one.side;
  title.append(make("i", "letter", one.side.toUpperCase()), make("span", "", one.name));
  box.append(title);
  if (one.missing) { box.append(make("p", "missing", one.missing)); return box; }
  const worth = make("p", "worth"), mark = make("i", `mark ${one.stayed || "plain"} ${one.outcome}`, SHAPES[one.outcome] || "");
  mark.setAttribute("aria-hidden", "true");
  worth.append(mark, make("span", "", worthOf(one.outcome, one.stayed)));
  const text = make("p", one.text ? "text" : "text empty", one.text || ["It answered nothing."]);
  if (one.text) { text.lang = one.lang; text.dir = one.dir; }
  box.append(worth, text);
  if (one.why) box.append(make("p", "why", one.why));
  box.append(make("p", "numbers", one.numbers));
  return box;
};
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("keydown", (event) => {
  const to = { ArrowLeft: "before", ArrowRight: "next" }[event.key];
  if (to && !event.target.closest("a")) dialog.querySelector(`[data-step="${to}"]`)?.click();
});
