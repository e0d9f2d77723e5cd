"""What the backends share whose models are builds for one engine, in repositories of the Hub."""

import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from .._core.backend import Health, Offer, Status
from .._core.catalog import MODELS, ModelSpec
from .._core.errors import BackendError, ModelNotFoundError
from .._core.names import known_model
from .._core.sentence import Sentence
from .._core.types import Connection, GenerationParams, Message, Progress
from . import weights
from .backend import LocalBackend, look, too_large
from .chat_text import has_system_slot
from .download import download, kept_size
from .snippet import snippet_context


@dataclass(frozen=True, slots=True)
class Build:
    """A model in a folder of a repository on the Hugging Face Hub, as one engine reads it."""

    key: str
    """Of the model in the catalog."""
    repository: str
    size: int
    """Bytes of a download, about."""
    folder: str = ""
    """In the repository."""
    table: int = 0
    """Bytes of it that are not read for each token: embeddings, of which one row is read."""
    context: int | None = None
    """Tokens that prompt and answer may be, if that is less than the folder says."""

    @property
    def model(self) -> str:
        """The backend's id for it."""
        return self.repository


B = TypeVar("B", bound=Build)


class BuildBackend(LocalBackend, Generic[B]):
    """A backend of builds that can be downloaded, and of folders below `PHI_MODELS_DIR`."""

    downloads_from: ClassVar[str] = "the Hugging Face Hub"
    kinds: ClassVar[Sequence[str]]
    """Ends of the names of the files that a build needs; see `download`."""
    mark: ClassVar[str]
    """The file that a folder of one's own is found by."""
    precision: ClassVar[str] = "in int4"
    """What a status says of a build's numbers."""

    @abstractmethod
    def builds(self) -> Sequence[B]:
        """Those that are published for it."""

    @abstractmethod
    def is_complete(self, folder: Path) -> bool:
        """Whether everything that the engine reads is in a folder."""

    @abstractmethod
    def workspace(self, build: B) -> int:
        """Bytes that a build takes beside its weights for an answer of usual length."""

    def is_offered(self, build: B) -> bool:
        """Whether this machine has what a build is made for."""
        return True

    def processor(self, build: B) -> str:
        """The processor that a build is made for, if it is not the usual one."""
        return ""

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the package and at least one model are here; see `Backend.check`."""
        return await look(self._check)

    def _check(self) -> Health:
        builds = filter(self.is_offered, self.builds())
        offers = [self.offer(build, self.find(build)) for build in builds]
        return self.health([*offers, *(self.own_offer(*own) for own in self.own_folders())])

    def offer(self, build: B, folder: Path | None) -> Offer:
        """A build as it stands: here or not, and whether memory can hold it."""
        spec, need = MODELS[build.key], build.size + self.workspace(build)
        what = Sentence(self.precision)
        if device := self.processor(build):
            what = Sentence("{what}, for {device}: not tried by us", what=what, device=device)
        if folder:
            status = Status("ready", Sentence("On this machine, {what}.", what=what), "ready_local")
        else:
            sentence = Sentence(
                "Not on this machine yet: a download of about {size:bytes}, {what}.",
                size=build.size,
                what=what,
            )
            status = Status("not installed", sentence, "not_downloaded", {"size": build.size})
        return Offer(
            build.model,
            spec,
            too_large(need) or status,
            download_size=None if folder else build.size,
            kept_size=0 if folder else min(build.size, kept_size(build.repository)),
            memory=need,
            bytes_per_token=build.size - build.table,
            revision=weights.revision_of(folder),
        )

    def own_offer(self, name: str, folder: Path) -> Offer:
        """A model in a folder of one's own, by its path below `PHI_MODELS_DIR`."""
        status = Status(
            "ready", Sentence("On this machine: {folder}", folder=folder), "ready_local"
        )
        return Offer(name, known_model(name), status)

    def build(self, model: str) -> B | None:
        """A build by the backend's id for it."""
        return next((build for build in self.builds() if build.model == model), None)

    def find(self, build: B) -> Path | None:
        """The folder of a build on this machine, if it is whole."""
        places = (place / build.folder for place in weights.places(build.repository))
        return next((folder for folder in places if self.is_complete(folder)), None)

    def folder(self, model: str) -> Path | None:
        """Where a build or a folder of one's own is on this machine, if it is here."""
        build = self.build(model)
        return self.find(build) if build else dict(self.own_folders()).get(model)

    def locate(self, model: str) -> tuple[B | None, str, Path]:
        """A build or a folder of one's own: its build, what it is called, and its folder.

        Raises `MissingDependencyError` if it is not downloaded yet, and `ModelNotFoundError`.
        """
        build, folder, label = self.build(model), self.folder(model), self.spec_of(model).label
        if folder is None:
            raise self.not_here(model, label, build.size if build else None)
        return build, label, folder

    def own_folders(self) -> Iterator[tuple[str, Path]]:
        """Other folders below `PHI_MODELS_DIR`, each with its path from there."""
        if not (root := os.environ.get("PHI_MODELS_DIR")):
            return
        top = Path(root).expanduser()
        known = {folder for build in self.builds() if (folder := self.find(build))}
        # At most as deep as a repository's own folders: the disk may be large.
        marks = (one for n in range(1, 5) for one in top.glob("/".join(["*"] * n + [self.mark])))
        for mark in sorted(marks):
            if mark.parent not in known and self.is_complete(mark.parent):
                yield mark.parent.relative_to(top).as_posix(), mark.parent

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its repository, or its folder's name."""
        build = self.build(model)
        return MODELS[build.key] if build else known_model(model)

    def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a model's folder into the Hugging Face cache; see `Backend.download`."""
        build = self.build(model)
        if build is None:
            raise ModelNotFoundError(
                Sentence("{model} cannot be downloaded.", model=model), "Choose another one."
            )
        return download(build.repository, MODELS[build.key].label, build.folder, self.kinds)


def program_context(
    folder: Path | None, messages: Sequence[Message], params: GenerationParams
) -> dict[str, Any] | None:
    """What a program needs to know of a request; `None` if the model cannot be asked so.

    `folder` is the model's, if it is here: its template says whether it takes a system prompt.
    """
    slot = folder is None or has_system_slot(folder)
    try:
        return snippet_context(messages, params, system_slot=slot)
    except BackendError:
        return None


def closing_helps(free: int) -> str:
    """What to do where memory is short; see `LocalModel.hint`."""
    return "Close other programs, or choose a built-in Pocket model."
