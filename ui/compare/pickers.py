"""The pickers of a pane: choice of backend and model, its state, and its download."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from html import escape
from typing import Any
from weakref import WeakSet

import gradio as gr

from backends import REGISTRY, BackendError, Modality, Offer, Progress
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.services import Services

from ..events import PRIVATE, Updates
from .pane import Pane
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
        self._finished_downloads: WeakSet[Keyring] = WeakSet()
        """The keyrings (one a page) whose download has ended by itself and is not rendered yet."""
        self.selection = selection = [keyring, pane.backend, pane.model]
        self.outputs = [*selection[1:], pane.state, pane.download, pane.confirm, pane.cancel]
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
        downloading = pane.confirm.click(
            self.download_model, selection, self.outputs,
            concurrency_limit=None, **PRIVATE,
        )  # fmt: skip
        self.downloaded = downloading.then(
            self.on_download_end, selection, self.outputs, queue=False, **PRIVATE
        )
        pane.cancel.click(
            self.refresh, selection, self.outputs, cancels=downloading, queue=False, **PRIVATE
        )

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
        typed = bool(health and health.backend.accepts_custom_models)
        # A name that another backend offers is that one's, not typed.
        keeps = typed and not self.monitor.offered_elsewhere(model, than=backend)
        choices = _choices(health, model if keeps else "")
        if model not in [value for _, value in choices]:
            model = choices[0][1] if choices else ""
        return self._model_updates(health, choices, model)

    async def show_selection(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Show the backend and the model that a view opens with, even if its check is late."""
        health = await self._health(keyring, backend)
        return self._model_updates(health, _choices(health, model), model)

    def _model_updates(
        self, health: BackendHealth | None, choices: list[tuple[str, str]], model: str
    ) -> Updates:
        typed = bool(health and health.backend.accepts_custom_models)
        return {
            self.pane.model: _dropdown(
                choices, value=model or None, allow_custom_value=typed, filterable=typed
            ),
            **self._state_updates(health, model),
        }

    async def show_state(
        self, keyring: Keyring, backend: str, model: str, shown_state: str | None
    ) -> Updates:
        """Show the chosen model's state, and the download button if it can be downloaded."""
        if _has_open_question(model, shown_state):
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
            self.pane.download: gr.Button(visible=fetchable),
            self.pane.confirm: gr.Button(visible=False),
            self.pane.cancel: gr.Button(visible=False),
        }

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
        # An open question or a running download stays. An unchanged state is not sent, since it
        # could overwrite a question that is being sent at the same time.
        if _has_open_question(model, shown_state) or state[self.pane.state] == shown_state:
            return updates
        return updates | state

    async def on_download_end(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Render the end of a download. A cancelled one has been rendered by Cancel already."""
        if keyring not in self._finished_downloads:
            return gr.skip()
        self._finished_downloads.discard(keyring)
        return await self.refresh(keyring, backend, model)

    async def refresh(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Check the backend again after a download, and unlock the pickers."""
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
        size = f"{offer.download_size / 1e9:.1f} GB"
        free = offer.status.values.get("free_disk")
        room = f" {free / 1e9:.0f} GB are free on this disk." if isinstance(free, int) else ""
        source = REGISTRY[backend].downloads_from
        typed = keyring.connection(backend)
        where = f", onto the machine at {typed.base_url}" if typed and typed.base_url else ""
        question = f"Download {offer.spec.label}? {size} from {source}{where}.{room}"
        return {
            self.pane.state: f'<p class="state" data-state="ask" data-model="{escape(model)}">'
            f"<b>{escape(question)}</b></p>",
            self.pane.download: gr.Button(visible=False),
            self.pane.confirm: gr.Button(visible=True),
            self.pane.cancel: gr.Button(visible=True),
        }

    async def download_model(
        self, keyring: Keyring, backend: str, model: str
    ) -> AsyncGenerator[Updates, None]:
        """Download the model's files; Cancel closes this, and the next try resumes."""
        offer = await find_offer(self.monitor, backend, model, keyring)
        if offer is None or not offer.download_size or self.limits.public:
            return
        # Another model can be chosen only when this download has ended.
        yield {
            self.pane.backend: gr.Dropdown(interactive=False),
            self.pane.model: gr.Dropdown(interactive=False),
            self.pane.confirm: gr.Button(visible=False),
            self.pane.cancel: gr.Button(visible=True),
            self.pane.state: _progress_html(offer, Progress("downloading")),
        }
        try:
            async with aclosing(
                REGISTRY[backend].download(model, keyring.connection(backend))
            ) as steps:
                async for step in steps:
                    yield {self.pane.state: _progress_html(offer, step)}
        except BackendError as error:
            gr.Warning(escape(str(error)), title="Download")
        self._finished_downloads.add(keyring)


def _has_open_question(model: str | None, shown_state: str | None) -> bool:
    """True if the state shown is a download question or progress for this very model."""
    return f'data-model="{escape(model or "")}"' in (shown_state or "")


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


def _progress_html(offer: Offer, step: Progress) -> str:
    percent = round((step.fraction or 0) * 100)
    text = escape(f"Downloading {offer.spec.label}: {percent} % {step.detail}")
    bar = f'<span class="bar"><i style="width:{percent}%"></i></span>'
    model = escape(offer.model)
    return f'<p class="state" data-state="busy" data-model="{model}">{text}{bar}</p>'
