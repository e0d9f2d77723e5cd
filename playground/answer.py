"""Request for an answer, the answer while it is built, and its snapshots."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

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
from .text import ControlStripper
from .thinking import ThinkingSplitter, ended_unopened
from .visitors import Visitor

AnswerState = Literal["waiting", "streaming", "done", "stopped", "failed"]
Signal = Callable[[bool], None]
"""Called at every change; with True if the change should be shown at once."""


LONGEST_WORD = 40
"""Characters of a word that is written anew; what is longer is a text without spaces."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one answer: backend, model, conversation and parameters."""

    backend: Backend
    model: str
    messages: tuple[Message, ...]
    params: GenerationParams = field(default_factory=GenerationParams)
    connection: Connection | None = None
    visitor: Visitor = field(default_factory=Visitor)
    asked_at: str = field(default_factory=_now)
    """When, in ISO 8601 and UTC."""
    begun: str = ""
    """The beginning of the answer, which the model goes on with: an earlier version without its
    last word, which may be half of one."""

    @classmethod
    def going_on(
        cls, backend: Backend, model: str, messages: Sequence[Message], text: str, **rest: Any
    ) -> "Request":
        """A request to go on with an answer. Its last word is written anew.

        A model's first token has the space before it; some servers (llama.cpp's) drop that.
        """
        *_, word = re.split(r"\s", text)
        begun = text if len(word) > LONGEST_WORD else text.removesuffix(word)
        begun = begun if begun.strip() else text
        last = Message.of("assistant", begun.rstrip())
        return cls(backend, model, (*messages, last), begun=begun, **rest)

    @property
    def system(self) -> str:
        """The system prompt; empty without one."""
        first = self.messages[0] if self.messages else None
        return first.text if first and first.role == "system" else ""

    def whole(self, new: str) -> str:
        """The answer as far as it goes: its beginning, and what came."""
        if not new or not new[0].isspace():
            return self.begun + new
        return self.begun.rstrip() + new

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
    thinking: str = ""
    """What the model thought before it answered: no part of the answer."""
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


_SHOWN = re.compile(r"[^\s#*_`~>|+=:.\-]")
"""A character that is not among the marks that Markdown begins a text with."""


