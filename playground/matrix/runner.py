"""A run: every model is asked every item, and each answer goes to the run file as it comes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from backends import (
    BackendConnectionError,
    BackendTimeoutError,
    ContentFilterError,
    ContextLengthError,
    Message,
    RateLimitError,
    Sentence,
    ServerError,
)

from ..answer import AnswerBuilder, AnswerSnapshot, Request
from ..compare import complete
from ..errors import ReaderError
from ..services import Services
from .chunks import TimedAnswer
from .header import header
from .items import Item
from .plan import Asked, Cost, Plan, Speed
from .run_file import (
    Cell,
    Header,
    Outcome,
    RunWriter,
    Stayed,
    cell_text,
    plain,
    sentence,
)
from .tasks import blocks

RETRIES = 2
"""How often an answer is asked again whose connection failed."""
PAUSES = (1.0, 5.0)
"""Seconds before each of them; a server that says when to come back is believed, up to a minute."""
LONGEST_PAUSE = 60.0
FAILURES = 5
"""So many answers of a model in a row that could not be asked end the run."""

_TRANSPORT = (BackendConnectionError, BackendTimeoutError, RateLimitError, ServerError)
_ANSWERED = (ContentFilterError, ContextLengthError)
"""Failures that are an answer: asking again would give the same."""


class Score(Protocol):
    """What an answer is worth; see `playground.matrix.scoring`."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def found(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def stayed(self) -> Stayed | None: ...


class Scorer(Protocol):
    """Scores an answer's text; `finished` is False if it was cut off."""

    def __call__(self, item: Item, text: str, *, finished: bool) -> Score: ...


Complete = Callable[[Request, AnswerBuilder], Awaitable[AnswerSnapshot]]
"""Asks for one answer, and builds it."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is."""

    done: int
    """Answers that are in the file, those of an earlier run too."""
    total: int
    seconds_left: float | None
    """`None` before the first answer of this run."""
    left: Cost
    cell: Cell | None = None
    """The latest answer; `None` at the start."""


class RunStopped(ReaderError):
    """A run cannot go on: one sentence that says why, and what to do. Its file is whole."""


async def run(
    plan: Plan,
    path: Path,
    progress: Callable[[Step], None] = lambda step: None,
    *,
    services: Services | None = None,
    ask: Complete | None = None,
    score: Scorer | None = None,
    head: Header | None = None,
) -> int:
    """Ask what is not in the file yet, and write it there. `head` is its header, if it is made.

    Returns how many answers could not be asked for; the same run again asks for them anew.

    Cancelling it, or ending the process in any way, leaves a file that can be read and gone on
    with. Raises `RunFileError` and `RunStopped`.
    """
    with RunWriter(path, head or header(plan)) as file:
        runner = _Runner(plan, file, progress, services or Services(), ask, score)
        await runner.run()
        return runner.total - len(runner.done)


