"""The answers that are being made: who hears of their ends, and how they are ended."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from backends import MODELS, BackendError, FinishReason, base_id

from .answer import AnswerBuilder, AnswerSnapshot, Request
from .clock import TokenSource
from .health import HealthMonitor

logger = logging.getLogger(__name__)

OTHER_MODEL = "other"
"""Stands for a model whose name somebody typed: it might hold anything."""


class RestartingError(BackendError):
    """The page is about to end, most often to be started again."""

    code = "restarting"

    def __init__(self) -> None:
        super().__init__(
            "The page is being restarted.", "What came is kept. Ask again in a minute."
        )


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """What may be told of an ended answer: none of its words, no key, no address."""

    id: str
    backend: str
    """The backend's id in the registry, also of a server that a visitor named."""
    model: str
    state: str
    error: str | None
    """The code of the failure."""
    finish_reason: FinishReason | None
    total: float
    """Durations in seconds: see `Clock`."""
    queued: float
    load: float
    first_token: float | None
    decode: float
    tokens: int
    token_source: TokenSource
    tokens_per_second: float | None


@dataclass(eq=False, slots=True)
class _Making:
    request: Request
    answer: AnswerBuilder
    task: "asyncio.Task[object] | None"
    id: str = field(default_factory=lambda: secrets.token_hex(6))


class InFlight:
    """The answers of one page that are being made. `observers` are told of each that ends."""

    def __init__(self, health: HealthMonitor) -> None:
        self.observers: list[Callable[[AnswerReport], None]] = []
        self.closing = False
        """Whether no answer may begin any more."""
        self.cut = False
        """Whether those that had not ended by then were ended."""
        self._health = health
        self._making: set[_Making] = set()

    def check_open(self) -> None:
        """Raise `RestartingError` if no answer may begin any more."""
        if self.closing:
            raise RestartingError

    @contextmanager
    def making(self, request: Request, answer: AnswerBuilder) -> Generator[None, None, None]:
        """Count an answer until it has ended, and report its end."""
        one = _Making(request, answer, asyncio.current_task())
        self._making.add(one)
        try:
            yield
        finally:
            self._making.discard(one)
            self._report(one)

    def counts(self) -> dict[str, tuple[int, int]]:
        """By the backend's id in the registry: answers at work, and answers that wait in line."""
        found: dict[str, tuple[int, int]] = {}
        for one in tuple(self._making):
            name = base_id(one.request.backend)
            working, waiting = found.get(name, (0, 0))
            waits = one.answer.in_line
            found[name] = (working + (not waits), waiting + waits)
        return found

    def cut_off(self) -> None:
        """End those that are being made: what came of them stays, and they say why."""
        self.closing = self.cut = True
        for one in self._making:
            if one.task is not None:
                one.task.cancel()

    @property
    def idle(self) -> bool:
        """True if no answer is being made."""
        return not self._making

    def _report(self, one: _Making) -> None:
        if not self.observers:
            return
        report = self._report_of(one, one.answer.snapshot())
        for observer in self.observers:
            try:
                observer(report)
            except Exception:  # a full disk, say, is no reason to lose an answer
                logger.exception("an answer's end could not be told")

    def _report_of(self, one: _Making, snapshot: AnswerSnapshot) -> AnswerReport:
        clock = snapshot.clock
        return AnswerReport(
            id=one.id,
            backend=base_id(one.request.backend),
            model=self._safe_name(one.request),
            state=snapshot.state,
            error=snapshot.error.code if snapshot.error else None,
            finish_reason=snapshot.finish_reason,
            total=clock.total,
            queued=clock.queued,
            load=clock.load,
            first_token=clock.first_token,
            decode=clock.decode,
            tokens=clock.tokens,
            token_source=clock.token_source,
            tokens_per_second=clock.tokens_per_second,
        )

    def _safe_name(self, request: Request) -> str:
        """The model's name if its backend offers it to all, or the catalogue's for it."""
        health = self._health.last(request.backend)
        if health and request.model in [offer.model for offer in health.offers]:
            return request.model
        key = request.backend.spec_of(request.model).key
        return key if key in MODELS else OTHER_MODEL
