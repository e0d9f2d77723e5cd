"""Restoring a view: default models, settings from the address, the stored conversation."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from backends import BackendError
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
from .status import allowed_backends, find_offer
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
        outputs = [*view.intro_outputs, *view.form, view.params.box, *view.view_outputs]
        outputs += view.examples.outputs if view.examples else []
        outputs += [x for p in view.pickers for x in p.outputs]
        # Session and keyring are outputs, or Gradio would never delete them.
        unique = list(dict.fromkeys([*outputs, view.session, view.keyring]))
        inputs = [view.session, view.storage, view.keyring, view.known_servers]
        return trigger(self.open, inputs, unique, queue=False, **PRIVATE)

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
        left, right = await self._selection(pair, requested, keyring)
        session.conversation = from_browser(stored, self.limits)
        await session.prerender(session.conversation)
        session.render_status_lines()
        updates = view.render(session) | {
            view.session: session,
            view.keyring: keyring,
        }
        updates |= await view.render_intro(session, pair, (left, right))
        if view.examples:
            updates |= view.examples.select_language(request.headers.get("accept-language", ""))
        for picker, (backend, model) in zip(view.pickers, (left, right), strict=True):
            updates |= await picker.show_selection(keyring, backend, model)
            updates[picker.pane.backend] = gr.Dropdown(
                allowed_backends(self.limits, keyring), value=backend
            )
        if lost := _lost_servers(requested, keyring, self.limits):
            updates[view.composer.notice] = notice_html(lost)
        if prompt := strip_controls(requested.get("prompt", "")):
            updates[view.composer.prompt] = prompt[: self.limits.prompt_characters]
        settings = {} if {"left", "right"} & requested.keys() else pair.settings
        return updates | self._setting_updates(
            {**settings, **requested}, session.conversation.system
        )

    async def _selection(
        self, pair: DefaultPair, requested: Mapping[str, str], keyring: Keyring
    ) -> list[tuple[str, str]]:
        """Return backend and model of each side: those of the address if they are available."""
        chosen = [(health.backend.id, offer.model) for health, offer in (pair.left, pair.right)]
        for side, name in enumerate(("left", "right")):
            backend, _, model = requested.get(name, "").partition("/")
            known = keyring.backend(backend)
            allowed = known is not None and self.limits.allows(known)
            if allowed and await find_offer(self.services.health, backend, model, keyring):
                chosen[side] = (backend, model)
        return chosen

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
                for side in (0, 1):
                    self.limits.check_params(form.params_of(side))
            except (ValueError, BackendError):
                continue
            if (value := getattr(form, name)) is not None:
                updates[settings[name]] = str(value) if name == "seed" else value
        return updates

    def _write_address(self) -> None:
        """Write the settings into the address, so that a link opens the same page. Never keys."""
        inputs = self.view.form[1:]
        names = list(self.view.form_type.model_fields)[1 : len(inputs) + 1]
        defaults = {name: component.value for name, component in zip(names, inputs, strict=True)}  # type: ignore[attr-defined]
        gr.on(
            [component.change for component in inputs],  # type: ignore[attr-defined]
            None,
            inputs,
            js=f"(...values) => phi.address('{self.view.name}', {json.dumps(defaults)}, values)",
            trigger_mode="multiple",  # no change may be lost while another one is being sent
            api_visibility="private",
        )


def _lost_servers(requested: Mapping[str, str], keyring: Keyring, limits: Limits) -> str:
    """That the address names servers which were not added here, in a sentence; empty if not."""
    chosen = (requested.get(side, "").partition("/")[0] for side in ("left", "right"))
    named = (one for one in chosen if one.startswith(f"{SERVER.id}:") and not keyring.backend(one))
    names = [strip_controls(one.partition(":")[2])[:MAX_SERVER_NAME] for one in named]
    if not names:
        return ""
    which = " and ".join(f"“{name}”" for name in dict.fromkeys(names))
    what, them = ("a server", "it") if len(set(names)) == 1 else ("servers", "them")
    sentence = f"This link names {what} that this page does not know: {which}."
    if not limits.takes_address(SERVER):
        return sentence
    return f"{sentence} Add {them} by that name on the Models tab, then open the link again."
