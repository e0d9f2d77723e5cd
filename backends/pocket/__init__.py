"""The built-in demonstration models: they answer in the first second, with nothing to download."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .._core.backend import Health, Offer, Status, register
from .._core.catalog import MODELS, ModelSpec
from .._core.types import Connection, GenerationParams
from .._local.checkpoints import CheckpointBackend
from .._local.host import LocalModel

MOST_CROPS = 4
_MODELS = Path(__file__).parent / "models"
_SPECS = tuple(spec for spec in MODELS.values() if spec.family == "Pocket")


_ENGINES = {
    "phi3": ("backends._local.onnx_text", "onnx", "onnx/model.onnx.data"),
    "phi3_v": ("backends._local.onnx_vision", "", "model.safetensors"),
    "phimoe": ("backends._local.onnx_moe", "", "model.safetensors"),
}
"""By architecture: the engine, the folder that it reads below the model's own, and its weights."""


@register
class Pocket(CheckpointBackend):
    """The Pocket models, whose weights come with the program: one lesson each and little else.

    Not Microsoft models, but whole ones: with real weights, a real tokenizer and the architectures
    of Phi. They run in ONNX Runtime, each in a process of its own.
    """

    id: ClassVar[str] = "pocket"
    label: ClassVar[str] = "Pocket (built in)"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime_genai", "onnxruntime", "tokenizers")
    install: ClassVar[str] = "pip install onnxruntime-genai onnxruntime tokenizers"
    reports_routing: ClassVar[bool] = True
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
        """See `LocalBackend.local_model`."""
        spec = self.spec(model)
        engine, folder, _ = _ENGINES[spec.architecture or ""]
        options = {"folder": str(_MODELS / spec.key / folder)}
        return LocalModel(f"{self.id}:{spec.key}", spec.label, engine, options)

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`: at most as many as Pocket-Vision was taught to look at."""
        sees = self.spec(model).architecture == "phi3_v"
        return min(params.num_crops or MOST_CROPS, MOST_CROPS) if sees else None

    def snippet_source(self, spec: ModelSpec) -> tuple[str, str]:
        """Its folder as seen from the folder of this program."""
        return (
            f"backends/pocket/models/{spec.key}",
            "Run it in the folder of Phi Playground, where this model is.",
        )

    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """The folder beside this file that holds the model."""
        _, _, weights = _ENGINES[spec.architecture or ""]
        folder = _MODELS / spec.key
        return folder if (folder / weights).is_file() else None

    def offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands: here or not. It fits into any memory, and is never downloaded."""
        status = Status("ready", "On this machine.", "ready_local")
        if not self.checkpoint(spec):
            status = self.no_weights
        elif spec.architecture != "phi3" and _is_intel_mac():
            status = Status(
                "not installed", "There is no new enough ONNX Runtime for Intel Macs.", "no_build"
            )
        return Offer(self.model_id(spec), spec, status)


def _is_intel_mac() -> bool:
    return (sys.platform, platform.machine()) == ("darwin", "x86_64")
