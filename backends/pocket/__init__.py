"""The built-in demonstration models: they answer in the first second, with nothing to download."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .._core.backend import Health, Offer, Status, register
from .._core.catalog import MODELS, ModelSpec
from .._core.types import Connection, GenerationParams
from ..transformers import Transformers

MOST_CROPS = 4
_SPECS = tuple(spec for spec in MODELS.values() if spec.family == "Pocket")


@register
class Pocket(Transformers):
    """The Pocket models, whose weights come with the program: one lesson each and little else.

    Not Microsoft models. They go through the same code as the real Phi models.
    """

    id: ClassVar[str] = "pocket"
    label: ClassVar[str] = "Pocket (built in)"
    no_weights: ClassVar[Status] = Status(
        "not installed",
        "The files of the built-in models are missing: fetch Phi Playground again, with "
        "backends/pocket/models.",
        "no_weights",
    )

    def specs(self) -> Sequence[ModelSpec]:
        """The catalog's Pocket models."""
        return _SPECS

    async def check(self, connection: Connection | None = None) -> Health:
        """See `Backend.check`: it reads a few names of files, so it needs no thread."""
        return self.check_files()

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`: at most as many as Pocket-Vision was taught to look at."""
        sees = self._spec(model).architecture == "phi3_v"
        return min(params.num_crops or MOST_CROPS, MOST_CROPS) if sees else None

    def snippet_source(self, spec: ModelSpec) -> tuple[str, str]:
        """Its folder as seen from the folder of this program."""
        return (
            f"backends/pocket/models/{spec.key}",
            "Run it in the folder of Phi Playground, where this model is.",
        )

    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """The folder beside this file that holds the model."""
        folder = Path(__file__).parent / "models" / spec.key
        return folder if (folder / "model.safetensors").is_file() else None

    def _offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands: here or not. It fits into any memory, and is never downloaded."""
        here = self.checkpoint(spec) is not None
        ready = Status("ready", "On this machine.", "ready_local")
        return Offer(self.model_id(spec), spec, ready if here else self.no_weights)
