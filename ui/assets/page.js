() => {
  // One function, run once when the page has loaded. Everything else hangs on `window.phi`.
  const ROOT = document.querySelector("gradio-app") || document.body;
  const $ = (selector) => document.querySelector(selector);
  const MAIN = "text"; // the tab that an address means if it names none

  document.documentElement.lang = "en"; // the page's words; answers have their own

  // ── What this browser keeps: never keys. Where storage is off, only for this visit ─────────
  const keep = (name, text) => { try { localStorage.setItem(`phi-${name}`, text); } catch { /* off */ } };
  const kept = (name) => { try { return localStorage.getItem(`phi-${name}`) || ""; } catch { return ""; } };

  // ── Light and dark ────────────────────────────────────────────────────────────────────────
  const setTheme = (theme) => document.body.classList.toggle("dark", theme === "dark");
  if (kept("theme")) setTheme(kept("theme"));

  // ── What the reader hears: one polite region, not every token ─────────────────────────────
  let announcedAt = 0;
  const announce = (text) => {
    const region = $("#announcer"), now = performance.now();
    if (!region) return;
    region.textContent = now - announcedAt < 400 ? `${region.textContent}. ${text}` : text; // both sides at once
    announcedAt = now;
  };

  // ── When the page's own server is gone: asked only after a sign of trouble ─────────────────
  // Gradio's page then hears no click any more, says so in a toast, and loads itself anew once the
  // server is back.
  const AWAY = "The page's own server has stopped answering. What came stays here, and your prompt is kept. "
    + "Once the server is started again, this page opens anew by itself.";
  const leave = {}; // of each view: how it stops waiting
  let away = false;
  const answers = async () => {
    try {
      const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
      return answer.ok || answer.headers.has("content-security-policy"); // a refusal is an answer, too
    } catch { return false; }
  };
  const doubt = async () => {
    if (away || await answers() || away) return;
    away = true;
    Object.values(leave).forEach((stopWaiting) => stopWaiting());
    announce(AWAY);
  };
  const tryAgain = async (view) => {
    const notice = document.getElementById(`${view}-away`);
    if (await answers()) {
      try { sessionStorage.setItem("phi-asks", view); } catch { /* off: then it is asked by hand */ }
      return location.reload();
    }
    notice.animate([{ opacity: .2 }, { opacity: 1 }], 400);
    notice.scrollIntoView({ block: "nearest" });
    announce(""); // the same words twice would be heard once
    setTimeout(() => announce(AWAY), 500);
  };
  const watchToasts = () => {
    const toasts = $(".toast-wrap");
    if (!toasts) return setTimeout(watchToasts, 200);
    new MutationObserver(doubt).observe(toasts, { childList: true });
  };
  watchToasts();

  // ── A message has one direction, that of most of its letters; code does not count ──────────
  // Its paragraphs may still each go their own way.
  const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/g, LTR = /[A-Za-z\u00c0-\u024f\u0370-\u052f\u3040-\ud7af]/g;
  const MESSAGE = ".message-content > .prose, .md.prose";
  const direct = (messages) => messages.forEach((message) => {
    // Its beginning is enough, and a long answer is looked at again at every tick.
    const text = [...message.children].slice(0, 12).filter((node) => !node.querySelector("pre"))
      .map((node) => node.textContent.slice(0, 1000)).join(" ");
    const direction = (text.match(RTL) || []).length > (text.match(LTR) || []).length ? "rtl" : "ltr";
    if (message.getAttribute("dir") !== direction) message.setAttribute("dir", direction);
  });
  // An answer is text: a form, a field, a button or a style in it is shown as it was written. The
  // conversation's parser does that itself (ui/pane.py), but not in diagrams, nor while an answer grows.
  const ACTIVE = "form, fieldset, select, textarea, dialog, style:not(svg *), " +
    "input:not([type=checkbox][disabled]), button:not(.code_wrap > *)";
  const STYLED = "[style]:not(.katex *, svg, svg *, pre *)";
  const disarm = (messages) => messages.forEach((message) => {
    message.querySelectorAll(ACTIVE).forEach((node) => node.replaceWith(node.outerHTML));
    message.querySelectorAll(STYLED).forEach((node) => node.removeAttribute("style"));
  });
  // Gradio would draw a prompt as Markdown, without its tags: it is shown as it was typed. What
  // stands before it are pictures (ui/convert.py), which are read out by their names.
  const PICTURES = /^user's message: !\[[^\]]*\]\(data:image\//;
  const asTyped = (prompts) => prompts.forEach((prompt) => {
    const label = prompt.getAttribute("aria-label");
    const content = prompt.querySelector(".message-content");
    if (!label || !content || prompt.closest(".shown-pictures")) return;
    if (PICTURES.test(label)) {
      prompt.parentElement.classList.add("shown-pictures");
      const names = [...content.querySelectorAll("img")].map((picture) => picture.alt);
      return prompt.setAttribute("aria-label", `Pictures: ${names.join(", ")}`);
    }
    const shown = content.querySelector(".typed") || content.appendChild(document.createElement("p"));
    shown.className = "typed";
    const text = label.replace(/^user's message: /, "");
    if (shown.textContent !== text) shown.textContent = text;
  });
  const write = (box, text) => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(box), "value").set.call(box, text);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // ── What is typed into settings, or a tab, that have only just been opened ────────────────
  // A picture later Gradio's page sets all that is in there to what it was at first. On a busy
  // machine that is time enough to type. Never a key: its field is emptied because it was taken.
  let typed = null;
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[role=tab], .settings > button")) return;
    const mine = typed = new Map();
    const again = (frames) => requestAnimationFrame(() => {
      for (const [field, text] of mine) if (field.isConnected && field.value !== text) write(field, text);
      if (frames > 1) again(frames - 1);
      else if (typed === mine) typed = null;
    });
    again(4);
  }, true);
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (field.matches?.("textarea, input[type=text], input[type=number]")) typed?.set(field, field.value);
  }, true);

  // A file that is dropped where none is wanted: the browser would open it, and the page be gone.
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  ["dragover", "drop"].forEach((type) => document.addEventListener(type, (event) => {
    if (carries(event)) event.preventDefault();
  }));

  // ── A view: one comparison, on a tab of its own. All of this once it has been drawn ────────
  const watch = (view) => {
    const $$ = (name) => document.getElementById(`${view}-${name}`);
    const root = $$("view"), promptBox = () => $$("prompt").querySelector("textarea");
    const seen = () => root.checkVisibility();
    const fine = matchMedia("(pointer: fine)").matches; // on a phone a keyboard would pop up and hide the page
    const onPrompt = (type, react) => root.addEventListener(type, (event) => {
      if (event.target === promptBox()) react(event);
    }, true);

    // A backend was chosen and its models are on their way: what would ask one of them waits.
    const ASKS = `#${view}-compare, [id^=${view}-regenerate], [id^=${view}-code]`;
    const picking = () => !away && root.querySelector(".pane[aria-busy=true]");
    let held = null;
    root.addEventListener("click", (event) => {
      const button = event.target.closest?.(ASKS);
      if (!button || !picking()) return;
      event.stopImmediatePropagation();
      held?.removeAttribute("aria-busy");
      held = button;
      held.setAttribute("aria-busy", true);
    }, true);
    root.addEventListener("picked", () => setTimeout(() => {
      if (!held || picking()) return;
      const button = held;
      held = null;
      button.removeAttribute("aria-busy");
      button.click();
    }, 50)); // Gradio may be about to ask for another backend that was chosen meanwhile

    const lastState = { left: "", right: "" };
    const hear = (side) => {
      const line = $$(`line-${side}`).querySelector(".numbers");
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

    // Follow the growing answer, unless the reader has scrolled away, or looks at another tab.
    // Its end is the line of numbers below it: on some tabs there is more below that.
    let following = false; // from the start of a run on, until the reader scrolls away
    let turnedAway = -1e9;
    const scroller = () => document.scrollingElement || document.documentElement;
    const beyond = () => { // pixels by which the answers' end is below what can be seen
      const feet = ["left", "right"].map((side) => $$(`line-${side}`)).filter((line) => line.checkVisibility());
      const busy = feet.filter((line) => ["waiting", "streaming"].includes(line.querySelector(".numbers")?.dataset.state));
      const [first, second] = feet.map((line) => line.getBoundingClientRect());
      const stacked = second && second.left < first.right; // on a phone: the first one that grows
      const ends = (stacked ? (busy.length ? busy : feet).slice(0, 1) : feet).map((line) => line.getBoundingClientRect().bottom);
      return Math.max(0, ...ends) - (window.innerHeight - $$("composer").offsetHeight - 8);
    };
    const turnAway = () => { following = false; turnedAway = performance.now(); };
    window.addEventListener("wheel", (event) => { if (event.deltaY < 0 && seen()) turnAway(); }, { passive: true });
    window.addEventListener("touchmove", () => { if (seen()) turnAway(); }, { passive: true });
    window.addEventListener("keydown", (event) => {
      if (["PageUp", "Home", "ArrowUp"].includes(event.key) && event.target === document.body && seen()) turnAway();
    });
    window.addEventListener("scroll", () => {
      if (seen() && performance.now() - turnedAway > 400) following = Math.abs(beyond()) < 140;
    }, { passive: true });
    let scheduled = false;
    const follow = () => {
      if (!following || scheduled) return;
      scheduled = true;
      requestAnimationFrame(() => {
        scheduled = false;
        const more = seen() && following ? beyond() : 0;
        if (more > 0) scroller().scrollTop += more;
      });
    };
    // A button that hides itself takes the keyboard's place along: it goes on in the prompt box.
    const settle = () => { if (fine && seen() && document.activeElement === document.body) promptBox().focus({ preventScroll: true }); };
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.id === `${view}-undo`) announce("Taken back");
      if (button.id === `${view}-clear`) announce("Cleared");
      setTimeout(settle, 500);
    });

    // Watch what Gradio draws.
    const watchSide = (side) => {
      const line = $$(`line-${side}`), answer = $$(`answer-${side}`), conversation = $$(`conversation-${side}`);
      new MutationObserver(() => hear(side)).observe(line, { childList: true, subtree: true });
      new MutationObserver(() => {
        const growing = answer.querySelectorAll(MESSAGE);
        disarm(growing);
        direct(growing);
        follow();
      }).observe(answer, { childList: true, subtree: true, characterData: true });
      answer.setAttribute("translate", "no");
      conversation.setAttribute("translate", "no");
      const every = (node, selector) => [...(node.matches(selector) ? [node] : []), ...node.querySelectorAll(selector)];
      const quiet = (fresh) => {
        every(fresh, "[aria-live]:not([aria-live=off])").forEach((node) => node.setAttribute("aria-live", "off"));
        // A button within a button, without a name: the outer one does it all.
        every(fresh, ".thought-group .arrow").forEach((node) => { node.inert = true; });
        every(fresh, "[role=complementary]").forEach((node) => node.removeAttribute("role"));
        every(fresh, "[role=log]").forEach((node) =>
          node.setAttribute("aria-label", `${side === "left" ? "Left" : "Right"} conversation`));
        const messages = every(fresh, MESSAGE);
        disarm(messages);
        direct(messages);
        asTyped(every(fresh, "[data-testid=user]"));
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
    };
    ["left", "right"].forEach(watchSide);

    // Keyboard: Enter compares, Shift+Enter is a new line; never while an input method composes.
    onPrompt("keypress", (event) => {
      // Gradio would take Shift+Enter as "send".
      if (event.key === "Enter") event.stopPropagation();
    });
    onPrompt("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
      const touch = matchMedia("(pointer: coarse)").matches;
      const command = event.ctrlKey || event.metaKey;
      if (event.shiftKey || event.altKey || (touch && !command)) return;
      event.preventDefault();
      event.stopPropagation();
      $$("compare")?.click();
    });

    // What is typed, or asked and not yet answered, survives a reload.
    const unsent = kept(`draft-${view}`);
    let asked = "";
    drafts[view] = (text) => keep(`draft-${view}`, text || asked);
    promptBox().setAttribute("dir", "auto");
    let asks = false; // Compare was pressed before the page opened anew; pictures are gone by then
    try {
      asks = sessionStorage.getItem("phi-asks") === view && !$$("strip");
      if (asks) sessionStorage.removeItem("phi-asks");
    } catch { /* off */ }
    const restore = () => {
      if (!root.querySelector(".state[data-state]")) return setTimeout(restore, 100);
      if (!promptBox().value && unsent) write(promptBox(), unsent);
      if (asks && promptBox().value) setTimeout(() => $$("compare")?.click(), 100);
    };
    restore();
    // Where a keyboard is at hand, type at once.
    if (fine && seen()) promptBox().focus({ preventScroll: true });
    // Gradio has a live region of its own, for progress that this page says in words.
    document.querySelectorAll(".sr-only[aria-live]").forEach((node) => node.setAttribute("aria-live", "off"));

    // A prompt is begun: the models may get ready.
    let prepared = null;
    const prepare = () => {
      const query = String(queryOf(view));
      if (prepared === query) return;
      prepared = query;
      $$("typing")?.click();
    };
    onPrompt("input", prepare);
    root.addEventListener("click", (event) => { if (event.target.closest(".chip")) prepare(); }, true);

    // A prompt is sent: once the models answer, the box is emptied of it, and of no more.
    let sent = null, answering = false;
    root.addEventListener("click", (event) => { if ($$("compare")?.contains(event.target)) sent = promptBox().value; }, true);
    const noticeRun = () => {
      const busy = Boolean($$("stop")) && !away;
      if (busy === answering) return;
      answering = busy;
      const box = promptBox();
      asked = busy ? sent || "" : "";
      if (!busy) { setTimeout(settle, 100); return drafts[view](box.value); }
      following = true;
      if (sent !== null && box.value.startsWith(sent)) write(box, box.value.slice(sent.length));
      sent = null;
      if (fine && seen() && document.activeElement === document.body) box.focus({ preventScroll: true });
    };
    new MutationObserver(noticeRun).observe($$("composer"), { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "style"] });

    // The page's own server is gone: nothing is waited for any more, and Compare is where Stop was.
    const compare = $$("compare")?.cloneNode(true);
    root.addEventListener("click", (event) => {
      if (!away || !$$("compare")?.contains(event.target)) return;
      event.stopPropagation();
      tryAgain(view);
    }, true);
    leave[view] = () => {
      held?.removeAttribute("aria-busy");
      held = null;
      const notice = document.createElement("p"), box = promptBox(), stop = $$("stop");
      notice.id = `${view}-away`;
      notice.className = "notice";
      notice.textContent = AWAY;
      $$("composer").prepend(notice);
      for (const side of ["left", "right"]) {
        const line = $$(`line-${side}`).querySelector(".numbers"), state = line?.dataset.state;
        if (state !== "waiting" && state !== "streaming") continue;
        // The line may be older than the answer above it.
        const some = $$(`answer-${side}`).innerText.trim(), cut = document.createElement("span");
        cut.textContent = some ? "cut off" : "Cut off before the first token.";
        line.dataset.state = "cut";
        line.querySelector(".pulse")?.remove();
        some && state === "streaming" ? line.append(cut) : line.replaceChildren(cut);
      }
      if (stop) {
        if (!box.value) write(box, asked || sent || "");
        for (const button of [stop, $$("stop-left"), $$("stop-right")]) button?.style.setProperty("display", "none");
        if (compare && !$$("compare")) stop.after(compare);
      }
      noticeRun();
      const draft = () => drafts[view](box.value);
      onPrompt("input", draft);
      draft();
    };
    if (away) leave[view]();

    // Pictures come from the button, or are dropped anywhere on the view, or pasted.
    const input = $$("add")?.parentElement.querySelector("input[type=file]");
    if (input) {
      const add = (files) => {
        if (!files.length || !seen()) return false;
        const given = new DataTransfer();
        [...files].forEach((file) => given.items.add(file));
        input.files = given.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));
        return true;
      };
      document.addEventListener("paste", (event) => {
        // Office puts a picture of every text beside it: who types wants the text.
        const typing = event.target.closest?.("textarea, input") && event.clipboardData?.types.includes("text/plain");
        if (!typing && add(event.clipboardData?.files || [])) event.preventDefault();
      });
      root.addEventListener("dragover", (event) => {
        if (!carries(event)) return;
        event.preventDefault();
        root.classList.add("dropping");
      });
      root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.classList.remove("dropping"); });
      root.addEventListener("drop", (event) => {
        root.classList.remove("dropping");
        if (!carries(event)) return;
        event.preventDefault();
        event.stopPropagation();
        add(event.dataTransfer.files);
      }, true);
    }

    // The strip is drawn anew at every change: what was open stays open, the keyboard stays with
    // its picture, and who cannot see it hears what is there.
    const strip = $$("strip");
    if (strip) {
      let unfolded = false, moved = null, heard = "";
      strip.addEventListener("click", (event) => {
        if (event.target.closest("summary")) unfolded = !strip.querySelector("details").open;
        const button = event.target.closest("[data-act]");
        if (button) moved = { ...button.dataset }; // the button itself may soon be another picture's
      }, true);
      new MutationObserver(() => {
        const fold = strip.querySelector("details");
        if (fold && unfolded && !fold.open) fold.open = true;
        const names = [...strip.querySelectorAll("li")].map((card) => card.querySelector("p span").textContent);
        const said = names.map((name, n) => `picture ${n + 1}: ${name}`).join(", ") || "no pictures";
        const now = strip.querySelector(".reading")?.textContent.replace(/ \d+ s$/, "") || said;
        if (now === heard) return;
        if (heard || names.length) announce(now);
        heard = now;
        if (!moved || strip.querySelector(".reading")) return;
        const own = [...strip.querySelectorAll("[data-act]")].filter((one) => one.dataset.picture === moved.picture);
        (own.find((one) => one.dataset.act === moved.act) || own[0] || strip.querySelector("[data-act]") || $$("add"))?.focus();
        moved = null;
      }).observe(strip, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["open"] });
    }

    // Opened settings come out from under the prompt box.
    $$("settings").addEventListener("click", (event) => {
      if (event.target.closest(".settings > button")) setTimeout(() => $$("settings").scrollIntoView({ block: "end" }), 120);
    });

    $$("open")?.click(); // a view that does not open with the page does so when it is first seen
  };

  const PARTS = ["prompt", "composer", "settings", "line-left", "line-right", "answer-left", "answer-right",
    "conversation-left", "conversation-right"];
  const begun = new Set(), drafts = {};
  const begin = (view) => {
    if (begun.has(view)) return;
    begun.add(view);
    const whenDrawn = () => {
      const drawn = PARTS.every((part) => document.getElementById(`${view}-${part}`));
      if (drawn && $(`#${view}-prompt textarea`)) watch(view);
      else setTimeout(whenDrawn, 100);
    };
    whenDrawn();
  };

  // ── The address bar: the settings of the view that is open ────────────────────────────────
  const link = new URLSearchParams(location.search), meant = link.get("tab") || MAIN;
  const queries = { [meant]: link };
  const queryOf = (view) => queries[view] ||= new URLSearchParams(view === MAIN ? "" : { tab: view });
  let open = MAIN;
  const showAddress = () => {
    const query = String(queryOf(open)).replace(/%2F/g, "/");
    history.replaceState(null, "", location.pathname + (query && `?${query}`));
  };
  const address = (view, usual, values) => {
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
  const tab = (id) => {
    const button = [...document.querySelectorAll("#tabs [role=tab]")].find((one) => one.dataset.tabId === id);
    button?.click();
    return Boolean(button);
  };
  const followLink = () => {
    if (!$("#tabs [role=tab]")) return setTimeout(followLink, 50);
    if (tab(meant)) opened(meant);
  };

  // ── In the pickers, what cannot work can be read, not chosen ───────────────────────────────
  const CANNOT = /— (retired|unreachable|too large)$|^No models listed$/;
  const cannot = (option) => option && CANNOT.test(option.getAttribute("aria-label") || "");
  const markOptions = () => document.querySelectorAll(".pickers [role=option]").forEach((option) => {
    const disabled = String(Boolean(cannot(option)));
    if (option.getAttribute("aria-disabled") !== disabled) option.setAttribute("aria-disabled", disabled);
  });
  const drawnOptions = new MutationObserver(markOptions); // also when states change while a list is open
  document.addEventListener("focusin", (event) => {
    const picker = event.target.closest?.(".pickers");
    if (!picker) return;
    markOptions();
    drawnOptions.observe(picker, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"] });
  });
  document.addEventListener("focusout", () => drawnOptions.disconnect());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.closest?.(".pickers")) return;
    if (cannot($(".options [role=option].active"))) { event.preventDefault(); event.stopPropagation(); }
  }, true);

  // ── On the board, times are the reader's own, and what was opened or folded away stays so ──
  const watchBoard = () => {
    const board = $("#board");
    if (!board) return setTimeout(watchBoard, 200);
    const local = () => board.querySelectorAll("time[datetime]").forEach((node) => {
      const text = `checked ${new Date(node.dateTime).toLocaleTimeString()}`;
      if (node.textContent !== text) node.textContent = text;
    });
    const folds = {}; // by card: as the reader left it, since each check draws the card anew
    board.addEventListener("click", (event) => {
      const fold = event.target.closest("summary")?.parentElement, card = fold?.closest(".card");
      if (card) folds[card.id] = !fold.open; // the click itself comes before the change
    });
    const refold = () => Object.entries(folds).forEach(([id, unfolded]) => {
      const fold = document.getElementById(id)?.querySelector("details");
      if (fold && fold.open !== unfolded) fold.open = unfolded;
    });
    new MutationObserver(() => { local(); refold(); }).observe(board, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["open"],
    });
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
  const save = (name, text) => {
    if (!text) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    announce(`Saved as ${name}`);
  };
  const picks = {}; // of each pane: choices of a backend that are not answered yet
  window.phi = {
    address, copy, save, tab,
    picking: (id, by) => {
      const pane = document.getElementById(id);
      picks[id] = (picks[id] || 0) + by;
      pane.setAttribute("aria-busy", picks[id] > 0);
      if (!picks[id]) pane.dispatchEvent(new Event("picked", { bubbles: true }));
    },
    draft: (view, text) => drafts[view]?.(text),
    copyLink: (prompt) => {
      const url = new URL(location.href);
      if (prompt) url.searchParams.set("prompt", prompt);
      return copy(url.href);
    },
    opened: (view) => { opened(view); begin(view); },
    focus: (view, side) => {
      for (const name of ["left", "both", "right"]) {
        document.getElementById(`${view}-view`).classList.toggle(`focus-${name}`, name === side);
        document.getElementById(`${view}-focus-${name}`).setAttribute("aria-pressed", name === side);
      }
    },
    theme: () => {
      const theme = document.body.classList.contains("dark") ? "light" : "dark";
      setTheme(theme);
      keep("theme", theme);
    },
  };

  begin(MAIN);
  if (meant !== MAIN) followLink();
}
