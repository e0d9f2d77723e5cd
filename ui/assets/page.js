() => {
  // One function, run once when the page has loaded. Everything else hangs on `window.phi`.
  const ROOT = document.querySelector("gradio-app") || document.body;
  const $ = (selector) => document.querySelector(selector);
  const SETTINGS = ["left_backend", "left_model", "right_backend", "right_model",
    "system", "temperature", "max_tokens", "top_p", "top_k", "seed", "stop"];
  const DEFAULTS = { temperature: 0.7, max_tokens: 512, top_p: 0.95, top_k: 50 };

  document.documentElement.lang = "en"; // the page's words; answers have their own

  // ── What this browser keeps: never keys. Where storage is off, only for this visit ─────────
  const keep = (name, text) => { try { localStorage.setItem(`phi-${name}`, text); } catch { /* off */ } };
  const kept = (name) => { try { return localStorage.getItem(`phi-${name}`) || ""; } catch { return ""; } };

  // ── Light and dark ────────────────────────────────────────────────────────────────────────
  const setTheme = (theme) => document.body.classList.toggle("dark", theme === "dark");
  if (kept("theme")) setTheme(kept("theme"));

  // ── What the reader hears: one polite region, not every token ─────────────────────────────
  const announce = (text) => { const region = $("#announcer"); if (region) region.textContent = text; };
  const lastState = { left: "", right: "" };
  const hear = (side) => {
    const line = $(`#line-${side} .numbers`);
    const state = line ? line.dataset.state : "";
    if (state === lastState[side]) return;
    lastState[side] = state;
    const words = line ? line.dataset.words : "";
    const name = side === "left" ? "Left" : "Right";
    if (state === "done") announce(`${name}: done, ${words}`);
    if (state === "stopped") announce(`${name}: stopped, ${words}`);
    if (state === "failed") { announce(`${name}: ${words}`); setTimeout(() => $("#recheck")?.click(), 300); }
    if (state === "waiting") announce(`${name}: thinking`);
  };

  // ── Follow the growing answer, unless the reader has scrolled away ────────────────────────
  let following = false; // from the start of a run on, until the reader scrolls away
  const scroller = () => document.scrollingElement || document.documentElement;
  const atEnd = () => scroller().scrollHeight - scroller().scrollTop - window.innerHeight < 140;
  window.addEventListener("scroll", () => { following = atEnd(); }, { passive: true });
  let scheduled = false;
  const follow = () => {
    if (!following || scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; scroller().scrollTop = scroller().scrollHeight; });
  };

  // ── Watch what Gradio draws ───────────────────────────────────────────────────────────────
  // A message has one direction, that of most of its letters; code does not count. Its paragraphs
  // may still each go their own way.
  const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/g, LTR = /[A-Za-z\u00c0-\u024f\u0370-\u052f\u3040-\ud7af]/g;
  const MESSAGE = ".message-content > .prose, .md.prose";
  const direct = (messages) => messages.forEach((message) => {
    // Its beginning is enough, and a long answer is looked at again at every tick.
    const text = [...message.children].slice(0, 12).filter((node) => !node.querySelector("pre"))
      .map((node) => node.textContent.slice(0, 1000)).join(" ");
    const direction = (text.match(RTL) || []).length > (text.match(LTR) || []).length ? "rtl" : "ltr";
    if (message.getAttribute("dir") !== direction) message.setAttribute("dir", direction);
  });
  // Gradio would draw a prompt as Markdown, without its tags: it is shown as it was typed.
  const asTyped = (rows) => rows.forEach((row) => {
    const label = row.querySelector("[data-testid=user]")?.getAttribute("aria-label");
    const content = row.querySelector(".message-content");
    if (!label || !content) return;
    const shown = content.querySelector(".typed") || content.appendChild(document.createElement("p"));
    shown.className = "typed";
    const text = label.replace(/^user's message: /, "");
    if (shown.textContent !== text) shown.textContent = text;
  });
  const watch = (side) => {
    const line = $(`#line-${side}`), live = $(`#answer-${side}`);
    if (!line || !live) return setTimeout(() => watch(side), 100);
    new MutationObserver(() => hear(side)).observe(line, { childList: true, subtree: true });
    new MutationObserver(() => { direct(live.querySelectorAll(MESSAGE)); follow(); }).observe(live, { childList: true, subtree: true, characterData: true });
    live.setAttribute("translate", "no");
    const conversation = $(`#conversation-${side}`);
    if (conversation) {
      conversation.setAttribute("translate", "no");
      const every = (root, selector) => [...(root.matches(selector) ? [root] : []), ...root.querySelectorAll(selector)];
      const quiet = (root) => {
        every(root, "[aria-live]:not([aria-live=off])").forEach((node) => node.setAttribute("aria-live", "off"));
        // A button within a button, without a name: the outer one does it all.
        every(root, ".thought-group .arrow").forEach((node) => { node.inert = true; });
        every(root, "[role=complementary]").forEach((node) => node.removeAttribute("role"));
        every(root, "[role=log]").forEach((node) =>
          node.setAttribute("aria-label", `${side === "left" ? "Left" : "Right"} conversation`));
        direct(every(root, MESSAGE));
        asTyped(every(root, ".user-row"));
      };
      // Only what is new: in a long conversation all of it would take longer than a frame.
      new MutationObserver((changes) => {
        const fresh = new Set();
        for (const { target, addedNodes } of changes) {
          const row = target.closest(".message-row");
          if (row) fresh.add(row);
          else for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) fresh.add(node);
        }
        fresh.forEach(quiet);
      }).observe(conversation, { childList: true, subtree: true });
      quiet(conversation);
    }
  };
  ["left", "right"].forEach(watch);

  // ── Keyboard: Enter compares, Shift+Enter is a new line; never while an input method composes ─
  const inPrompt = (event) => event.target.closest && event.target.closest("#prompt textarea");
  document.addEventListener("keypress", (event) => {
    // Gradio would take Shift+Enter as "send".
    if (inPrompt(event) && event.key === "Enter") event.stopPropagation();
  }, true);
  document.addEventListener("keydown", (event) => {
    const box = inPrompt(event);
    if (!box || event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    const touch = matchMedia("(pointer: coarse)").matches;
    const command = event.ctrlKey || event.metaKey;
    if (event.shiftKey || event.altKey || (touch && !command)) return;
    event.preventDefault();
    event.stopPropagation();
    const compare = $("#compare");
    if (compare) compare.click();
  }, true);
  // ── What is typed, or asked and not yet answered, survives a reload ────────────────────────
  const unsent = kept("draft");
  let asked = "";
  const draft = (text) => keep("draft", text || asked);
  const settle = () => {
    const box = $("#prompt textarea");
    if (!box) return setTimeout(settle, 100);
    box.setAttribute("dir", "auto");
    const restore = () => {
      if (!$(".state[data-state]")) return setTimeout(restore, 100);
      if (!box.value && unsent) write(box, unsent);
    };
    restore();
    // Where a keyboard is at hand, type at once; on a phone one would pop up and hide the page.
    if (matchMedia("(pointer: fine)").matches) box.focus({ preventScroll: true });
    // Gradio has a live region of its own, for progress that this page says in words.
    document.querySelectorAll(".sr-only[aria-live]").forEach((node) => node.setAttribute("aria-live", "off"));
  };
  settle();

  // ── A prompt is begun: the models may get ready ────────────────────────────────────────────
  let prepared = "";
  const prepare = () => {
    if (prepared === location.search) return;
    prepared = location.search;
    $("#typing")?.click();
  };
  document.addEventListener("input", (event) => { if (inPrompt(event)) prepare(); }, true);
  document.addEventListener("click", (event) => { if (event.target.closest(".chip")) prepare(); }, true);
  const write = (box, text) => {
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, text);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // ── A prompt is sent: once the models answer, the box is emptied of it, and of no more ──────
  let sent = null, answering = false;
  document.addEventListener("click", (event) => {
    if (event.target.closest("#compare")) sent = $("#prompt textarea").value;
  }, true);
  const noticeRun = () => {
    const busy = Boolean($("#stop"));
    if (busy === answering) return;
    answering = busy;
    const box = $("#prompt textarea");
    asked = busy ? sent || "" : "";
    if (!busy) return draft(box.value);
    following = true;
    if (sent !== null && box.value.startsWith(sent)) write(box, box.value.slice(sent.length));
    sent = null;
    if (matchMedia("(pointer: fine)").matches && document.activeElement === document.body) box.focus({ preventScroll: true });
  };
  const watchComposer = () => {
    const composer = $("#composer");
    if (!composer) return setTimeout(watchComposer, 100);
    new MutationObserver(noticeRun).observe(composer, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "style"] });
  };
  watchComposer();

  // ── Opened settings come out from under the prompt box ─────────────────────────────────────
  document.addEventListener("click", (event) => {
    if (event.target.closest("#settings > button")) setTimeout(() => $("#settings").scrollIntoView({ block: "end" }), 120);
  });

  // ── In the pickers, what cannot work can be read, not chosen ───────────────────────────────
  const CANNOT = /— (retired|unreachable|too large)$/;
  const cannot = (option) => option && CANNOT.test(option.getAttribute("aria-label") || "");
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest?.(".pickers")) return;
    setTimeout(() => document.querySelectorAll(".options [role=option]").forEach((option) => {
      if (cannot(option)) option.setAttribute("aria-disabled", "true");
    }), 50);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.closest?.(".pickers")) return;
    if (cannot($(".options [role=option].active"))) { event.preventDefault(); event.stopPropagation(); }
  }, true);

  // ── On the board, times are the reader's own ───────────────────────────────────────────────
  const watchBoard = () => {
    const board = $("#board");
    if (!board) return setTimeout(watchBoard, 200);
    const local = () => board.querySelectorAll("time[datetime]").forEach((node) => {
      const text = `checked ${new Date(node.dateTime).toLocaleTimeString()}`;
      if (node.textContent !== text) node.textContent = text;
    });
    new MutationObserver(local).observe(board, { childList: true, subtree: true });
    local();
  };
  watchBoard();

  // ── What the buttons call ─────────────────────────────────────────────────────────────────
  const copy = async (text) => {
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
    announce("Copied");
    const toast = document.createElement("div");
    toast.className = "copied";
    toast.textContent = "Copied";
    document.body.append(toast);
    setTimeout(() => toast.remove(), 1600);
  };
  const address = (values) => {
    const set = Object.fromEntries(SETTINGS.map((name, n) => [name, values[n]]));
    const query = new URLSearchParams(location.search);
    for (const side of ["left", "right"]) {
      if (set[`${side}_backend`] && set[`${side}_model`]) {
        query.set(side, `${set[`${side}_backend`]}/${set[`${side}_model`]}`);
      }
    }
    for (const name of SETTINGS.slice(4)) {
      const value = set[name];
      if (value === null || value === undefined || value === "" || value === DEFAULTS[name]) query.delete(name);
      else query.set(name, value);
    }
    query.delete("prompt");
    history.replaceState(null, "", `${location.pathname}?${query}`.replace(/%2F/g, "/"));
  };

  window.phi = {
    address, copy, draft,
    copyLink: (prompt) => {
      const link = new URL(location.href);
      if (prompt) link.searchParams.set("prompt", prompt);
      return copy(link.href);
    },
    tab: (id) => $(`#tabs [role=tab][data-tab-id=${id}]`)?.click(),
    focus: (side) => {
      for (const name of ["left", "both", "right"]) {
        document.body.classList.toggle(`focus-${name}`, name === side);
        $(`#focus-${name}`).setAttribute("aria-pressed", name === side);
      }
    },
    theme: () => {
      const theme = document.body.classList.contains("dark") ? "light" : "dark";
      setTheme(theme);
      keep("theme", theme);
    },
  };
}
