// The address bar: the settings of the view that is open; and the tabs.
{
  const { $ } = phi;
  const MAIN = "text"; // the tab that an address means if it names none
  const link = new URLSearchParams(location.search), meant = link.get("tab") || MAIN;
  const queries = { [meant]: link };
  const queryOf = phi.queryOf = (view) => queries[view] ||= new URLSearchParams(view === MAIN ? "" : { tab: view });
  let open = MAIN;
  const showAddress = () => {
    const query = String(queryOf(open)).replace(/%2F/g, "/");
    history.replaceState(null, "", location.pathname + (query && `?${query}`));
  };
  // `names` of the values: of settings, whose usual values are left out, and `a.model`, … of sides.
  phi.address = (view, usual, names, values) => {
    const query = queryOf(view), set = Object.fromEntries(names.map((name, n) => [name, values[n]]));
    for (const letter of "abcd") {
      const backend = set[`${letter}.backend`], model = set[`${letter}.model`];
      // A list that is on its way says no model for a moment: the address keeps the one it has.
      if (backend && model) set[letter] = `${backend}/${model}`;
      else if (backend) set[letter] = query.get(letter);
      if (set[`${letter}.own`] === "{}") set[`${letter}.own`] = "";
      delete set[`${letter}.backend`];
      delete set[`${letter}.model`];
      set[letter] ??= "";
    }
    for (const [name, value] of Object.entries(set)) {
      if (value === null || value === undefined || value === "" || value === usual[name]) query.delete(name);
      else query.set(name, value);
    }
    for (const old of ["prompt", "left", "right", "left_crops", "right_crops", "recording", "item"]) query.delete(old);
    if (view === open) showAddress();
  };
  const opened = (view) => { open = view; showAddress(); };
  phi.shows = opened; // a tab that is no view
  phi.opened = (view) => { opened(view); phi.begin(view); };
  const tab = phi.tab = (id) => {
    const every = [...document.querySelectorAll("#tabs [role=tab]")];
    const button = every.find((one) => one.dataset.tabId === id) || inMenu(id);
    button?.click();
    return Boolean(button);
  };
  // Where there is little room, Gradio puts the last tabs into a menu, without their ids: their
  // place among all, which it keeps out of sight to measure them, tells their names.
  const tabs = () => ($(".masthead")?.dataset.tabs || "").split(" ");
  const inMenu = (id) => {
    const label = document.querySelectorAll("#tabs .visually-hidden button")[tabs().indexOf(id)]?.textContent;
    return [...document.querySelectorAll("#tabs .overflow-dropdown button")].find((one) => one.textContent === label);
  };

  // A sign-in opens a tab of its own, with the models and settings of this one.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#sign-in");
    if (link?.target !== "_blank") return;
    link.href = "/login/huggingface?" + new URLSearchParams({ _target_url: `/?${queryOf(MAIN)}` });
  }, true);

  phi.begin(MAIN);
  if (meant !== MAIN) phi.when(() => $(".masthead") && $("#tabs [role=tab]"), () => {
    if (tabs().includes(meant)) phi.when(() => tab(meant), () => opened(meant), 50);
  }, 50);
}
