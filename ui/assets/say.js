// Sentences in the visitor's language: `phi.say(code, values, one)` is what `ui/texts/say.py` is on the
// server. A code is the sentence's English with names of values in braces; `one` its form for one.
{
  let language = "en", sentences = {};
  const PLACE = /\{(\w+)(?::(\w+))?\}/g;
  const made = {}; // Intl's writers are slow to make
  const once = (name, make) => made[`${language} ${name}`] ??= make();
  const tag = () => language === "ar" ? "ar-u-nu-latn" : language; // the digits that names of models have
  const number = (value, decimals) => once(`number ${decimals}`, () => new Intl.NumberFormat(tag(), { minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: "always" })).format(value);
  const plain = (value) => once("plain", () => new Intl.NumberFormat(tag(), { maximumFractionDigits: 6, useGrouping: "always" })).format(value);
  const KINDS = { // as in `backends/_core/sentence.py`
    bytes: (n) => n < 1e9 ? `${number(n / 1e6, 0)} MB` : `${number(n / 1e9, n >= 2e10 ? 0 : 1)} GB`,
    duration: (s) => s < 1 ? `${number(s * 1000, 0)} ms` : s < 60 ? `${number(s, 2)} s` : `${number(Math.floor(s / 60), 0)} min ${number(Math.floor(s % 60), 0)} s`,
    seconds: (s) => `${number(s, 0)} s`,
    tenths: (n) => number(n, 1),
    percent: (n) => `${number(n * 100, 0)} %`,
  };
  const OURS = "ar cs da de en es fi fr he hu it ja ko nl no pl pt ro ru sk sr sv th tr uk zh".split(" ");
  const codes = Object.create(null); // of languages, by their English names
  const languageName = (name) => {
    const english = new Intl.DisplayNames("en", { type: "language" });
    if (!codes.English) for (const code of OURS) codes[english.of(code)] = code;
    return codes[name] ? once(`name ${name}`, () => new Intl.DisplayNames(language, { type: "language" }).of(codes[name])) : name;
  };

  const date = (day) => {
    const on = new Date(day);
    return isNaN(on) ? day : once("date", () => new Intl.DateTimeFormat(language === "en" ? "en-GB" : tag(), { dateStyle: "long", timeZone: "UTC" })).format(on);
  };

  // A sentence in pieces: texts, and somebody else's own words, which are in a language of their own.
  const translated = (code, values) => {
    const forms = Object.hasOwn(sentences, code) ? sentences[code] : undefined;
    return typeof forms !== "object" ? forms : forms[once("plural", () => new Intl.PluralRules(language)).select(values.n)] ?? forms.other;
  };
  const isFrame = (code) => !/\p{L}/u.test(code.replace(PLACE, ""));
  const MARKS = { zh: { ", ": "，", ": ": "：", "; ": "；", ".": "。" }, ar: { ", ": "، ", "; ": "؛ " } };
  const withMarks = (frame, marks) => frame.replace(/\{[^}]*\}|[,:;] |\./g, (found) => marks[found] ?? found);
  const pieces = (code, values = {}, one = "") => {
    const english = one && values.n === 1 ? one : MARKS[language] && isFrame(code) ? withMarks(code, MARKS[language]) : code;
    const text = translated(code, values) ?? english, found = [];
    let end = 0;
    for (const place of text.matchAll(PLACE)) {
      const [whole, name, kind] = place, value = values[name];
      found.push(text.slice(end, place.index));
      end = place.index + whole.length;
      if (value === undefined) found.push(whole);
      else if (Array.isArray(value)) found.push(...pieces(...value));
      else if (kind === "language") found.push(languageName(value));
      else if (kind === "date") found.push(date(value));
      else if (KINDS[kind] && typeof value === "number") found.push(language === "ar" ? { words: KINDS[kind](value) } : KINDS[kind](value));
      else if (typeof value === "number") found.push(plain(value));
      else found.push({ words: String(value), theirs: name === "said" });
    }
    found.push(text.slice(end));
    return found;
  };
  phi.say = (code, values, one) => pieces(code, values, one).map((piece) => piece.words ?? piece).join("");

  // ── In the page: `data-say` has code, values and form for one as JSON ────────────────────────
  const foreign = (code, values) => language !== "en" && !isFrame(code) && translated(code, values) === undefined;
  const element = (name, textContent, more) => Object.assign(document.createElement(name), { textContent, ...more });
  const withPrograms = (text) => text.split(/`([^`]+)`/).map((part, n) => (n % 2 ? element("code", part) : part));
  const withStrong = (text) => text.split(/\*\*([^*]+)\*\*/).flatMap((part, n) => (n % 2 ? element("b", part) : withPrograms(part)));
  const plainly = (piece) => {
    if (typeof piece === "string") piece = { words: piece.replace(/\*\*([^*]+)\*\*/g, "$1") };
    return piece.theirs ? piece.words : piece.words.replace(/`([^`]+)`/g, "$1");
  };
  const drawn = (piece) => {
    if (typeof piece === "string") return withStrong(piece);
    if (piece.theirs) return element("bdi", piece.words, { lang: "", translate: false });
    if (/^https?:\/\/\S+$/.test(piece.words)) return element("a", piece.words, { href: piece.words, target: "_blank", rel: "noreferrer" });
    return piece.words.includes("`") ? withPrograms(piece.words) : element("bdi", piece.words);
  };
  const write = (node) => {
    const [code, values, one] = JSON.parse(node.dataset.say);
    const english = foreign(code, values || {});
    node.lang = english ? "en" : document.documentElement.lang;
    node.dir = language === "ar" && !english ? "rtl" : "ltr";
    const said = pieces(code, values, one), text = said.map(plainly).join("");
    const whole = language !== "ar" || node.firstElementChild || said.every((piece) => typeof piece === "string");
    if (node.textContent === text && whole) return; // as at most of a growing answer's steps: nothing is made
    if (node instanceof HTMLElement) node.replaceChildren(...said.flatMap(drawn).filter((part) => part !== ""));
    else node.textContent = text; // in a drawing
  };
  const each = (root, selector, then) => {
    if (root.matches?.(selector)) then(root);
    root.querySelectorAll(selector).forEach(then);
  };
  // What a script draws: a sentence as the server dumps it, an array, or a text that stays as it is.
  const ATTRIBUTES = { sayTitle: "title", sayLabel: "aria-label" };
  phi.text = (said) => Array.isArray(said) ? phi.say(...said) : said;
  phi.put = (node, said, at = "say") => {
    const dumped = Array.isArray(said) ? JSON.stringify(said) : undefined;
    if (dumped && node.dataset[at] === dumped) return;
    if (dumped) node.dataset[at] = dumped;
    else if (node.dataset[at]) {
      delete node.dataset[at];
      if (at === "say") for (const name of ["lang", "dir"]) node.removeAttribute(name);
    }
    if (ATTRIBUTES[at]) node.setAttribute(ATTRIBUTES[at], phi.text(said));
    else if (dumped) write(node);
    else if (node.textContent !== said) node.textContent = said;
  };
  phi.sayIn = (root) => {
    each(root, "[data-say]", write);
    each(root, "[data-say-title]", (node) => { node.title = phi.say(...JSON.parse(node.dataset.sayTitle)); });
    each(root, "[data-say-label]", (node) => node.setAttribute("aria-label", phi.say(...JSON.parse(node.dataset.sayLabel))));
  };
  // What Gradio's page draws anew keeps its nodes: another text, or another code.
  phi.sayAgain = ({ target }) => {
    const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target, said = node?.closest?.("[data-say]");
    if (said) write(said);
  };

  // The sentences of a language are fetched when it is chosen; until then, and if they cannot be, they
  // are English.
  phi.learn = async (tag, address) => {
    let found = {};
    try { found = address ? await (await fetch(address)).json() : {}; } catch { /* English */ }
    [language, sentences] = [tag, found];
  };
}
