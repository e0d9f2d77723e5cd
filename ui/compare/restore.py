"""Restoring a view: default models, settings from the address, the stored conversation."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from backends import BackendError, GenerationParams, Sentence
from playground.conversation import LETTERS
from playground.keyring import MAX_SERVER_NAME, Keyring
from playground.languages import detect, expect
from playground.limits import Limits
from playground.text import strip_controls
from playground.threads import in_media_thread

from ..events import PRIVATE, Updates
from .composer import notice_html
from .default_pair import DefaultPair, PairChooser
from .form import from_browser
from .servers import SERVER, restore_servers
from .session import Session
from .side import letter_of
from .status import find_offer
from .view import CompareView

DEFAULT_TAB = "text"
"""The tab of an address that names none; `address.js` has the same."""


def _warm_up() -> None:
    expect("This only warms the libraries up.")
    detect("This only warms the libraries up.")


class ViewRestore:
    """Fills a view when it opens, and from then on writes its settings into the address."""

    def __init__(self, view: CompareView, choose_pair: PairChooser) -> None:
        self.view, self.services, self.choose_pair = view, view.services, choose_pair
        self.limits = view.limits
        self._write_address()

    def on_page_load(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """Open the view when the page loads; returns the event."""
        self._report_selection(tab)
        return self._connect(page.load)

    def on_first_select(self, tab: gr.Tab) -> Any:
        """Open the view when its tab is first selected; returns the event."""
        self._report_selection(tab)
        # Clicked by the page's script: `storage` has its value only once the view is rendered.
        return self._connect(gr.Button(visible="hidden", elem_id=f"{self.view.name}-open").click)

    def _report_selection(self, tab: gr.Tab) -> None:
        chosen = f"() => window.phi?.opened('{self.view.name}')"
        tab.select(None, js=chosen, api_visibility="private")

    def _connect(self, trigger: Any) -> Any:
        view = self.view
        outputs = [*view.intro_outputs, *view.settings.values(), view.params.box]
        outputs += [*view.view_outputs, *view.side_editor.outputs]
        outputs += view.examples.outputs if view.examples else []
        # Session and keyring are outputs, or Gradio would never delete them.
        unique = list(dict.fromkeys([*outputs, view.session, view.keyring]))
        inputs = [view.session, view.storage, view.keyring, view.known_servers]
        return trigger(
            self.open, inputs, unique, queue=False, js=_STORED.replace("VIEW", view.name), **PRIVATE
        )

    async def open(
        self,
        session: Session,
        stored: object,
        keyring: Keyring,
        servers: object,
        request: gr.Request,
    ) -> Updates:
        """Choose the models (from the address, else the default pair) and restore the rest."""
        view, query = self.view, dict(request.query_params)
        # Every tab receives the address of the page, which may be meant for another tab.
        requested = query if query.get("tab", DEFAULT_TAB) == view.name else {}
        # Load what judges languages off the event loop while the visitor reads.
        self._warmup = asyncio.ensure_future(in_media_thread(_warm_up))
        session.keyring = keyring
        restore_servers(keyring, servers, self.limits)
        pair = await self.choose_pair(self.services, keyring)
        wanted = _wanted_sides(requested)
        sides = await self._sides(pair, wanted, keyring)
        session.conversation = from_browser(stored, self.limits)
        await session.prerender(session.conversation)
        updates = await view.side_editor.show(session, keyring, sides)
        _name_sides(session)
        await in_media_thread(session.show_rows)  # long answers take a while
        updates |= view.render(session) | {view.session: session, view.keyring: keyring}
        choices = [(side["backend"], side["model"]) for side in sides]
        updates |= await view.render_intro(session, pair, choices)
        if view.examples:
            updates |= view.examples.select_language(request.headers.get("accept-language", ""))
        if lost := _lost_servers(wanted, keyring, self.limits):
            updates[view.composer.notice] = notice_html(lost)
        session.recorded = requested.get("recording", ""), requested.get("item", "")
        if prompt := strip_controls(requested.get("prompt", "")):
            updates[view.composer.prompt] = prompt[: self.limits.prompt_characters]
        settings = {} if wanted else pair.settings
        return updates | self._setting_updates(
            {**settings, **requested}, session.conversation.system
        )

    async def _sides(
        self, pair: DefaultPair, wanted: Sequence[Mapping[str, str]], keyring: Keyring
    ) -> list[dict[str, Any]]:
        """Return the inputs of each side: those of the address if they are available."""
        fields = self.view.panes[0].inputs
        chosen: list[dict[str, Any]] = []
        for side in range(max(len(wanted), 1) if wanted else 2):
            health, offer = (pair.left, pair.right)[min(side, 1)]
            own = wanted[side] if side < len(wanted) else {}
            backend, _, model = own.get("model", "").partition("/")
            known = keyring.backend(backend)
            allowed = known is not None and self.limits.allows(known)
            if not (allowed and await find_offer(self.services.health, backend, model, keyring)):
                backend, model = health.backend.id, offer.model
            usual = {} if wanted or side > 1 else pair.side_settings[side]
            rest = {name: own.get(name, usual.get(name, "")) for name in fields}
            chosen.append({**rest, "backend": backend, "model": model})
            self._check_side(chosen[-1])
        return chosen

    def _check_side(self, inputs: dict[str, Any]) -> None:
        """Empty what cannot be used of a side's inputs from an address."""
        try:
            side = self.view.form_type.side_type.model_validate(inputs)
            self.limits.check_params(side.params(GenerationParams()))
            for name in self.view.panes[0].more:
                inputs[name] = "" if getattr(side, name) is None else getattr(side, name)
        except (ValueError, BackendError):
            inputs |= dict.fromkeys(inputs.keys() - {"backend", "model"}, "")

    def _setting_updates(self, requested: Mapping[str, str], kept_system: str) -> Updates:
        """Apply settings from the address; the stored system prompt if it has none."""
        settings, params = self.view.settings, self.view.params
        updates: Updates = {}
        if system := strip_controls(requested.get("system", kept_system)):
            updates[params.system] = system[: self.limits.prompt_characters]
            updates[params.box] = gr.Accordion(open=True)
        if stop := strip_controls(requested.get("stop", "")):
            updates[params.stop] = stop[:200]
        for name in settings.keys() & requested.keys() - {"system", "stop"}:
            try:
                form = self.view.form_type.model_validate({name: requested[name]})
                self.limits.check_params(form.params)
            except (ValueError, BackendError):
                continue
            if (value := getattr(form, name)) is not None:
                updates[settings[name]] = str(value) if name == "seed" else value
        return updates

    def _write_address(self) -> None:
        """Write the settings into the address, so that a link opens the same page. Never keys."""
        view = self.view
        named: dict[str, gr.Component] = dict(view.settings)
        for side, pane in enumerate(view.panes):
            named |= {f"{letter_of(side)}.{name}": one for name, one in pane.inputs.items()}
        usual = {name: one.value for name, one in view.settings.items()}  # type: ignore[attr-defined]
        gr.on(
            [component.change for component in named.values()],  # type: ignore[attr-defined]
            None,
            list(named.values()),
            js=f"(...values) => phi.address('{view.name}', {json.dumps(usual)}, "
            f"{json.dumps(list(named))}, values)",
            trigger_mode="multiple",  # no change may be lost while another one is being sent
            api_visibility="private",
        )


