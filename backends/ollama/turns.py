"""The answers that are on their way at one Ollama: which wait for which.

Ollama answers one question of a model after the other, unless `OLLAMA_NUM_PARALLEL` says otherwise,
and says nothing to those in line. Only answers that this process asked for are known here.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .._core.types import Progress
from .._remote.patience import Patience


class Turn:
    """One answer on its way."""

    def __init__(self, turns: "Turns", model: str, ahead: "list[Turn]") -> None:
        self._turns, self.model, self._ahead = turns, model, ahead
        self.begun_at: float | None = None
        """When the first of it came, in `time.monotonic()`; `None` before."""
        self.ended = asyncio.Event()
        self.waited_for: set[str] = set()
        """Other models that answered before it began, while it was waited for."""

    @property
    def ahead(self) -> "list[Turn]":
        """The answers of its model that were asked for before and have not ended."""
        if self.begun_at is not None or self._turns.answers_together:
            return []
        return [turn for turn in self._ahead if not turn.ended.is_set()]

    def end(self) -> None:
        """It has ended, in whatever way."""
        self.ended.set()
        self._ahead = []  # else each would hold all that were ever before it

    def note_chunk(self, at: float) -> None:
        """Something of it came at a time in `time.monotonic()`."""
        if self.begun_at is None:
            self.begun_at = at
            self._turns.note_begun(self)
        elif not self._turns.answers_together:
            self._turns.answers_together = self._turns.has_begun_since(self, at)


class Turns:
    """The answers on their way at one Ollama."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self.answers_together = False
        """Whether it was seen to answer several questions of one model at the same time."""

    @contextmanager
    def join(self, model: str) -> Iterator[Turn]:
        """Take part with a question for a model, until the end of the block."""
        turn = Turn(self, model, [one for one in self._turns if one.model == model])
        turn.waited_for = {
            one.model for one in self._turns if one.begun_at is not None and one.model != model
        }
        self._turns.append(turn)
        try:
            yield turn
        finally:
            self._turns.remove(turn)
            turn.end()

    def note_begun(self, turn: Turn) -> None:
        """Tell those that have not begun that another model answers before them."""
        for other in self._turns:
            if other.begun_at is None and other.model != turn.model:
                other.waited_for.add(turn.model)

    def has_begun_since(self, turn: Turn, at: float) -> bool:
        """Whether a later answer of the same model had begun before something of `turn` came."""
        begun = turn.begun_at or at
        return any(
            other.model == turn.model and begun < other.begun_at < at
            for other in self._turns
            if other.begun_at is not None
        )


async def with_turn(
    lines: AsyncGenerator[Mapping[str, Any], None], turn: Turn, patience: Patience, first: float
) -> AsyncGenerator[Mapping[str, Any] | Progress, None]:
    """The lines of an answer that is in line; before the first one, how far it is.

    In line, time does not count: a wait of `first` seconds begins when the last answer ahead has
    ended. Whoever closes this closes `lines`, too.
    """
    patience.restart(math.inf)
    line = asyncio.ensure_future(anext(lines, None))
    try:
        while not line.done() and (ahead := turn.ahead):
            yield Progress.in_line(len(ahead))
            await _first_of(line, ahead[0].ended)
        if not line.done():
            patience.restart(first)
            yield Progress("prefill")
        if (begun := await line) is None:
            return
        yield begun
    finally:
        line.cancel()
        await asyncio.wait({line})
        if not line.cancelled():
            line.exception()  # raised above, or of no interest any more
    async for value in lines:
        yield value


async def _first_of(line: asyncio.Future[Any], ended: asyncio.Event) -> None:
    """Wait until a line has come, or an event."""
    waiting = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({line, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
