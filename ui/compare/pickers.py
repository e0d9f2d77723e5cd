"""The pickers of a pane: choice of backend and model, its state, and its download."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from backends import REGISTRY, BackendError, Modality, Progress, capacity
from playground.downloads import Download
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.services import Services

from ..events import PRIVATE, Updates
from .pane import Pane
from .proposal import gigabytes
from .status import backend_choices, find_offer, health_of, model_choices, offer_of, state_html

NONE_LISTED = "No models listed"
"""The only row of an empty list; `pickers.js` knows that it cannot be chosen."""


class Pickers:
    """The pickers of one pane and the download of its model."""

    def __init__(
        self, pane: Pane, services: Services, keyring: gr.State, modality: Modality = "text"
    ) -> None:
        """Connect a pane's pickers, which offer the models that read `modality`."""
        self.pane, self.services, self.modality = pane, services, modality
        self.limits, self.monitor = services.limits, services.health
        self._shown: WeakKeyDictionary[Keyring, Download] = WeakKeyDictionary()
        """By keyring (one a page): the download that is shown on this side, or that failed."""
        self.selection = selection = [keyring, pane.backend, pane.model]
        buttons = [pane.download, pane.confirm, pane.retry, pane.cancel]
        self.outputs = [*selection[1:], pane.state, *buttons]
        # The last choice counts, even if an earlier one's models arrive later.
        choosing = pane.backend.input(
            self.on_backend_change, selection, self.outputs, queue=False,
            trigger_mode="always_last",
            js=f"(...picked) => {{ phi.picking('{pane.id}', 1); return picked; }}", **PRIVATE,
        )  # fmt: skip
        for ended in (choosing.success, choosing.failure):  # `then` would not come after a failure
            ended(None, js=f"() => phi.picking('{pane.id}', -1)", api_visibility="private")
        pane.model.change(
            self.show_state, [*selection, pane.state], self.outputs, queue=False, **PRIVATE
        )
        pane.download.click(self.ask_to_download, selection, self.outputs, queue=False, **PRIVATE)
        rest = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
        self.downloaded = pane.confirm.click(self.download_model, selection, self.outputs, **rest)
        follow = f"{pane.id.split('-pane-')[0]}-follow"
        pane.retry.click(
            self.download_model, selection, self.outputs,
            # What else is said of downloads follows this one, too.
            js="(...picked) => { setTimeout(() => document.getElementById("
            f"'{follow}')?.click(), 500); return picked; }}", **rest,
        )  # fmt: skip
        pane.cancel.click(self.cancel, selection, self.outputs, queue=False, **PRIVATE)

    async def prepare(self, keyring: Keyring, backend: str, model: str) -> None:
        """Let the model load while a prompt is typed. Errors are left to the request itself."""
        which, preparing = (backend, model), self.services.preparing
        if self.limits.public or backend not in REGISTRY or which in preparing:
            return  # it is loading already, perhaps for another visitor
        preparing.add(which)
        try:
            with suppress(BackendError):
                await REGISTRY[backend].prepare(model)
        finally:
            preparing.discard(which)

    async def on_backend_change(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Offer the models of the chosen backend, with the first ready one selected.

        Leaving the list with Tab fires the event for the same backend again: then the model stays.
        """
        health = await self._health(keyring, backend)
        if (download := self._shown.get(keyring)) and download.ended:
            del self._shown[keyring]  # it failed; what counts now is another model
        typed = bool(health and health.backend.accepts_custom_models)
        # A name that another backend offers is that one's, not typed.
        keeps = typed and not self.monitor.offered_elsewhere(model, than=backend)
        choices = _choices(health, model if keeps else "")
        if model not in [value for _, value in choices]:
            model = choices[0][1] if choices else ""
        return self._model_updates(health, choices, model, busy=self._is_busy(keyring))

    async def show_selection(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Show the backend and the model that a view opens with, even if its check is late."""
        health = await self._health(keyring, backend)
        return self._model_updates(health, _choices(health, model), model)

    def _model_updates(
        self,
        health: BackendHealth | None,
        choices: list[tuple[str, str]],
        model: str,
        busy: bool = False,
    ) -> Updates:
        typed = bool(health and health.backend.accepts_custom_models)
        return {
            self.pane.model: _dropdown(
                choices, value=model or None, allow_custom_value=typed, filterable=typed
            ),
            **({} if busy else self._state_updates(health, model)),
        }

    async def show_state(
        self, keyring: Keyring, backend: str, model: str, shown_state: str | None
    ) -> Updates:
        """Show the chosen model's state, and the download button if it can be downloaded."""
        # What the page had when it asked may be older than what it was sent since.
        if self._is_busy(keyring) or _stays(model, shown_state):
            return gr.skip()
        return self._state_updates(await self._health(keyring, backend), model or "")

    async def _health(self, keyring: Keyring, backend: str) -> BackendHealth | None:
        return self._filter_modality(await health_of(self.monitor, backend, keyring))

    def _filter_modality(self, health: BackendHealth | None) -> BackendHealth | None:
        """Return a health with only the offers that read this view's modality."""
        if health is None:
            return None
        offers = (offer for offer in health.offers if self.modality in offer.spec.modalities)
        return replace(health, offers=tuple(offers))

    def _may_have_models(self, health: BackendHealth) -> bool:
        """True if a backend has, or may have, a model that reads this view's modality."""
        matching = any(self.modality in offer.spec.modalities for offer in health.offers)
        return matching or health.backend.accepts_custom_models or not health.offers

    def _state_updates(self, health: BackendHealth | None, model: str) -> Updates:
        offer = offer_of(health, model)
        fetchable = bool(offer and offer.download_size) and not self.limits.public
        return {
            self.pane.state: state_html(health, offer),
            **self._show_buttons(*([self.pane.download] if fetchable else [])),
        }

    def _is_busy(self, keyring: Keyring) -> bool:
        """True if this side of a page shows a download that is running."""
        download = self._shown.get(keyring)
        return download is not None and not download.ended

    def shows(self, keyring: Keyring, download: Download) -> bool:
        """True if this side of a page shows a download."""
        return self._shown.get(keyring) is download

    def _show_buttons(self, *shown: gr.Button) -> Updates:
        """Show these buttons of the state's row, and no others."""
        pane = self.pane
        every = (pane.download, pane.confirm, pane.retry, pane.cancel)
        return {button: gr.Button(visible=button in shown) for button in every}

    @property
    def watched(self) -> list[gr.Component]:
        """The inputs of `on_health`: the selection and the state that is shown."""
        return [self.pane.backend, self.pane.model, self.pane.state]

    def on_health(
        self, every: list[BackendHealth], backend: str, model: str | None, shown_state: str | None
    ) -> Updates:
        """Update the lists and the selected model's state after a health check."""
        if not shown_state:  # the view is not open yet; opening it will render the state
            return {}
        known = next((one for one in every if one.backend.id == backend), None)
        health = self._filter_modality(known)
        matching = [one for one in every if one.backend.id == backend or self._may_have_models(one)]
        choices, selected = _choices(health, model or ""), {}
        if choices and not model and health and not health.backend.accepts_custom_models:
            model = choices[0][1]  # nothing could be chosen while the check was late
            selected = {"value": model}
        updates: Updates = {
            self.pane.backend: _dropdown(backend_choices(matching)),
            self.pane.model: _dropdown(choices, **selected),
        }
        state = self._state_updates(health, model or "")
        # An unchanged state is not sent, since it could overwrite a question that is being sent at
        # the same time.
        if _stays(model, shown_state) or state[self.pane.state] == shown_state:
            return updates
        return updates | state

    async def cancel(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Close a question, or end the download that is shown; what came so far is kept."""
        if download := self._shown.pop(keyring, None):
            download.cancel()
        return await self.refresh(keyring, backend, model)

    async def refresh(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Check the backend again, show the chosen model's state and unlock the pickers."""
        if backend in REGISTRY:
            self.monitor.invalidate(REGISTRY[backend], keyring)
        health = await self._health(keyring, backend)
        return {
            self.pane.backend: gr.Dropdown(interactive=True),
            self.pane.model: _dropdown(_choices(health, model), interactive=True),
            **self._state_updates(health, model or ""),
        }

    async def ask_to_download(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Ask for confirmation of a download, with its size, source and the free disk space."""
        offer = await find_offer(self.monitor, backend, model, keyring)
        if offer is None or not offer.download_size or self.limits.public:
            return gr.skip()
        self._shown.pop(keyring, None)
        chosen, typed = REGISTRY[backend], keyring.connection(backend)
        where = f", onto the machine at {typed.base_url}" if typed and typed.base_url else ""
        room = ""
        if chosen.kind == "local":
            room = f" {gigabytes((await capacity()).free_disk)} is free on this disk."
        size = gigabytes(offer.download_size)
        question = f"Download {offer.spec.label}? {size} from {chosen.downloads_from}{where}.{room}"
        return {
            self.pane.state: f'<p class="state" data-state="ask" data-model="{escape(model)}">'
            f"<b>{escape(question)}</b></p>",
            **self._show_buttons(self.pane.confirm, self.pane.cancel),
        }

    async def download_model(
        self, keyring: Keyring, backend: str, model: str
    ) -> AsyncGenerator[Updates, None]:
        """Fetch the chosen model, or the one whose download failed here."""
        if self.limits.public:
            return
        if failed := self._shown.get(keyring):
            download = self.start(failed.backend.id, failed.model, keyring)
        else:
            offer = await find_offer(self.monitor, backend, model, keyring)
            if offer is None or not offer.download_size:
                return
            download = self.start(backend, model, keyring)
        async with aclosing(self.follow(keyring, download, (backend, model))) as updates:
            async for update in updates:
                yield update

    def start(self, backend: str, model: str, keyring: Keyring) -> Download:
        """Begin a download, or join one that another page began."""
        return self.services.downloads.start(REGISTRY[backend], model, keyring.connection(backend))

    async def follow(
        self, keyring: Keyring, download: Download, chosen: tuple[str, str]
    ) -> AsyncGenerator[Updates, None]:
        """Show a download in the state's row until it ends; choose its model when that is there.

        It goes on if the page is closed. `chosen` are backend and model that are chosen meanwhile:
        if it is these that are fetched, no others can be chosen before that has ended.
        """
        pane, (backend, model) = self.pane, (download.backend.id, download.model)
        label = download.backend.spec_of(model).label
        locked = chosen == (backend, model)
        self._shown[keyring] = download
        yield {
            pane.backend: gr.Dropdown(interactive=not locked),
            pane.model: gr.Dropdown(interactive=not locked),
            **self._show_buttons(pane.cancel),
            pane.state: _progress_html(label, download.progress),
        }
        async with aclosing(download.steps()) as steps:
            async for step in steps:
                if self._shown.get(keyring) is not download:
                    return  # Cancel has drawn the row
                yield {pane.state: _progress_html(label, step)}
        self.monitor.invalidate(download.backend, keyring)
        if self._shown.get(keyring) is not download:
            return
        unlocked: Updates = {
            pane.backend: gr.Dropdown(interactive=True),
            pane.model: gr.Dropdown(interactive=True),
        }
        why = "It was cancelled on another page." if download.cancelled else download.error
        if why:  # it is kept: Try again asks for it once more
            yield {
                **unlocked,
                **self._show_buttons(pane.retry),
                pane.state: _failure_html(label, str(why), chosen[1]),
            }
            return
        del self._shown[keyring]
        updates = await self.show_selection(keyring, backend, model)
        yield {**updates, pane.backend: gr.Dropdown(value=backend, interactive=True)}


def _stays(model: str | None, shown_state: str | None) -> bool:
    """True if a state's row shows a download, or a question or failure while `model` is chosen."""
    shown = shown_state or ""
    return 'data-state="busy"' in shown or f'data-model="{escape(model or "")}"' in shown


def _choices(health: BackendHealth | None, model: str) -> list[tuple[str, str]]:
    """Return a backend's models as choices, and the selected one even if it is not listed."""
    choices = model_choices(health) if health else []
    if model and model not in [value for _, value in choices]:
        late = health and not health.offers and not health.backend.accepts_custom_models
        choices.append((health.backend.spec_of(model).label if health and late else model, model))
    return choices


def _dropdown(choices: list[tuple[str, str]], **rest: Any) -> gr.Dropdown:
    """Update a dropdown's choices, even while its list is open.

    Gradio's open list fails if it becomes shorter: it renders its old rows once more, with choices
    that no longer exist. Properties reach the page one after the other, in the order of these
    arguments: so the number of rows, at least one, comes before the choices.
    """
    rows: list[Any] = choices or [(NONE_LISTED, None)]
    return gr.Dropdown(num_choices_shown=len(rows), choices=rows, **rest)


def _progress_html(label: str, step: Progress) -> str:
    percent = round((step.fraction or 0) * 100)
    text = f"Downloading {label}: {percent} %" + (f" · {step.detail}" if step.detail else "")
    bar = (
        f'<span class="bar" role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></span>'
    )
    return f'<p class="state" data-state="busy">{escape(text)}{bar}</p>'


def _failure_html(label: str, why: str, chosen: str) -> str:
    """Return a failure's words; they stay while the model that is `chosen` now is not changed."""
    named = why if label in why else f"{label}: {why}"
    return (
        f'<p class="state" data-state="failed" data-model="{escape(chosen)}" role="alert">'
        f'<b><i aria-hidden="true"></i>Not downloaded</b> <span>{escape(named)}</span></p>'
    )
