"""The page's side of a ZeroGPU Space: it joins requests into calls of the GPU, and reads them.

Read from the package `spaces` 0.51.3: the function is found because it was decorated by the time
`Blocks.launch` runs; each call asks Hugging Face for a GPU, with the header `X-IP-Token` of the
request that Gradio keeps in the caller's context, forks a process off the page or takes an idle
one, and hands on what the function yields there. What fails is a `gradio.Error` with a title.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from io import BytesIO

from .._core.batch import BATCH, Batch
from .._core.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    OutOfMemoryError,
    RateLimitError,
    ServerError,
)
from .._core.sentence import Sentence
from .._core.types import Chunk, GenerationParams, Message, Progress
from . import messages
from .gpu_seconds import START, Pace
from .job import Job
from .memory_errors import HINT
from .messages import Answer, Ended, Steps, clean_message
from .zerogpu_worker import FLAGS, MODELS, Records, StopFlags, answer_sides

logger = logging.getLogger(__name__)

GATHER = 0.05
"""Seconds in which the other requests of a batch join its call, if they do not all come before."""

GpuFunction = Callable[[int, Sequence[bytes], bool, float], Records]
"""`answer_sides`, as `spaces` has decorated it."""

QUOTA_HINT = (
    "The same models answer on this Space's processor: choose ONNX Runtime. Signing in with "
    "Hugging Face gives you more GPU time; in a duplicate of this Space you choose the hardware."
)


def on_zerogpu() -> bool:
    """Whether this is a ZeroGPU Space, by the variable that `spaces` itself goes by."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def decorated() -> GpuFunction:
    """The function that answers, known to `spaces` from now on. Imports torch."""
    import spaces

    def seconds(call: int, asked: Sequence[bytes], in_turn: bool, work: float) -> int:
        return round(START + work)

    # Without a function of this kind, Hugging Face ends the Space when it starts.
    return spaces.GPU(answer_sides, duration=seconds)


