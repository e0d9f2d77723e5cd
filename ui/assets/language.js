// The page's own words in the visitor's language. Answers have languages of their own.
//
// Gradio chooses its language from the browser's, among its own files only: Czech, Slovak and
// Serbian, or a Chinese browser that says `zh`, can never be. But it holds the dictionaries of every
// language that it was given, and its core script has a function that changes to any. That one is
// no public interface: where it is not to be found, the page stays as Gradio has begun it.
{
  const { $ } = phi, html = document.documentElement;
  const TEXTS = window.gradio_config?.i18n_translations || {};
  const change = async (language) => {
    const core = performance.getEntriesByType("resource").find((one) => /\/core-[\w-]+\.js$/.test(one.name));
    try {
      (await import(core.name)).changeLocale(language);
      return true;
    } catch { return false; }
  };

  // The language of the page's that is meant by `zh-HK` or `sr-Latn`: its own, or its nearest.
  const base = (tag) => tag.toLowerCase().split("-")[0];
  const nearest = (tag) => tag && (TEXTS[tag] ? tag : Object.keys(TEXTS).find((one) => base(one) === base(tag)));

  // ── Words in HTML: Gradio translates those of its components only ───────────────────────────
  const began = nearest(html.lang) || "en"; // as Gradio has chosen
  let now = began;
  const word = phi.word = (key) => TEXTS[now]?.[`ui:${key}`] ?? TEXTS.en[`ui:${key}`];
  const each = (root, selector, then) => {
    if (root.matches?.(selector)) then(root);
    root.querySelectorAll(selector).forEach(then);
  };
  // Gradio translates the label of the open tab alone: the others, also in the menu that a phone
  // has in place of the last ones, are known by what they say in any language. Their text nodes stay.
  const tabs = {};
  for (const texts of Object.values(TEXTS))
    for (const [key, text] of Object.entries(texts)) if (key.startsWith("ui:tab_")) tabs[text] ??= key.slice(3);
  const relabel = () => {
    for (const button of document.querySelectorAll("#tabs > .tab-wrapper button")) {
      const text = [...button.childNodes].find((node) => tabs[node.nodeValue?.trim()]), key = tabs[text?.nodeValue.trim()];
      if (key && text.nodeValue.trim() !== word(key)) text.nodeValue = word(key);
    }
  };
  const translate = (root) => {
    each(root, "[data-t]", (node) => { if (node.textContent !== word(node.dataset.t)) node.textContent = word(node.dataset.t); });
    each(root, "[data-t-placeholder]", (node) => { node.placeholder = word(node.dataset.tPlaceholder); });
    each(root, "[data-t-label]", (node) => {
      node.setAttribute("aria-label", word(node.dataset.tLabel));
      if (node.title) node.title = word(node.dataset.tLabel);
    });
    phi.sayIn(root);
  };
  const isOfTabs = ({ target }) => target.id === "tabs"
    || (target.nodeType === Node.TEXT_NODE ? target.parentElement : target)?.closest("#tabs > .tab-wrapper");
  const added = new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type !== "childList" || change.target.dataset?.say) phi.sayAgain(change);
      for (const node of change.addedNodes) if (node.nodeType === Node.ELEMENT_NODE) translate(node);
    }
    if (changes.some(isOfTabs)) relabel(); // not at each word of an answer
  });
  const show = () => {
    html.lang = now;
    html.dir = $(`#language option[value="${now}"]`)?.dir || "ltr";
    translate(document);
    added.disconnect();
    if (now !== "en" || began !== "en") added.observe(document.body, {
      childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["data-say"],
    });
    phi.when(() => $("#tabs [role=tab]"), () => {
      relabel();
      dispatchEvent(new Event("resize")); // Gradio measures anew which tabs there is room for
    });
    const select = $("#language");
    select.value = now;
    $("#machine").hidden = !("machine" in select.selectedOptions[0].dataset);
  };

  // ── The switch in the header ────────────────────────────────────────────────────────────────
  // Lists are made by the server: it is told the language, and makes them anew.
  let known = "en";
  const tell = (code) => phi.when(() => $("#locale textarea, #locale input"), () => {
    if (code !== known) phi.write($("#locale textarea, #locale input"), known = code);
  });
  phi.speak = async (language) => {
    if (language !== now && await change(language)) now = language;
    const { code = "en", sentences } = $(`#language option[value="${now}"]`)?.dataset || {};
    await phi.learn(code, sentences);
    show();
    tell(code);
  };
  const link = new URL(location.href), asked = nearest(link.searchParams.get("lang"));
  if (asked) phi.keep("language", asked);
  link.searchParams.delete("lang"); // kept; a link that is passed on does not choose for others
  if (link.search !== location.search) history.replaceState(null, "", link);
  const wanted = [asked, nearest(phi.kept("language")), ...navigator.languages.map(nearest), "en"].find(Boolean);
  phi.when(() => $("#language"), () => {
    $("#language").addEventListener("change", (event) => {
      phi.keep("language", event.target.value);
      phi.speak(event.target.value);
    });
    phi.speak(wanted);
  }, 50);
}
