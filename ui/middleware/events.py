"""Checks of event requests: a small JSON body that arrives in time and names its session."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.limits import Limits
from playground.visitors import VISITOR

from .refusal import Refusal
from .uploads import UPLOAD
from .visits import Visits

READ_TIMEOUT = 10.0
"""Seconds to wait for the next piece of a body."""
BODY_TIMEOUT = 30.0
"""Seconds to wait for the whole body."""
_SESSION_HASH = re.compile("[A-Za-z0-9-]{1,64}")
_CANCEL_PATHS = re.compile(r"/gradio_api/(cancel|reset)/?")
"""Paths that end an event: they create no session, and Gradio's page does not always name one."""
_WITHOUT_SESSION = re.compile(r"/gradio_api/(call|mcp)(/.*)?")
"""Paths that programs call: a call without a session gets one of its own (`Calls`)."""
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class EventCheck:
    """Reads each event's body completely, refuses invalid ones, and replays valid ones."""

    def __init__(self, app: ASGIApp, limits: Limits, visits: Visits) -> None:
        self.app, self.limits, self.visits = app, limits, visits
        self._reading: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through if it only reads, uploads, or is a proper event."""
        if (
            scope["type"] != "http"
            or scope["method"] in _SAFE_METHODS
            or UPLOAD.fullmatch(scope["path"])
        ):
            return await self.app(scope, receive, send)
        visitor = VISITOR.get()
        try:
            with self._count_body(visitor):
                body = await self._read(Headers(scope=scope), receive)
        except Refusal as refusal:
            return await refusal(scope, receive, send)
        if body is None:  # the visitor has gone
            return
        try:
            event = _event(body, self.limits.event_values)
            path = scope["path"]
            apart = _WITHOUT_SESSION.fullmatch(path) and "session_hash" not in event
            if not apart and not _CANCEL_PATHS.fullmatch(path):
                self.visits.admit(_session(event), visitor)
        except Refusal as refusal:
            return await refusal(scope, None, send)
        await self.app(scope, _replayed(body, receive), send)

    @contextmanager
    def _count_body(self, visitor: str) -> Generator[None, None, None]:
        most = self.limits.bodies
        if most is not None and self._reading[visitor] >= most:
            raise Refusal(429, "These are many requests at once. Wait a moment.", retry_after=5)
        self._reading[visitor] += 1
        try:
            yield
        finally:
            self._reading[visitor] -= 1
            if not self._reading[visitor]:
                del self._reading[visitor]

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "This page takes JSON here.")
        most = self.limits.body_bytes
        too_large = Refusal(413, f"This is more than this page takes at once: {most:,} bytes.")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:12]) > most:
            raise too_large
        body, end = bytearray(), asyncio.get_running_loop().time() + BODY_TIMEOUT
        while True:
            try:
                now = asyncio.get_running_loop().time()
                async with asyncio.timeout_at(min(now + READ_TIMEOUT, end)):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, "This request took too long to arrive. Try again.") from None
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def _event(body: bytes, most: int) -> dict[str, Any]:
    """Parse an event. Raises `Refusal` if it is not JSON, or has more than `most` values."""
    try:
        event: Any = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise Refusal(400, "This is not JSON that can be read.")
    _check_values(event, most)
    return event


def _session(event: dict[str, Any]) -> str:
    """Return the event's session hash. Raises `Refusal` if it has none."""
    session = event.get("session_hash")
    if not isinstance(session, str) or not _SESSION_HASH.fullmatch(session):
        raise Refusal(400, "This event belongs to no page. Reload the page.")
    return session


def _check_values(event: Any, most: int) -> None:
    """Raise `Refusal` for more than `most` values: Gradio copies each of them several times.

    And for a file at an address: Gradio would fetch it, of any size, before anybody asks for it.
    """
    values, count = [event], 0
    while values:
        value = values.pop()
        if not isinstance(value, dict | list):
            continue
        count += len(value)
        if count > most:
            raise Refusal(413, f"This is more than this page takes at once: {most:,} values.")
        if isinstance(value, dict) and "meta" in value and _is_address(value.get("path")):
            sentence = "This page fetches no file from an address. Send it the file itself."
            raise Refusal(400, sentence)
        values.extend(value.values() if isinstance(value, dict) else value)


def _is_address(path: object) -> bool:
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body again, then whatever follows it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
