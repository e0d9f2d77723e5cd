"""Gradio's sessions: which of them belong to an open page, and the removal of the others."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from starlette.types import ASGIApp, Receive, Scope, Send

from playground.keyring import Keyring
from playground.limits import Limits
from playground.visitors import VISITOR

from .refusal import Refusal

_HEARTBEAT = "/gradio_api/heartbeat/"
CLOSED_AFTER = 150.0
"""Seconds without a heartbeat or an event after which a page counts as closed: its typed keys are
deleted, and what still runs for it is stopped. A page that lost its heartbeat, as on a phone, still
sends an event every minute."""
UNCONFIRMED_AFTER = 50.0
"""The same for a session that never had a heartbeat: it is deleted."""
SESSION_TTL = 3600.0
"""Seconds for which the session of a closed page is kept."""


@runtime_checkable
class _Stoppable(Protocol):
    """The state of a view, which may have answers on their way.

    A page that is closed closes its streams, and these stop what they stream; but for one that was
    closed before its stream had begun.
    """

    def stop(self) -> None: ...


@dataclass(slots=True)
class _Visit:
    """One session: an open page holds a connection, its heartbeat."""

    visitor: str
    heartbeats: int = 0
    confirmed: bool = False
    """True once it had a heartbeat."""
    left: bool = False
    """True once what a closed page leaves behind is gone."""
    since: float = field(default_factory=time.monotonic)
    """Monotonic time at which it began, was last used, or its page was closed."""

    @property
    def is_closed(self) -> bool:
        """True if its page was closed a while ago, or it never had one."""
        patience = CLOSED_AFTER if self.confirmed else UNCONFIRMED_AFTER
        return not self.heartbeats and time.monotonic() - self.since > patience


class Visits:
    """The sessions that this server keeps, by their hash.

    `holder` is Gradio's `StateHolder`, which has their values: half a megabyte each. By itself it
    would keep 10,000, and delete the least recently used ones first, even of open pages.
    """

    def __init__(self, limits: Limits, holder: Any) -> None:
        self.limits, self.holder = limits, holder
        self._visits: dict[str, _Visit] = {}
        self._per_visitor: Counter[str] = Counter()
        """Sessions of each visitor."""

    def admit(self, session: str, visitor: str) -> None:
        """Register an event of a session. Raises `Refusal` if there are too many sessions."""
        if visit := self._visits.get(session):
            visit.since, visit.left = time.monotonic(), False  # a key may be typed again
            return
        self.check_room(visitor)
        self._visits[session] = _Visit(visitor)
        self._per_visitor[visitor] += 1

    def check_room(self, visitor: str) -> None:
        """Raise `Refusal` if a visitor, or the server, has reached its limit of sessions."""
        most = self.limits.sessions_per_visitor
        if most is not None and self._per_visitor[visitor] >= most and not self._make_room(visitor):
            sentence = "Many pages are open here from your address. Close some, or wait a minute."
            raise Refusal(429, sentence, retry_after=60)
        if len(self._visits) >= self.limits.sessions and not self._make_room():
            sentence = "Too many people are here at this moment. Try again in a few minutes."
            raise Refusal(503, sentence, retry_after=60)

    def opened(self, session: str, visitor: str) -> None:
        """Register the beginning of a page's heartbeat. Raises `Refusal` as `admit` does."""
        self.admit(session, visitor)
        visit = self._visits[session]
        visit.heartbeats += 1
        visit.confirmed = True

    def closed(self, session: str) -> None:
        """Register the end of a page's heartbeat."""
        if visit := self._visits.get(session):
            visit.heartbeats -= 1
            visit.since = time.monotonic()

    def sweep(self) -> None:
        """Delete the keys of closed pages, stop their runs; delete sessions that never had a page.

        A closed page may be opened again, by the browser's “Back” or a phone that wakes up: its
        session is kept for an hour, as long as there is room.
        """
        for session in [session for session, visit in self._visits.items() if visit.is_closed]:
            visit = self._visits[session]
            if not visit.confirmed or time.monotonic() - visit.since > SESSION_TTL:
                self.drop(session)
            elif not visit.left:
                visit.left = True
                self._leave(session)

    def _make_room(self, visitor: str | None = None) -> bool:
        """Delete the session that was closed longest ago, of one visitor or of all."""
        left = [
            (visit.since, session)
            for session, visit in self._visits.items()
            if visit.is_closed and visitor in (None, visit.visitor)
        ]
        if left:
            self.drop(min(left)[1])
        return bool(left)

    def _leave(self, session: str) -> None:
        state = self.holder.session_data.get(session)
        for value in list(state.state_data.values()) if state else ():
            if isinstance(value, Keyring):
                value.forget()
            elif isinstance(value, _Stoppable):
                value.stop()

    def drop(self, session: str) -> None:
        """Delete a session, and stop what runs for it."""
        visit = self._visits.pop(session, None)
        if visit is None:
            return
        self._per_visitor[visit.visitor] -= 1
        if not self._per_visitor[visit.visitor]:
            del self._per_visitor[visit.visitor]
        self._leave(session)
        self.holder.delete_state(session)
        self.holder.session_data.pop(session, None)
        self.holder.time_last_used.pop(session, None)


class HeartbeatTracker:
    """Reports pages that open, and heartbeats that begin and end, to `Visits`."""

    def __init__(self, app: ASGIApp, visits: Visits) -> None:
        self.app, self.visits = app, visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep a session registered as open while its heartbeat lasts."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path in ("", "/"):
            try:  # before the page loads: if only its events were refused, it would stay empty
                self.visits.check_room(VISITOR.get())
            except Refusal as refusal:
                return await refusal(scope, receive, send)
        if scope["type"] != "http" or not path.startswith(_HEARTBEAT):
            return await self.app(scope, receive, send)
        session = path.removeprefix(_HEARTBEAT).rstrip("/")
        try:
            self.visits.opened(session, VISITOR.get())
        except Refusal as refusal:
            return await refusal(scope, receive, send)
        try:
            await self.app(scope, receive, send)
        finally:
            self.visits.closed(session)
