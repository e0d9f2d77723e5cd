"""The response of a refused request: a status and a sentence."""

import asyncio
from contextlib import suppress

from starlette.types import Receive, Scope, Send

DRAIN_SECONDS = 5.0
"""Seconds for which the body of a refused request is still read."""
DRAIN_BYTES = 64_000_000
"""Bytes of it that are read at most."""


class Refusal(Exception):
    """A request is refused; its sentence is shown to the visitor."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after

    async def __call__(self, scope: Scope, receive: Receive | None, send: Send) -> None:
        """Send the response and close the connection; `receive` gives the rest of the body, if any.

        A client that is still sending would not read the response, only see a broken connection:
        so the rest is read for a while and discarded.
        """
        if receive is not None:
            await _drain(receive)
        headers = {"connection": "close"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        body = self.sentence.encode()
        headers |= {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    received = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while received < DRAIN_BYTES:
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
