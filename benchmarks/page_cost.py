"""What does showing answers take? `python -m benchmarks.page_cost`

While two answers grow at 10 and at 30 tokens a second a side: the server's processor time, and that
of the main thread of the browser's page, each as a share of one core, over ten seconds that begin
one second after the first token. Beside it the naive way (`naive.py`), in turns. The server's share
has the stand-ins' own cost in it, on both ways. Not measured: the browser's other threads and
processes, which draw what the main thread has laid out; the click and the end of an answer, which
`benchmarks.streaming` times.

And of the server's part: processor time of an answer's Markdown while it grows, a tick after the
other, beside rendering all of it anew at each tick; of a mixed answer, whose closed blocks are
kept, and of one long paragraph, of which nothing is.
"""

import argparse
import statistics
import time
from collections.abc import Iterable

from playwright.sync_api import Browser, CDPSession

from benchmarks.machine import Figure, machine, write
from benchmarks.paced import READING, Script
from benchmarks.served import Served
from benchmarks.streaming import served
from benchmarks.watched import ask, chromium, opened
from playground.compare import TICK
from ui.markdown import GrowingMarkdown, render

RATES = (10, 30)
"""Tokens a second a side."""
LEAD, WINDOW, TAIL = 1.0, 10.0, 2.0
"""Seconds from the first token to the measured ones, they themselves, and after them."""
WAYS = ("page", "naive")
LENGTH = 600
"""Tokens of an answer whose Markdown is timed."""
_SENTENCE = "A small language model answers on one computer, often on a laptop, without a network. "

Shares = dict[str, float]
"""Shares of a core, in percent: of the `server` and of the `browser`."""


def watch(browser: Browser, server: Served, way: str, rate: int, mark: str) -> Shares:
    """Ask both sides, and weigh what it takes to show their answers."""
    with opened(browser, server, way) as page:
        cdp = page.context.new_cdp_session(page)
        # Of the thread's own clock: other programs' load does not count.
        cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
        ask(page, Script(int(rate * (LEAD + WINDOW + TAIL)), rate, mark))
        time.sleep(READING + LEAD)
        began, cpu, busy = time.perf_counter(), server.cpu(), _busy(cdp)
        time.sleep(WINDOW)
        cpu, busy = server.cpu() - cpu, _busy(cdp) - busy
        took = time.perf_counter() - began
    return {"server": 100 * cpu / took, "browser": 100 * busy / took}


def _busy(cdp: CDPSession) -> float:
    """Seconds that the page's main thread has worked so far."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "TaskDuration")


def measure(browser: Browser, repeat: int) -> dict[str, list[Shares]]:
    """The shares of every run, by way and rate."""
    found: dict[str, list[Shares]] = {}
    with served("page") as page, served("naive") as naive:
        servers = dict(zip(WAYS, (page, naive), strict=True))
        for way, server in servers.items():  # what only the first visitor pays
            server.wait()
            with opened(browser, server, way) as first:
                ask(first, Script(20, 100, "WARM"))
                first.wait_for_timeout(1000)
        for n in range(repeat):
            for rate in RATES:
                for way in WAYS[:: -1 if n % 2 else 1]:
                    one = watch(browser, servers[way], way, rate, f"END-{rate}-{n}")
                    found.setdefault(f"{way} {rate}", []).append(one)
    return found


def markdown(text: str, pieces: Iterable[str], repeat: int) -> tuple[float, float]:
    """Seconds of processor time for a text that grows by these pieces: kept, and made anew."""
    kept, anew = list[float](), list[float]()
    pieces = list(pieces)
    for _ in range(repeat):
        began, growing = time.process_time(), GrowingMarkdown()
        for piece in pieces:
            growing.append(piece)
        growing.end()
        kept.append(time.process_time() - began)
        began, html, shown = time.process_time(), "", ""
        for piece in pieces:
            shown += piece
            html = render(shown)
        anew.append(time.process_time() - began)
        if shown != text or "".join(block.html for block in growing.blocks()) != html:
            raise RuntimeError("what has grown is not what was said")
    return statistics.median(kept), statistics.median(anew)


def markdown_figures(repeat: int) -> tuple[list[Figure], dict[str, list[float]]]:
    """What Markdown costs while it grows, by kind of answer."""
    step = round(max(RATES) * TICK)  # tokens that come between two ticks
    mixed = Script(LENGTH, max(RATES), "END")
    tokens = {
        "a mixed answer": [mixed.token(n) for n in range(mixed.count)],
        "one paragraph": (_SENTENCE * LENGTH).split(" ")[:LENGTH],
    }
    tokens["one paragraph"] = [f"{word} " for word in tokens["one paragraph"][:-1]] + ["end."]
    figures, measured = list[Figure](), dict[str, list[float]]()
    for kind, said in tokens.items():
        pieces = ["".join(said[n : n + step]) for n in range(0, len(said), step)]
        kept, anew = markdown("".join(said), pieces, repeat)
        measured[kind] = [kept, anew]
        figures += [
            Figure(f"Markdown of {kind}: grown / anew", kept / anew, "x"),
            Figure(f"Markdown of {kind}: for each tick", 1000 * kept / len(pieces), "ms"),
        ]
    return figures, measured


def figures_of(found: dict[str, list[Shares]]) -> list[Figure]:
    """The shares of a core, ours beside the naive way's."""
    figures: list[Figure] = []
    for rate in RATES:
        for what, words in (("server", "server"), ("browser", "browser's main thread")):
            name = f"2 x {rate} tok/s: {words}"
            ours, naive = (
                statistics.median(one[what] for one in found[f"{way} {rate}"]) for way in WAYS
            )
            figures += [
                Figure(name, ours, "%"),
                Figure(f"{name}, naive", naive, "%"),
                Figure(f"{name} / naive", ours / naive, "x"),
            ]
    return figures


def main() -> None:
    """Measure, print a line for each figure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs per median (%(default)s)")
    asked = parser.parse_args()
    before = machine("gradio", "playwright", "markdown-it-py")
    figures, times = markdown_figures(asked.repeat)
    with chromium() as browser:
        before["chromium"] = browser.version
        found = measure(browser, asked.repeat)
    figures = [*figures_of(found), *figures]
    print(*figures, sep="\n")
    write("page_cost", before, figures, {"runs": found, "markdown_s": times})


if __name__ == "__main__":
    main()
