// The picture of a run and the token tax, each with a table of the same numbers; and the start.
let measure = "";
const tableOf = (caption, heads, lines) => {
  const node = make("table", "numbers-table"), top = node.createTHead().insertRow();
  node.prepend(make("caption", "", caption));
  heads.forEach((text) => top.append(head(text, "col")));
  const body = node.appendChild(make("tbody"));
  for (const line of lines) {
    const row = body.insertRow();
    line.forEach((text, n) => row.append(n ? make("td", "", text) : head(text, "row")));
  }
  return node;
};
// From right to left everything is mirrored but the letters, which begin where they ended.
const mirror = (svg) => {
  const all = document.createElementNS(svg.namespaceURI, "g");
  all.setAttribute("transform", `matrix(-1 0 0 1 ${svg.viewBox.baseVal.width} 0)`);
  for (const text of svg.querySelectorAll("text")) {
    text.setAttribute("transform", `matrix(-1 0 0 1 ${2 * text.getAttribute("x")} 0)`);
    if (!text.closest(".m")) text.classList.toggle("e");
  }
  all.append(...[...svg.children].filter((one) => one.nodeName !== "style"));
  svg.append(all);
};
const drawPictures = () => {
  const place = root.querySelector("[data-of=picture]"), every = told.pictures || [];
  if (!told.pictures) { place.replaceChildren(); return; }
  const one = every.find((each) => each.id === measure) || every[0];
  if (!one) { place.replaceChildren(make("p", "hint", ["There is nothing to draw yet."])); return; }
  const wasOpen = place.querySelector("details")?.open;
  const bar = make("div", "picture-bar");
  if (every.length > 1) {
    const chooser = make("div", "views");
    chooser.setAttribute("role", "group");
    label(chooser, ["What is measured"]);
    for (const each of every) {
      const button = make("button", "", each.title);
      button.type = "button";
      button.setAttribute("aria-pressed", each === one);
      button.addEventListener("click", () => { measure = each.id; drawPictures(); place.querySelector("[aria-pressed=true]").focus(); });
      chooser.append(button);
    }
    bar.append(chooser);
  } else bar.append(make("h3", "", one.title));
  for (const [text, save] of [[["Save as SVG"], saveSvg], [["Save as PNG"], savePng]]) {
    const button = make("button", "save", text);
    button.type = "button";
    button.addEventListener("click", () => save(place.querySelector("svg"), one.id));
    bar.append(button);
  }
  const figure = make("figure"), box = make("div", "drawing");
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  label(box, one.title);
  box.innerHTML = one.svg; // made by the page's own `picture.py`
  if (getComputedStyle(root).direction === "rtl") mirror(box.firstChild);
  const caption = make("figcaption", "", chain(" ", ["Each mark is a share of the answers, its line Wilson's 95 % interval: what as few answers can show."], one.note));
  figure.append(box, caption);
  const fold = make("details"), scroll = make("div", "scroll");
  fold.open = Boolean(wasOpen);
  scroll.tabIndex = 0;
  scroll.append(tableOf(one.title, one.heads, one.rows));
  fold.append(make("summary", "", ["The same as a table"]), scroll);
  place.replaceChildren(bar, figure, fold);
};

// ── Saving: the page's variables become the colours that they have now ──────────────────────────
const standing = (svg) => {
  const copy = svg.cloneNode(true), styles = getComputedStyle(root), box = svg.viewBox.baseVal;
  const colours = ["ink", "muted", "hairline", "paper", "a", "b", "c", "d"].map((name) => `--${name}:${styles.getPropertyValue(`--${name}`).trim()}`);
  copy.setAttribute("style", colours.join(";"));
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  const ground = document.createElementNS(svg.namespaceURI, "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", style: "fill:var(--paper)" })) ground.setAttribute(name, value);
  copy.insertBefore(ground, copy.firstChild);
  return new XMLSerializer().serializeToString(copy);
};
const saveSvg = (svg, name) => phi.save(`languages-${name}.svg`, standing(svg), "image/svg+xml");
const savePng = async (svg, name) => {
  const image = new Image(), url = URL.createObjectURL(new Blob([standing(svg)], { type: "image/svg+xml" })), box = svg.viewBox.baseVal;
  try {
    await new Promise((done, failed) => { image.onload = done; image.onerror = failed; image.src = url; });
    const canvas = make("canvas");
    canvas.width = 2 * box.width; canvas.height = 2 * box.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    phi.save(`languages-${name}.png`, blob, "image/png");
  } catch { phi.toast(phi.say("This browser cannot make a PNG of it. Save it as SVG.")); }
  finally { URL.revokeObjectURL(url); }
};

// ── The token tax ───────────────────────────────────────────────────────────────────────────────
const drawTax = () => {
  const place = root.querySelector("[data-of=tax]"), tax = told.tax;
  if (!tax) { place.replaceChildren(make("p", "hint", ["The tokens are being counted…"])); return; }
  const nodes = [make("p", "hint", ["Tokens that the same seven prompts take, in times of English. Time, cost and room in the context grow with them, before a model has said a word."])];
  if (tax.columns.length) {
    const most = Math.max(...tax.columns.flatMap((one) => Object.values(one.taxes).map(([, times]) => times)));
    const node = make("table", "tax"), top = node.createTHead().insertRow();
    node.prepend(make("caption", "", ["Tokens of the same prompts, in times of English"]));
    [["Language"], ...tax.columns.map((one) => one.name)].forEach((text) => top.append(head(text, "col")));
    const body = node.appendChild(make("tbody"));
    for (const code of tax.order) {
      const one = known(code), row = body.insertRow(), name = row.appendChild(head("", "row")), own = name.appendChild(make("span", "own-name", one.name));
      own.lang = code; own.dir = one.dir;
      name.append(make("span", "english", named(one)));
      for (const column of tax.columns) {
        const cell = row.insertCell(), [tokens, times] = column.taxes[code] || [0, 0];
        const bar = make("i", "length");
        bar.style.inlineSize = `${70 * times / most}%`;
        cell.append(bar, make("b", "", ["{times:tenths} ×", { times }]), " ", make("span", "", ["{n} tokens", { n: tokens }]));
      }
    }
    const scroll = make("div", "scroll");
    scroll.tabIndex = 0;
    scroll.append(node);
    nodes.push(scroll);
  }
  for (const note of tax.notes) nodes.push(make("p", "note", note));
  place.replaceChildren(...nodes);
};

root.querySelectorAll("[data-view]").forEach((one) => one.addEventListener("click", () => {
  const wanted = one.dataset.view;
  root.querySelectorAll("[data-view]").forEach((each) => each.setAttribute("aria-pressed", each === one));
  root.querySelectorAll("[data-of]").forEach((each) => { each.hidden = each.dataset.of !== wanted; });
  $(".for-cells").hidden = wanted !== "cells";
  press("view", { view: wanted });
}));

const receive = () => { if (props.value) apply(JSON.parse(props.value)); };
watch("value", receive);
receive();
