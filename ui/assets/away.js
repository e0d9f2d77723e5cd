// When the page's own server is gone: asked only after a sign of trouble. Gradio's page then hears
// no click any more, says so in a toast, and loads itself anew once the server is back.
{
  const { $, announce } = phi;
  const AWAY = "The page's own server has stopped answering. What came stays here, and your prompt is kept. "
    + "Once the server is started again, this page opens anew by itself.";
  phi.AWAY = AWAY;
  phi.away = false;

  const answers = async () => {
    try {
      const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
      return answer.ok || answer.headers.has("content-security-policy"); // a refusal is an answer, too
    } catch { return false; }
  };
  const doubt = async () => {
    if (phi.away || await answers() || phi.away) return;
    phi.away = true;
    Object.values(phi.views).forEach((view) => view.leave());
    announce(phi.say(AWAY));
    document.dispatchEvent(new Event("phi-away"));
  };
  phi.when(() => $(".toast-wrap"), () => new MutationObserver(doubt).observe($(".toast-wrap"), { childList: true }), 200);

  // Compare was pressed: if the server is back, the page opens anew and presses it by itself.
  phi.tryAgain = async (view) => {
    const notice = view.part("away");
    if (await answers()) {
      try { sessionStorage.setItem("phi-asks", view.name); } catch { /* off: then it is asked by hand */ }
      return location.reload();
    }
    notice.animate([{ opacity: .2 }, { opacity: 1 }], 400);
    notice.scrollIntoView({ block: "nearest" });
    announce(""); // the same words twice would be heard once
    setTimeout(() => announce(phi.say(AWAY)), 500);
  };
  phi.asksAgain = (view) => { // pictures are gone by then, and with them the question
    try {
      const asks = sessionStorage.getItem("phi-asks") === view.name && !view.part("strip");
      if (asks) sessionStorage.removeItem("phi-asks");
      return asks;
    } catch { return false; }
  };
}
