"""Are two answers on the page as soon as they are said? `python -m benchmarks.streaming`

The real page with two paced backends in a real Chromium, at 100 and at 500 tokens a second a side,
beside the naive way (`naive.py`) in the same run; with four at 100; with 40 earlier turns; with 50
visitors at once; and, without a browser, whether a side's speed depends on the other side. The
answers have a list, a table and a code block, again and again. Lateness counts from the moment a
token was due, so that a busy server cannot hide behind a late clock. Not measured: a network, and a
browser with a graphics card.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser

from backends import GenerationParams, Message
from benchmarks.independence import speeds
from benchmarks.machine import Figure, machine, write
from benchmarks.paced import PACED, Paced, Script, register_paced
from benchmarks.served import Served, free_port
from benchmarks.visitors import Visit, visit_all
from benchmarks.watched import WAYS, Watched, chromium, converse, opened, watch

TOKENS = {100: 1000, 500: 3000}
"""How many tokens a side says, by tokens per second."""
RATES = {"page": tuple(TOKENS), "four": (100,), "naive": tuple(TOKENS)}
"""How many tokens a second a side says, by way."""
NAMES = {"page": "", "four": ", four sides"}
"""How our ways are called in the figures."""
STILL = 0.1
"""The layout shift up to which a page is called steady: https://web.dev/articles/cls."""
EARLIER_TURNS = 40
VISITORS, VISITOR_TOKENS, VISITOR_RATE = 50, 200, 20
NAIVE_LIMIT = 40.0
"""Seconds that the naive page may be late before it is called later than that."""


Runs = dict[str, list[Watched]]
"""What was seen, by way (or `history`) and rate."""


def serve(way: str, port: int) -> None:
    """Be the server of one of the pages."""
    if way == "page":
        from playground.limits import LOCAL
        from ui.page import Serving
        from ui.page import serve as serve_page

        register_paced()
        serve_page(LOCAL, Serving(port=port))
    else:
        from benchmarks import naive

        Paced.announce = True
        naive.launch(port)


def served(way: str) -> Served:
    """A server process of one of the pages."""
    port = free_port()
    return Served(["-m", "benchmarks.streaming", "--serve", way, str(port)], port)


def pacing(sides: str, rate: int) -> float:
    """Seconds of processor time that saying all answers costs without any page."""

    async def listen(backend: Paced) -> None:
        messages = [Message.of("user", Script(TOKENS[rate], rate, "END").prompt)]
        async for _ in backend.stream("paced", messages, GenerationParams()):
            pass

    async def together() -> None:
        await asyncio.gather(*(listen(PACED[side]()) for side in sides))

    started = time.process_time()
    asyncio.run(together())
    return time.process_time() - started


def measure(browser: Browser, repeat: int) -> Runs:
    """Everything that needs a browser."""
    seen: Runs = {}
    for served_page, times, limit in (("page", repeat, 60.0), ("naive", 1, NAIVE_LIMIT)):
        cases = [
            (way, rate)
            for way, rates in RATES.items()
            for rate in rates
            if WAYS[way].server == served_page
        ]
        with served(served_page) as server:
            server.wait()
            with opened(browser, server, served_page) as page:  # what only the first visitor pays
                watch(page, server, served_page, Script(20, 100, "WARM"))
            for n in range(times):
                for way, rate in cases:
                    with opened(browser, server, way) as page:
                        script = Script(TOKENS[rate], rate, f"END-{way}-{rate}-{n}")
                        one = watch(page, server, way, script, limit)
                        seen.setdefault(f"{way} {rate}", []).append(one)
            if served_page == "page":
                with opened(browser, server, "page") as page:
                    seen |= after_history(page, server, repeat)
    return seen


def after_history(page: Any, server: Served, repeat: int) -> Runs:
    """The same comparisons at the end of a long conversation; each is taken back afterwards."""
    seen: Runs = {}
    converse(page, EARLIER_TURNS)
    for n in range(repeat):
        for rate, tokens in TOKENS.items():
            script = Script(tokens, rate, f"LATER-{rate}-{n}")
            seen.setdefault(f"history {rate}", []).append(watch(page, server, "page", script))
            page.click("#text-undo")
            page.locator("#text-transcript .cell[data-side=b]", has_text=script.end).wait_for(
                state="detached"
            )
            page.wait_for_timeout(500)
    return seen


def browser_figures(seen: Runs, paces: dict[str, float]) -> list[Figure]:
    """What was seen in the browser, beside its targets."""
    ours = ((way, rate) for way, rates in RATES.items() for rate in rates if way != "naive")
    return [figure for way, rate in ours for figure in _figures_of(way, rate, seen, paces)]


