"""The pickers of a pane: choice of backend and model, its state, and its download."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from backends import REGISTRY, BackendError, Modality, Progress, Sentence, capacity
from playground.downloads import Download
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.services import Services

from ..events import ALWAYS, LATEST, PRIVATE, Updates
from ..gathered import Gathered, Values
from ..texts import say, told
from .pane import Pane
from .status import backend_choices, find_offer, health_of, model_choices, offer_of, state_html

NONE_LISTED = "No models listed"
"""The only row of an empty list; `pickers.js` knows that it cannot be chosen."""


@dataclass(frozen=True)
class _Row:
    """What a state's row shows instead of a state: a question, a download, or why that failed."""

    chosen: str
    """The model that was chosen then: if another one is, a question or a failure goes."""
    download: Download | None = None
    sentence: str = ""
    """A question, or why the download failed; empty while a download is shown."""

    @property
    def busy(self) -> bool:
        """True while a download is shown that has not failed."""
        return self.download is not None and not self.sentence


class Pickers:
    """The pickers of one pane and the download of its model."""

    def __init__(
        self, pane: Pane, services: Services, keyring: gr.State, modality: Modality = "text"
    ) -> None:
        """Connect a pane's pickers, which offer the models that read `modality`."""
        self.pane, self.services, self.modality = pane, services, modality
        self.limits, self.monitor = services.limits, services.health
        self._rows: WeakKeyDictionary[Keyring, _Row] = WeakKeyDictionary()
        """By keyring (one a page). Not read back from the page: what that has may be older."""
        self._numbers: WeakKeyDictionary[Keyring, int] = WeakKeyDictionary()
        """By keyring: how often its row was set. Answers may reach the page in another order than
        they were given in; by the number its script sees that an old one was drawn over a new one.
        """
        self._came: WeakKeyDictionary[Keyring, tuple[str, str]] = WeakKeyDictionary()
        """By keyring: backend and model that a download has chosen, until the page says so too."""
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
        gathered_choices([self], keyring).on(
            pane.model.change, self._on_model_change, self.outputs, queue=False, **LATEST,
        )  # fmt: skip
        pane.download.click(self.ask_to_download, selection, self.outputs, queue=False, **PRIVATE)
        # Clicked by the page's script when an old row was drawn over a new one (pickers.js).
        pane.redraw.click(
            self.redraw, selection, self.outputs, queue=False, preprocess=False, **ALWAYS,
        )  # fmt: skip
        self.begun = gr.on(
            [pane.confirm.click, pane.retry.click], self.begin, selection, self.outputs,
            queue=False, **PRIVATE,
        )  # fmt: skip
        # What was said before may reach the page together with the answer, and be drawn over it.
        self.begun.then(
            self.redraw, selection, self.outputs, queue=False, preprocess=False, **ALWAYS
        )
        # Clicked by the page's script when the row begins to show a download (pickers.js).
        # The page leaves steps out when it is late: each has to tell all, and the end is none.
        watched = pane.watch.click(
            self.watch, keyring, [pane.state, *buttons], concurrency_limit=None,
            **ALWAYS,
        )  # fmt: skip
        self.downloaded = watched.then(
            self.on_download_end, keyring, self.outputs, queue=False, **ALWAYS
        )
        pane.cancel.click(self.cancel, selection, self.outputs, queue=False, **PRIVATE)

    async def prepare(self, backend: str, model: str | None) -> None:
        """Let the model load while a prompt is typed. Errors are left to the request itself.

        `model` is empty while the list of the chosen backend is still on its way.
        """
        if self.limits.public or backend not in REGISTRY or not model:
            return
        which, preparing = (backend, model), self.services.preparing
        if which in preparing:  # it is loading already, perhaps for another visitor
            return
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
        keeps = typed and not self.monitor.offered_elsewhere(model, backend, keyring)
        choices = _choices(health, model if keeps else "", keyring.locale)
        if model not in [value for _, value in choices]:
            model = choices[0][1] if choices else ""
        self._came.pop(keyring, None)
        return self._model_updates(keyring, health, choices, model)

    async def show_selection(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Show the backend and the model that a view opens with, even if its check is late."""
        health = await self._health(keyring, backend)
        return self._model_updates(keyring, health, _choices(health, model, keyring.locale), model)

    def _model_updates(
        self,
        keyring: Keyring,
        health: BackendHealth | None,
        choices: list[tuple[str, str]],
        model: str,
    ) -> Updates:
        typed = bool(health and health.backend.accepts_custom_models)
        return {
            self.pane.model: _dropdown(
                choices,
                keyring.locale,
                value=model or None,
                allow_custom_value=typed,
                filterable=typed,
            ),
            **self._row_updates(keyring, health, model),
        }

    async def _on_model_change(self, values: Values) -> Updates:
        return await self.show_state(*(values[one] for one in self.selection))

    async def show_state(self, keyring: Keyring, backend: object, model: object) -> Updates:
        """Show the chosen model's state, and the download button if it can be downloaded."""
        if not isinstance(backend, str) or not isinstance(model, str | None):
            return gr.skip()
        if self._is_late(keyring, backend, model):
            return gr.skip()
        health = await self._health(keyring, backend)
        return self._row_updates(keyring, health, model or "") or gr.skip()

    async def redraw(self, keyring: Keyring, backend: object, model: object) -> Updates:
        """Show the row as it is now."""
        return self.redrawn(keyring) or await self.show_state(keyring, backend, model)

    def redrawn(self, keyring: Keyring) -> Updates:
        """Draw the question, download or failure that the row shows; nothing if it shows none."""
        row = self._rows.get(keyring)
        return self._draw(keyring, row) if row else {}

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

    def _state_updates(self, keyring: Keyring, health: BackendHealth | None, model: str) -> Updates:
        offer = offer_of(health, model)
        fetchable = bool(offer and offer.download_size) and not self.limits.public
        buttons = [self.pane.download] if fetchable else []
        return self._show(keyring, state_html(health, offer), *buttons)

    def _row_updates(self, keyring: Keyring, health: BackendHealth | None, model: str) -> Updates:
        """Show a chosen model's state, unless something is shown that its choice does not close."""
        if self._row_stays(keyring, model):
            return {}
        return self._state_updates(keyring, health, model)

    def _is_late(self, keyring: Keyring, backend: str, model: str | None) -> bool:
        """True if a page asks about what was chosen before a download chose something else."""
        came = self._came.get(keyring)
        if came == (backend, model):
            del self._came[keyring]
        return keyring in self._came

    def _row_stays(self, keyring: Keyring, model: str | None) -> bool:
        """True if there is a question, download or failure that a choice does not close."""
        row = self._rows.get(keyring)
        if row and not row.busy and row.chosen != model:
            self._set_row(keyring, None)
        return keyring in self._rows

    def _set_row(self, keyring: Keyring, row: _Row | None) -> None:
        """Have the row show something else, or the state again."""
        self._numbers[keyring] = self._numbers.get(keyring, 0) + 1
        if row:
            self._rows[keyring] = row
        else:
            self._rows.pop(keyring, None)

    def _draw(self, keyring: Keyring, row: _Row) -> Updates:
        """Show a question, a download or why that failed."""
        if row.download is None:
            html = f'<p class="state" data-state="ask"><b>{told(row.sentence)}</b></p>'
            return self._show(keyring, html, self.pane.confirm, self.pane.cancel)
        label = row.download.backend.spec_of(row.download.model).label
        if row.busy:
            html = _progress_html(label, row.download.progress)
            return self._show(keyring, html, self.pane.cancel)
        return self._show(keyring, _failure_html(label, row.sentence), self.pane.retry)

    def _show(self, keyring: Keyring, html: str, *buttons: gr.Button) -> Updates:
        """Show this in the state's row, with these of its buttons."""
        pane, number = self.pane, self._numbers.get(keyring, 0)
        every = (pane.download, pane.confirm, pane.retry, pane.cancel)
        return {
            pane.state: f'<div data-row="{number}">{html}</div>',
            **{button: gr.Button(visible=button in buttons) for button in every},
        }

    @property
    def watched(self) -> list[gr.Component]:
        """The inputs of `on_health`: the selection and the state that is shown."""
        return [self.pane.backend, self.pane.model, self.pane.state]

    def on_health(
        self,
        every: list[BackendHealth],
        keyring: Keyring,
        backend: str,
        model: str | None,
        shown_state: str | None,
    ) -> Updates:
        """Update the lists and the selected model's state after a health check."""
        if not shown_state or not isinstance(
            model, str | None
        ):  # the view is not open yet; opening it will render the state
            return {}
        if self._is_late(keyring, backend, model):
            return {}
        known = next((one for one in every if one.backend.id == backend), None)
        health = self._filter_modality(known)
        matching = [one for one in every if one.backend.id == backend or self._may_have_models(one)]
        choices, selected = _choices(health, model or "", keyring.locale), {}
        if choices and not model and health and not health.backend.accepts_custom_models:
            model = choices[0][1]  # nothing could be chosen while the check was late
            selected = {"value": model}
        # A server that was removed is not chosen any more.
        place = {} if keyring.backend(backend or "") else {"value": None}
        updates: Updates = {
            self.pane.backend: _dropdown(
                backend_choices(matching, keyring.locale), keyring.locale, **place
            ),
            self.pane.model: _dropdown(choices, keyring.locale, **selected),
        }
        state = self._state_updates(keyring, health, model or "")
        if keyring in self._rows or state[self.pane.state] == shown_state:
            return updates
        return updates | state

    async def cancel(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Close a question, or end the download that is shown; what came so far is kept."""
        row = self._rows.get(keyring)
        self._set_row(keyring, None)
        if row and row.download:
            row.download.cancel()
        return await self.refresh(keyring, backend, model)

    async def refresh(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Check the backend again, show the chosen model's state and unlock the pickers."""
        if known := keyring.backend(backend):
            self.monitor.invalidate(known, keyring)
        health = await self._health(keyring, backend)
        return {
            self.pane.backend: gr.Dropdown(interactive=True),
            self.pane.model: _dropdown(
                _choices(health, model, keyring.locale), keyring.locale, interactive=True
            ),
            **self._row_updates(keyring, health, model or ""),
        }

    async def ask_to_download(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Ask for confirmation of a download, with its size, source and the free disk space."""
        offer = await find_offer(self.monitor, backend, model, keyring)
        if offer is None or not offer.download_size or self.limits.public:
            return gr.skip()
        chosen, typed = REGISTRY[backend], keyring.connection(backend)
        code, room = "Download {label}? {size:bytes} from {source}.", ""
        values = {"source": Sentence.of(chosen.downloads_from), "size": offer.download_size}
        if typed and typed.base_url:
            code = "Download {label}? {size:bytes} from {source}, onto the machine at {url}."
            values["url"] = typed.base_url
        if chosen.kind == "local":
            free = (await capacity()).free_disk
            room = Sentence("{free:bytes} is free on this disk.", free=free)
        question = Sentence.chain(Sentence(code, label=offer.spec.label, **values), room)
        row = _Row(model, sentence=question)
        self._set_row(keyring, row)
        return self._draw(keyring, row)

    async def begin(self, keyring: Keyring, backend: str, model: str) -> Updates:
        """Fetch the chosen model, or the one whose download failed here."""
        row = self._rows.get(keyring)
        if self.limits.public:
            return gr.skip()
        if row and row.download:
            backend, name = row.download.backend.id, row.download.model
        else:
            offer = await find_offer(self.monitor, backend, model, keyring)
            if offer is None or not offer.download_size:
                return gr.skip()
            name = model
        return self.fetch(keyring, backend, name, model)

    def fetch(self, keyring: Keyring, backend: str, model: str, chosen: str) -> Updates:
        """Begin a download, or join one that another page began, and show it in the row."""
        connection = keyring.connection(backend)
        download = self.services.downloads.start(REGISTRY[backend], model, connection)
        return self.show_download(keyring, download, chosen)

    def show_download(self, keyring: Keyring, download: Download, chosen: str) -> Updates:
        """Show a download until it ends; from then on its model is chosen.

        It goes on if the page is closed. `chosen` is the model that is chosen meanwhile: if it is
        the one that is fetched, no other can be chosen before that has ended.
        """
        pane, row = self.pane, self._rows.get(keyring)
        if not (row and row.busy and row.download is download):  # else it is shown and watched
            self._set_row(keyring, row := _Row(chosen, download))
        free = chosen != download.model
        return {
            pane.backend: gr.Dropdown(interactive=free),
            pane.model: gr.Dropdown(interactive=free),
            **self._draw(keyring, row),
        }

    async def watch(self, keyring: Keyring) -> AsyncGenerator[Updates, None]:
        """Show how far the download of this side is, until it has ended or is not shown."""
        row = self._rows.get(keyring)
        if row and row.download:
            async with aclosing(row.download.steps()) as steps:
                async for _ in steps:
                    if self._rows.get(keyring) is not row:
                        break  # Cancel has drawn the row
                    yield self._draw(keyring, row)
        # At its end Gradio draws what was yielded last once more, and emptiness if nothing was.
        yield gr.skip()

    async def on_download_end(self, keyring: Keyring) -> Updates:
        """Choose the model that came, or say why it did not."""
        row, pane = self._rows.get(keyring), self.pane
        if row is None or not row.busy or row.download is None or not row.download.ended:
            return gr.skip()
        download = row.download
        self.monitor.invalidate(download.backend, keyring)
        why = "It was cancelled on another page." if download.cancelled else download.error
        if why:
            self._set_row(keyring, row := _Row(row.chosen, download, str(why)))  # for Try again
            return {
                pane.backend: gr.Dropdown(interactive=True),
                pane.model: gr.Dropdown(interactive=True),
                **self._draw(keyring, row),
            }
        self._set_row(keyring, None)
        backend, model = download.backend.id, download.model
        if row.chosen != model:
            self._came[keyring] = (backend, model)
        health = await self._health(keyring, backend)
        return {
            pane.backend: gr.Dropdown(value=backend, interactive=True),
            pane.model: _dropdown(
                _choices(health, model, keyring.locale),
                keyring.locale,
                value=model,
                interactive=True,
            ),
            **self._row_updates(keyring, health, model),
        }


def gathered_choices(pickers: Sequence[Pickers], *states: gr.State) -> Gathered:
    """The backends and models of some panes, as one input of events."""
    chosen = [one for picker in pickers for one in (picker.pane.backend, picker.pane.model)]
    return Gathered(chosen, *states)


def choices_in(values: Values, pickers: Sequence[Pickers]) -> list[tuple[str, str]]:
    """Backend and model of each pane in an event's values; empty where nothing is chosen yet."""

    def chosen(picker: gr.Dropdown) -> str:
        return one if isinstance(one := values[picker], str) else ""

    return [(chosen(one.pane.backend), chosen(one.pane.model)) for one in pickers]


def _choices(health: BackendHealth | None, model: str, locale: str) -> list[tuple[str, str]]:
    """Return a backend's models as choices, and the selected one even if it is not listed."""
    choices = model_choices(health, locale) if health else []
    if model and model not in [value for _, value in choices]:
        late = health and not health.offers and not health.backend.accepts_custom_models
        choices.append((health.backend.spec_of(model).label if health and late else model, model))
    return choices


def _dropdown(choices: list[tuple[str, str]], locale: str, **rest: Any) -> gr.Dropdown:
    """Update a dropdown's choices, even while its list is open.

    Gradio's open list fails if it becomes shorter: it renders its old rows once more, with choices
    that no longer exist. Properties reach the page one after the other, in the order of these
    arguments: so the number of rows, at least one, comes before the choices.
    """
    rows: list[Any] = choices or [(say(NONE_LISTED, locale=locale), None)]
    return gr.Dropdown(num_choices_shown=len(rows), choices=rows, **rest)


def _progress_html(label: str, step: Progress) -> str:
    percent = round((step.fraction or 0) * 100)
    text = Sentence(
        "Downloading {label}: {done:percent}", label=label, done=min(1.0, step.fraction or 0)
    )
    if step.detail:
        text = Sentence("{text} · {detail}", text=text, detail=Sentence.of(step.detail))
    bar = (
        f'<span class="bar" role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></span>'
    )
    return f'<p class="state" data-state="busy">{told(text)}{bar}</p>'


def _failure_html(label: str, why: str) -> str:
    named = Sentence.of(why)
    if label not in why:
        named = Sentence("{label}: {why}", label=label, why=named)
    return (
        f'<p class="state" data-state="failed" role="alert">'
        f'<b><i aria-hidden="true"></i>{told("Not downloaded")}</b> {told(named)}</p>'
    )
