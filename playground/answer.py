"""Request for an answer, the answer while it is built, and its snapshots."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from backends import (
    Backend,
    BackendError,
    Chunk,
    Connection,
    FinishReason,
    GenerationParams,
    Message,
    Progress,
    Timings,
    Usage,
)

from .clock import Clock, TokenSource, estimate_tokens
from .routing import Routing
from .text import valid_unicode
from .visitors import Visitor

AnswerState = Literal["waiting", "streaming", "done", "stopped", "failed"]
Signal = Callable[[bool], None]
"""Called at every change; with True if the change should be shown at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one answer: backend, model, conversation and parameters."""

    backend: Backend
    model: str
    messages: tuple[Message, ...]
    params: GenerationParams = field(default_factory=GenerationParams)
    connection: Connection | None = None
    visitor: Visitor = field(default_factory=Visitor)

    def without_key(self) -> "Request":
        """The request with its key replaced by `hidden`, to be kept."""
        if self.connection is None or not self.connection.api_key:
            return self
        return replace(self, connection=replace(self.connection, api_key="hidden"))


@dataclass(frozen=True, slots=True)
class AnswerSnapshot:
    """An immutable view of an answer at one moment; its routing alone is shared and still grows."""

    state: AnswerState = "waiting"
    text: str = ""
    progress: Progress | None = None
    """What the backend does before the first token; `None` from then on."""
    error: BackendError | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    routing: Routing | None = None
    """The experts of its tokens, if the backend reports them; grows with the answer."""
    notes: tuple[str, ...] = ()
    """Remarks for the reader, a few words each."""
    warnings: tuple[str, ...] = ()
    """Warnings for the reader, a sentence each."""
    clock: Clock = field(default_factory=Clock)

    @property
    def ended(self) -> bool:
        """True once nothing more will come."""
        return self.state in ("done", "stopped", "failed")


class AnswerBuilder:
    """Builds one answer from its chunks and times it. `snapshot()` may be taken at any time."""

    def __init__(self, signal: Signal = lambda at_once: None) -> None:
        self._signal = signal
        self._asked = self._stage_since = self._last = time.monotonic()
        self._stages = {"queued": 0.0, "load": 0.0, "prefill": 0.0}
        self._stage = "queued"
        self._first: float | None = None
        self._parts: list[str] = []
        self._text = ""
        self.characters = 0
        """Length of the answer so far."""
        self._tokens = self._first_tokens = self._steps = 0
        self._token_source: TokenSource = "engine"
        self.routing: Routing | None = None
        self.notes: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.timings: Timings | None = None
        self.progress: Progress | None = None
        self.state: AnswerState = "waiting"
        self.error: BackendError | None = None
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        if self._parts:
            self._text += valid_unicode("".join(self._parts))
            self._parts.clear()
        return self._text

    @property
    def busy(self) -> tuple[float, float]:
        """Start and end (or now) of the time its backend worked on it, in `time.monotonic()`."""
        start = self._asked + self._stages["queued"]
        return start, self._last if self.ended else time.monotonic()

    @property
    def ended(self) -> bool:
        """True once nothing more will come."""
        return self.state in ("done", "stopped", "failed")

    def wait_for(self, progress: Progress) -> None:
        """Record what the backend does before the first token."""
        loading = progress.stage in ("loading", "downloading")
        self._enter("load" if loading else "prefill" if progress.stage == "prefill" else "queued")
        self.progress = progress
        self._signal(False)

    def start(self) -> None:
        """End the time in the queue: the backend begins to work."""
        self._enter("prefill")
        self.progress = None
        self._signal(False)

    def add(self, chunk: Chunk) -> None:
        """Append one step of the answer."""
        if chunk.text:
            self._parts.append(chunk.text)
            self.characters += len(chunk.text)
        if chunk.text or chunk.tokens:
            self._count(chunk)
        if chunk.routing:
            self.routing = self.routing or Routing()
            for one in chunk.routing:
                self.routing.add(one)
        self.notes += chunk.notes
        self.warnings += chunk.warnings
        self.timings = chunk.timings or self.timings
        if chunk.timings and chunk.timings.load is not None:
            self._divide_waiting(chunk.timings.load)
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self._signal(self._steps == 1)

    def end(self, state: AnswerState, error: BackendError | None = None) -> None:
        """End the answer in a final state."""
        self._enter(self._stage)
        if self.finish_reason:  # it is complete: a later failure does not change it
            state, error = "done", None
        self.state, self.error, self.progress = state, error, None
        self._signal(True)

    def recount(self, tokens: int, source: TokenSource) -> None:
        """Replace a guess at the number of tokens by a better one."""
        self._first_tokens = round(self._first_tokens * tokens / self._tokens) or 1
        self._tokens, self._token_source = tokens, source

    @property
    def tokens(self) -> int:
        """Number of tokens so far."""
        return self._tokens

    @property
    def counted(self) -> bool:
        """True if the engine itself counted every step's tokens."""
        return self._token_source == "engine"

    def snapshot(self, shared: bool = False) -> AnswerSnapshot:
        """The answer as it stands now."""
        now = self._last if self.ended else time.monotonic()
        waited = dict(self._stages)
        if self._first is None:
            waited[self._stage] += max(0.0, now - self._stage_since)
        clock = Clock(
            queued=waited["queued"],
            load=waited["load"],
            prefill=waited["prefill"],
            decode=self._last - self._first if self._first is not None else 0.0,
            total=now - self._asked,
            first_token=self._first - self._asked if self._first is not None else None,
            tokens=self._tokens,
            first_tokens=self._first_tokens,
            token_source=self._token_source,
            device=self.timings.device if self.timings else None,
            shared=shared,
            alone=_share_alone(self.timings),
        )
        return AnswerSnapshot(
            state=self.state,
            text=self.text,
            progress=self.progress,
            error=self.error,
            finish_reason=self.finish_reason,
            usage=self.usage,
            routing=self.routing,
            notes=self.notes,
            warnings=self.warnings,
            clock=clock,
        )

    def _count(self, chunk: Chunk) -> None:
        at = chunk.at or time.monotonic()
        tokens = chunk.tokens
        if tokens is None:
            tokens, self._token_source = estimate_tokens(chunk.text), "estimate"
        self._steps += 1
        self._tokens += tokens
        if self._first is None:
            self._enter(self._stage, at)
            self._first, self._first_tokens = at, tokens
            self.state, self.progress = "streaming", None
        self._last = at

    def _divide_waiting(self, load: float) -> None:
        """Divide the time before the first token into the reported loading time and prefill."""
        waited = self._stages["load"] + self._stages["prefill"]
        self._stages["load"] = min(load, waited)
        self._stages["prefill"] = waited - self._stages["load"]

    def _enter(self, stage: str, at: float | None = None) -> None:
        """Enter a stage, and add the time since the last change to the one that ends."""
        now = time.monotonic() if at is None else at
        if self._first is None:
            self._stages[self._stage] += max(0.0, now - self._stage_since)
            self._last = now
        self._stage, self._stage_since = stage, now


def _share_alone(timings: Timings | None) -> float | None:
    """The part of its decoding time that an engine would have taken alone; see `Clock.alone`."""
    if timings is None or timings.decode_alone is None or not timings.decode:
        return None
    return timings.decode_alone / timings.decode
