// The visitor's own prompts, a box for each chosen language. What they hold is the text of `own`
// alone: a box writes its line into it, and the server says what it reads there.
const rows = element.querySelector(".own-rows"), boxes = new Map();
const languages = new Map(JSON.parse(JSON.stringify(props.languages)).map((one) => [one.code, one]));
const field = () => document.querySelector("#languages-own textarea");
const ticks = () => [...document.querySelectorAll("#languages-languages input")];
let texts = new Map(), written = null;

const draw = () => {
  const chosen = new Set(ticks().filter((one) => one.checked).map((one) => one.name));
  for (const code of [...boxes.keys()]) if (!chosen.has(code)) { boxes.get(code).line.remove(); boxes.delete(code); }
  let last = null;
  for (const code of languages.keys()) {
    if (!chosen.has(code)) continue;
    const { line, box } = boxes.get(code) || add(code);
    if (!line.isConnected || line.previousElementSibling !== last) last ? last.after(line) : rows.prepend(line);
    if (box !== document.activeElement && box.value !== (texts.get(code) || "")) box.value = texts.get(code) || "";
    last = line;
  }
};
const add = (code) => {
  const one = languages.get(code), line = document.createElement("label"), own = document.createElement("span"), name = document.createElement("span"), box = document.createElement("textarea");
  own.textContent = one.name;
  own.className = "own-name";
  name.className = "english";
  own.lang = box.lang = code;
  own.dir = box.dir = one.dir;
  phi.put(name, ["{language:language}", { language: one.english }]);
  box.rows = 1;
  box.addEventListener("input", () => {
    if (box.value.trim()) texts.set(code, box.value); else texts.delete(code);
    written = [...texts].map(([each, text]) => `${each}\t${/["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text}`).join("\n");
    phi.write(field(), written);
  });
  box.addEventListener("paste", (event) => { // lines of a spreadsheet: they fill the boxes
    const pasted = event.clipboardData?.getData("text/plain") || "";
    if (!/^[^\t\n]+\t.*\n[^\t\n]+\t/.test(pasted)) return;
    event.preventDefault();
    phi.write(field(), [field().value.trimEnd(), pasted].filter(Boolean).join("\n"));
  });
  line.append(own, name, box);
  boxes.set(code, { line, box });
  return boxes.get(code);
};
const receive = () => {
  const now = props.value ? JSON.parse(props.value) : null;
  if (!now || now.of !== field()?.value) return; // another text has been typed since
  for (const { box } of boxes.values()) box.readOnly = now.unreadable && now.of !== written;
  if (now.unreadable) return;
  const fresh = Object.keys(now.rows).filter((code) => !texts.has(code));
  texts = new Map(Object.entries(now.rows));
  for (const one of ticks()) if (fresh.includes(one.name) && !one.checked) one.click();
  draw();
};
phi.drawOwn = draw; // another language was chosen
watch("value", receive);
phi.when(() => ticks().length, () => { draw(); receive(); });
