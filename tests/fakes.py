"""Backends whose every step the test decides, so that no test has to wait or to time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from backends import (
    Backend,
    BackendError,
    Chunk,
    Connection,
    GenerationParams,
    Health,
    Message,
    ModelSpec,
    Offer,
    Progress,
    Status,
    Timings,
    Usage,
)

SPEC = ModelSpec(
    key="fake",
    label="Fake",
    family="Fake",
    parameters=1,
    active_parameters=1,
    context=4096,
    languages=("en",),
    modalities=("text",),
    licence="MIT",
    source="tests",
)

READY = Status("ready", "Ready.")


class Scripted(Backend):
    """Says the steps it was given, at once. An exception among them is raised."""

    id = "scripted"
    label = "Scripted"
    kind = "local"
    continues = True

    def __init__(self, *steps: Chunk | Progress | BaseException) -> None:
        self.steps = steps
        self.open = 0
        self.asked: list[tuple[Message, ...]] = []

    async def check(self, connection: Connection | None = None) -> Health:
        return Health(READY, [Offer("fake", SPEC, READY)])

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        self.asked.append(tuple(messages))
        self.open += 1
        try:
            async for step in self.script():
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            self.open -= 1

    async def script(self) -> AsyncGenerator[Chunk | Progress | BaseException, None]:
        for step in self.steps:
            yield step


class Fed(Scripted):
    """Says what the test feeds it, when the test feeds it; `None` ends the answer."""

    id = "fed"
    label = "Fed"

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Chunk | Progress | BaseException | None] = asyncio.Queue()

    def feed(self, *steps: Chunk | Progress | BaseException | str | None) -> None:
        for step in steps:
            self.queue.put_nowait(said(step) if isinstance(step, str) else step)

    async def script(self) -> AsyncGenerator[Chunk | Progress | BaseException, None]:
        while (step := await self.queue.get()) is not None:
            yield step


def said(text: str, at: float = 0.0, tokens: int | None = 1) -> Chunk:
    """One token's chunk."""
    return Chunk(text=text, tokens=tokens, at=at)


def last(inputs: int | None = None, outputs: int | None = None, device: str = "cpu") -> Chunk:
    """The chunk that ends an answer."""
    usage = Usage(inputs, outputs, context=2048)
    return Chunk(finish_reason="stop", usage=usage, timings=Timings(device=device))


__all__ = ["SPEC", "BackendError", "Fed", "Scripted", "last", "said"]
