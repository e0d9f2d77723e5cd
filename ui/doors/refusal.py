"""How a door refuses: a status and a sentence."""

import asyncio
from contextlib import suppress

from starlette.types import Receive, Scope, Send

LISTENS = 5.0
"""Seconds that a refused request may go on."""
LISTENS_TO = 64_000_000
"""Bytes of it."""


class Refusal(Exception):
    """A request that goes no further; its sentence is for the visitor."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after

    async def __call__(self, scope: Scope, receive: Receive | None, send: Send) -> None:
        """Answer with it, and hang up. `receive` gives what is still to come of the body, if any.

        Who is still sending would not hear the answer, and be told only that the connection broke:
        so a while is listened, and nothing kept.
        """
        if receive is not None:
            await _let_speak(receive)
        headers = {"connection": "close"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        body = self.sentence.encode()
        headers |= {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


async def _let_speak(receive: Receive) -> None:
    heard = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LISTENS):
            while heard < LISTENS_TO:
                message = await receive()
                heard += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
