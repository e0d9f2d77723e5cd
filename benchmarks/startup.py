"""Is the page up as soon as an empty Gradio page would be? `python -m benchmarks.startup`

Time from the start of the process to the first HTTP 200, of `python app.py` and of a page with one
line of Markdown served with the same settings, in turns; from the start to the first word of a
built-in model, as a visitor without a browser sees it, and the memory of all processes then. And
which engines were imported by the first answer of the page; and how long a loaded built-in model
takes to its first token.
"""

import argparse
import asyncio
import statistics
import sys
import threading
import time
from contextlib import aclosing
from typing import Any

from backends import REGISTRY, Chunk, GenerationParams, Message
from benchmarks.machine import Figure, machine, write
from benchmarks.paced import Script
from benchmarks.served import Served, free_port
from benchmarks.visitors import Visitor, client_of, config_of

PAIRS = 7
ENGINES = ("torch", "transformers", "onnxruntime_genai", "openvino")

_EMPTY = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Markdown("Empty")
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True, inbrowser=False,
            share=False, run_history=False, enable_monitoring=False, ssr_mode=False)
"""

PAGES = {"app": ["app.py", "--no-browser", "--port"], "empty": ["-c", _EMPTY]}
"""How to start each; its port comes last."""


class Asking(Visitor):
    """A visitor who compares the two built-in text models."""

    def chosen(self) -> dict[str | None, Any]:
        """See `Visitor.chosen`."""
        chosen: dict[str | None, Any] = {"text-prompt": "What is a mixture of experts?"}
        for side, model in (("a", "pocket-3"), ("b", "pocket-3.5")):
            chosen |= {f"text-backend-{side}": "pocket", f"text-model-{side}": model}
        return chosen


async def compare(url: str) -> None:
    """Ask both built-in models, and read until the first tick with text."""
    async with client_of(url) as client:
        visitor = Asking(client, await config_of(url, client), Script(0, 0, "never"))
        await visitor.open()
        visit = await visitor.compare()
        assert all(visit.texts), visit.error


def start(page: str) -> dict[str, float]:
    """Seconds until a page answers, and of processor time until then; megabytes that it holds.

    Of the app also the seconds until two built-in models have answered, and the megabytes then, of
    the page and of all its processes.
    """
    port = free_port()
    arguments = PAGES[page]
    with Served([*arguments, str(port)], port) as server:
        found = {"seconds": server.wait(), "cpu": server.cpu(), "memory": server.memory()}
        if page == "app":
            asyncio.run(compare(server.url))
            found["answered"] = time.perf_counter() - server.started
            found["page"], found["all"] = server.memory(alone=True), server.memory()
    return {name: round(value, 3) for name, value in found.items()}


def first_token() -> float:
    """Seconds to the first token of a loaded built-in model, in the middle of several."""
    question, took = (Message.of("user", "What is Ollama?"),), list[float]()

    async def ask() -> None:
        for _ in range(12):
            asked = time.perf_counter()
            stream = REGISTRY["pocket"].stream("pocket-3.5", question, GenerationParams(8, 0.0))
            async with aclosing(stream) as steps:
                async for step in steps:
                    if isinstance(step, Chunk):
                        took.append(time.perf_counter() - asked)
                        break

    asyncio.run(ask())
    return statistics.median(took[2:])


def imported(port: int) -> set[str]:
    """The engines that the app has imported when it has answered for the first time."""
    arguments = ["-m", "benchmarks.startup", "--look", str(port)]
    with Served(arguments, port) as server:
        server.wait()
        while not server.said:
            server.wait()
        return set(server.said[0]["imported"])


def look(port: int) -> None:
    """Be the app, and say which engines were imported by its first answer."""
    import json
    import time
    import urllib.request

    def report() -> None:
        answered = False
        while not answered:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
                    answered = response.status == 200
            except OSError:
                time.sleep(0.02)
        print(json.dumps({"imported": [e for e in ENGINES if e in sys.modules]}), flush=True)

    threading.Thread(target=report, daemon=True).start()
    import app

    sys.argv = ["app.py", "--no-browser", "--port", str(port)]
    app.main()


def main() -> None:
    """Measure, print a line for each figure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--look", type=int, help=argparse.SUPPRESS)
    if port := parser.parse_args().look:
        look(port)
        return
    before = machine("gradio")
    for page in PAGES:
        start(page)  # the files are in the page cache from here on, for both
    pairs: list[dict[str, dict[str, float]]] = []
    for n in range(PAIRS):
        order = list(PAGES) if n % 2 else list(PAGES)[::-1]
        pairs.append({page: start(page) for page in order})
    engines = imported(free_port())
    warm = first_token()

    def middle(page: str, what: str = "seconds") -> float:
        return statistics.median(pair[page][what] for pair in pairs)

    def ratio(what: str, empty: str = "") -> float:
        empty = empty or what
        return statistics.median(pair["app"][what] / pair["empty"][empty] for pair in pairs)

    figures = [
        Figure("app to first HTTP 200", middle("app"), "s"),
        Figure("empty Gradio page to first HTTP 200", middle("empty"), "s"),
        Figure("app / empty page, median of pairs", ratio("seconds"), "x", at_most=1.4),
        Figure("the same in processor time", ratio("cpu"), "x"),
        Figure("engines imported by the first answer", len(engines), at_most=0),
        Figure("app to the end of a comparison of built-in models", middle("app", "answered"), "s"),
        Figure("the same / empty page's start", ratio("answered", "seconds"), "x", at_most=1.5),
        Figure("the page's memory after it / empty page's", ratio("page", "memory"), "x"),
        Figure("memory of all processes then", middle("app", "all"), "MB"),
        Figure("the same / empty page's", ratio("all", "memory"), "x", at_most=1.5),
        Figure("a built-in model's first token, loaded", 1000 * warm, "ms", at_most=15),
    ]
    print(*figures, sep="\n")
    write("startup", before, figures, {"pairs": pairs, "engines_imported": sorted(engines)})


if __name__ == "__main__":
    main()
