// The settings in which a side differs: fields whose values are one JSON object.
const fields = [...element.querySelectorAll("[data-setting]")], fold = element.querySelector("details");
const read = () => { try { return JSON.parse(props.value || "{}"); } catch { return {}; } };
const show = () => {
  const set = read();
  for (const field of fields) {
    const value = String(set[field.dataset.setting] ?? "");
    if (document.activeElement !== field && field.value !== value) field.value = value;
  }
  fold.toggleAttribute("data-set", Object.keys(set).length > 0);
  if (props.value) fold.open = true; // `{}`: none yet, but they are to be typed now
};
element.addEventListener("input", () => {
  const set = Object.fromEntries(fields.filter((one) => one.value.trim()).map((one) => [one.dataset.setting, one.value.trim()]));
  props.value = Object.keys(set).length ? JSON.stringify(set) : "";
  fold.toggleAttribute("data-set", Object.keys(set).length > 0);
  trigger("change");
});
watch("value", show);
show();
