"""Is the page up as soon as an empty Gradio page would be? `python -m benchmarks.startup`

Time from the start of the process to the first HTTP 200, of `python app.py` and of a page with one
line of Markdown served with the same settings, in turns. And whether torch was imported by then.
"""

import argparse
import statistics
import sys
import threading

from benchmarks.machine import Figure, machine, write
from benchmarks.served import Served, free_port

PAIRS = 7
ENGINES = ("torch", "transformers", "onnxruntime_genai")

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


def start(page: str) -> dict[str, float]:
    """Seconds until a page answers, and of processor time until then."""
    port = free_port()
    arguments = PAGES[page]
    with Served([*arguments, str(port)], port) as server:
        return {"seconds": round(server.wait(), 3), "cpu": round(server.cpu(), 3)}


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

    def middle(page: str) -> float:
        return statistics.median(pair[page]["seconds"] for pair in pairs)

    def ratio(what: str) -> float:
        return statistics.median(pair["app"][what] / pair["empty"][what] for pair in pairs)

    figures = [
        Figure("app to first HTTP 200", middle("app"), "s"),
        Figure("empty Gradio page to first HTTP 200", middle("empty"), "s"),
        Figure("app / empty page, median of pairs", ratio("seconds"), "x", at_most=1.4),
        Figure("the same in processor time", ratio("cpu"), "x"),
        Figure("engines imported by the first answer", len(engines), at_most=0),
    ]
    print(*figures, sep="\n")
    write("startup", before, figures, {"pairs": pairs, "engines_imported": sorted(engines)})


if __name__ == "__main__":
    main()
