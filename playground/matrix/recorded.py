"""Recorded answers that are played again, at the pace at which they came."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, get_args

from backends import (
    Backend,
    BackendConnectionError,
    BadRequestError,
    Chunk,
    Connection,
    FinishReason,
    GenerationParams,
    Health,
    Message,
    Progress,
    Sentence,
    Status,
    Usage,
)

from ..answer import Request
from .chunks import TimedText, timed_texts
from .run_file import Cell, RunFile


class Recorded(Backend):
    """One recorded answer. It is in no list of backends: nothing but that answer can be had."""

    id: ClassVar[str] = "recorded"
    label: ClassVar[str] = "Recorded"
    kind = "local"
    max_concurrent: ClassVar[int] = 64
    replays: ClassVar[bool] = True

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    async def check(self, connection: Connection | None = None) -> Health:
        """See `Backend.check`."""
        return Health(Status("ready", "A recorded answer."))

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Play it: every piece comes when it came, and is timed as it was."""
        cell, began = self.cell, time.monotonic()
        if cell.error:
            raise BackendConnectionError(
                Sentence("When this was recorded: {said}", said=cell.error)
            )
        pieces = _pieces(cell)
        counted = sum(piece.tokens for piece in pieces) == cell.answer_tokens
        yield Progress("prefill")
        for piece in pieces:
            await asyncio.sleep(max(0.0, began + piece.at - time.monotonic()))
            yield Chunk(piece.text, piece.tokens if counted else None, at=began + piece.at)
        if cell.finish not in (None, *get_args(FinishReason)):
            raise BadRequestError(
                Sentence("When this was recorded, it ended with “{finish}”.", finish=cell.finish)
            )
        yield Chunk(
            finish_reason=cell.finish,  # type: ignore[arg-type]
            usage=Usage(cell.prompt_tokens, cell.answer_tokens),
        )


def has_pace(run: RunFile, item: str) -> bool:
    """Whether an answer to an item can be played as it came."""
    return any(cell.chunks for cell in run.cells if cell.item == item)


def recorded_requests(run: RunFile, item: str) -> dict[str, Request]:
    """A request of each side that answered an item, which plays its answer again."""
    settings = run.header.settings
    params = GenerationParams(settings.max_tokens, settings.temperature, seed=settings.seed)
    models = {one.side: one.model for one in run.header.models}
    return {
        cell.side: Request(
            Recorded(cell),
            models[cell.side],
            (Message.of("user", cell.prompt),),
            params,
            asked_at=_asked_at(cell) or run.header.date[:40],
        )
        for cell in run.cells
        if cell.item == item and cell.side in models
    }


def where_recorded(run: RunFile) -> Sentence:
    """When and on what a run was recorded: `Recorded on 29 November 2026, AMD EPYC`."""
    place = run.header.machine.processor or run.header.machine.platform
    on = Sentence("Recorded on {day:date}", day=run.header.date[:10])
    return Sentence.chain(on, Sentence("{place}", place=place) if place else "", between=", ")


def date_of(run: RunFile) -> Sentence:
    """The day on which a run began: `29 November 2026`."""
    return Sentence("{day:date}", day=run.header.date[:10])


def _pieces(cell: Cell) -> list[TimedText]:
    """The answer as it came; all at its end where no file tells how it came."""
    try:
        if cell.chunks:
            return list(timed_texts(cell.answer, cell.chunks))
    except ValueError:  # a file that something else has written
        pass
    at = cell.seconds or cell.first_token or 0.0
    return [TimedText(at, cell.answer, cell.answer_tokens or 0)] if cell.answer else []


def _asked_at(cell: Cell) -> str:
    """When an answer was asked for: a file says when it ended."""
    try:
        ended = datetime.fromisoformat(cell.at)
        return (ended - timedelta(seconds=cell.seconds or 0.0)).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""
