"""Visits: which sessions belong to an open page, and what goes when they do not."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from playground.keyring import Keyring
from playground.limits import Limits
from playground.visitors import VISITOR

from .refusal import Refusal

_HEARTBEAT = "/gradio_api/heartbeat/"
GRACE = 150.0
"""Seconds without a heartbeat, or an event, after which a page counts as closed, and its typed keys
are forgotten. One that lost its heartbeat, as on a phone, still asks for news every minute."""
UNMET = 50.0
"""The same for a session that never had a heartbeat: it is dropped."""
KEPT = 3600.0
"""Seconds that the session of a closed page is kept."""


@dataclass(slots=True)
class _Visit:
    """One session: a page has an open connection, its heartbeat, for as long as it is open."""

    visitor: str
    heartbeats: int = 0
    met: bool = False
    """It had a heartbeat once."""
    forgotten: bool = False
    since: float = field(default_factory=time.monotonic)
    """When it came, when it was last used, or when its page was closed."""

    @property
    def left(self) -> bool:
        """Its page was closed a while ago, or it never had one."""
        patience = GRACE if self.met else UNMET
        return not self.heartbeats and time.monotonic() - self.since > patience


class Visits:
    """The sessions that this page keeps, by their hash: all that a session is known by.

    `holder` is Gradio's `StateHolder`, which has their values: half a megabyte each. By itself it
    would keep 10,000, and drop those first that were used longest ago, also of pages still open.
    """

    def __init__(self, limits: Limits, holder: Any) -> None:
        self.limits, self.holder = limits, holder
        self._visits: dict[str, _Visit] = {}
        self._of: Counter[str] = Counter()
        """Sessions of each visitor."""

    def admit(self, session: str, visitor: str) -> None:
        """A session has sent an event. Raises `Refusal` if there are too many already."""
        if visit := self._visits.get(session):
            visit.since, visit.forgotten = time.monotonic(), False  # a key may be typed again
            return
        self.check_room(visitor)
        self._visits[session] = _Visit(visitor)
        self._of[visitor] += 1

    def check_room(self, visitor: str) -> None:
        """Raise `Refusal` if a visitor, or the whole page, has as many sessions as there may be."""
        most = self.limits.sessions_per_visitor
        if most is not None and self._of[visitor] >= most and not self._make_room(visitor):
            sentence = "Many pages are open here from your address. Close some, or wait a minute."
            raise Refusal(429, sentence, retry_after=60)
        if len(self._visits) >= self.limits.sessions and not self._make_room():
            sentence = "Too many people are here at this moment. Try again in a few minutes."
            raise Refusal(503, sentence, retry_after=60)

    def opened(self, session: str, visitor: str) -> None:
        """A page has opened its heartbeat. Raises `Refusal` as `admit` does."""
        self.admit(session, visitor)
        visit = self._visits[session]
        visit.heartbeats += 1
        visit.met = True

    def closed(self, session: str) -> None:
        """A page has closed its heartbeat."""
        if visit := self._visits.get(session):
            visit.heartbeats -= 1
            visit.since = time.monotonic()

    def sweep(self) -> None:
        """Forget the keys of closed pages, and drop sessions that never had a page.

        A page that was closed a moment ago may be opened again, by the browser's “Back” or a phone
        that wakes up: its session stays for an hour, as long as there is room.
        """
        for session in [session for session, visit in self._visits.items() if visit.left]:
            visit = self._visits[session]
            if not visit.met or time.monotonic() - visit.since > KEPT:
                self._drop(session)
            elif not visit.forgotten:
                visit.forgotten = True
                self._forget_keys(session)

    def _make_room(self, visitor: str | None = None) -> bool:
        """Drop the session that was left longest ago, a visitor's or anybody's."""
        left = [
            (visit.since, session)
            for session, visit in self._visits.items()
            if visit.left and visitor in (None, visit.visitor)
        ]
        if left:
            self._drop(min(left)[1])
        return bool(left)

    def _forget_keys(self, session: str) -> None:
        state = self.holder.session_data.get(session)
        for value in list(state.state_data.values()) if state else ():
            if isinstance(value, Keyring):
                value.forget()

    def _drop(self, session: str) -> None:
        visit = self._visits.pop(session)
        self._of[visit.visitor] -= 1
        if not self._of[visit.visitor]:
            del self._of[visit.visitor]
        self._forget_keys(session)
        self.holder.delete_state(session)
        self.holder.session_data.pop(session, None)
        self.holder.time_last_used.pop(session, None)


class Heartbeats:
    """Sees pages open, and their heartbeats begin and end."""

    def __init__(self, app: ASGIApp, visits: Visits) -> None:
        self.app, self.visits = app, visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note a page for as long as its heartbeat goes on."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path in ("", "/"):
            try:  # said at once: a page whose first event is refused would just stay empty
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
