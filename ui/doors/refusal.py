"""How a door refuses: a status and a sentence."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

Door = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refusal(Exception):
    """A request that goes no further; its sentence is for the visitor."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with it, and hang up: what is left of the body is not waited for."""
        headers = {"connection": "close"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        response = PlainTextResponse(self.sentence, self.status, headers)
        await response(scope, receive, send)


class Reply:
    """Watches what an app sends, so that a refusal can take its place until it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.refusal: Refusal | None = None

    async def send(self, message: Message) -> None:
        """Send on; nothing of the app's once the request is refused."""
        if self.refusal is None:
            self.begun = True
            await self._send(message)


async def run(app: Any, scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
    """Run an app whose `receive` may set `reply.refusal`, and answer with that in its place."""
    try:
        await app(scope, receive, reply.send)
    except Exception:
        if reply.refusal is None:
            raise
    if reply.refusal and not reply.begun:
        await reply.refusal(scope, receive, send)
