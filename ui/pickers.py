"""What the pickers of a pane do: show a model's state, and fetch it once the visitor said yes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from html import escape
from typing import Any

import gradio as gr

from backends import REGISTRY, BackendError
from playground.limits import Limits

from .pane import Pane
from .status import find_offer, model_choices, state_html

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

Updates = dict[Any, Any]


class Pickers:
    """The pickers of one pane and the download behind them."""

    def __init__(self, pane: Pane, limits: Limits) -> None:
        self.pane, self.limits = pane, limits
        picked = [pane.backend, pane.model]
        self.outputs = [pane.model, pane.state, pane.download, pane.confirm, pane.cancel]
        pane.backend.input(self.backend_picked, pane.backend, self.outputs, queue=False, **PRIVATE)
        pane.model.change(self.show_state, picked, self.outputs, queue=False, **PRIVATE)
        pane.download.click(self.ask_first, picked, self.outputs, queue=False, **PRIVATE)
        fetching = pane.confirm.click(
            self.fetch, picked, [pane.state, pane.confirm, pane.cancel, pane.download],
            concurrency_limit=None, **PRIVATE,
        )  # fmt: skip
        fetching.then(self.refresh, picked, self.outputs, queue=False, **PRIVATE)
        pane.cancel.click(
            self.refresh, picked, self.outputs, cancels=fetching, queue=False, **PRIVATE
        )

    async def prepare(self, backend: str, model: str) -> None:
        """A question is being typed: the model may get ready. What fails is said when asked."""
        if backend in REGISTRY and self.limits.allows(REGISTRY[backend]):
            with suppress(BackendError):
                await REGISTRY[backend].prepare(model)

    async def backend_picked(self, backend: str) -> Updates:
        """Another backend: offer its models, the first one that is ready chosen."""
        choices = await model_choices(backend)
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
            self.pane.model: gr.Dropdown(choices=await model_choices(backend)),
            **await self.show_state(backend, model),
        }

    async def ask_first(self, backend: str, model: str) -> Updates:
        """Nothing is fetched before the visitor has seen how much it is."""
        offer = await find_offer(backend, model)
        if offer is None or not offer.download_size or self.limits.public:
            return {}
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
        busy = {
            self.pane.confirm: gr.Button(visible=False),
            self.pane.cancel: gr.Button(visible=True),
        }
        try:
            async with aclosing(REGISTRY[backend].download(model)) as steps:
                async for step in steps:
                    percent = round((step.fraction or 0) * 100)
                    text = escape(f"Downloading {offer.spec.label}: {percent} % {step.detail}")
                    bar = f'<span class="bar"><i style="width:{percent}%"></i></span>'
                    yield {
                        self.pane.state: f'<p class="state" data-state="busy">{text}{bar}</p>',
                        **busy,
                    }
                    busy = {}
        except BackendError as error:
            gr.Warning(str(error), title="Download")
