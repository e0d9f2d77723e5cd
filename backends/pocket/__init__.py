"""The built-in demonstration models: they answer in the first second, with nothing to download."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .._core.backend import Health, Offer, Status, register
from .._core.catalog import MODELS, ModelSpec
from .._core.types import Connection, GenerationParams
from .._local.host import LocalModel
from ..transformers import Transformers

MOST_CROPS = 4
_SPECS = tuple(spec for spec in MODELS.values() if spec.family == "Pocket")


@register
class Pocket(Transformers):
    """The Pocket models, whose weights come with the program: one lesson each and little else.

    Not Microsoft models. They go through the same code as the real Phi models: those of text in
    ONNX Runtime GenAI, int4, each in a process of its own, the others in PyTorch.
    """

    id: ClassVar[str] = "pocket"
    label: ClassVar[str] = "Pocket (built in)"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime_genai", "tokenizers")
    install: ClassVar[str] = "pip install onnxruntime-genai tokenizers"
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

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`: those of text run in ONNX Runtime GenAI."""
        spec = self._spec(model)
        if not _is_text(spec):
            Transformers.check_packages()
            return super().local_model(model)
        folder = Path(__file__).parent / "models" / spec.key / "onnx"
        options = {"folder": str(folder)}
        return LocalModel(f"pocket:{spec.key}", spec.label, "backends._local.onnx_text", options)

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
        weights = "onnx/model.onnx.data" if _is_text(spec) else "model.safetensors"
        return folder if (folder / weights).is_file() else None

    def _offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands: here or not. It fits into any memory, and is never downloaded."""
        here = self.checkpoint(spec) is not None
        ready = Status("ready", "On this machine.", "ready_local")
        kind = type(self) if _is_text(spec) else Transformers
        status = kind.without_packages() or (ready if here else self.no_weights)
        return Offer(self.model_id(spec), spec, status)

    def check_files(self) -> Health:
        """See `Transformers.check_files`: each model needs the packages of its own engine."""
        offers = sorted(map(self._offer, self.specs()), key=lambda offer: not offer.status.ready)
        ready = Status("ready", "Runs on this machine.", "ready_local")
        first = offers[0].status
        return Health(self.without_packages() or (ready if first.ready else first), offers)


def _is_text(spec: ModelSpec) -> bool:
    """Whether a model runs in ONNX Runtime GenAI: a dense one that reads text alone."""
    return spec.architecture == "phi3"
