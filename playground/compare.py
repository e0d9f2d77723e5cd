"""`complete`, one timed answer, and `Run`, several independent ones merged into ticks."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from contextvars import copy_context

from backends import BATCH, Backend, BackendError, Batch, Progress, ServerError

from .answer import AnswerBuilder, AnswerSnapshot, Request
from .clock import estimate_tokens
from .conversation import MAX_TEXT
from .in_flight import RestartingError
from .services import Services

logger = logging.getLogger(__name__)

TICK = 0.06
"""Seconds between two snapshots of one Run; the first token does not wait for it."""
HEARTBEAT = 1.0
"""Seconds after which a snapshot is due even if nothing came."""
CALM_RUNS = 8
"""With more Runs than this at once, each one's tick is stretched in proportion."""
SLOWEST_TICK = 0.25
LINE_TICK = 2.0
"""The tick of a Run that only stands in line, among so many: a place there changes with every
answer of anybody's that ends, and to say so to all at once would take the processor from models."""
TICK_PER_CHARACTER = 4e-6
"""The least seconds of a tick for each character of all answers: a page redraws an answer at every
tick, at about 1 µs a character, and falls behind if it is given more than it can draw."""


PICTURE_TOKENS = 2000
"""Estimate for a picture, before a service has counted: about that of Phi-3.5-vision for 16 crops
(1,921 to 2,353 tokens)."""
DEFAULT_TOKENS = 1024
"""Estimate for an answer whose length is left to the service."""
MAX_ANSWER_CHARACTERS = MAX_TEXT
"""Characters of an answer; a server that does not stop there is stopped."""


class InternalError(BackendError):
    """A fault of this program, not of a backend or a visitor. The log has the details."""

    code = "internal"


async def complete(
    request: Request, answer: AnswerBuilder | None = None, services: Services | None = None
) -> AnswerSnapshot:
    """Ask one model, time it, and turn failure into words. Returns the whole answer.

    `answer` may be watched while it grows. With the `services` of a page it waits in line behind
    other visitors. Cancelling keeps what came and closes the stream.
    """
    answer, services = answer or AnswerBuilder(), services or Services()
    with services.in_flight.making(request, answer):
        await _complete(request, answer, services)
    return answer.snapshot()


async def _complete(request: Request, answer: AnswerBuilder, services: Services) -> None:
    visitor = request.visitor
    queue = services.queue(request.backend, request.connection, visitor.address)
    place = queue.place(
        lambda place: answer.wait_for(Progress.in_line(place)), visitor.address, visitor.places
    )
    try:
        services.in_flight.check_open()
        async with place:
            with _paid_for(request, answer):
                answer.start(anew=request.backend.replays)
                await _read(request, answer)
        await _count_tokens(request, answer)
        answer.end("done")
    except asyncio.CancelledError:
        _end_cancelled(answer, services)
        raise
    except BackendError as error:
        answer.end("failed", error)
    except Exception:
        # A fault of this program: its traceback goes to the log, never to the page.
        logger.exception("%s failed while answering", request.backend.id)
        answer.end(
            "failed",
            InternalError(
                "Something broke inside Phi Playground.", "It is not your fault. Please try again."
            ),
        )


def _end_cancelled(answer: AnswerBuilder, services: Services) -> None:
    """End an answer that was stopped: by its visitor, or because the page itself ends."""
    if services.in_flight.cut:
        answer.end("failed", RestartingError())
    else:
        answer.end("stopped")


@contextmanager
def _paid_for(request: Request, answer: AnswerBuilder) -> Generator[None, None, None]:
    """Spend of the budget what an answer costs, if it costs this page's owner anything.

    A stopped answer has cost what came of it, and its prompt.
    """
    visitor = request.visitor
    if visitor.budget is None:
        yield
        return
    prompt = sum(
        estimate_tokens(message.text) + PICTURE_TOKENS * len(message.images)
        for message in request.messages
    )
    most = prompt + (request.params.max_tokens or DEFAULT_TOKENS)
    with visitor.budget.spending(visitor.address, most) as spent:
        try:
            yield
        finally:
            usage = answer.usage
            read, written = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
            spent.tokens = (read or prompt) + max(answer.tokens, written or 0)


async def _read(request: Request, answer: AnswerBuilder) -> None:
    stream = request.backend.stream(
        request.model, request.messages, request.params, request.connection
    )
    async with aclosing(stream) as steps:
        async for step in steps:
            if isinstance(step, Progress):
                answer.wait_for(step)
            else:
                answer.add(step)
                if answer.characters > MAX_ANSWER_CHARACTERS:
                    raise ServerError(
                        "This answer goes on without an end; it was stopped.",
                        "Its server sends far more than it was asked for.",
                    )


async def _count_tokens(request: Request, answer: AnswerBuilder) -> None:
    """Correct an estimated count: by the server's report, else by the model's tokenizer."""
    made = answer.thinking + answer.text
    if answer.counted or not made:
        return
    if answer.usage and answer.usage.output_tokens:
        answer.recount(answer.usage.output_tokens, "reported")
    elif tokens := await request.backend.count_tokens(request.model, made):
        answer.recount(tokens, "tokenizer")


