"""Limits of uploads: bytes per visitor and minute, room on the disk, and time."""

import asyncio
import re
import time
from collections import OrderedDict, deque

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.limits import Limits
from playground.visitors import VISITOR

from .multipart import MultipartCheck
from .refusal import Refusal
from .upload_folder import UploadFolder

UPLOAD = re.compile(r"/gradio_api/upload/?")
READ_TIMEOUT = 20.0
"""Seconds to wait for the next piece of a file."""
_MINUTE = 60.0
_TEN_MINUTES = 600.0
"""Seconds that one upload may take, and in which a visitor may send three times the limit of a
minute: an interrupted upload stays on the disk for that long."""


class UploadLimit:
    """Counts the bytes of uploads while they are received."""

    def __init__(self, app: ASGIApp, limits: Limits, files: UploadFolder) -> None:
        self.app, self.limits, self.files = app, limits, files
        self._sent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an upload through as long as it is within the limits."""
        if scope["type"] != "http" or not UPLOAD.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        visitor, begun, more = VISITOR.get(), False, True
        refused: Refusal | None = None
        declared = Headers(scope=scope).get("content-length", "0")
        length = int(declared[:15]) if declared.isdecimal() else 0
        scope["query_string"] = b""  # a name for Gradio's progress, which would be kept for ever
        try:
            self._check(visitor, length)
            parts = MultipartCheck(Headers(scope=scope).get("content-type", ""))
        except Refusal as refusal:
            return await refusal(scope, receive, send)
        end = time.monotonic() + _TEN_MINUTES

        async def counted() -> Message:
            nonlocal more, refused
            if not more:  # what follows is the disconnect
                return await receive()
            try:
                async with asyncio.timeout(min(READ_TIMEOUT, end - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                refused = Refusal(408, "This file took too long to arrive. Add it again.")
                raise refused from None
            more = message.get("more_body", False)
            body = message.get("body", b"")
            size = len(body)
            try:
                self._check(visitor, size)
                parts.feed(body)
            except Refusal as refusal:
                refused = refusal
                raise
            self._count(visitor, size)
            return message

        async def answer(message: Message) -> None:
            nonlocal begun
            if (
                refused is None
            ):  # otherwise Gradio responds to the broken upload; the refusal is sent instead
                begun = True
                await send(message)

        try:
            await self.app(scope, counted, answer)
        except Exception:
            if refused is None:
                raise
        if refused is not None and not begun:
            await refused(scope, receive if more else None, send)

    def _check(self, visitor: str, size: int) -> None:
        most = self.limits.upload_bytes_per_minute
        if most is not None and (
            self._sent_in(visitor, _MINUTE) + size > most
            or self._sent_in(visitor, _TEN_MINUTES) + size > 3 * most
        ):
            sentence = "These are many files at once. Wait a minute, then add the rest."
            raise Refusal(429, sentence, retry_after=int(_MINUTE))
        if not self.files.has_room(size):
            sentence = "There is no room for more files here at this moment. Try again in a minute."
            raise Refusal(507, sentence, retry_after=int(_MINUTE))

    def _sent_in(self, visitor: str, seconds: float) -> int:
        """Return the bytes that a visitor sent in the last `seconds`."""
        now, sent = time.monotonic(), self._sent.get(visitor, deque())
        while sent and now - sent[0][0] > _TEN_MINUTES:
            sent.popleft()
        return sum(size for at, size in sent if now - at <= seconds)

    def _count(self, visitor: str, size: int) -> None:
        self.files.grow(size)
        if self.limits.upload_bytes_per_minute is None:
            return
        now = time.monotonic()
        sent = self._sent.setdefault(visitor, deque())
        self._sent.move_to_end(visitor)
        if sent and now - sent[-1][0] < 1:  # one number a second is enough
            sent[-1] = (sent[-1][0], sent[-1][1] + size)
        else:
            sent.append((now, size))
        while not (first := next(iter(self._sent.values()))) or now - first[-1][0] > _TEN_MINUTES:
            self._sent.popitem(last=False)
