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
  phi.address = (view, usual, values) => {
    const query = queryOf(view), set = Object.fromEntries(Object.keys(usual).map((name, n) => [name, values[n]]));
    for (const side of ["left", "right"]) {
      const backend = set[`${side}_backend`], model = set[`${side}_model`];
      if (backend && model) query.set(side, `${backend}/${model}`);
      delete set[`${side}_backend`];
      delete set[`${side}_model`];
    }
    for (const [name, value] of Object.entries(set)) {
      if (value === null || value === undefined || value === "" || value === usual[name]) query.delete(name);
      else query.set(name, value);
    }
    query.delete("prompt");
    if (view === open) showAddress();
  };
  const opened = (view) => { open = view; showAddress(); };
  phi.opened = (view) => { opened(view); phi.begin(view); };
  const tab = phi.tab = (id) => {
    const button = [...document.querySelectorAll("#tabs [role=tab]")].find((one) => one.dataset.tabId === id);
    button?.click();
    return Boolean(button);
  };

  phi.begin(MAIN);
  if (meant !== MAIN) phi.when(() => $("#tabs [role=tab]"), () => { if (tab(meant)) opened(meant); }, 50);
}