class _Runner:
    """One run on its way."""

    def __init__(
        self,
        plan: Plan,
        file: RunWriter,
        progress: Callable[[Step], None],
        services: Services,
        ask: Complete | None,
        score: Scorer | None,
    ) -> None:
        self.plan, self.file, self.progress = plan, file, progress
        self.ask: Complete = ask or partial(complete, services=services)
        self.score = score or _scorer()
        wanted = {(item.id, asked.side) for asked in plan.models for item in plan.items}
        done = {cell.key for cell in file.cells if cell.error is None}
        self.done = wanted & done
        self.total = len(wanted)
        work = {item.id: plan.work(item) for item in plan.items}
        self.speed = Speed(sum(work[item] for item, _ in wanted - self.done))
        self.cost = Cost(0, 0)
        self.failures = dict.fromkeys((asked.side for asked in plan.models), 0)
        self.began = time.monotonic()
        self.loading = 0.0

    async def run(self) -> None:
        """Ask block by block; within a block one model after the other, where they share."""
        self.cost = await self.plan.cost(frozenset(self.done))
        self._tell(None)
        lanes: dict[str, list[Asked]] = {}
        for asked in self.plan.models:
            lanes.setdefault(asked.lane, []).append(asked)
        self.began = time.monotonic()
        for block in blocks(self.plan.items):
            await _all(self._lane(models, block) for models in lanes.values())

    async def _lane(self, models: Sequence[Asked], block: Sequence[Item]) -> None:
        for asked in models:
            left = iter([item for item in block if (item.id, asked.side) not in self.done])
            await _all(self._work(asked, left) for _ in range(self.plan.at_once(asked)))

    async def _work(self, asked: Asked, left: Iterator[Item]) -> None:
        """Ask one item after the other, of those that are left to several who do this at once."""
        for item in left:
            answer, timed = await self._ask(asked, item)
            cell = self._scored(asked, item, answer, timed)
            self.file.append(cell)
            if cell.error is None:
                self.done.add(cell.key)
            self.loading += answer.clock.load
            elapsed = max(0.0, time.monotonic() - self.began - self.loading)
            self.speed.add(self.plan.work(item), elapsed)
            self._tell(cell)
            self._count_failures(asked, cell)

    async def _ask(self, asked: Asked, item: Item) -> tuple[AnswerSnapshot, TimedAnswer]:
        """The answer and its pieces, asked again where its connection failed."""
        request = Request(
            asked.backend,
            asked.model,
            (Message.of("user", item.prompt),),
            self.plan.params,
            asked.connection,
            asked.visitor,
        )
        answer = await self.ask(request, timed := TimedAnswer())
        for pause in PAUSES[:RETRIES]:
            if not isinstance(answer.error, _TRANSPORT):
                break
            told = answer.error.retry_after if isinstance(answer.error, RateLimitError) else None
            await asyncio.sleep(min(max(pause, told or 0.0), LONGEST_PAUSE))
            answer = await self.ask(replace(request, asked_at=_now()), timed := TimedAnswer())
        error = answer.error
        if error is not None and not isinstance(error, (*_TRANSPORT, *_ANSWERED)):
            raise RunStopped(
                Sentence(
                    "{label} cannot be asked: {message}",
                    label=asked.label,
                    message=Sentence.of(str(error)),
                )
            )
        return answer, timed

    def _scored(self, asked: Asked, item: Item, answer: AnswerSnapshot, timed: TimedAnswer) -> Cell:
        error, usage, clock = answer.error, answer.usage, answer.clock
        waited = clock.queued + clock.load
        first = clock.first_token
        asked_at = Cell(
            item=item.id,
            side=asked.side,
            prompt=item.prompt,
            expected=plain(item.expected),
            answer=cell_text(answer.text),
            seconds=max(0.0, clock.total - waited),
            at=_now(),
        )
        if isinstance(error, _TRANSPORT):
            return asked_at.model_copy(update={"error": sentence(str(error))})
        finish = error.code if error else answer.finish_reason
        score = self.score(item, answer.text, finished=error is None and finish != "length")
        return asked_at.model_copy(
            update={
                "finish": finish,
                "outcome": score.outcome,
                "found": sentence(score.found),
                "why": sentence(score.why),
                "stayed": score.stayed,
                "first_token": None if first is None else max(0.0, first - waited),
                "prompt_tokens": usage.input_tokens if usage else None,
                "answer_tokens": clock.tokens,
                "chunks": timed.chunks(waited),
            }
        )

    def _count_failures(self, asked: Asked, cell: Cell) -> None:
        failures = self.failures[asked.side] = self.failures[asked.side] + 1 if cell.error else 0
        if failures >= FAILURES:
            raise RunStopped(
                Sentence(
                    "{label} could not be asked {count} times in a row: {error} The same command "
                    "goes on where this run stopped.",
                    label=asked.label,
                    count=failures,
                    error=cell.error or "",
                )
            )

    def _tell(self, cell: Cell | None) -> None:
        answers = self.total - len(self.done)
        seconds = self.speed.seconds_left if answers else 0.0
        share = answers / self.cost.answers if self.cost.answers else 0
        left = Cost(answers, round(self.cost.tokens * share), seconds)
        self.progress(Step(len(self.done), self.total, seconds, left, cell))


async def _all(many: Iterable[Coroutine[None, None, None]]) -> None:
    """Run several at once; the first that fails ends the others, and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in many]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _scorer() -> Scorer:
    from .scoring import score

    return score
