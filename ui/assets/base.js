// What every part of the page's script uses. All parts together are one function that runs once,
// when the page has loaded (ui/theme.py); each stands in a block of its own and hangs what others
// use on `phi`.
const phi = window.phi = {};
{
  const $ = phi.$ = (selector) => document.querySelector(selector);

  // ── What this browser keeps: never keys. Where storage is off, only for this visit ─────────
  phi.keep = (name, text) => { try { localStorage.setItem(`phi-${name}`, text); } catch { /* off */ } };
  phi.kept = (name) => { try { return localStorage.getItem(`phi-${name}`) || ""; } catch { return ""; } };

  // The conversation of a view: of this tab of the browser, and of the last one that kept any.
  let full = false;
  phi.keepConversation = (view, text) => {
    const name = `phi-conversation-${view}`;
    try {
      sessionStorage.setItem(name, text);
      localStorage.setItem(name, text);
    } catch (error) {
      if (full || error.name !== "QuotaExceededError") return;
      full = true; // said once
      phi.toast(phi.say("This browser has no room left to keep the conversation: it will be gone with a reload."));
    }
  };

  // Put answers that were broken off into the last turn of what is kept.
  phi.keepAnswers = (view, answers) => {
    try {
      const kept = JSON.parse(sessionStorage.getItem(`phi-conversation-${view}`));
      const turn = kept.turns.at(-1);
      turn.answers = answers.map((answer, side) => turn.answers[side] ?? answer);
      phi.keepConversation(view, JSON.stringify(kept));
    } catch { /* nothing is kept, or storage is off */ }
  };

  // ── Light and dark ────────────────────────────────────────────────────────────────────────
  const setTheme = (theme) => document.body.classList.toggle("dark", theme === "dark");
  if (phi.kept("theme")) setTheme(phi.kept("theme"));
  phi.theme = () => {
    const theme = document.body.classList.contains("dark") ? "light" : "dark";
    setTheme(theme);
    phi.keep("theme", theme);
  };

  // ── Large type and nothing but the conversation, for a room ─────────────────────────────
  phi.present = () => $("#present-toggle").setAttribute("aria-pressed", document.body.classList.toggle("present"));

  // ── What the reader hears: one polite region, not every token ─────────────────────────────
  let announcedAt = 0;
  const announce = phi.announce = (text) => {
    const region = $("#announcer"), now = performance.now();
    if (!region) return;
    region.textContent = now - announcedAt < 400 ? `${region.textContent}. ${text}` : text; // both sides at once
    announcedAt = now;
  };

  // ── Write into a field as if it were typed ────────────────────────────────────────────────
  phi.write = (box, text) => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(box), "value").set.call(box, text);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // ── Once something is there ───────────────────────────────────────────────────────────────
  phi.when = (isThere, then, every = 100) => {
    if (isThere()) then();
    else setTimeout(() => phi.when(isThere, then, every), every);
  };

  // ── Out of the page: the clipboard, files ─────────────────────────────────────────────────
  phi.copy = async (text, words = phi.say("Copied")) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    phi.toast(words);
  };
  phi.toast = (words) => {
    announce(words);
    const toast = document.createElement("div");
    toast.className = "copied";
    toast.textContent = words;
    document.body.append(toast);
    setTimeout(() => toast.remove(), 1000 + 60 * words.length);
  };
  const LONGEST_LINK = 7000; // servers refuse a request line of 8 KB
  phi.copyLink = async (prompt) => {
    const url = new URL(location.href), short = url.href;
    if (prompt) url.searchParams.set("prompt", prompt);
    const fits = url.href.length <= LONGEST_LINK;
    await phi.copy(fits ? url.href : short, phi.say(fits ? "Copied" : "Copied without the prompt, which is too long for a link"));
  };
  phi.save = (name, text, type = "application/json") => {
    if (!text) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    announce(phi.say("Saved as {name}", { name }));
  };
}
