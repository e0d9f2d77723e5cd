// What the Languages tab needs of the page: its inputs that open and close, and files to save.
{
  const view = () => document.getElementById("languages-view");
  phi.chooseRun = (open = !view()?.hasAttribute("data-choosing")) => {
    const scope = view();
    if (!scope) return;
    scope.toggleAttribute("data-choosing", open);
    scope.querySelector("[data-act=choose]")?.setAttribute("aria-expanded", open);
    if (!open) return;
    document.getElementById("languages-choices").scrollIntoView({ block: "nearest" });
    scope.querySelector("#languages-what input:checked")?.focus({ preventScroll: true });
  };
  phi.saveRun = (told) => {
    if (!told) return;
    const file = JSON.parse(told);
    phi.save(file.name, file.text, file.type);
  };
}