class Calls:
    """The calls of the GPU function: those that gather requests, and those that answer them."""

    def __init__(self, function: GpuFunction, flags: StopFlags = FLAGS) -> None:
        self.function, self.flags = function, flags
        self.pace = Pace()
        self._gathering: dict[Batch, _Call] = {}

    async def stream(
        self,
        backend: str,
        model: str,
        conversation: Sequence[Message],
        params: GenerationParams,
        left: float | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer a conversation; see `Backend.stream`.

        `left` are the seconds of the visitor's quota, if they are known.
        """
        batch = BATCH.get() or Batch()
        call = self._gathering.get(batch)
        if call is None:
            call = self._gathering[batch] = _Call(self, batch, left)
        side = call.join(model, conversation, params)
        if len(call.sides) >= max(1, batch.sizes[backend]):
            self.begin(batch)
        try:
            yield Progress("queued", detail="for a GPU")
            while (item := await side.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                assert isinstance(item, Chunk | Progress)
                yield item
        finally:
            call.leave(side)

    def begin(self, batch: Batch) -> None:
        """Begin a call with those who have joined it, unless it has begun."""
        if call := self._gathering.pop(batch, None):
            call.begin()


class _Call:
    """One call of the GPU function, with one to four answers."""

    def __init__(self, calls: Calls, batch: Batch, left: float | None) -> None:
        self.sides: list[Job] = []
        self._calls, self._left_of_quota, self._in_turn = calls, left, batch.in_turn
        self._asked: list[Answer] = []
        self._number: int | None = None
        self._nobody_listens = threading.Event()
        # Of the first request: what Gradio keeps in it tells `spaces` whose quota it is.
        self._context = copy_context()
        self._timer = asyncio.get_running_loop().call_later(GATHER, calls.begin, batch)

    def join(self, model: str, conversation: Sequence[Message], params: GenerationParams) -> Job:
        """Have a conversation answered in this call."""
        side = Job()
        talk = tuple(map(clean_message, conversation))
        self.sides.append(side)
        self._asked.append(Answer(side.number, model, talk, params, time.monotonic()))
        return side

    def leave(self, side: Job) -> None:
        """Nobody listens to a side any more: its steps stop, and the call if it was the last."""
        side.ended = True
        if self._number is not None:
            self._calls.flags.stop(self._number, self.sides.index(side))
        if all(one.ended for one in self.sides):
            self._nobody_listens.set()

    def begin(self) -> None:
        """Call the GPU function, in a thread: it waits for a GPU, then for every step."""
        self._timer.cancel()
        kept = [one for one in zip(self.sides, self._asked, strict=True) if not one[0].ended]
        if not kept:
            return
        self.sides, self._asked = [one for one, _ in kept], [one for _, one in kept]
        try:
            self._number = self._calls.flags.take()
        except IndexError:
            self._end(
                RateLimitError(
                    "Too many people are asking at this moment.", "Try again in a minute."
                )
            )
            return
        threading.Thread(target=self._context.run, args=(self._run,), daemon=True).start()

    def _run(self) -> None:
        assert self._number is not None
        work = self._calls.pace.seconds(self._asked, self._left_of_quota)
        records = [messages.command_bytes(one) for one in self._asked]
        began, fault = False, None
        answers = self._calls.function(self._number, records, self._in_turn, work)
        try:
            for side, record in answers:
                if not began and self._in_turn:
                    for waiting in self.sides[1:]:
                        waiting.put(Progress("queued", detail="for the other side"))
                began = True
                self._hand_on(self.sides[side], record)
                if self._nobody_listens.is_set():
                    break
        except Exception as error:
            fault = _error_of(error, began)
        finally:
            with suppress(Exception):  # what it was is known, or nobody wants it
                answers.close()
            self._calls.flags.give_back(self._number)
            self._end(fault or ServerError("The GPU stopped in the middle.", "Ask again."))

    def _hand_on(self, side: Job, record: bytes) -> None:
        event = messages.read_event(BytesIO(record))
        if isinstance(event, Steps):
            for step in event.steps:
                if isinstance(step, Chunk):
                    self._calls.pace.note(step)
            side.put(*event.steps)
        elif isinstance(event, Ended):
            side.put(event.failure.error if event.failure else None)

    def _end(self, error: BackendError) -> None:
        """Tell those whose answers have not ended that they never will."""
        for side in self.sides:
            if not side.ended:
                side.put(error)


async def load(model: str) -> None:
    """Have a model in the page's main memory, from where a call moves it to its GPU."""
    await asyncio.to_thread(MODELS.load, model, "cpu")


def _error_of(error: Exception, began: bool) -> BackendError:
    """The error of a call that failed, by the title that `spaces` gives what it raises."""
    title, said = str(getattr(error, "title", "")), str(getattr(error, "message", error))
    kept = "What came is kept." if began else ""
    if title == "ZeroGPU queue timeout" or "No GPU was available" in said:
        return RateLimitError(
            "No GPU was free within a minute.",
            "Try again, or choose ONNX Runtime: the same models on this Space's processor.",
        )
    if title in ("ZeroGPU quota exceeded", "ZeroGPU pending credits exceeded"):
        return RateLimitError(
            "Not enough of your GPU time is left today for this.", QUOTA_HINT, reason="gpu_quota"
        )
    if title == "ZeroGPU illegal duration":
        return BadRequestError(
            "This asks for more GPU time than Hugging Face gives to one answer.",
            "Ask for fewer tokens, or for one side alone.",
        )
    if said == "Expired ZeroGPU proxy token":
        return AuthenticationError(
            "Your visit has expired at Hugging Face.", "Reload the page, and ask again."
        )
    if said == "GPU task aborted":
        return ServerError(
            "The GPU was taken away before the answer had ended.",
            Sentence.chain(kept, "Ask again, or ask for fewer tokens."),
        )
    if said == "OutOfMemoryError":
        return OutOfMemoryError("The GPU's memory ran out.", HINT)
    logger.error("a call of the GPU failed: %s %s", title, said, exc_info=error)
    return ServerError("The GPU failed.", Sentence.chain(kept, "Ask again; the log says more."))
