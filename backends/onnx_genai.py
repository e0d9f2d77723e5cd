"""ONNX Runtime GenAI on this machine: Microsoft's own int4 builds of the Phi models."""

import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ._core.backend import CONTEXT_CAP, Health, Offer, Status, register
from ._core.catalog import MODELS, ModelSpec, known_model
from ._core.errors import BackendError, MissingDependencyError, ModelNotFoundError
from ._core.types import Connection, GenerationParams, Message, Progress
from ._local import onnx_pictures, onnx_providers, onnx_text, vision, weights
from ._local.backend import LocalBackend, look
from ._local.chat_text import has_system_slot
from ._local.download import ONNX, download, kept_size
from ._local.host import LocalModel
from ._local.machine import gigabytes, total_memory
from ._local.snippet import snippet_context
from ._snippets import render

_CONFIG = "genai_config.json"
_CPU = "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4"


@dataclass(frozen=True, slots=True)
class Build:
    """A model in a folder of a repository on the Hugging Face Hub."""

    key: str
    """Of the model in the catalog."""
    repository: str
    folder: str
    size: int
    """Bytes of a download, about (the Hub's listing, 2026-11-20)."""
    table: int = 32_064 * 3_072 * 4
    """Bytes of the embeddings, in float32 in all of them: one row of them is read for a token."""
    context: int | None = None
    """Tokens that prompt and answer may be, if that is less than the folder says."""
    engine: str = "onnx_text"
    """The module of `_local` that loads it."""
    gpu: bool = False
    """Whether it is made for a GPU; else it is for a CPU."""

    @property
    def model(self) -> str:
        """The backend's id for it."""
        return f"{self.repository}/gpu" if self.gpu else self.repository


BUILDS = (
    Build(
        "phi-3.5-mini",
        "microsoft/Phi-3.5-mini-instruct-onnx",
        "cpu_and_mobile/cpu-int4-awq-block-128-acc-level-4",
        2_780_000_000,
    ),
    Build("phi-3-mini-128k", "microsoft/Phi-3-mini-128k-instruct-onnx", _CPU, 2_720_000_000),
    # It can turn to nonsense beyond half of its context: microsoft/onnxruntime-genai#552.
    Build(
        "phi-3-mini-4k", "microsoft/Phi-3-mini-4k-instruct-onnx", _CPU, 2_700_000_000, context=2047
    ),
    # An estimate from its shape: 200,064 rows of 3,072 in float32, and its other 3.22 billion
    # weights and these rows once more in 4 bits, with a float32 for each 32 of them. The same
    # gives 2.72 GB for Phi-3-mini-128k, as listed.
    Build(
        "phi-4-mini",
        "microsoft/Phi-4-mini-instruct-onnx",
        _CPU,
        4_860_000_000,
        table=200_064 * 3_072 * 4,
    ),
    # Beside the embeddings, what sees is not read for a token: half a GB, by the two sizes listed.
    Build(
        "phi-3.5-vision",
        "microsoft/Phi-3.5-vision-instruct-onnx",
        _CPU,
        3_220_000_000,
        table=32_064 * 3_072 * 4 + 500_000_000,
        engine="onnx_pictures",
    ),
    # An estimate: of the same shape as Phi-3.5-vision.
    Build(
        "phi-3-vision",
        "microsoft/Phi-3-vision-128k-instruct-onnx",
        _CPU,
        3_220_000_000,
        table=32_064 * 3_072 * 4 + 500_000_000,
        engine="onnx_pictures",
    ),
)
"""What Microsoft publishes for a CPU."""
GPU_BUILDS = (
    Build(
        "phi-3.5-mini",
        "microsoft/Phi-3.5-mini-instruct-onnx",
        "gpu/gpu-int4-awq-block-128",
        2_300_000_000,
        gpu=True,
    ),
)
"""What it publishes for a GPU, offered where the library has a package for one."""


