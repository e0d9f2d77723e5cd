"""What does a wire cost beside reading the lines oneself? `python -m benchmarks.wire`

Each backend behind an address reads a server of our own (`talker.py`, a process by itself), in
turns with a bare reader of the same stream: httpx, `aiter_lines` and `json.loads`. Counted are the
processor time of this process for 1,000 tokens, as they become due and all at once, and the time
from the request to the first text. Then 100 answers at once go through `playground.complete`, and a
server sends 25 MB without a line feed.
"""

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar

import httpx

from backends import REGISTRY, Backend, Chunk, Connection, GenerationParams, Message
from benchmarks.machine import Figure, machine, write
from benchmarks.served import Served, free_port
from benchmarks.talker import ENDLESS, MODEL, Script
from playground.answer import Request
from playground.compare import complete

PAIRS = 9
FIRST_PAIRS = 60
TOKENS = 1000
RATE = 250
"""Tokens per second of the answers whose tokens come one by one."""
STREAMS = 100
CPU_AIM = 1.5
DELAY_AIM = 1.0
PAUSE_AIM = 50.0
PARAMS = GenerationParams(max_tokens=2 * TOKENS, temperature=0)

Texts = AsyncIterator[str]
Reader = Callable[[Script], Texts]


def bare_chat(client: httpx.AsyncClient, url: str) -> Reader:
    """Reads chat/completions line by line, and knows nothing of what may go wrong."""

    async def read(script: Script) -> Texts:
        messages = [{"role": "user", "content": script.prompt}]
        body = {"model": MODEL, "messages": messages, "stream": True}
        async with client.stream("POST", f"{url}v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        yield text

    return read


def bare_ollama(client: httpx.AsyncClient, url: str) -> Reader:
    """Reads Ollama's /api/chat line by line."""

    async def read(script: Script) -> Texts:
        messages = [{"role": "user", "content": script.prompt}]
        body = {"model": MODEL, "messages": messages, "stream": True}
        async with client.stream("POST", f"{url}api/chat", json=body) as answer:
            async for line in answer.aiter_lines():
                if text := json.loads(line)["message"]["content"]:
                    yield text

    return read


def bare_sdk(url: str) -> Reader:
    """Reads chat/completions through openai's client alone: the part of the cost that is its."""
    import openai

    client = openai.AsyncOpenAI(base_url=f"{url}v1", api_key="none", max_retries=0)

    async def read(script: Script) -> Texts:
        messages: list[Any] = [{"role": "user", "content": script.prompt}]
        async with await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True
        ) as events:
            async for event in events:
                if event.choices and (text := event.choices[0].delta.content):
                    yield text

    return read


def through(backend: Backend, url: str) -> Reader:
    """Reads through a backend, as every answer on the page is read."""

    async def read(script: Script) -> Texts:
        messages = (Message.of("user", script.prompt),)
        async for step in backend.stream(MODEL, messages, PARAMS, Connection(url)):
            if isinstance(step, Chunk) and step.text:
                yield step.text

    return read


async def cpu_of(reader: Reader, script: Script) -> float:
    """Seconds of this process's processor time that reading one answer takes."""
    gc.collect()
    before = time.process_time()
    text = "".join([text async for text in reader(script)])
    seconds = time.process_time() - before
    assert text == script.text, "a character was lost"
    return seconds


async def first_of(reader: Reader) -> float:
    """Milliseconds from the request to the first text of a short answer."""
    script = Script(3)
    started = time.perf_counter()
    came: list[float] = []
    async for _ in reader(script):
        came.append(time.perf_counter() - started)
    return 1000 * came[0]


async def in_turns(
    readers: dict[str, Reader], pairs: int, measure: Callable[[Reader], Any]
) -> list[dict[str, float]]:
    """Measure all readers, one after the other, the order turned round each time."""
    rows: list[dict[str, float]] = []
    for n in range(pairs):
        order = list(readers) if n % 2 else list(readers)[::-1]
        rows.append({name: await measure(readers[name]) for name in order})
    return rows


def median(rows: Sequence[dict[str, float]], name: str) -> float:
    """The median of one reader's values."""
    return statistics.median(row[name] for row in rows)


