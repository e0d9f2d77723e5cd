"""PyTorch on this machine, through Hugging Face Transformers and a decode loop of our own."""

import asyncio
import os
import platform
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from ._core.backend import Offer, Status, register
from ._core.catalog import MODELS, Modality, ModelSpec
from ._core.errors import MissingDependencyError
from ._core.sentence import Sentence
from ._core.types import Connection, Progress
from ._local import download, torch_engine, weights
from ._local.checkpoints import CheckpointBackend
from ._local.host import LocalModel
from ._local.machine import gigabytes, has_gpu, total_memory
from ._local.placement import ACCELERATE, ModelSize, Placement, gpu_memory, place
from ._local.zerogpu import on_zerogpu

_NATIVE = tuple(
    spec for spec in MODELS.values() if spec.hub_id and spec.architecture in torch_engine.CLASSES
)

_NO_BUILD = {("win32", "ARM64"), ("darwin", "x86_64")}
"""Systems and machines for which PyTorch 2.13 has no wheel: Windows on ARM, Intel Macs."""


@register
class Transformers(CheckpointBackend):
    """The Phi models in PyTorch, mixture of experts too: exact, and open to inspection."""

    id: ClassVar[str] = "transformers"
    label: ClassVar[str] = "Transformers"
    requires: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    install: ClassVar[str] = (
        "make full" if sys.platform != "win32" else r".venv\Scripts\pip install -r requirements.txt"
    )
    install_size: ClassVar[float] = (
        (2.8e9 if has_gpu() else 0.6e9) if sys.platform == "linux" else 0.15e9
    )
    downloads_from: ClassVar[str] = "the Hugging Face Hub"
    reports_routing: ClassVar[bool] = True
    no_weights: ClassVar[Status] = Status(
        "not installed",
        "None of its models is on this machine yet. Choose one to download it.",
        "no_weights",
    )

    @classmethod
    def without_packages(cls) -> Status | None:
        """See `Backend.without_packages`; for some machines there are none to install."""
        if on_zerogpu():
            sentence = "Its models answer on this Space's GPU: choose ZeroGPU."
            return Status("not installed", sentence, "on_zerogpu")
        status = super().without_packages()
        if status is None or (sys.platform, platform.machine()) not in _NO_BUILD:
            return status
        return Status(
            "not installed",
            "There is no PyTorch for this kind of computer any more. ONNX Runtime, Ollama and "
            "servers run the same models."
            if sys.platform == "win32"
            else "There is no PyTorch for this kind of computer any more. Ollama and servers run "
            "the same models.",
            "no_build",
        )

    def specs(self) -> Sequence[ModelSpec]:
        """The catalog's models that it offers."""
        return _NATIVE

    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """The folder with the model's config, tokenizer and weights; `None` if it is not here."""
        return weights.find(spec.hub_id) if spec.hub_id else None

    def local_model(self, model: str) -> LocalModel:
        """A model as its worker loads it; see `LocalBackend.local_model`."""
        spec = self.spec(model)
        if (folder := self.checkpoint(spec)) is None:
            raise MissingDependencyError(
                Sentence("{label} is not on this machine.", label=spec.label),
                Sentence(
                    "Download it first (about {weights_size:bytes}), or choose another model.",
                    weights_size=spec.weights_size,
                ),
                model=model,
            )
        return LocalModel(
            f"{self.id}:{folder}",
            spec.label,
            "backends._local.torch_engine",
            {"folder": str(folder), "active_parameters": spec.active_parameters},
            process="GPU" if has_gpu() else "",
            hint=partial(self._fitting, spec.modalities),
        )

    def snippet_source(self, spec: ModelSpec) -> tuple[str, str]:
        """The name or folder that a snippet loads a model by, and a note about it."""
        size = gigabytes(spec.weights_size)
        return self.model_id(spec), f"The model is a download of {size}, once."

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a model into the Hugging Face cache; see `Backend.download`."""
        spec = self.spec(model)
        if spec.hub_id is None or await asyncio.to_thread(self.checkpoint, spec):
            return
        async with aclosing(download.download(spec.hub_id, spec.label)) as steps:
            async for step in steps:
                yield step

    def accelerate(self, spec: ModelSpec) -> str | None:
        """See `CheckpointBackend.accelerate`."""
        placement = self._placement(spec)
        return ACCELERATE if placement and placement.uses_device_map else None

    def offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands: here or not, and whether this machine's memory can hold it."""
        folder = self.checkpoint(spec)
        size = None if folder else spec.weights_size
        placement = self._placement(spec)
        if placement is None:
            need, memory, gpus = self._least_memory(spec), total_memory(), gpu_memory()
            status = Status(
                "unreachable",
                Sentence.chain(_too_large(need, memory, gpus), _instead(spec)),
                "too_large",
                {"need": need, "total": memory, "gpus": gpus},
            )
        elif placement.uses_device_map and not find_spec("accelerate"):
            status = Status(
                "not installed",
                Sentence(
                    "{description} That needs Accelerate. Install with “{install}”.",
                    description=Sentence.of(placement.description),
                    install=ACCELERATE,
                ),
                "missing_dependency",
                {"install": ACCELERATE},
            )
        elif folder:
            status = Status(
                "ready",
                Sentence.chain("On this machine.", placement.description),
                "ready_local",
                {"uses_device_map": placement.uses_device_map},
            )
        else:
            download = Sentence(
                "Not on this machine yet: a download of about {size:bytes}.", size=size or 0
            )
            status = Status(
                "not installed",
                Sentence.chain(download, placement.description),
                "not_downloaded",
                {"size": size},
            )
        revision = weights.revision_of(folder)
        return Offer(self.model_id(spec), spec, status, size, revision=revision)

    def _placement(self, spec: ModelSpec) -> Placement | None:
        """Where a model would go here, as far as can be told without torch."""
        gpus = gpu_memory()
        if has_gpu() and not gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
            return Placement("single_gpu", 1)  # nobody knows how large it is
        supports_device_map = torch_engine.CLASSES[spec.architecture or "phi3"].supports_device_map
        need, active = self._least_memory(spec), 2 * spec.active_parameters
        return place(
            ModelSize(need, active, supports_device_map=supports_device_map), gpus, total_memory()
        )

    def _least_memory(self, spec: ModelSpec) -> int:
        return int(spec.weights_size + torch_engine.OVERHEAD)

    def _fitting(self, modalities: tuple[Modality, ...], free: int) -> str:
        """Which models of a kind fit into so many bytes, in a sentence."""
        kind = [spec for spec in _NATIVE if spec.modalities == modalities]
        fitting = [spec for spec in kind if self._least_memory(spec) < free]
        largest = sorted(fitting, key=lambda spec: spec.parameters)[-2:]
        if not largest:
            return "What fits: the built-in Pocket models. Closing other programs helps too."
        return Sentence(
            "What fits: {names} or the built-in Pocket models. Closing other programs helps too.",
            names=", ".join(spec.label for spec in reversed(largest)),
        )


def _too_large(need: int, memory: int, gpus: Sequence[float]) -> Sentence:
    if not gpus:
        return Sentence(
            "Too large for this machine: needs {need:bytes} of memory, it has {total:bytes}.",
            need=need,
            total=memory,
        )
    return Sentence(
        "Too large for this machine: needs {need:bytes} of memory, it has {total:bytes}, and "
        "{n} GPUs of {gpus:bytes} together.",
        one="Too large for this machine: needs {need:bytes} of memory, it has {total:bytes}, and "
        "a GPU of {gpus:bytes}.",
        need=need,
        total=memory,
        gpus=sum(gpus),
        n=len(gpus),
    )


def _instead(spec: ModelSpec) -> str:
    """What does run of a kind of model that is too large here."""
    if not spec.is_mixture:
        return ""
    return (
        "Transformers cannot load it in 4 bits: the usual quantisers leave its experts as they "
        "are. llama.cpp can run a 4-bit file of it, but does not tell its routing. The "
        "built-in Pocket-MoE is of the same kind, and tells it."
    )
