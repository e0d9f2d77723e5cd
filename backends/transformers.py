"""PyTorch on this machine, through Hugging Face Transformers and a decode loop of our own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ._core.backend import (
    CONTEXT_CAP,
    Backend,
    Health,
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
    register,
)
from ._core.catalog import MODELS, Modality, ModelSpec
from ._core.errors import BackendError, MissingDependencyError, ModelNotFoundError
from ._core.types import Chunk, Connection, GenerationParams, Message, Progress
from ._core.unicode import clean
from ._local import download, torch_model, torch_moe, torch_vision, weights
from ._local.chat_text import has_system_slot
from ._local.machine import LOOKS, free_memory, gigabytes, has_gpu, has_native_bf16, total_memory
from ._local.placement import ACCELERATE, ModelSize, Placement, gpu_memory, place
from ._local.pool import POOL, Plan
from ._local.seam import Steps
from ._local.snippet import snippet_context
from ._snippets import Source, render

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_OVERHEAD = 300e6
"""Bytes that torch and a forward pass take beside weights and cache."""

_CLASSES = {
    "phi3": torch_model.TorchModel,
    "phi3_v": torch_vision.VisionModel,
    "phimoe": torch_moe.MoeModel,
}
"""How each architecture is run: `phi3` and `phimoe` by Transformers' own code, `phi3_v` by code
here. Code from the Hub never runs."""

_NATIVE = tuple(spec for spec in MODELS.values() if spec.hub_id and spec.architecture in _CLASSES)

_PORT = (
    "Run it in the folder of Phi Playground: backends/_local/phi3_vision is what runs this model "
    "on today's Transformers."
)


@register
class Transformers(Backend):
    """The Phi models in PyTorch, mixture of experts too: exact, and open to inspection.

    Knobs left at `None` are `_text.DEFAULT_PARAMS`. The stop token counts as one of the answer's
    tokens. `Timings.prefill` and `.decode` are the device's time, without waits for others.
    """

    id: ClassVar[str] = "transformers"
    label: ClassVar[str] = "Transformers"
    kind: ClassVar[Kind] = "local"
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
        return await asyncio.get_running_loop().run_in_executor(LOOKS, self.check_files)

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

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation on this machine; see `Backend.stream`."""
        self.check_packages()
        spec = self._spec(model)
        check_pictures(spec, messages)
        pictures = count_pictures(messages)
        params = replace(params, num_crops=self.crops(model, params, pictures))
        answers = self._run(spec, lambda loaded: loaded.answer(messages, params))
        async with aclosing(answers) as steps:
            async for step in steps:
                yield step

    async def prepare(self, model: str) -> None:
        """Load the model, if it is not loaded yet."""
        self.check_packages()
        async with aclosing(self._run(self._spec(model), lambda _: _nothing())) as steps:
            async for _ in steps:
                pass

    async def _run(
        self, spec: ModelSpec, job: Callable[[torch_model.TorchModel], Steps]
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Run a job on a model's engine, which loads it first if it has to."""
        model = self.model_id(spec)
        folder = await asyncio.to_thread(self.checkpoint, spec)
        if folder is None:
            size = gigabytes(spec.weights_size)
            raise MissingDependencyError(
                f"{spec.label} is not on this machine.",
                f"Download it first (about {size}), or choose another model.",
                model=model,
            )
        key, plan = f"{self.id}:{model}", partial(self._plan, spec, folder)
        async with aclosing(POOL.stream(key, spec.label, plan, job)) as steps:
            async for step in steps:
                yield step

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
        return torch_vision.crops_of(params, pictures) if sees else None

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
        supports_device_map = _CLASSES[spec.architecture or "phi3"].supports_device_map
        need, active = self._least_memory(spec), 2 * spec.active_parameters
        return place(
            ModelSize(need, active, supports_device_map=supports_device_map), gpus, total_memory()
        )

    def _plan(self, spec: ModelSpec, folder: Path) -> Plan[torch_model.TorchModel]:
        """How to load a model: where, as what, and how much memory that takes."""
        try:
            parameters = weights.parameter_count(folder)
            config = json.loads((folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError, KeyError) as error:
            raise weights.damaged(spec.label, folder) from error
        kind = _CLASSES.get(config.get("model_type"), torch_model.TorchModel)
        tokens = min(CONTEXT_CAP, config.get("max_position_embeddings", CONTEXT_CAP))
        # The number format depends on where it goes, and where it goes on how wide its numbers are.
        need = parameters * 2 + torch_model.cache_bytes(config, tokens, 2) + _OVERHEAD
        active = 2 * spec.active_parameters
        sizes = ModelSize(need, active, config["num_hidden_layers"], kind.supports_device_map)
        placement, gpus = self._placed(sizes)
        device = torch_model.device_for(placement, gpus)
        dtype = torch_model.best_dtype(device, parameters)
        width = 4 if dtype == "float32" else 2
        per_answer = torch_model.cache_bytes(config, tokens, width)
        need = int(parameters * width + per_answer + _OVERHEAD)
        multi_device = placement if placement and placement.uses_device_map else None
        return Plan(
            device=device,
            need=need,
            # Where the GPUs are full of weights there is room for one answer.
            per_answer=need if multi_device else per_answer,
            free=partial(torch_model.free_over, device, multi_device),
            load=lambda report: kind.load(folder, spec.label, device, dtype, report, multi_device),
            hint=partial(self._fitting, spec.modalities),
        )

    def _placed(self, size: ModelSize) -> tuple[Placement | None, Sequence[int]]:
        """The placement of a model now, and the bytes of the GPUs by which that was decided.

        By what is free, unless models that this process has loaded could make room.
        """
        gpus = torch_model.gpus()
        free = [torch_model.free_on(f"cuda:{n}") for n in range(len(gpus))]
        now = place(size, free, free_memory())
        if now and len(POOL.loaded()) < 2:  # the other one is the one that is being loaded
            return now, free
        return place(size, gpus, total_memory()), gpus

    def _least_memory(self, spec: ModelSpec) -> int:
        return int(spec.weights_size + _OVERHEAD)

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


def _nothing() -> Steps:
    """An answer without a step."""
    yield from ()


@lru_cache(maxsize=8)
def _tokenizer(file: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))
