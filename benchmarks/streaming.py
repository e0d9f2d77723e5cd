"""Are two answers on the page as soon as they are said? `python -m benchmarks.streaming`

The real page with two paced backends in a real Chromium, at 100 and at 500 tokens a second a side,
beside the naive way (`naive.py`) in the same run; with 40 earlier turns; with 50 visitors at once;
and, without a browser, whether a side's speed depends on the other side. Lateness counts from the
moment a token was due, so that a busy server cannot hide behind a late clock.
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
from benchmarks.paced import Paced, PacedA, PacedB, Script, register_paced
from benchmarks.served import Served, free_port
from benchmarks.visitors import Visit, visit_all
from benchmarks.watched import Watched, chromium, converse, opened, watch

TOKENS = {100: 1000, 500: 3000}
"""How many tokens a side says, by tokens per second."""
EARLIER_TURNS = 40
VISITORS, VISITOR_TOKENS, VISITOR_RATE = 50, 200, 20
NAIVE_LIMIT = 40.0
"""Seconds that the naive page may be late before it is called later than that."""


def serve(way: str, port: int) -> None:
    """Be the server of one of the pages."""
    if way == "page":
        from playground.limits import LOCAL
        from ui.page import serve as serve_page

        register_paced()
        serve_page(LOCAL, "127.0.0.1", port)
    else:
        from benchmarks import naive

        Paced.announce = True
        naive.launch(port)


def served(way: str) -> Served:
    """A server process of one of the pages."""
    port = free_port()
    return Served(["-m", "benchmarks.streaming", "--serve", way, str(port)], port)


def pacing(rate: int) -> float:
    """Seconds of processor time that saying both answers costs without any page."""

    async def listen(backend: Paced) -> None:
        messages = [Message.of("user", Script(TOKENS[rate], rate, "END").prompt)]
        async for _ in backend.stream("paced", messages, GenerationParams()):
            pass

    async def both() -> None:
        await asyncio.gather(listen(PacedA()), listen(PacedB()))

    started = time.process_time()
    asyncio.run(both())
    return time.process_time() - started


def measure(browser: Browser, repeat: int) -> dict[str, list[Watched]]:
    """Everything that needs a browser, by way, rate and history."""
    seen: dict[str, list[Watched]] = {}
    for way, times, limit in (("page", repeat, 60.0), ("naive", 1, NAIVE_LIMIT)):
        with served(way) as server:
            server.wait()
            with opened(browser, server, way) as page:  # what only the first visitor pays
                watch(page, server, way, Script(20, 100, "WARM"))
            for n in range(times):
                for rate, tokens in TOKENS.items():
                    with opened(browser, server, way) as page:
                        script = Script(tokens, rate, f"END-{rate}-{n}")
                        one = watch(page, server, way, script, limit)
                        seen.setdefault(f"{way} {rate}", []).append(one)
            if way == "page":
                with opened(browser, server, way) as page:
                    seen |= after_history(page, server, repeat)
    return seen


def after_history(page: Any, server: Served, repeat: int) -> dict[str, list[Watched]]:
    """The same comparisons at the end of a long conversation; each is taken back afterwards."""
    seen: dict[str, list[Watched]] = {}
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


def browser_figures(seen: dict[str, list[Watched]], paces: dict[int, float]) -> list[Figure]:
    """What was seen in the browser, beside its targets."""
    figures: list[Figure] = []
    for rate, tokens in TOKENS.items():
        page, naive, history = (seen[f"{way} {rate}"] for way in ("page", "naive", "history"))
        name = f"{rate} tok/s: "
        for what, words, target in (
            ("first", "first character late", 80),
            ("last", "last character late", 100),
            ("blocked", "main thread blocked", 100),
        ):
            value, old = _median(page, what), _median(history, what)
            figures.append(Figure(name + words, value, "ms", at_most=target))
            more = not naive[0].complete
            figures.append(
                Figure(f"{name}{words}, naive", _median(naive, what), "ms", more_than=more)
            )
            figures.append(
                Figure(f"{name}{words}, {EARLIER_TURNS} turns", old, "ms", at_most=1.2 * target)
            )
            if what == "blocked":
                words = "tasks beyond 50 ms of computing"
                figures.append(Figure(name + words, _median(page, "computed"), "ms"))
                words = f"{words}, {EARLIER_TURNS} turns"
                figures.append(Figure(name + words, _median(history, "computed"), "ms"))
            if what == "last":
                words = f"{words}, {EARLIER_TURNS} turns / none"
                figures.append(Figure(name + words, old / value, "x", at_most=1.2))

        def cost(runs: list[Watched], rate: int = rate, tokens: int = tokens) -> float:
            return (_median(runs, "cpu") - paces[rate]) * 1e6 / (2 * tokens)

        figures += [
            Figure(f"{name}server CPU per 1,000 tokens", cost(page), "ms"),
            Figure(f"{name}server CPU per 1,000 tokens, naive", cost(naive), "ms"),
            Figure(name + "server CPU / naive", cost(page) / cost(naive), "x", at_most=0.45),
        ]
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
    paces = {rate: pacing(rate) for rate in TOKENS}
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
