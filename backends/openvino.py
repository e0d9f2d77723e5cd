"""OpenVINO on this machine: Intel's own int4 builds of the Phi models, made for its processors."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ._core.backend import Health, Offer, Status, register
from ._core.errors import MissingDependencyError
from ._core.names import known_model
from ._core.sentence import Sentence
from ._core.types import Connection, GenerationParams, Message
from ._local import openvino_devices, openvino_text
from ._local.builds import Build, BuildBackend, closing_helps, program_context
from ._local.download import OPENVINO
from ._local.host import LocalModel
from ._snippets import Source, quoted, render

VERSION = "2026.4.1"
"""What was tried."""


@dataclass(frozen=True, slots=True)
class OpenVinoBuild(Build):
    """A repository of OpenVINO's. Sizes: its pages on the Hub, that of a repository where it says
    one, else of `openvino_model.bin` and 10 MB."""

    device: str = "CPU"
    """What it is run on: the files are the same."""

    @property
    def model(self) -> str:
        """See `Build.model`."""
        return self.repository if self.device == "CPU" else f"{self.repository}/gpu"


BUILDS = (
    OpenVinoBuild("phi-3.5-mini", "OpenVINO/Phi-3.5-mini-instruct-int4-ov", 2_090_000_000),
    OpenVinoBuild("phi-3-mini-128k", "OpenVINO/Phi-3-mini-128k-instruct-int4-ov", 2_460_000_000),
    OpenVinoBuild("phi-3-mini-4k", "OpenVINO/Phi-3-mini-4k-instruct-int4-ov", 2_160_000_000),
    OpenVinoBuild("phi-4-mini", "OpenVINO/Phi-4-mini-instruct-int4-ov", 2_390_000_000),
)
GPU_BUILDS = tuple(replace(build, device="GPU") for build in BUILDS)
"""The same, offered where OpenVINO finds a GPU: one of Intel's, with its driver."""


@register
class OpenVino(BuildBackend[OpenVinoBuild]):
    """The Phi models in int4 on Intel's processors, and any folder with an `openvino_model.xml`.

    Folders of one's own lie anywhere below `PHI_MODELS_DIR`. Each model has a process of its own.
    """

    id: ClassVar[str] = "openvino"
    label: ClassVar[str] = "OpenVINO"
    requires: ClassVar[tuple[str, ...]] = ("openvino", "tokenizers")
    install: ClassVar[str] = f"pip install openvino=={VERSION} tokenizers"
    kinds: ClassVar[Sequence[str]] = OPENVINO
    mark: ClassVar[str] = openvino_text.MODEL

    def builds(self) -> Sequence[OpenVinoBuild]:
        """See `BuildBackend.builds`."""
        return (*BUILDS, *GPU_BUILDS)

    def is_complete(self, folder: Path) -> bool:
        """See `BuildBackend.is_complete`."""
        return openvino_text.is_complete(folder)

    def workspace(self, build: OpenVinoBuild) -> int:
        """See `BuildBackend.workspace`."""
        return openvino_text.WORKSPACE

    def is_offered(self, build: OpenVinoBuild) -> bool:
        """Whether this machine has the device of a build."""
        return build.device == "CPU" or openvino_devices.gpu() is not None

    def processor(self, build: OpenVinoBuild) -> str:
        """See `BuildBackend.processor`."""
        found = openvino_devices.gpu() if build.device == "GPU" else None
        return found[1] if found else ""

    async def check(self, connection: Connection | None = None) -> Health:
        """See `Backend.check`; the first time it asks which devices there are."""
        await asyncio.to_thread(openvino_devices.devices)
        return await super().check(connection)

    def offer(self, build: OpenVinoBuild, folder: Path | None) -> Offer:
        """See `BuildBackend.offer`; how fast it reads its weights was not measured."""
        return replace(super().offer(build, folder), bytes_per_token=None)

    def own_offer(self, name: str, folder: Path) -> Offer:
        """See `BuildBackend.own_offer`; one whose tokenizer is not read says so."""
        if (folder / "tokenizer.json").is_file():
            return super().own_offer(name, folder)
        spec = known_model(name)
        error = openvino_text.no_tokenizer(spec.label)
        return Offer(name, spec, Status("not installed", str(error)))

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        build, label, folder = self.locate(model)
        key, options = f"{self.id}:{folder}", {"folder": str(folder)}
        if build and build.device == "GPU":
            if not (found := openvino_devices.gpu()):
                raise MissingDependencyError(
                    Sentence("OpenVINO finds no GPU here that could run {label}.", label=label),
                    "Choose the same model for the processor, or look at the GPU's driver.",
                )
            key, options["device"] = f"{key}:gpu", found[0]
        return LocalModel(key, label, "backends._local.openvino_text", options, hint=closing_helps)

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with the `openvino_genai` package; see `Backend.snippet`."""
        build = self.build(model)
        context = program_context(self.folder(model), messages, params)
        if context is None:
            return None
        notes, name = list[str](), model
        if build:
            name = build.repository.rpartition("/")[2]
            notes = [f"Fetch it first: hf download {build.repository} --local-dir {name}"]
        knobs = context["knobs"]
        if context["stop"]:
            knobs["stop_strings"] = Source(f"{{{', '.join(map(quoted, context['stop']))}}}")
        return render(
            "openvino_genai",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=f"pip install openvino-genai=={VERSION}",
            notes=notes,
            name=name,
            device=build.device if build else "CPU",
            knobs=knobs,
            **{one: context[one] for one in ("messages", "escaped", "seed")},
        )
