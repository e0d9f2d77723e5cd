"""PyTorch on this machine, through Hugging Face Transformers and a decode loop of our own."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ._core.backend import Health, Offer, Status, count_pictures, register
from ._core.catalog import MODELS, Modality, ModelSpec
from ._core.errors import BackendError, MissingDependencyError, ModelNotFoundError
from ._core.types import Connection, GenerationParams, Message, Progress
from ._core.unicode import clean
from ._local import download, torch_engine, torch_model, vision, weights
from ._local.backend import LocalBackend, look
from ._local.chat_text import has_system_slot
from ._local.host import LocalModel
from ._local.machine import free_memory, gigabytes, has_gpu, has_native_bf16, total_memory
from ._local.placement import ACCELERATE, ModelSize, Placement, gpu_memory, place
from ._local.snippet import snippet_context
from ._snippets import Source, render

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_NATIVE = tuple(
    spec for spec in MODELS.values() if spec.hub_id and spec.architecture in torch_engine.CLASSES
)

_PORT = (
    "Run it in the folder of Phi Playground: backends/_local/phi3_vision is what runs this model "
    "on today's Transformers."
)


@register
class Transformers(LocalBackend):
    """The Phi models in PyTorch, mixture of experts too: exact, and open to inspection."""

    id: ClassVar[str] = "transformers"
    label: ClassVar[str] = "Transformers"
    requires: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    install: ClassVar[str] = "pip install torch transformers"
    downloads_from: ClassVar[str] = "the Hugging Face Hub"
    reports_routing: ClassVar[bool] = True
    no_weights: ClassVar[Status] = Status(
        "not installed",
        "None of its models is on this machine yet. Choose one to download it.",
        "no_weights",
    )
    """How it is where none of its models is."""

    def specs(self) -> Sequence[ModelSpec]:
        """The catalog's models that it offers."""
        return _NATIVE

    def model_id(self, spec: ModelSpec) -> str:
        """Its id for a model: what `stream` takes."""
        return spec.hub_id or spec.key

    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """The folder with the model's config, tokenizer and weights; `None` if it is not here."""
        return weights.find(spec.hub_id) if spec.hub_id else None

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the packages and at least one model are here; see `Backend.check`."""
        return await look(self.check_files)

    def check_files(self) -> Health:
        """The same, blocking: without the packages no model is ready, wherever its files are."""
        offers = [self._offer(spec) for spec in self.specs()]
        if without := self.without_packages():
            return Health(
                without, [replace(one, status=without, download_size=None) for one in offers]
            )
        offers.sort(key=lambda offer: not offer.status.ready)
        here = Status("ready", "Runs on this machine.", "ready_local")
        return Health(here if offers[0].status.ready else self.no_weights, offers)

    def local_model(self, model: str) -> LocalModel:
        """A model as its worker loads it; see `LocalBackend.local_model`."""
        spec = self._spec(model)
        if (folder := self.checkpoint(spec)) is None:
            raise MissingDependencyError(
                f"{spec.label} is not on this machine.",
                f"Download it first (about {gigabytes(spec.weights_size)}), "
                "or choose another model.",
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

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Tokens of `text`, by the model's own tokenizer; `None` if its file is not here."""
        folder = await asyncio.to_thread(self.checkpoint, self._spec(model))
        if folder is None or not (file := folder / "tokenizer.json").is_file():
            return None
        return await asyncio.to_thread(
            lambda: len(_tokenizer(file).encode(clean(text), add_special_tokens=False))
        )

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`: as the visitor says, else 16 for one picture and 4 for several."""
        sees = self._spec(model).architecture == "phi3_v"
        return vision.crops_of(params, pictures) if sees else None

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with Transformers' own `generate`; see `Backend.snippet`."""
        try:
            spec = self._spec(model)
            folder = self.checkpoint(spec)
            context = snippet_context(
                messages, params, system_slot=folder is None or has_system_slot(folder)
            )
        except BackendError:
            return None
        name, note = self.snippet_source(spec)
        sees, placement = spec.architecture == "phi3_v", self._placement(spec)
        return render(
            "transformers",
            title=f"{spec.label} · {self.label}",
            install=self.install,
            notes=[note, _PORT] if sees and spec.hub_id else [note],
            name=name,
            dtype=_snippet_dtype(spec),
            accelerate=ACCELERATE if placement and placement.uses_device_map else None,
            sees=sees,
            num_crops=self.crops(model, params, count_pictures(messages)),
            **context,
        )

    def snippet_source(self, spec: ModelSpec) -> tuple[str, str]:
        """The name or folder that a snippet loads a model by, and a note about it."""
        size = gigabytes(spec.weights_size)
        return self.model_id(spec), f"The model is a download of {size}, once."

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a model into the Hugging Face cache; see `Backend.download`."""
        spec = self._spec(model)
        if spec.hub_id is None or await asyncio.to_thread(self.checkpoint, spec):
            return
        async with aclosing(download.download(spec.hub_id, spec.label)) as steps:
            async for step in steps:
                yield step

    def _spec(self, model: str) -> ModelSpec:
        for spec in self.specs():
            if self.model_id(spec) == model:
                return spec
        raise ModelNotFoundError(
            f"{self.label} has no model called {model}.", "Choose another one.", model=model
        )

    def _offer(self, spec: ModelSpec) -> Offer:
        """A model as it stands: here or not, and whether this machine's memory can hold it."""
        folder = self.checkpoint(spec)
        size = None if folder else spec.weights_size
        placement = self._placement(spec)
        if placement is None:
            need, memory, gpus = self._least_memory(spec), total_memory(), gpu_memory()
            has = [gigabytes(memory), *(f"a GPU of {gigabytes(gpu)}" for gpu in gpus)]
            status = Status(
                "unreachable",
                f"Too large for this machine: needs {gigabytes(need)} of memory, "
                f"it has {' and '.join(has)}.{_instead(spec)}",
                "too_large",
                {"need": need, "total": memory, "gpus": gpus},
            )
        elif placement.uses_device_map and not find_spec("accelerate"):
            status = Status(
                "not installed",
                f"{placement.description} That needs Accelerate. Install it with: {ACCELERATE}",
                "missing_dependency",
                {"install": ACCELERATE},
            )
        elif folder:
            status = Status(
                "ready",
                f"On this machine. {placement.description}".strip(),
                "ready_local",
                {"uses_device_map": placement.uses_device_map},
            )
        else:
            download = f"Not on this machine yet: a download of about {gigabytes(size or 0)}."
            status = Status(
                "not installed",
                f"{download} {placement.description}".strip(),
                "not_downloaded",
                {"size": size},
            )
        return Offer(self.model_id(spec), spec, status, size)

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
        names = [*(spec.label for spec in reversed(largest)), "the built-in Pocket models"]
        return f"What fits: {' or '.join(names)}. Closing other programs helps too."


def _instead(spec: ModelSpec) -> str:
    """What does run of a kind of model that is too large here."""
    if not spec.is_mixture:
        return ""
    return (
        " Transformers cannot load it in 4 bits: the usual quantisers leave its experts as they "
        "are. A llama.cpp server can run a 4-bit file of it, but does not tell its routing. The "
        "built-in Pocket-MoE is of the same kind, and tells it."
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
