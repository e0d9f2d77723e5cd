"""The patience with one answer: for its first text, for each next one, and in all."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from .._core.errors import BackendError, BackendTimeoutError
from .._core.sentence import Sentence
from .failures import timed_out
from .timeouts import MAX_ANSWER_SECONDS, first_token_timeout, silence_timeout

AT_ONCE = 0.0005
"""Seconds within which a piece of a response is read that has come already."""

T = TypeVar("T")


class Patience:
    """How long one answer is waited for: for its first text, for each next one, and in all.

    One timer watches all waits, and looks at the deadline when it fires: `asyncio.timeout` sets a
    new one for each, which costs a third of what reading a token does.
    """

    def __init__(
        self,
        label: str,
        *,
        first: float | None = None,
        silence: float | None = None,
        total: float | None = MAX_ANSWER_SECONDS,
    ) -> None:
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._limit = first or first_token_timeout()
        self._end = self._now() + (math.inf if total is None else total)
        self._deadline = min(self._now() + self._limit, self._end)
        self._silence, self._begun = silence or silence_timeout(), False
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False
        self.came = 0.0
        """When the last piece came that was waited for, in `time.monotonic()`: those that were
        there at once came with it, as far as can be known."""

    def renew(self) -> None:
        """Something of the answer came."""
        self._deadline = min(self._now() + self._silence, self._end)
        if not self._begun:
            self._limit, self._begun = self._silence, True
            self._set_timer()  # the first text is waited for longer

    def restart(self, limit: float) -> None:
        """The first text is waited for from now on: what was in front of it in line has ended.

        May be called while `next` is awaited; `math.inf` for a wait without a limit of its own.
        """
        self._limit = limit
        self._deadline = min(self._now() + limit, self._end)
        self._set_timer()

    async def next(self, pieces: AsyncIterator[T]) -> T | None:
        """The next piece; `None` at the end. Raises `BackendTimeoutError`."""
        asked, task = time.monotonic(), asyncio.current_task()
        assert task is not None
        cancels, self._waiting = task.cancelling(), task
        if self._timer is None:
            self._set_timer()
        try:
            piece = await anext(pieces, None)
        except asyncio.CancelledError:
            if not self._expired or task.uncancel() > cancels:  # somebody else cancelled it, too
                raise
            raise self._timeout_error() from None
        finally:
            self._waiting = None
        if self._expired and task.uncancel() <= cancels:  # it came in the very last moment
            raise self._timeout_error()
        if (now := time.monotonic()) - asked > AT_ONCE or not self.came:
            self.came = now
        return piece

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """End a wait whose time is up, else look again when it will be."""
        self._timer = None
        if self._waiting is None:
            return  # the next wait sets it
        if self._now() < self._deadline:
            self._set_timer()
        else:
            self._expired = self._waiting.cancel()

    def _timeout_error(self) -> BackendError:
        if self._deadline == self._end:
            return BackendTimeoutError(
                Sentence(
                    "{label} has been answering for {hours}.",
                    label=self._label,
                    hours=Sentence("{n} hours", n=round(MAX_ANSWER_SECONDS / 3600)),
                ),
                "What came is kept. Ask for a shorter answer.",
            )
        return timed_out(self._label, False, self._begun, self._limit)
