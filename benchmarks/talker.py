"""A server that says what it is asked to say, when it is due: chat/completions and Ollama's API.

The last message sets the answer: "1000 tokens at 500/s, marked a1." At 0/s all of it comes at once;
"torn" before the full stop cuts every event in two, within a character where there is a long one.
`ENDLESS` asks for one line of 25 MB.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

MODEL = "phi-3.5-mini"
_WORDS = (
    "A ",
    "small ",
    "mo",
    "del",
    " é",
    "\n",
    "语言",
    "模型",
    " ",
    "🙂",
    "ru",
    "ns ",
    "ici",
    ".",
)
ENDLESS = "A line without an end."
_ENDLESS_MB = 25
_ASKED = re.compile(r"(\d+) tokens at (\d+)/s, marked (\w+)( torn)?\.")


@dataclass(frozen=True)
class Script:
    """What an answer is going to be."""

    count: int
    rate: int = 0
    """Tokens per second; 0 for all at once."""
    mark: str = "x"
    """Stands in every tenth token, with its number: no two answers look alike."""
    torn: bool = False

    @classmethod
    def of(cls, prompt: str) -> "Script":
        """The script that a prompt asks for."""
        found = _ASKED.search(prompt)
        if not found:
            raise ValueError(f"not a prompt for this server: {prompt!r}")
        return cls(int(found[1]), int(found[2]), found[3], bool(found[4]))

    @property
    def prompt(self) -> str:
        """How to ask for it."""
        torn = " torn" if self.torn else ""
        return f"{self.count} tokens at {self.rate}/s, marked {self.mark}{torn}."

    def token(self, n: int) -> str:
        """The n-th token, from 0."""
        return f"[{self.mark}.{n}]" if n % 10 == 0 else _WORDS[n % len(_WORDS)]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(map(self.token, range(self.count)))


def chat_events(script: Script) -> Iterator[bytes]:
    """The events of chat/completions as vLLM writes them, one for each token, and the end."""
    head = {"id": f"chatcmpl-{script.mark}", "object": "chat.completion.chunk", "model": MODEL}
    head["created"] = int(time.time())

    def event(choices: list[dict[str, object]], **more: object) -> bytes:
        text = json.dumps({**head, "choices": choices, **more}, ensure_ascii=False)
        return f"data: {text}\n\n".encode()

    def choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    for n in range(script.count):
        yield event(choice({"content": script.token(n)}))
    counts = {"prompt_tokens": 9, "completion_tokens": script.count}
    end = event(choice({"content": ""}, "stop"))
    yield end + event([], usage={**counts, "total_tokens": 9 + script.count}) + b"data: [DONE]\n\n"


def ollama_events(script: Script) -> Iterator[bytes]:
    """The lines of Ollama's /api/chat, one for each token, and the end."""

    def event(text: str, **more: object) -> bytes:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        message = {"role": "assistant", "content": text}
        line = {"model": MODEL, "created_at": now, "message": message, **more}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    for n in range(script.count):
        yield event(script.token(n), done=False)
    counts = {"prompt_eval_count": 9, "eval_count": script.count}
    times = {"total_duration": 1, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 1}
    yield event("", done=True, done_reason="stop", **counts, **times)


EVENTS = {"/v1/chat/completions": chat_events, "/api/chat": ollama_events}
KINDS = {"/v1/chat/completions": "text/event-stream", "/api/chat": "application/x-ndjson"}
LISTS = {
    "/": {},
    "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]},
    "/api/version": {"version": "0.18.0"},
    "/api/tags": {"models": [{"name": MODEL, "model": MODEL, "size": 1, "details": {}}]},
    "/api/ps": {"models": [{"name": MODEL, "model": MODEL}]},
    "/api/show": {"details": {}, "model_info": {}, "capabilities": ["completion"]},
}


Ended = Callable[[str], None]
"""Is told the mark of each answer whose last byte was sent."""


def serve(port: int, ended: Ended = lambda mark: None) -> None:
    """Serve until the process is ended."""
    asyncio.run(_serve(port, ended))


async def _serve(port: int, ended: Ended) -> None:
    connection = partial(_connection, ended)
    server = await asyncio.start_server(connection, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


async def _connection(
    ended: Ended, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1].split("?")[0]
            length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1]) if length else 0)
            if path in EVENTS:
                prompt = json.loads(body)["messages"][-1]["content"]
                if prompt == ENDLESS:
                    await _send(_endless(path), path, writer)
                else:
                    await _say(script := Script.of(prompt), path, writer)
                    ended(script.mark)
            else:
                status = "200 OK" if path in LISTS else "404 Not Found"
                answer = json.dumps(LISTS.get(path, {"error": "not found"})).encode()
                kind = f"content-type: application/json\r\ncontent-length: {len(answer)}"
                writer.write(f"HTTP/1.1 {status}\r\n{kind}\r\n\r\n".encode() + answer)
    writer.close()


async def _say(script: Script, path: str, writer: asyncio.StreamWriter) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        start = time.perf_counter()
        for n, event in enumerate(EVENTS[path](script)):
            if script.rate and (wait := start + n / script.rate - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            middle = _middle(event) if script.torn else len(event)
            for part in filter(None, (event[:middle], event[middle:])):
                yield part

    await _send(pieces(), path, writer)


async def _endless(path: str) -> AsyncIterator[bytes]:
    """The beginning of an event, and 25 MB of a text that does not end."""
    yield b"data: " * (path != "/api/chat") + b'{"message": {"content": "'
    for _ in range(_ENDLESS_MB):
        yield b"x" * 1_000_000


async def _send(pieces: AsyncIterator[bytes], path: str, writer: asyncio.StreamWriter) -> None:
    """Send a response, piece by piece."""
    kind = f"content-type: {KINDS[path]}\r\ntransfer-encoding: chunked"
    writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode())
    async for piece in pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _middle(event: bytes) -> int:
    """Where to tear an event: behind the first byte of a long character, else anywhere."""
    long = next((n for n, byte in enumerate(event) if byte >= 0xC0), None)
    return len(event) // 2 if long is None else long + 1
