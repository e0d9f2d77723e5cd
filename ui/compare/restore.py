"""How a view opens: on which models, with which settings of the address, with what was kept."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from backends import BackendError
from playground.keyring import Keyring
from playground.languages import language_of
from playground.text import strip_controls

from ..events import PRIVATE, Updates
from .default_pair import DefaultPair, PairChooser
from .form import from_browser
from .session import Session
from .status import find_offer
from .view import CompareView

DEFAULT_TAB = "text"
"""The tab that an address means if it names none; `address.js` knows it too."""


class ViewRestore:
    """Opens a view, and keeps its settings in the address from then on."""

    def __init__(self, view: CompareView, choose_pair: PairChooser) -> None:
        self.view, self.services, self.choose_pair = view, view.services, choose_pair
        self.limits = view.limits
        self._write_address()

    def on_page_load(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """Open the view when the page opens; returns the event."""
        self._report_selection(tab)
        return self._connect(page.load)

    def on_first_select(self, tab: gr.Tab) -> Any:
        """Open the view when its tab is first chosen, once a visit; returns the event."""
        self._report_selection(tab)
        # Pressed by the page itself: only once a view is drawn does it know what was kept.
        return self._connect(gr.Button(visible="hidden", elem_id=f"{self.view.name}-open").click)

    def _report_selection(self, tab: gr.Tab) -> None:
        chosen = f"() => window.phi?.opened('{self.view.name}')"
        tab.select(None, js=chosen, api_visibility="private")

    def _connect(self, trigger: Any) -> Any:
        view = self.view
        outputs = [view.intro, *view.form, view.params.box, *view.view_outputs]
        outputs += view.examples.outputs if view.examples else []
        outputs += [x for p in view.pickers for x in p.outputs]
        # Session and keyring are outputs, or the server would never know when to forget them.
        unique = list(dict.fromkeys([*outputs, view.session, view.keyring]))
        inputs = [view.session, view.storage, view.keyring]
        return trigger(self.open, inputs, unique, queue=False, **PRIVATE)

    async def open(
        self, session: Session, stored: object, keyring: Keyring, request: gr.Request
    ) -> Updates:
        """Choose the models (from the address, else the best pair) and restore the conversation."""
        view, query = self.view, dict(request.query_params)
        # The page sends the address that it was opened with, whichever tab that is meant for.
        requested = query if query.get("tab", DEFAULT_TAB) == view.name else {}
        # The reader reads first: meanwhile the language library loads, off the event loop.
        self._warmup = asyncio.ensure_future(language_of("This only warms the library up."))
        session.keyring = keyring
        pair = await self.choose_pair(self.services, keyring)
        left, right = await self._selection(pair, requested, keyring)
        session.conversation = from_browser(stored, self.limits)
        await session.prerender(session.conversation)
        session.render_status_lines()
        updates = view.render(session) | {
            view.intro: f"<p>{pair.sentence}</p>",
            view.session: session,
            view.keyring: keyring,
        }
        if view.examples:
            updates |= view.examples.select_language(request.headers.get("accept-language", ""))
        for picker, (backend, model) in zip(view.pickers, (left, right), strict=True):
            updates |= await picker.show_selection(keyring, backend, model)
            updates[picker.pane.backend] = backend
        if prompt := strip_controls(requested.get("prompt", "")):
            updates[view.composer.prompt] = prompt[: self.limits.prompt_characters]
        settings = {} if {"left", "right"} & requested.keys() else pair.settings
        return updates | self._setting_updates(
            {**settings, **requested}, session.conversation.system
        )

    async def _selection(
        self, pair: DefaultPair, requested: Mapping[str, str], keyring: Keyring
    ) -> list[tuple[str, str]]:
        """The backend and the model of each side: those of the address, if they are there."""
        chosen = [(health.backend.id, offer.model) for health, offer in (pair.left, pair.right)]
        for side, name in enumerate(("left", "right")):
            backend, _, model = requested.get(name, "").partition("/")
            allowed = any(key == backend for _, key in self.view.backends)
            if allowed and await find_offer(self.services.health, backend, model, keyring):
                chosen[side] = (backend, model)
        return chosen

    def _setting_updates(self, requested: Mapping[str, str], kept_system: str) -> Updates:
        """Settings from the address; the system prompt else from the kept conversation."""
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
                for side in (0, 1):
                    self.limits.check_params(form.params_of(side))
            except (ValueError, BackendError):
                continue
            if (value := getattr(form, name)) is not None:
                updates[settings[name]] = str(value) if name == "seed" else value
        return updates

    def _write_address(self) -> None:
        """Settings go into the address, so that a link opens the same page. Never keys."""
        inputs = self.view.form[1:]
        names = list(self.view.form_type.model_fields)[1 : len(inputs) + 1]
        defaults = {name: component.value for name, component in zip(names, inputs, strict=True)}  # type: ignore[attr-defined]
        gr.on(
            [component.change for component in inputs],  # type: ignore[attr-defined]
            None,
            inputs,
            js=f"(...values) => phi.address('{self.view.name}', {json.dumps(defaults)}, values)",
            trigger_mode="multiple",  # none may be lost because another one is on its way
            api_visibility="private",
        )
