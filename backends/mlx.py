"""Apple's MLX on Macs with Apple's chips: the Phi models in 4 bits, on the chip's own GPU."""

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ._core.backend import Offer, Status, register
from ._core.sentence import Sentence
from ._core.types import Connection, GenerationParams, Message
from ._local import mlx_text
from ._local.builds import Build, BuildBackend, closing_helps, program_context
from ._local.download import SAFETENSORS
from ._local.host import LocalModel
from ._snippets import render

_PACKAGES = "mlx-lm==0.32.2 mlx==0.32.4{} transformers==5.23.0"
"""The versions that all of this was run with; mlx-lm reads tokenizers by Transformers."""


@dataclass(frozen=True, slots=True)
class MlxBuild(Build):
    """A repository of mlx-community: 4 bits in groups of 64, each with a scale and an offset."""

    has_long_factors: bool = True
    """Whether its positions are LongRoPE's."""


# Sizes: 4.5 bits for each parameter. That is an estimate, but for Phi-3-mini-4k, which the Hub
# lists with 2.15 GB; of the others it lists as many numbers as that makes (597 million for 3.8
# billion parameters in 4 bits, 6.54 billion for the mixture's 41.9).
BUILDS = (
    MlxBuild("phi-3.5-mini", "mlx-community/Phi-3.5-mini-instruct-4bit", 2_150_000_000),
    MlxBuild("phi-3-mini-128k", "mlx-community/Phi-3-mini-128k-instruct-4bit", 2_150_000_000),
    MlxBuild(
        "phi-3-mini-4k",
        "mlx-community/Phi-3-mini-4k-instruct-4bit",
        2_150_000_000,
        # It looks back at 2,047 tokens, and mlx-lm at all there are.
        context=2047,
        has_long_factors=False,
    ),
    MlxBuild("phi-4-mini", "mlx-community/Phi-4-mini-instruct-4bit", 2_160_000_000),
    MlxBuild("phi-3.5-moe", "mlx-community/Phi-3.5-MoE-instruct-4bit", 23_600_000_000),
)
"""What mlx-community publishes of the Phi models in 4 bits."""


@register
class Mlx(BuildBackend[MlxBuild]):
    """The Phi models in 4 bits on Apple's chips, and any checkpoint of a kind that mlx-lm knows.

    Folders of one's own lie anywhere below `PHI_MODELS_DIR`. Each model has a process of its own.
    On Linux it runs on the processor, slowly; for Windows and Intel Macs there is no mlx-lm.
    """

    id: ClassVar[str] = "mlx"
    label: ClassVar[str] = "MLX"
    requires: ClassVar[tuple[str, ...]] = ("mlx", "mlx_lm", "tokenizers")
    install: ClassVar[str] = "pip install " + _PACKAGES.format(
        " mlx-cpu==0.32.4" if sys.platform == "linux" else ""
    )
    kinds: ClassVar[Sequence[str]] = SAFETENSORS
    mark: ClassVar[str] = "config.json"
    precision: ClassVar[str] = "in 4 bits"

    @classmethod
    def without_packages(cls) -> Status | None:
        """See `Backend.without_packages`; for some machines there are none to install."""
        status = super().without_packages()
        if _is_apple_silicon():
            return status
        whom = "MLX is for Macs with Apple's chips."
        if sys.platform != "linux":
            sentence = Sentence.chain(whom, "Other backends run the same models.")
            return Status("not installed", sentence, "no_build")
        if status is None:
            return None
        slow = Sentence(
            "Here it would run on the processor, and slowly: “{install}”.", install=cls.install
        )
        return replace(status, message=Sentence.chain(whom, slow))

    def builds(self) -> Sequence[MlxBuild]:
        """See `BuildBackend.builds`."""
        return BUILDS

    def is_complete(self, folder: Path) -> bool:
        """See `BuildBackend.is_complete`."""
        return mlx_text.is_complete(folder)

    def workspace(self, build: MlxBuild) -> int:
        """See `BuildBackend.workspace`."""
        return mlx_text.WORKSPACE

    def offer(self, build: MlxBuild, folder: Path | None) -> Offer:
        """See `BuildBackend.offer`; nobody has measured how fast MLX reads weights here."""
        return replace(super().offer(build, folder), bytes_per_token=None)

    def own_folders(self) -> Iterator[tuple[str, Path]]:
        """See `BuildBackend.own_folders`: checkpoints, which other engines read too.

        None where MLX is not installed: they are not there for it.
        """
        if not self.without_packages():
            yield from super().own_folders()

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        build, label, folder = self.locate(model)
        return LocalModel(
            f"{self.id}:{folder}",
            label,
            "backends._local.mlx_text",
            {"folder": str(folder), "context": build.context if build else None},
            hint=closing_helps,
        )

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with the `mlx_lm` package; see `Backend.snippet`."""
        build, folder = self.build(model), self.folder(model)
        context = program_context(folder, messages, params)
        if context is None or context["images"]:
            return None
        config = _config(folder) if folder else {}
        changes = mlx_text.config_changes(config)
        scaling = changes.pop("rope_scaling", None)
        knobs = context["knobs"]
        return render(
            "mlx_lm",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=self.install,
            notes=[f"The model is a download of about {build.size / 1e9:.1f} GB, once."]
            if build and not folder
            else [],
            name=model if build else str(folder or model),
            changes=changes,
            long_factors=mlx_text.has_long_factors(scaling)
            if folder
            else bool(build and build.has_long_factors),
            nested=not config.get("rope_scaling") and "rope_parameters" in config,
            max_tokens=knobs["max_new_tokens"],
            knobs={
                name: knobs[key]
                for name, key in (("temp", "temperature"), ("top_p", "top_p"), ("top_k", "top_k"))
                if key in knobs
            },
            **{name: context[name] for name in ("messages", "escaped", "seed", "stop_tokens")},
        )


def _is_apple_silicon() -> bool:
    """Whether this is a Mac with one of Apple's chips."""
    return (sys.platform, platform.machine()) == ("darwin", "arm64")


def _config(folder: Path) -> dict[str, Any]:
    """A folder's `config.json`; empty if it cannot be read."""
    try:
        return mlx_text.read_config(folder)
    except (OSError, ValueError):
        return {}
