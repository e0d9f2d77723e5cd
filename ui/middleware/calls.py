"""Calls of the public endpoints: each is a session of its own, and there are so many a minute."""

import json
import re
import time
from collections import defaultdict, deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.limits import Limits
from playground.visitors import VISITOR

from .origins import MCP
from .refusal import Refusal
from .visits import Visits

_CALL = re.compile(r"/gradio_api/call/(?:v2/)?\w+(?:/([0-9a-f]{1,64}))?/?")
_MINUTE = 60.0


class Calls:
    """Counts calls among a visitor's sessions, from the request until its answer was read.

    Gradio makes a session of every call, under the id of its event, and by itself keeps it. Who
    never fetches the answer has a session that never had a page: `Visits` drops it within a minute.

    All clients of MCP share one session, that of Gradio's own client of this page (Gradio 6.31 has
    no way to give each its own): they are told apart by their addresses, and each of their messages
    counts as a call.
    """

    def __init__(self, app: ASGIApp, limits: Limits, visits: Visits) -> None:
        self.app, self.limits, self.visits = app, limits, visits
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)
        """When calls began in the last minute, by visitor."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call through, and have its session end with it."""
        path = scope.get("path", "")
        found = _CALL.fullmatch(path)
        by_mcp = path.startswith(MCP) and scope.get("method") == "POST"
        if scope["type"] != "http" or not (found or by_mcp):
            return await self.app(scope, receive, send)
        visitor, event = VISITOR.get(), found[1] if found else None
        try:
            if event:
                self.visits.opened(event, visitor)
            else:
                self._count(visitor)
            if found and not event:
                self.visits.check_room(visitor)
                send = self._admitting(visitor, send)
        except Refusal as refusal:
            return await refusal(scope, receive, send)
        if event is None:
            return await self.app(scope, receive, send)
        try:
            await self.app(scope, receive, send)
        finally:
            self.visits.drop(event)

    def _count(self, visitor: str) -> None:
        if self.limits.calls_per_minute is None:
            return
        now = time.monotonic()
        for known in [known for known, times in self._begun.items() if now - times[-1] > _MINUTE]:
            del self._begun[known]
        times = self._begun[visitor]
        while times and now - times[0] > _MINUTE:
            times.popleft()
        if len(times) >= self.limits.calls_per_minute:
            raise Refusal(429, "These are many calls in a minute. Wait a moment.", retry_after=30)
        times.append(now)

    def _admitting(self, visitor: str, send: Send) -> Send:
        """A `send` that registers the session of the call that is told of."""
        body = bytearray()

        async def send_noted(message: Message) -> None:
            body.extend(message.get("body", b""))
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if whole and (event := _event_id(bytes(body))):
                self.visits.admit(event, visitor)
            await send(message)

        return send_noted


def _event_id(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    event = told.get("event_id") if isinstance(told, dict) else None
    return event if isinstance(event, str) else ""