_STORED = """(session, _, ...rest) => {
  let stored = "";
  try {
    const name = "phi-conversation-VIEW";
    stored = sessionStorage.getItem(name) || localStorage.getItem(name) || "";
  } catch { /* storage is off */ }
  return [session, stored, ...rest];
}"""
"""What this tab of the browser kept, else the last tab that kept anything; see `base.js`."""


def _wanted_sides(requested: Mapping[str, str]) -> list[dict[str, str]]:
    """The inputs of each side that the address names: `a=ollama/phi3&a.own=…`.

    Addresses of earlier versions say `left` and `right`.
    """
    sides: list[dict[str, str]] = []
    old = {"a": "left", "b": "right"} if {"left", "right"} & requested.keys() else {}
    for letter in map(str.lower, LETTERS):
        prefix = f"{letter}."
        found = {name[2:]: value for name, value in requested.items() if name.startswith(prefix)}
        model = requested.get(letter) or requested.get(old.get(letter, ""), "")
        if crops := requested.get(f"{old.get(letter)}_crops"):
            found["crops"] = crops
        if not model and not (old.get(letter)):
            break
        sides.append({**found, "model": model})
    return sides


def _name_sides(session: Session) -> None:
    """Name the sides of a restored conversation after those who answered last."""
    for number, side in enumerate(session.sides):
        for turn in reversed(session.conversation.turns):
            if record := turn.answer(number):
                side.model, side.backend = record.model, record.backend
                break


def _lost_servers(wanted: Sequence[Mapping[str, str]], keyring: Keyring, limits: Limits) -> str:
    """That the address names servers which were not added here, in a sentence; empty if not."""
    chosen = (side.get("model", "").partition("/")[0] for side in wanted)
    named = (one for one in chosen if one.startswith(f"{SERVER.id}:") and not keyring.backend(one))
    names = [strip_controls(one.partition(":")[2])[:MAX_SERVER_NAME] for one in named]
    if not names:
        return ""
    which = dict.fromkeys(names)
    sentence = Sentence(
        "This link names servers that this page does not know: {names}.",
        one="This link names a server that this page does not know: {names}.",
        names=", ".join(f"“{name}”" for name in which),
        n=len(which),
    )
    if not limits.adds_servers(SERVER):
        return sentence
    hint = "Add it by that name on the Models tab, then open the link again."
    if len(which) > 1:
        hint = "Add them by that name on the Models tab, then open the link again."
    return Sentence.chain(sentence, hint)
