// What the transcript is made of: its parts, and what makes new ones. Gradio gives `element`, `props`,
// `trigger` and `watch` to all of these files, which run as one.
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
hint.dataset.t = "transcript_hint";
const latest = root.appendChild(button("latest", "↓ Latest"));
latest.className = "latest";
latest.hidden = true;
chooser.setAttribute("role", "group");
chooser.setAttribute("aria-label", "Which side to show");
