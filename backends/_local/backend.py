"""What the backends share whose models run on this machine, each in a process of its own."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeVar

from .._core.backend import (
    Backend,
    Health,
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
)
from .._core.errors import BackendError, MissingDependencyError, ModelNotFoundError
from .._core.sentence import Sentence
from .._core.types import Chunk, Connection, GenerationParams, Message, Progress
from .host import HOST, LocalModel
from .machine import LOOKS, total_memory

T = TypeVar("T")


class LocalBackend(Backend):
    """A backend that says how each of its models is loaded; the host does the rest.

    Knobs left at `None` are `chat_text.DEFAULT_PARAMS`. The stop token counts as one of the
    answer's tokens. `Timings.prefill` and `.decode` are the worker's time, without waits in line.
    """

    kind: ClassVar[Kind] = "local"
    continues: ClassVar[bool] = True
    no_weights: ClassVar[Status] = Status(
        "not installed",
        "None of its models is on this machine yet. Choose one to download it.",
        "no_weights",
    )
    """How it is where none of its models is."""

    @abstractmethod
    def local_model(self, model: str) -> LocalModel:
        """A model as its worker loads it; its key begins with the backend's id. Looks at the disk.

        Raises `ModelNotFoundError`, and `MissingDependencyError` if its files are not here.
        """

    def health(self, offers: Sequence[Offer]) -> Health:
        """How it is, by how its models are: those that are ready come first.

        Without its packages none is ready, wherever its files are.
        """
        if without := self.without_packages():
            missing = [replace(one, status=without, download_size=None) for one in offers]
            return Health(without, missing)
        ordered = sorted(offers, key=lambda offer: not offer.status.ready)
        here = Status("ready", "Runs on this machine.", "ready_local")
        return Health(here if ordered[0].status.ready else self.no_weights, ordered)

    def not_here(self, model: str, label: str, size: int | None) -> BackendError:
        """The error of a model that is not here: to be downloaded, if `size` bytes are told."""
        if size is None:
            return ModelNotFoundError(
                Sentence("{label} has no model called {model}.", label=self.label, model=model),
                "Choose another one.",
                model=model,
            )
        return MissingDependencyError(
            Sentence("{label} is not on this machine.", label=label),
            Sentence("Download it first (about {size:bytes}), or choose another model.", size=size),
            model=model,
        )

    async def load(self, connection: Connection | None = None) -> None:
        """Have a process ready for the first question; see `Backend.load`."""
        if not self.missing_packages():
            await HOST.warm()

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation on this machine; see `Backend.stream`."""
        self.check_packages()
        check_pictures(self.spec_of(model), messages)
        params = replace(params, num_crops=self.crops(model, params, count_pictures(messages)))
        local = await look(partial(self.local_model, model))
        async with aclosing(HOST.stream(local, messages, params)) as steps:
            async for step in steps:
                yield step

    def in_memory(self) -> Sequence[tuple[str, int]]:
        """See `Backend.in_memory`."""
        return HOST.in_memory(self.id)

    async def prepare(self, model: str) -> None:
        """Load the model, if it is not loaded yet."""
        self.check_packages()
        await HOST.load(await look(partial(self.local_model, model)))


def too_large(need: int) -> Status | None:
    """That so many bytes are more than this machine has, if they are."""
    if need <= (total := total_memory()):
        return None
    return Status(
        "unreachable",
        Sentence(
            "Too large for this machine: needs {need:bytes} of memory, it has {total:bytes}.",
            need=need,
            total=total,
        ),
        "too_large",
        {"need": need, "total": total},
    )


async def look(at: Callable[[], T]) -> T:
    """The result of a look at the disk, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(LOOKS, at)
