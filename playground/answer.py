"""One answer while it grows: what came, when it came, and what it waits for."""

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
"""Called at every change; with True where the change should be seen at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one side is asked: which model, where, and the conversation."""

    backend: Backend
    model: str
    messages: tuple[Message, ...]
    params: GenerationParams = field(default_factory=GenerationParams)
    connection: Connection | None = None
    visitor: Visitor = field(default_factory=Visitor)

    def without_key(self) -> "Request":
        """The same as it may be kept: it tells that there was a key, not which."""
        if self.connection is None or not self.connection.api_key:
            return self
        return replace(self, connection=replace(self.connection, api_key="hidden"))


@dataclass(frozen=True, slots=True)
class AnswerSnapshot:
    """One answer as it stood at a moment; only its routing is shared with the growing answer."""

    state: AnswerState = "waiting"
    text: str = ""
    progress: Progress | None = None
    """What it waits for, while it waits."""
    error: BackendError | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    routing: Routing | None = None
    """Which experts worked on its tokens, if that is told. It goes on growing with the answer."""
    notes: tuple[str, ...] = ()
    """What its reader should know about it, in a few words."""
    warnings: tuple[str, ...] = ()
    """What its reader must not overlook, in sentences."""
    clock: Clock = field(default_factory=Clock)

    @property
    def ended(self) -> bool:
        """True once nothing more will come."""
        return self.state in ("done", "stopped", "failed")


class AnswerBuilder:
    """Adds up one answer's chunks. `snapshot()` may be taken at any time."""

    def __init__(self, signal: Signal = lambda at_once: None) -> None:
        self._signal = signal
        self._asked = self._stage_since = self._last = time.monotonic()
        self._stages = {"queued": 0.0, "load": 0.0, "prefill": 0.0}
        self._stage = "queued"
        self._first: float | None = None
        self._parts: list[str] = []
        self._text = ""
        self.characters = 0
        """How long the answer is so far."""
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
        """Everything said so far."""
        if self._parts:
            self._text += valid_unicode("".join(self._parts))
            self._parts.clear()
        return self._text

    @property
    def busy(self) -> tuple[float, float]:
        """From when to when (or until now) it was at work, in `time.monotonic()`."""
        start = self._asked + self._stages["queued"]
        return start, self._last if self.ended else time.monotonic()

    @property
    def ended(self) -> bool:
        """True once nothing more will come."""
        return self.state in ("done", "stopped", "failed")

    def wait_for(self, progress: Progress) -> None:
        """The backend says what it is waiting for."""
        loading = progress.stage in ("loading", "downloading")
        self._enter("load" if loading else "prefill" if progress.stage == "prefill" else "queued")
        self.progress = progress
        self._signal(False)

    def start(self) -> None:
        """It was admitted: from here on the backend is at work."""
        self._enter("prefill")
        self.progress = None
        self._signal(False)

    def add(self, chunk: Chunk) -> None:
        """One more step of the answer."""
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
        """Nothing more will come."""
        self._enter(self._stage)
        if self.finish_reason:  # its end had come: what was to follow is no part of it
            state, error = "done", None
        self.state, self.error, self.progress = state, error, None
        self._signal(True)

    def recount(self, tokens: int, source: TokenSource) -> None:
        """Replace a guess at the number of tokens by a better one."""
        self._first_tokens = round(self._first_tokens * tokens / self._tokens) or 1
        self._tokens, self._token_source = tokens, source

    @property
    def tokens(self) -> int:
        """How many tokens it has so far."""
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
        """How much of the time before the first token was loading, as the engine says."""
        waited = self._stages["load"] + self._stages["prefill"]
        self._stages["load"] = min(load, waited)
        self._stages["prefill"] = waited - self._stages["load"]

    def _enter(self, stage: str, at: float | None = None) -> None:
        """Book the time since the last change to the stage that ends here."""
        now = time.monotonic() if at is None else at
        if self._first is None:
            self._stages[self._stage] += max(0.0, now - self._stage_since)
            self._last = now
        self._stage, self._stage_since = stage, now