async def compare(
    id: str, readers: dict[str, Reader], pairs: int
) -> tuple[list[Figure], dict[str, Any]]:
    """Figures of one wire (the reader `wire`) beside the reader `bare`, and what is behind them."""
    for reader in readers.values():
        await cpu_of(reader, Script(100))  # warm
    ways = {f"{RATE}/s": RATE, "all at once": 0}
    measured: dict[str, Any] = {}
    figures: list[Figure] = []
    for way, rate in ways.items():
        script = Script(TOKENS, rate)
        rows = await in_turns(readers, pairs, lambda reader, s=script: cpu_of(reader, s))
        rows = [{name: 1000 * value for name, value in row.items()} for row in rows]
        ratio = statistics.median(row["wire"] / row["bare"] for row in rows)
        figures.append(Figure(f"{id}: CPU / bare, {way}", ratio, "x", at_most=CPU_AIM))
        figures += [
            Figure(f"{id}: CPU per 1,000, {way}: {name}", median(rows, name), "ms")
            for name in readers
        ]
        measured[f"CPU ms per 1,000 tokens, {way}"] = rounded(rows)
    firsts = await in_turns(readers, FIRST_PAIRS, first_of)
    added = statistics.median(row["wire"] - row["bare"] for row in firsts)
    figures.append(Figure(f"{id}: first token later than bare", added, "ms", at_most=DELAY_AIM))
    figures.append(Figure(f"{id}: first token, bare", median(firsts, "bare"), "ms"))
    measured["ms to the first token"] = rounded(firsts)
    return figures, measured


def rounded(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """As they are kept in the results."""
    return [{name: round(value, 2) for name, value in row.items()} for row in rows]


async def many(backend: Backend, url: str) -> tuple[list[Figure], dict[str, Any]]:
    """So many answers at once, each event torn in two: is a character lost, or does one fail?"""
    scripts = [Script(100, 20, f"s{n}", torn=True) for n in range(STREAMS)]
    requests = [
        Request(backend, MODEL, (Message.of("user", s.prompt),), PARAMS, Connection(url))
        for s in scripts
    ]
    before = time.process_time()
    done = await asyncio.gather(*map(complete, requests))
    cpu = time.process_time() - before
    wrong = sum(answer.text != s.text for answer, s in zip(done, scripts, strict=True))
    failed = sum(answer.state != "done" for answer in done)
    tokens = sum(answer.clock.tokens for answer in done)
    what = f"{backend.label}: {STREAMS} at once"
    figures = [
        Figure(f"{what}, answers not exact", wrong, at_most=0),
        Figure(f"{what}, answers that failed", failed, at_most=0),
        Figure(f"{what}, CPU per 1,000 tokens", 1e6 * cpu / tokens, "ms"),
    ]
    return figures, {"cpu_s": round(cpu, 2), "tokens": tokens}


async def endless(backend: Backend, url: str) -> Figure:
    """The longest pause of the event loop while a server sends a line without an end."""
    lags: list[float] = []

    async def feel() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - before)

    messages = (Message.of("user", ENDLESS),)
    feeling = asyncio.create_task(feel())
    answer = await complete(Request(backend, MODEL, messages, PARAMS, Connection(url)))
    feeling.cancel()
    assert answer.state == "failed"
    what = f"{backend.label}: longest pause, 25 MB without a line feed"
    return Figure(what, 1000 * max(lags), "ms", at_most=PAUSE_AIM)


def wide(backend: Backend) -> Backend:
    """The backend without its limit of a few answers at once, which the lines are for."""

    class Wide(type(backend)):
        id: ClassVar[str] = f"{backend.id}-wide"
        label: ClassVar[str] = backend.id
        max_concurrent: ClassVar[int] = STREAMS

    return Wide()


async def measure(url: str, ids: Sequence[str], pairs: int) -> tuple[list[Figure], dict[str, Any]]:
    """All figures of all wires."""
    figures: list[Figure] = []
    measured: dict[str, Any] = {}
    async with httpx.AsyncClient() as client:
        for id in ids:
            chat = id != "ollama"
            bare = (bare_chat if chat else bare_ollama)(client, url)
            readers = {"bare": bare, "wire": through(REGISTRY[id], url)}
            if chat:
                readers["openai alone"] = bare_sdk(url)
            for found, kept in (
                await compare(id, readers, pairs),
                await many(wide(REGISTRY[id]), url),
            ):
                figures += found
                measured.setdefault(id, {}).update(kept)
            figures.append(await endless(REGISTRY[id], url))
    return figures, measured


def main() -> None:
    """Measure, print the figures, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", choices=("openai_compatible", "ollama"))
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        from benchmarks.talker import serve

        return serve(arguments.serve)
    before = machine("openai", "httpx", "httpx2")
    ids = [id for id in ("openai_compatible", "ollama") if id in REGISTRY]
    ids = [arguments.only] if arguments.only else ids
    port = free_port()
    with Served(["-m", "benchmarks.wire", "--serve", str(port)], port) as server:
        server.wait()
        figures, measured = asyncio.run(measure(server.url, ids, arguments.pairs))
    print(*figures, sep="\n")
    if not arguments.only:
        write("wire", before, figures, measured)


if __name__ == "__main__":
    main()
