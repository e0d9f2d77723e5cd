"""ONNX Runtime GenAI on this machine: Microsoft's own int4 builds of the Phi models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ._core.backend import CONTEXT_CAP, Offer, register
from ._core.errors import MissingDependencyError
from ._core.sentence import Sentence
from ._core.types import Connection, GenerationParams, Message
from ._local import onnx_pictures, onnx_providers, onnx_text, vision
from ._local.builds import Build, BuildBackend, closing_helps, program_context
from ._local.download import ONNX
from ._local.host import LocalModel
from ._snippets import render

_CPU = "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4"


@dataclass(frozen=True, slots=True)
class OnnxBuild(Build):
    """A folder of one of Microsoft's repositories. Sizes: the Hub's listing, 2026-11-20."""

    table: int = 32_064 * 3_072 * 4
    """The embeddings, in float32 in all of them."""
    engine: str = "onnx_text"
    """The module of `_local` that loads it."""
    gpu: bool = False
    """Whether it is made for a GPU; else it is for a CPU."""

    @property
    def model(self) -> str:
        """See `Build.model`."""
        return f"{self.repository}/gpu" if self.gpu else self.repository


BUILDS = (
    OnnxBuild(
        "phi-3.5-mini",
        "microsoft/Phi-3.5-mini-instruct-onnx",
        2_780_000_000,
        "cpu_and_mobile/cpu-int4-awq-block-128-acc-level-4",
    ),
    OnnxBuild("phi-3-mini-128k", "microsoft/Phi-3-mini-128k-instruct-onnx", 2_720_000_000, _CPU),
    # It can turn to nonsense beyond half of its context: microsoft/onnxruntime-genai#552.
    OnnxBuild(
        "phi-3-mini-4k", "microsoft/Phi-3-mini-4k-instruct-onnx", 2_700_000_000, _CPU, context=2047
    ),
    # An estimate from its shape: 200,064 rows of 3,072 in float32, and its other 3.22 billion
    # weights and these rows once more in 4 bits, with a float32 for each 32 of them. The same
    # gives 2.72 GB for Phi-3-mini-128k, as listed.
    OnnxBuild(
        "phi-4-mini",
        "microsoft/Phi-4-mini-instruct-onnx",
        4_860_000_000,
        _CPU,
        table=200_064 * 3_072 * 4,
    ),
    # Beside the embeddings, what sees is not read for a token: half a GB, by the two sizes listed.
    OnnxBuild(
        "phi-3.5-vision",
        "microsoft/Phi-3.5-vision-instruct-onnx",
        3_220_000_000,
        _CPU,
        table=32_064 * 3_072 * 4 + 500_000_000,
        engine="onnx_pictures",
    ),
    # An estimate: of the same shape as Phi-3.5-vision.
    OnnxBuild(
        "phi-3-vision",
        "microsoft/Phi-3-vision-128k-instruct-onnx",
        3_220_000_000,
        _CPU,
        table=32_064 * 3_072 * 4 + 500_000_000,
        engine="onnx_pictures",
    ),
)
"""What Microsoft publishes for a CPU."""
GPU_BUILDS = (
    OnnxBuild(
        "phi-3.5-mini",
        "microsoft/Phi-3.5-mini-instruct-onnx",
        2_300_000_000,
        "gpu/gpu-int4-awq-block-128",
        gpu=True,
    ),
)
"""What it publishes for a GPU, offered where the library has a package for one."""


@register
class OnnxGenAI(BuildBackend[OnnxBuild]):
    """The Phi models in int4, of text and with eyes, and any folder with a `genai_config.json`.

    Folders of one's own lie anywhere below `PHI_MODELS_DIR`. Each model has a process of its own.
    """

    id: ClassVar[str] = "onnx_genai"
    label: ClassVar[str] = "ONNX Runtime"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime_genai", "tokenizers")
    install: ClassVar[str] = "pip install onnxruntime-genai tokenizers"
    kinds: ClassVar[Sequence[str]] = ONNX
    mark: ClassVar[str] = "genai_config.json"

    def builds(self) -> Sequence[OnnxBuild]:
        """See `BuildBackend.builds`."""
        return (*BUILDS, *GPU_BUILDS)

    def is_complete(self, folder: Path) -> bool:
        """See `BuildBackend.is_complete`."""
        return onnx_text.is_complete(folder)

    def workspace(self, build: OnnxBuild) -> int:
        """See `BuildBackend.workspace`."""
        sees = build.engine == "onnx_pictures"
        return onnx_pictures.WORKSPACE if sees else onnx_text.WORKSPACE

    def is_offered(self, build: OnnxBuild) -> bool:
        """Whether this machine has the packages for a build."""
        return not build.gpu or _gpu() is not None

    def processor(self, build: OnnxBuild) -> str:
        """See `BuildBackend.processor`."""
        gpu = _gpu() if build.gpu else None
        return Sentence(gpu.label) if gpu else ""

    def offer(self, build: OnnxBuild, folder: Path | None) -> Offer:
        """See `BuildBackend.offer`; nobody knows how fast a GPU reads."""
        offer = super().offer(build, folder)
        return replace(offer, bytes_per_token=None) if build.gpu else offer

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        build, label, folder = self.locate(model)
        options = {"folder": str(folder), "context": build.context if build else None}
        if build and build.gpu:
            if not (gpu := _gpu()):
                raise MissingDependencyError(
                    Sentence(
                        "{label} is built for a GPU, and ONNX Runtime has no package for one here.",
                        label=label,
                    ),
                    "Choose its build for a CPU.",
                )
            options["provider"] = gpu.name
        engine = build.engine if build else _engine(folder)
        return LocalModel(
            f"{self.id}:{folder}", label, f"backends._local.{engine}", options, hint=closing_helps
        )

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`: the library's own reader of pictures has one number for all."""
        build = self.build(model)
        return onnx_pictures.CROPS if build and build.engine == "onnx_pictures" else None

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with the `onnxruntime_genai` package; see `Backend.snippet`."""
        build = self.build(model)
        context = program_context(self.folder(model), messages, params)
        if context is None:
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


def _gpu() -> onnx_providers.Provider | None:
    """What a GPU can be used by here, if the library has a package for it."""
    return next((one for one in onnx_providers.installed() if one.kind == "gpu"), None)


def _engine(folder: Path) -> str:
    """The module that loads a folder of one's own."""
    return "onnx_pictures" if onnx_text.model_type(folder) == "phi3v" else "onnx_text"
