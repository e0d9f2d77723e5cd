"""The door for files: they may fill neither the disk nor a minute."""

import re
import time
from collections import OrderedDict, deque

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.limits import Limits
from playground.visitors import VISITOR

from .folder import UploadFolder
from .refusal import Refusal

UPLOAD = re.compile(r"/gradio_api/upload/?")
_MINUTE = 60.0


class Uploads:
    """Counts the bytes of uploads while they come."""

    def __init__(self, app: ASGIApp, limits: Limits, files: UploadFolder) -> None:
        self.app, self.limits, self.files = app, limits, files
        self._sent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an upload through as long as there is room for it."""
        if scope["type"] != "http" or not UPLOAD.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        visitor, begun, more = VISITOR.get(), False, True
        refused: Refusal | None = None
        declared = Headers(scope=scope).get("content-length", "0")
        length = int(declared[:15]) if declared.isdecimal() else 0
        try:
            self._check(visitor, length)
        except Refusal as refusal:
            return await refusal(scope, receive, send)

        async def counted() -> Message:
            nonlocal more, refused
            message = await receive()
            more = message.get("more_body", False)
            size = len(message.get("body", b""))
            try:
                self._check(visitor, size)
            except Refusal as refusal:
                refused = refusal
                raise
            self._count(visitor, size)
            return message

        async def answer(message: Message) -> None:
            nonlocal begun
            if refused is None:  # else it is about the refusal, which Gradio does not know
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
        if most is not None and self._last_minute(visitor) + size > most:
            sentence = "These are many files at once. Wait a minute, then add the rest."
            raise Refusal(429, sentence, retry_after=int(_MINUTE))
        if not self.files.has_room(size):
            sentence = "There is no room for more files here at this moment. Try again in a minute."
            raise Refusal(507, sentence, retry_after=int(_MINUTE))

    def _last_minute(self, visitor: str) -> int:
        now, sent = time.monotonic(), self._sent.get(visitor, deque())
        while sent and now - sent[0][0] > _MINUTE:
            sent.popleft()
        return sum(size for _, size in sent)

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
        while now - next(iter(self._sent.values()))[-1][0] > _MINUTE:
            self._sent.popitem(last=False)
