// What the transcript is made of: its parts, and what makes new ones. Gradio gives `element`, `props`,
// `trigger` and `watch` to all of these files, which run as one.
const root = element.querySelector(".transcript"), view = props.view;
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
// What is said is English first, and the page's script says it in the visitor's language (`say.js`).
const english = (code, values = {}, one = "") => window.phi?.say?.(code, values, one) ?? code.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
const say = (node, ...sentence) => {
  node.dataset.say = JSON.stringify(sentence);
  put(node, sentence[0] && english(...sentence));
};
const label = (node, ...sentence) => {
  node.dataset.sayLabel = JSON.stringify(sentence);
  node.setAttribute("aria-label", english(...sentence));
};
const title = (node, ...sentence) => {
  node.dataset.sayTitle = JSON.stringify(sentence);
  node.title = english(...sentence);
};
const button = (act, text, labelled, values) => {
  const node = make("button");
  node.type = "button";
  node.dataset.act = act;
  if (text) say(node, text);
  if (labelled) { title(node, labelled, values); label(node, labelled, values); }
  return node;
};
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const RUNNING = ["waiting", "streaming"];

const chooser = root.appendChild(make("div", "switch"));
const turns = root.appendChild(make("div", "turns"));
const programs = root.appendChild(make("div", "programs answers"));
const hint = root.appendChild(make("p", "hint"));
hint.dataset.t = "transcript_hint";
const latest = root.appendChild(button("latest", "↓ Latest"));
latest.className = "latest";
latest.hidden = true;
chooser.setAttribute("role", "group");
label(chooser, "Which side to show");