def _figures_of(way: str, rate: int, seen: Runs, paces: dict[str, float]) -> list[Figure]:
    """What was seen of one way at one rate; of two sides also what it compares with."""
    page, figures = seen[f"{way} {rate}"], list[Figure]()
    others = ("naive", "history") if way == "page" else ()
    naive, history = (
        seen[f"{one} {rate}"] if one in others else [] for one in ("naive", "history")
    )
    name, turns = f"{rate} tok/s{NAMES[way]}: ", f", {EARLIER_TURNS} turns"
    for what, words, unit, target in (
        ("first", "first character late", "ms", 80),
        ("last", "last character late", "ms", 100),
        ("blocked", "main thread blocked", "ms", 100),
        ("moved", "layout shift while it grows", "", None),
        ("text_moved", "the same of answers' text", "", STILL),
        ("moved_after", "layout shift when it ends", "", STILL),
    ):
        value = _median(page, what)
        figures.append(Figure(name + words, value, unit, at_most=target))
        if naive:
            old, more = _median(naive, what), not naive[0].complete
            figures.append(Figure(f"{name}{words}, naive", old, unit, more_than=more))
        if history:
            old = _median(history, what)
            most = 1.2 * target if target else None
            figures.append(Figure(name + words + turns, old, unit, at_most=most))
            if what == "last":
                ratio = f"{name}{words}{turns} / none"
                figures.append(Figure(ratio, old / value, "x", at_most=1.2))
        if what == "blocked":
            words = name + "tasks beyond 50 ms of computing"
            figures.append(Figure(words, _median(page, "computed"), "ms"))
            if history:
                figures.append(Figure(words + turns, _median(history, "computed"), "ms"))

    def cost(runs: list[Watched], sides: str) -> float:
        said = len(sides) * TOKENS[rate]
        return (_median(runs, "cpu") - paces[f"{len(sides)} x {rate}"]) * 1e6 / said

    spent = f"{name}server CPU per 1,000 tokens"
    figures.append(Figure(spent, ours := cost(page, WAYS[way].sides), "ms"))
    if naive:
        theirs = cost(naive, WAYS["naive"].sides)
        figures.append(Figure(f"{spent}, naive", theirs, "ms"))
        figures.append(Figure(name + "server CPU / naive", ours / theirs, "x", at_most=0.45))
    return figures


def independence_figures(repeat: int) -> tuple[list[Figure], dict[str, Any]]:
    """A slow neighbour, and places swapped."""
    fast, slow = Script(500, 100, "END"), Script(100, 20, "END")
    quick = Script(1500, 500, "END")
    rows: list[dict[str, Any]] = []
    for _ in range(repeat):
        alone = asyncio.run(speeds(None, fast))
        beside = asyncio.run(speeds(slow, fast))
        same = asyncio.run(speeds(quick, quick))
        one, other = asyncio.run(speeds(quick, fast)), asyncio.run(speeds(fast, quick))
        rows.append(
            {
                "beside / alone": beside.right / alone.right,
                "left / right": same.left / same.right,
                "quick at the left / right": one.left / other.right,
            }
        )
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    names = list(middle)
    return [
        Figure("speed beside a five times slower side / alone", middle[names[0]], "x", None, 0.97),
        Figure("same engine on both sides, left / right", middle[names[1]], "x", 1.03, 0.97),
        Figure("places swapped, at the left / right", middle[names[2]], "x", 1.03, 0.97),
    ], {"independence": rows}


def visitor_figures() -> tuple[list[Figure], dict[str, Any]]:
    """Many visitors at once."""
    with served("page") as server:
        server.wait()
        cpu = server.cpu()
        tokens, rate = VISITOR_TOKENS, VISITOR_RATE
        visits = asyncio.run(visit_all(server.url, VISITORS, tokens, rate))
        cpu = server.cpu() - cpu
        firsts = sorted(_lateness(server, visits, "first"))
        lasts = sorted(_lateness(server, visits, "last"))
    failed = [visit.error for visit in visits if visit.error]
    broken = sum(not visit.whole for visit in visits)
    name = f"{VISITORS} visitors, {VISITOR_RATE} tok/s a side: "
    return [
        Figure(name + "errors", len(failed), at_most=0),
        Figure(name + "visits with a lost character", broken, at_most=0),
        Figure(name + "first character late, p95", _p95(firsts), "ms"),
        Figure(name + "last character late, p95", _p95(lasts), "ms"),
        Figure(name + "server CPU per 1,000 tokens", cpu * 1e6 / (2 * VISITORS * tokens), "ms"),
    ], {"visitors": {"errors": failed[:5], "first_ms": firsts, "last_ms": lasts}}


def _lateness(server: Served, visits: Sequence[Visit], what: str) -> list[float]:
    late: list[float] = []
    for visit in visits:
        due = server.due(visit.script.end)
        for side, moment in zip(("a", "b"), getattr(visit, what) or (), strict=False):
            late.append(round((moment - due[side][what]) * 1000, 1))
    return late


def _median(runs: Sequence[Watched], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


def _p95(values: Sequence[float]) -> float:
    return values[min(len(values) - 1, round(0.95 * len(values)))] if values else float("nan")


def main() -> None:
    """Measure, print a line for each figure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs per median (%(default)s)")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve[0], int(asked.serve[1]))
        return
    before = machine("gradio", "playwright")
    paces = {
        f"{len(WAYS[way].sides)} x {rate}": pacing(WAYS[way].sides, rate)
        for way, rates in RATES.items()
        for rate in rates
        if way != "naive"
    }
    figures, measured = independence_figures(asked.repeat)
    more, visits = visitor_figures()
    with chromium() as browser:
        before["chromium"] = browser.version
        seen = measure(browser, asked.repeat)
    figures = [*browser_figures(seen, paces), *figures, *more]
    print(*figures, sep="\n")
    runs = {name: [one.to_json() for one in many] for name, many in seen.items()}
    measured |= visits | {"runs": runs, "pacing_cpu_s": paces}
    write("streaming", before, figures, measured)


if __name__ == "__main__":
    main()
