"""What the pickers of a pane do: show a model's state, and fetch it once the visitor said yes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from html import escape
from typing import ClassVar

import gradio as gr

from backends import REGISTRY, BackendError, Offer, Progress
from playground.limits import Limits

from .events import PRIVATE, Updates
from .pane import Pane
from .status import find_offer, model_choices, state_html


class Pickers:
    """The pickers of one pane and the download behind them."""

    _preparing: ClassVar[set[tuple[str, str]]] = set()
    """What is getting ready, for whomever: once is enough."""

    def __init__(self, pane: Pane, limits: Limits) -> None:
        self.pane, self.limits = pane, limits
        picked = [pane.backend, pane.model]
        self.outputs = [*picked, pane.state, pane.download, pane.confirm, pane.cancel]
        pane.backend.input(self.backend_picked, picked, self.outputs, queue=False, **PRIVATE)
        pane.model.change(self.show_state, picked, self.outputs, queue=False, **PRIVATE)
        pane.download.click(self.ask_first, picked, self.outputs, queue=False, **PRIVATE)
        fetching = pane.confirm.click(
            self.fetch, picked, self.outputs,
            concurrency_limit=None, **PRIVATE,
        )  # fmt: skip
        fetching.then(self.refresh, picked, self.outputs, queue=False, **PRIVATE)
        pane.cancel.click(
            self.refresh, picked, self.outputs, cancels=fetching, queue=False, **PRIVATE
        )

    async def prepare(self, backend: str, model: str) -> None:
        """A question is being typed: the model may get ready. What fails is said when asked."""
        which = (backend, model)
        if self.limits.public or backend not in REGISTRY or which in self._preparing:
            return
        self._preparing.add(which)
        try:
            with suppress(BackendError):
                await REGISTRY[backend].prepare(model)
        finally:
            self._preparing.discard(which)

    async def backend_picked(self, backend: str, model: str) -> Updates:
        """Another backend: offer its models, the first one that is ready chosen.

        Tab leaves the list as if the same backend had been chosen again: then the model stays.
        """
        choices = await model_choices(backend)
        if model not in [value for _, value in choices]:
            model = choices[0][1] if choices else ""
        return {
            self.pane.model: gr.Dropdown(choices=choices, value=model),
            **await self.show_state(backend, model),
        }

    async def show_state(self, backend: str, model: str) -> Updates:
        """The chosen model's state, and a way to get it if it is not here."""
        offer = await find_offer(backend, model or "")
        fetchable = bool(offer and offer.download_size) and not self.limits.public
        return {
            self.pane.state: state_html(offer),
            self.pane.download: gr.Button(visible=fetchable),
            self.pane.confirm: gr.Button(visible=False),
            self.pane.cancel: gr.Button(visible=False),
        }

    async def refresh(self, backend: str, model: str) -> Updates:
        """The same after a download: the model's name in the list changes too."""
        return {
            self.pane.backend: gr.Dropdown(interactive=True),
            self.pane.model: gr.Dropdown(choices=await model_choices(backend), interactive=True),
            **await self.show_state(backend, model),
        }

    async def ask_first(self, backend: str, model: str) -> Updates:
        """Nothing is fetched before the visitor has seen how much it is."""
        offer = await find_offer(backend, model)
        if offer is None or not offer.download_size or self.limits.public:
            return gr.skip()
        size = f"{offer.download_size / 1e9:.1f} GB"
        free = offer.status.values.get("free_disk")
        room = f" {free / 1e9:.0f} GB are free on this disk." if isinstance(free, int) else ""
        question = f"Download {offer.spec.label}? {size} from the Hugging Face Hub.{room}"
        return {
            self.pane.state: f'<p class="state" data-state="ask"><b>{escape(question)}</b></p>',
            self.pane.download: gr.Button(visible=False),
            self.pane.confirm: gr.Button(visible=True),
            self.pane.cancel: gr.Button(visible=True),
        }

    async def fetch(self, backend: str, model: str) -> AsyncGenerator[Updates, None]:
        """Fetch the model's files; Cancel closes this, and the next try goes on from there."""
        offer = await find_offer(backend, model)
        if offer is None or self.limits.public:
            return
        # Another model may be chosen only when this one is here, or given up.
        yield {
            self.pane.backend: gr.Dropdown(interactive=False),
            self.pane.model: gr.Dropdown(interactive=False),
            self.pane.confirm: gr.Button(visible=False),
            self.pane.cancel: gr.Button(visible=True),
            self.pane.state: _downloading(offer, Progress("downloading")),
        }
        try:
            async with aclosing(REGISTRY[backend].download(model)) as steps:
                async for step in steps:
                    yield {self.pane.state: _downloading(offer, step)}
        except BackendError as error:
            gr.Warning(str(error), title="Download")


def _downloading(offer: Offer, step: Progress) -> str:
    percent = round((step.fraction or 0) * 100)
    text = escape(f"Downloading {offer.spec.label}: {percent} % {step.detail}")
    bar = f'<span class="bar"><i style="width:{percent}%"></i></span>'
    return f'<p class="state" data-state="busy">{text}{bar}</p>'
