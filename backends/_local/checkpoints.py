"""What the backends share whose models are checkpoints of the catalog, in folders of their own."""

import asyncio
import sys
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.backend import Health, Offer, count_pictures
from .._core.catalog import ModelSpec
from .._core.errors import BackendError, ModelNotFoundError
from .._core.sentence import Sentence
from .._core.types import Connection, GenerationParams, Message
from .._core.unicode import clean
from .._snippets import Source, render
from . import torch_model, vision
from .backend import LocalBackend, look
from .chat_text import has_system_slot
from .machine import free_memory, has_gpu, has_native_bf16
from .snippet import snippet_context

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PORT = (
    "Run it in the folder of Phi Playground: backends/_local/phi3_vision is what runs this model "
    "on today's Transformers."
)


class CheckpointBackend(LocalBackend):
    """A backend with models of the catalog, each a checkpoint as Transformers reads them.

    A model's program is one with Transformers' own `generate`, whatever engine runs it here.
    """

    @abstractmethod
    def specs(self) -> Sequence[ModelSpec]:
        """The catalog's models that it offers."""

    @abstractmethod
    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """The folder with the model's config, tokenizer and weights; `None` if it is not here."""

    @abstractmethod
    def offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands, where the packages are installed."""

    @abstractmethod
    def snippet_source(self, spec: ModelSpec) -> tuple[str, str]:
        """The name or folder that a program loads a model by, and a note about it."""

    def model_id(self, spec: ModelSpec) -> str:
        """Its id for a model: what `stream` takes."""
        return spec.hub_id or spec.key

    def accelerate(self, spec: ModelSpec) -> str | None:
        """The command that installs what lays a model over several devices, if it has to be."""
        return None

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the packages and at least one model are here; see `Backend.check`."""
        return await look(self.check_files)

    def check_files(self) -> Health:
        """The same, blocking."""
        return self.health([self.offer(spec) for spec in self.specs()])

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Tokens of `text`, by the model's own tokenizer; `None` if its file is not here."""
        folder = await asyncio.to_thread(self.checkpoint, self.spec(model))
        if folder is None or not (file := folder / "tokenizer.json").is_file():
            return None
        return await asyncio.to_thread(
            lambda: len(_tokenizer(file).encode(clean(text), add_special_tokens=False))
        )

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`."""
        return vision.crops_by(self.spec(model), params, pictures)

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with Transformers' own `generate`; see `Backend.snippet`."""
        try:
            spec = self.spec(model)
            folder = self.checkpoint(spec)
            context = snippet_context(
                messages, params, system_slot=folder is None or has_system_slot(folder)
            )
        except BackendError:
            return None
        name, note = self.snippet_source(spec)
        sees = spec.architecture == "phi3_v"
        return render(
            "transformers",
            title=f"{spec.label} · {self.label}",
            install="pip install torch transformers",
            notes=[note, _PORT] if sees and spec.hub_id else [note],
            name=name,
            dtype=_snippet_dtype(spec),
            accelerate=self.accelerate(spec),
            sees=sees,
            num_crops=self.crops(model, params, count_pictures(messages)),
            **context,
        )

    def spec(self, model: str) -> ModelSpec:
        """One of its models by its id. Raises `ModelNotFoundError`."""
        for spec in self.specs():
            if self.model_id(spec) == model:
                return spec
        raise ModelNotFoundError(
            Sentence("{label} has no model called {model}.", label=self.label, model=model),
            "Choose another one.",
            model=model,
        )


def _snippet_dtype(spec: ModelSpec) -> str:
    """The number format of the page's own answers, as a snippet says it: see `best_dtype`."""
    if has_gpu() or sys.platform == "darwin":
        return "auto"
    wide = not has_native_bf16() and spec.parameters * 4 < free_memory()
    return Source("torch.float32") if wide or spec.parameters < torch_model.SMALL else "auto"


@lru_cache(maxsize=8)
def _tokenizer(file: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))