class Run:
    """One comparison: its sides, a task each, never in lock-step.

    A side whose request is `None` takes no part. Stopped and failed sides keep what they had.
    `services` are those of the page; without them it is the only run there is. With `in_turn` a
    side is asked when the others have ended, so that they do not slow each other down.
    """

    def __init__(
        self,
        requests: Sequence[Request | None],
        services: Services | None = None,
        *,
        in_turn: bool = False,
    ) -> None:
        self.requests, self.in_turn = tuple(requests), in_turn
        self.services = services or Services()
        self._changed = asyncio.Event()
        self._at_once = asyncio.Event()
        self._answers = [
            AnswerBuilder(self._signal) if request else None for request in self.requests
        ]
        self._tasks: dict[int, asyncio.Task[AnswerSnapshot]] = {}
        self._leaving: set[asyncio.Task[AnswerSnapshot]] = set()

    def start(self) -> None:
        """Ask every side that was not asked, or stopped, before."""
        sides = [
            side
            for side, answer in enumerate(self._answers)
            if answer and not answer.ended and side not in self._tasks
        ]
        batch = self._batch(sides)
        for side in sides:
            self._ask(side, batch)

    def restart(self, side: int) -> None:
        """Ask one side again, from the start. The other sides go on."""
        self._ask(side, self._batch([side]))

    def _batch(self, sides: Sequence[int]) -> Batch:
        """The requests of some sides, as backends see that they belong together."""
        requests = [request for side in sides if (request := self.requests[side])]
        return Batch(Counter(one.backend.id for one in requests), self.in_turn)

    def _ask(self, side: int, batch: Batch) -> None:
        request = self.requests[side]
        if request is None:
            raise ValueError(f"side {side} takes no part in this run")
        self.stop(side)
        if old := self._tasks.get(side):
            self._leaving.add(old)
            old.add_done_callback(self._leaving.discard)
        answer = self._answers[side] = AnswerBuilder(self._signal)
        others = [one for one, task in self._tasks.items() if one != side and not task.done()]
        before: list[asyncio.Task[AnswerSnapshot]] = []
        if self.in_turn and others:
            answer.notes += ("one after the other",)
            by_itself = batch.sizes[request.backend.id] > 1 and request.backend.takes_turns
            before = [
                self._tasks[one]
                for one in others
                if not (by_itself and self._is_asked_of(one, request.backend))
            ]
        context = copy_context()
        context.run(BATCH.set, batch)
        task = self._tasks[side] = asyncio.create_task(
            _complete_after(before, request, answer, self.services), context=context
        )
        # A task that is cancelled before its first step never runs, and could not say so itself.
        task.add_done_callback(lambda _: answer.ended or answer.end("stopped"))
        self._signal(True)

    def stop(self, side: int | None = None) -> None:
        """Stop one side, or all of them. Their text so far stays."""
        for one, answer in enumerate(self._answers):
            if answer is None or side not in (None, one):
                continue
            if task := self._tasks.get(one):
                task.cancel()
            elif not answer.ended:
                answer.end("stopped")

    async def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        self.stop()
        await asyncio.gather(*self._tasks.values(), *self._leaving, return_exceptions=True)

    @property
    def ended(self) -> bool:
        """True once every side has ended."""
        return all(answer is None or answer.ended for answer in self._answers)

    def snapshot(self) -> tuple[AnswerSnapshot | None, ...]:
        """All sides as they stand now; `None` for a side that takes no part."""
        return tuple(
            answer.snapshot(self._shares_device(answer)) if answer else None
            for answer in self._answers
        )

    async def snapshots(self) -> AsyncGenerator[tuple[AnswerSnapshot | None, ...], None]:
        """All sides, on a tick, until all have ended. Starts them; closing it stops them."""
        self.start()
        self.services.runs += 1
        try:
            while True:
                self._changed.clear()
                self._at_once.clear()
                drawn = time.monotonic()
                ended = self.ended  # what comes while the reader is busy is still to be shown
                yield self.snapshot()
                if ended:
                    self.services.unfinished.add(self)
                    return
                await self._tick(drawn)
        finally:
            self.services.runs -= 1
            self.stop()

    def _signal(self, at_once: bool) -> None:
        self._changed.set()
        if at_once:
            self._at_once.set()

    async def _tick(self, drawn: float) -> None:
        crowded = TICK * max(1.0, self.services.runs / CALM_RUNS)
        length = sum(len(answer.text) for answer in self._answers if answer)
        tick = min(SLOWEST_TICK, max(crowded, TICK_PER_CHARACTER * length))
        if self.services.runs > CALM_RUNS and all(one.in_line for one in self._answers if one):
            tick = LINE_TICK
        await _wait(self._changed, HEARTBEAT)
        await _wait(self._at_once, drawn + tick - time.monotonic())

    def _is_asked_of(self, side: int, backend: Backend) -> bool:
        request = self.requests[side]
        return request is not None and request.backend is backend

    def _shares_device(self, answer: AnswerBuilder) -> bool:
        device = answer.timings.device if answer.timings else None
        if device is None:
            return False
        start, end = answer.busy
        others = (other for other in self._answers if other and other is not answer)
        return any(
            other.timings is not None
            and other.timings.device == device
            and other.busy[0] < end
            and start < other.busy[1]
            for other in others
        )


async def _complete_after(
    before: Sequence[asyncio.Task[AnswerSnapshot]],
    request: Request,
    answer: AnswerBuilder,
    services: Services,
) -> AnswerSnapshot:
    """`complete`, once some other answers have ended."""
    if before:
        answer.wait_for(Progress("queued", detail="for the other side"))
        try:
            await asyncio.wait(before)
        except asyncio.CancelledError:
            _end_cancelled(answer, services)
            raise
    return await complete(request, answer, services)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
