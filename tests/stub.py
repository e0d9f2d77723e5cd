"""A server that answers from a script, byte by byte, and remembers who asked for what."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio

from tests.browser import PATIENCE

Piece = bytes | asyncio.Event


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """One answer. Events among its pieces are waited for; `cut` ends it without an end."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @classmethod
    def of(cls, body: object, status: int = 200, **headers: str) -> "Reply":
        """A whole body: JSON, or text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls((text.encode(),), status, {"content-type": kind, **named})


class Stub:
    """Answers each request with the next reply that was given for its path, the last one for ever.

    `async with Stub() as stub` serves at `stub.url`; `stub.open` counts answers on their way.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.seen: list[Seen] = []
        self.open = 0
        self.url = ""
        self._replies: dict[str, list[Reply]] = {}
        self._hang_ups = 0
        self._changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Stub":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Stop serving; answers on their way are cut off."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def on(self, path: str, *replies: Reply) -> None:
        """What to answer at a path, one request after the other."""
        self._replies[path] = list(replies)

    def hang_up(self, times: int) -> None:
        """Close so many of the next connections once a request has come, without a word."""
        self._hang_ups = times

    def asked(self, path: str) -> list[Seen]:
        """The requests for a path."""
        return [seen for seen in self.seen if seen.path == path]

    async def until_open(self, count: int) -> None:
        """Wait until so many answers are on their way."""
        async with self._changed, asyncio.timeout(PATIENCE):
            await self._changed.wait_for(lambda: self.open == count)

    async def until_asked(self, path: str) -> None:
        """Wait until somebody asks for a path."""
        async with self._changed, asyncio.timeout(PATIENCE):
            await self._changed.wait_for(lambda: bool(self.asked(path)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            seen = await _read(reader)
            self.seen.append(seen)
            if self._hang_ups:
                self._hang_ups -= 1
                writer.transport.abort()
                return
            replies = self._replies.get(seen.path, [Reply.of("404 page not found", 404)])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            await self._count(1)
            try:
                await _answer(reply, reader, writer)
            finally:
                await self._count(-1)
        self._writers.discard(writer)
        writer.close()

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.open += change
            self._changed.notify_all()


@pytest_asyncio.fixture
async def stub() -> AsyncGenerator[Stub, None]:
    """A server that knows nothing yet."""
    async with Stub() as stub:
        yield stub


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body)


async def _answer(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    headers = {"connection": "close", "transfer-encoding": "chunked", **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Scripted\r\n{lines}\r\n".encode())
    gone = asyncio.ensure_future(reader.read(1))  # ends when the client hangs up
    try:
        for piece in reply.pieces:
            if isinstance(piece, asyncio.Event):
                waiting = asyncio.ensure_future(piece.wait())
                await asyncio.wait((gone, waiting), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if gone.done():
                    return
            elif piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
        if not reply.cut:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
    finally:
        gone.cancel()
        if reply.cut:
            writer.transport.abort()


def sse(*events: object, done: bool = True) -> bytes:
    """Events of a stream, as bytes; text goes as it is."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])]).encode()


def delta(text: str | None, finish: str | None = None, **more: object) -> dict[str, object]:
    """One event of a chat/completions stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice], **more}


def usage(read: int, said: int) -> dict[str, object]:
    """The event that counts tokens, which has no choices."""
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said},
    }