class AnswerBuilder:
    """Builds one answer from its chunks and times it. `snapshot()` may be taken at any time."""

    def __init__(self, signal: Signal = lambda at_once: None) -> None:
        self._signal = signal
        self._asked = self._stage_since = self._last = time.monotonic()
        self._stages = {"queued": 0.0, "load": 0.0, "prefill": 0.0}
        self._stage = "queued"
        self._page_queue = 0.0
        self._first: float | None = None
        self._splitter = ThinkingSplitter()
        self._answer, self._thoughts = _Part(), _Part()
        self._steps = 0
        self._shows = False
        """Whether a reader sees anything of it yet: a heading's marks alone show nothing."""
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
        return self._answer.text

    @property
    def thinking(self) -> str:
        """What the model thought so far."""
        return self._thoughts.text

    @property
    def characters(self) -> int:
        """Length of the answer and of its thinking so far."""
        return self._answer.characters + self._thoughts.characters

    @property
    def in_line(self) -> bool:
        """True while it waits in a queue: the page's own, or its backend's."""
        return self.state == "waiting" and self._stage == "queued"

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

    def start(self, *, anew: bool = False) -> None:
        """End the time in the page's own queue: the backend begins to work.

        With `anew` nothing before counts: it is as if it was asked now.
        """
        if anew:
            self._asked = self._stage_since = time.monotonic()
            self._stages["queued"] = 0.0
        self._enter("prefill")
        self._page_queue = self._stages["queued"]
        self.progress = None
        self._signal(False)

    def add(self, chunk: Chunk) -> None:
        """Append one step of the answer."""
        thought, text = self._splitter.feed(chunk.text) if chunk.text else ("", "")
        self._thoughts.add(chunk.thinking + thought)
        self._answer.add(text)
        if ">" in text and not self._thoughts.characters:
            self._divide(len(text))
        if chunk.text or chunk.thinking or chunk.tokens:
            self._count(chunk)
        if chunk.routing:
            self.routing = self.routing or Routing()
            for one in chunk.routing:
                self.routing.add(one)
        self.notes += chunk.notes
        self.warnings += chunk.warnings
        self.timings = chunk.timings or self.timings
        if chunk.timings:
            self._divide_waiting(chunk.timings)
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason
        begins = not self._shows and bool(_SHOWN.search(text))
        self._shows |= begins
        self._signal(begins or self._steps == 1)

    def end(self, state: AnswerState, error: BackendError | None = None) -> None:
        """End the answer in a final state."""
        for part, rest in zip((self._thoughts, self._answer), self._splitter.end(), strict=True):
            part.end(rest)
        self._enter(self._stage)
        if self.finish_reason:  # it is complete: a later failure does not change it
            state, error = "done", None
        self.state, self.error, self.progress = state, error, None
        self._signal(True)

    def recount(self, tokens: int, source: TokenSource) -> None:
        """Replace a guess at the number of tokens by a better one."""
        thought = self._thoughts.tokens
        if thought and self.tokens:
            reported = self.usage.thinking_tokens if self.usage else None
            thought = round(tokens * thought / self.tokens) if reported is None else reported
            self._thoughts.recount(thought)
        self._answer.recount(max(0, tokens - thought))
        self._token_source = source

    @property
    def tokens(self) -> int:
        """Number of tokens so far, those of thinking too."""
        return self._answer.tokens + self._thoughts.tokens

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
        answer, thoughts, timings = self._answer, self._thoughts, self.timings or Timings()
        clock = Clock(
            queued=waited["queued"],
            load=waited["load"],
            waited_to_load=timings.waited_to_load,
            prefill=waited["prefill"],
            thinking=_seconds(self._first, answer.first or self._last) if thoughts.tokens else 0.0,
            decode=_seconds(answer.first, answer.last),
            total=now - self._asked,
            first_token=self._first - self._asked if self._first is not None else None,
            tokens=self.tokens,
            thinking_tokens=thoughts.tokens,
            first_tokens=answer.first_tokens,
            arrivals=answer.arrivals,
            token_source=self._token_source,
            engine_decode=timings.decode,
            device=timings.device,
            shared=shared,
            alone=_share_alone(self.timings),
        )
        return AnswerSnapshot(
            state=self.state,
            text=self.text,
            thinking=self.thinking,
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
            tokens, self._token_source = _guess(chunk.text or chunk.thinking), "estimate"
        self._steps += 1
        if self._first is None:
            self._enter(self._stage, at)
            self._first = at
            self.state, self.progress = "streaming", None
        # What is held back until a tag is told from a text belongs to what comes of it.
        thinks = chunk.thinking or self._splitter.thinks
        (self._thoughts if thinks else self._answer).count(tokens, at)
        self._last = at

    def _divide(self, added: int) -> None:
        """Take for thinking what came before an end of thinking in the last `added` characters."""
        text = self._answer.text
        if "</think" not in text[-added - len("</thinking>") :].lower():
            return
        if divided := ended_unopened(text):
            thinking, rest = divided
            self._thoughts, self._answer = self._answer, _Part()
            self._thoughts.replace(thinking)
            self._answer.add(rest)
            if not rest:
                self._splitter.skip_gap()

    def _divide_waiting(self, told: Timings) -> None:
        """Divide the time before the first token by what the engine tells of line and loading."""
        stages = self._stages
        waited = stages["load"] + stages["prefill"]
        load = stages["load"] if told.load is None else min(told.load, waited)
        known = stages["queued"] - self._page_queue  # what its progress told already
        queued = min(max(0.0, (told.queued or 0.0) - known), waited - load)
        stages["queued"] += queued
        stages["load"], stages["prefill"] = load, waited - load - queued

    def _enter(self, stage: str, at: float | None = None) -> None:
        """Enter a stage, and add the time since the last change to the one that ends."""
        now = time.monotonic() if at is None else at
        if self._first is None:
            self._stages[self._stage] += max(0.0, now - self._stage_since)
            self._last = now
        self._stage, self._stage_since = stage, now


_LONGEST_TOKEN = 32
"""Characters of a token at most, but for runs of spaces: what is longer is several."""


def _guess(text: str) -> int:
    """Tokens of one step of a wire that does not tell: one, as every server that was tried sends
    them, unless the step is too long for that.
    """
    return 1 if len(text) <= _LONGEST_TOKEN else estimate_tokens(text)


class _Part:
    """The answer or its thinking, while it grows: text, tokens and when they came."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._text = ""
        self._stripper = ControlStripper()
        self.characters = self.tokens = self.first_tokens = self.arrivals = 0
        self.first: float | None = None
        self.last: float | None = None

    @property
    def text(self) -> str:
        """The text so far, as valid Unicode without control characters."""
        if self._pieces:
            self._text += self._stripper.feed("".join(self._pieces))
            self._pieces.clear()
        return self._text

    def end(self, rest: str) -> None:
        """Append the last text, and what was held back of it."""
        self.add(rest)
        self._text = self.text + self._stripper.end()

    def add(self, text: str) -> None:
        """Append text."""
        if text:
            self._pieces.append(text)
            self.characters += len(text)

    def replace(self, text: str) -> None:
        """Replace the text so far."""
        self._pieces.clear()
        self._text, self.characters = text, len(text)

    def count(self, tokens: int, at: float) -> None:
        """Count tokens that came at a time; what came in one packet has the same one."""
        if self.first is None:
            self.first = at
        if at == self.first:
            self.first_tokens += tokens
        if at != self.last:
            self.arrivals += 1
        self.tokens += tokens
        self.last = at

    def recount(self, tokens: int) -> None:
        """Replace a guess at the number of tokens by a better one."""
        if self.tokens:
            self.first_tokens = round(self.first_tokens * tokens / self.tokens) or 1
        self.tokens = tokens


def _seconds(start: float | None, end: float | None) -> float:
    return end - start if start is not None and end is not None else 0.0


def _share_alone(timings: Timings | None) -> float | None:
    """The part of its decoding time that an engine would have taken alone; see `Clock.alone`."""
    if timings is None or timings.decode_alone is None or not timings.decode:
        return None
    return timings.decode_alone / timings.decode