@register
class OnnxGenAI(LocalBackend):
    """The Phi models in int4, of text and with eyes, and any folder with a `genai_config.json`.

    Folders of one's own lie anywhere below `PHI_MODELS_DIR`. Each model has a process of its own.
    """

    id: ClassVar[str] = "onnx_genai"
    label: ClassVar[str] = "ONNX Runtime"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime_genai", "tokenizers")
    install: ClassVar[str] = "pip install onnxruntime-genai tokenizers"
    downloads_from: ClassVar[str] = "the Hugging Face Hub"

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the package and at least one model are here; see `Backend.check`."""
        return await look(self._check)

    def _check(self) -> Health:
        offers = [_offer(build, folder) for build in _builds() for folder in [_find(build)]]
        offers += [_own(name, folder) for name, folder in _own_folders()]
        if without := self.without_packages():
            return Health(without, [Offer(one.model, one.spec, without) for one in offers])
        offers.sort(key=lambda offer: not offer.status.ready)
        if offers[0].status.ready:
            return Health(Status("ready", "Runs on this machine.", "ready_local"), offers)
        sentence = "None of its models is on this machine yet. Choose one to download it."
        return Health(Status("not installed", sentence, "no_weights"), offers)

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        build = _build(model)
        folder = _find(build) if build else dict(_own_folders()).get(model)
        label = MODELS[build.key].label if build else known_model(model).label
        if folder is None and build:
            raise MissingDependencyError(
                f"{label} is not on this machine.",
                f"Download it first (about {gigabytes(build.size)}), or choose another model.",
                model=model,
            )
        if folder is None:
            raise ModelNotFoundError(
                f"ONNX Runtime has no model called {model}.", "Choose another one.", model=model
            )
        options = {"folder": str(folder), "context": build.context if build else None}
        if build and build.gpu:
            if not (gpu := _gpu()):
                raise MissingDependencyError(
                    f"{label} is built for a GPU, and ONNX Runtime has no package for one here.",
                    "Choose its build for a CPU.",
                )
            options["provider"] = gpu.name
        engine = build.engine if build else _engine(folder)
        return LocalModel(
            f"{self.id}:{folder}", label, f"backends._local.{engine}", options, hint=_hint
        )

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its repository, or its folder's name."""
        build = _build(model)
        return MODELS[build.key] if build else known_model(model)

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`: the library's own reader of pictures has one number for all."""
        build = _build(model)
        return onnx_pictures.CROPS if build and build.engine == "onnx_pictures" else None

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with the `onnxruntime_genai` package; see `Backend.snippet`."""
        build = _build(model)
        try:
            folder = _find(build) if build else None
            slot = folder is None or has_system_slot(folder)
            context = snippet_context(messages, params, system_slot=slot)
        except BackendError:
            return None
        images = context["image_files"]
        if any(name.endswith(".webp") for name in images):  # the library reads no such file
            return None
        notes: list[str] = []
        if build:
            fetch = f"hf download {build.repository} --include '{build.folder}/*' --local-dir ."
            notes = [f"Fetch it first: {fetch}"]
        knobs = context["knobs"]
        return render(
            "onnxruntime_genai",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=self.install.removesuffix(" tokenizers"),
            notes=notes,
            name=build.folder if build else model,
            most=build.context if build and build.context else CONTEXT_CAP,
            max_tokens=knobs.pop("max_new_tokens"),
            knobs=knobs,
            images=images,
            longest=vision.LONG_CONTEXT,
            **{name: context[name] for name in ("messages", "escaped", "pictures", "seed")},
        )

    def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a model's folder into the Hugging Face cache; see `Backend.download`."""
        build = _build(model)
        if build is None:
            raise ModelNotFoundError(f"{model} cannot be downloaded.", "Choose another one.")
        return download(build.repository, MODELS[build.key].label, build.folder, ONNX)


def _build(model: str) -> Build | None:
    return next((build for build in (*BUILDS, *GPU_BUILDS) if build.model == model), None)


def _builds() -> tuple[Build, ...]:
    """Those that this machine has the packages for."""
    return BUILDS + (GPU_BUILDS if _gpu() else ())


def _gpu() -> onnx_providers.Provider | None:
    """What a GPU can be used by here, if the library has a package for it."""
    return next((one for one in onnx_providers.installed() if one.kind == "gpu"), None)


def _find(build: Build) -> Path | None:
    """The folder of a build on this machine, if it is whole."""
    places = (place / build.folder for place in weights.places(build.repository))
    return next((folder for folder in places if onnx_text.is_complete(folder)), None)


def _own_folders() -> Iterator[tuple[str, Path]]:
    """Other folders below `PHI_MODELS_DIR`, each with its path from there."""
    if not (root := os.environ.get("PHI_MODELS_DIR")):
        return
    top = Path(root).expanduser()
    known = {folder for build in (*BUILDS, *GPU_BUILDS) if (folder := _find(build))}
    # At most as deep as a repository's own folders: the disk may be large.
    configs = (one for n in range(1, 5) for one in top.glob("/".join(["*"] * n + [_CONFIG])))
    for config in sorted(configs):
        if config.parent not in known and onnx_text.is_complete(config.parent):
            yield config.parent.relative_to(top).as_posix(), config.parent


def _engine(folder: Path) -> str:
    """The module that loads a folder of one's own."""
    return "onnx_pictures" if onnx_text.model_type(folder) == "phi3v" else "onnx_text"


def _hint(free: int) -> str:
    return "Close other programs, or choose a built-in Pocket model."


def _offer(build: Build, folder: Path | None) -> Offer:
    """One of Microsoft's builds as it stands: here or not, and whether memory can hold it."""
    spec, need = MODELS[build.key], build.size + _workspace(build)
    if need > total_memory():
        status = Status(
            "unreachable",
            f"Too large for this machine: needs {gigabytes(need)} of memory, it has "
            f"{gigabytes(total_memory())}.",
            "too_large",
            {"need": need, "total": total_memory()},
        )
    elif folder:
        status = Status("ready", f"On this machine, in int4{_processor(build)}.", "ready_local")
    else:
        size = f"a download of about {gigabytes(build.size)}"
        sentence = f"Not on this machine yet: {size}, in int4{_processor(build)}."
        status = Status("not installed", sentence, "not_downloaded", {"size": build.size})
    return Offer(
        build.model,
        spec,
        status,
        download_size=None if folder else build.size,
        kept_size=0 if folder else min(build.size, kept_size(build.repository)),
        memory=need,
        bytes_per_token=None if build.gpu else build.size - build.table,
    )


def _workspace(build: Build) -> int:
    """Bytes that it takes beside its weights for an answer of usual length."""
    sees = build.engine == "onnx_pictures"
    return onnx_pictures.WORKSPACE if sees else onnx_text.WORKSPACE


def _processor(build: Build) -> str:
    """What a status says of the processor that a build is for, if it is not the usual one."""
    gpu = _gpu() if build.gpu else None
    return f", for {gpu.label}: not tried by us" if gpu else ""


def _own(name: str, folder: Path) -> Offer:
    """A model in a folder of one's own."""
    status = Status("ready", f"On this machine: {folder}", "ready_local")
    return Offer(name, known_model(name), status)
