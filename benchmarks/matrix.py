"""How quick is the Languages tab? `python -m benchmarks.matrix`

Two things in a real Chromium. A run file of 2,028 answers is opened: from the choice of the file
until the matrix has been painted. And a run against a server of our own (`talker.py`, a process by
itself) that gives four answers at once, 100 tokens a second each: how much later than its last
byte was sent an answer is seen, and how long the page's main thread was blocked meanwhile. An
answer is late if it is seen more than `LATE` milliseconds after. Results are kept only if the
machine is calm: other programs make every figure here larger.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.machine import Figure, machine, write
from benchmarks.served import ROOT, Served, free_port
from benchmarks.talker import MODEL, Script, serve
from benchmarks.watched import chromium
from playground.languages.table import LANGUAGES
from playground.matrix.items import KINDS
from playground.matrix.run_file import Cell, RunFile, jsonl, read

LATE = 500
"""The page looks at a run every 0.3 s; the rest is for its way and its drawing."""
TOKENS, RATE = 100, 100
CALM = 0.5
"""Load of the machine, for each of its cores, up to which results are kept."""
_ITEMS, _KINDS = 3, 13
"""26 languages × 13 kinds × 3 items × 2 models = 2,028 answers."""
_WATCH = (Path(__file__).parent / "matrix.js").read_text("utf-8")
_MATRIX = "#languages-matrix .matrix"
_SETTLE_MS = 700


@dataclass
class Seen:
    """What a visit came to, in milliseconds."""

    took: float = 0.0
    """Until the file was painted; of a run, from its start to its end."""
    blocked: float = 0.0
    """By how much each frame exceeded 50 ms, summed."""
    late: list[float] = field(default_factory=list[float])
    """Of each answer, how much later than its last byte it was seen."""
    told: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What `matrix.js` saw."""

    def to_json(self) -> dict[str, object]:
        """As it stands in the results."""
        numbers = {"took": self.took, "blocked": self.blocked}
        late = {"late": [round(one) for one in self.late]} if self.late else {}
        return {name: round(one, 1) for name, one in numbers.items()} | late


def many_answers(of: RunFile) -> RunFile:
    """A run of 2,028 answers with the texts of a real one."""
    kinds, texts = KINDS[:_KINDS], cycle(of.cells)
    cells = [
        _cell(next(texts), f"{kind}/{code}/{index}", side)
        for index in range(_ITEMS)
        for kind in kinds
        for code in LANGUAGES
        for side in "ab"
    ]
    told = {"kinds": kinds, "items": _ITEMS, "languages": tuple(LANGUAGES)}
    return RunFile(of.header.model_copy(update=told), tuple(cells))


def _cell(like: Cell, item: str, side: str) -> Cell:
    return like.model_copy(update={"item": item, "side": side})


def visit(browser: Browser, url: str) -> Page:
    """A fresh visitor on the tab."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    page.goto(url)
    page.wait_for_selector(f"{_MATRIX} tbody tr")
    page.wait_for_timeout(1500)
    return page


@contextmanager
def watched(page: Page) -> Iterator[Seen]:
    """What a visitor sees from here on; what took how long is set by who watches."""
    seen = Seen()
    page.evaluate(_WATCH)
    yield seen
    page.wait_for_timeout(_SETTLE_MS)
    seen.told = page.evaluate("watched")
    seen.blocked = sum(frame["duration"] - 50 for frame in seen.told["frames"])
    page.context.close()


def open_file(browser: Browser, server: Served, path: Path) -> Seen:
    """Choose a file, and wait until it has been painted."""
    page = visit(browser, f"{server.url}?tab=languages")
    with watched(page) as seen:
        page.locator("#languages-view input[type=file]").first.set_input_files(path)
        page.wait_for_function("watched.opened.painted", timeout=60_000)
        counts = page.locator(f"{_MATRIX} tbody .count b").all_inner_texts()
    shown = sum(int(count.partition("/")[2]) for count in counts)
    if shown < 26 * 2 * _ITEMS * (_KINDS - 2):  # open questions are counted apart
        raise RuntimeError(f"the matrix shows {shown} answers")
    opened = seen.told["opened"]
    seen.took = opened["painted"] - opened["chosen"]
    return seen


def watch_run(browser: Browser, server: Served, talker: Served) -> Seen:
    """Run a prompt for each language, and watch the answers come."""
    page = visit(browser, f"{server.url}?tab=languages&a=openai_compatible/{MODEL}")
    page.click(f"{_MATRIX} [data-act=choose]")
    page.click("#languages-what label >> nth=1")
    marks = {code: f"{code}{time.monotonic_ns()}" for code in LANGUAGES}
    rows = (f"{code}\t{Script(TOKENS, RATE, marks[code]).prompt}" for code in LANGUAGES)
    page.fill("#languages-own textarea", "\n".join(rows))
    page.wait_for_function(
        "document.querySelector('#languages-cost').innerText.includes('26 answers')"
    )
    page.wait_for_timeout(_SETTLE_MS)  # the boxes of 26 prompts are drawn before, not in the run
    with watched(page) as seen:
        began = time.perf_counter()
        page.click("#languages-run")
        page.wait_for_function("Object.keys(watched.seen).length >= 26", timeout=120_000)
        seen.took = 1000 * (time.perf_counter() - began)
        page.wait_for_selector(f"{_MATRIX} .begin", state="visible")
    ended = {row["mark"]: row["ended"] for row in talker.said}
    painted = seen.told["seen"]
    seen.late = [painted[f"stays/{code}/0|a"] - ended[marks[code]] for code in LANGUAGES]
    return seen


def figures_of(files: Sequence[Seen], runs: Sequence[Seen]) -> list[Figure]:
    """The figures of some visits, each a median."""
    late = [one for seen in runs for one in seen.late]
    return [
        Figure("a file of 2,028 answers is painted after", _median(files), "ms", at_most=1000),
        Figure("main thread blocked while it opens", _blocked_of(files), "ms"),
        Figure(
            f"answers of a run that are seen more than {LATE} ms late",
            sum(one > LATE for one in late),
            at_most=0,
        ),
        Figure("an answer is seen after its last byte: median", statistics.median(late), "ms"),
        Figure("an answer is seen after its last byte: the latest", max(late), "ms"),
        Figure("main thread blocked during the run", _blocked_of(runs), "ms", at_most=50),
    ]


def _median(seen: Sequence[Seen]) -> float:
    return statistics.median(one.took for one in seen)


def _blocked_of(seen: Sequence[Seen]) -> float:
    return statistics.median(one.blocked for one in seen)


def measure(repeat: int) -> tuple[list[Seen], list[Seen], str]:
    """Files that were opened, runs that were watched, and the browser's version."""
    port, other = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "many.jsonl"
        path.write_text(jsonl(many_answers(read(ROOT / "recordings" / "pocket.jsonl"))), "utf-8")
        talker = Served(["-m", "benchmarks.matrix", "--serve", str(other)], other)
        environment = {"OPENAI_COMPATIBLE_BASE_URL": f"http://127.0.0.1:{other}/v1"}
        page = ["app.py", "--no-browser", "--port", str(port)]
        with talker, Served(page, port, environment=environment) as server:
            talker.wait()
            server.wait()
            visit(browser, f"{server.url}?tab=languages").context.close()  # everything is checked
            files = [open_file(browser, server, path) for _ in range(repeat)]
            runs = [watch_run(browser, server, talker) for _ in range(repeat)]
        return files, runs, browser.version


def _tell(mark: str) -> None:
    print(json.dumps({"mark": mark, "ended": 1000 * time.time()}), flush=True)


def main() -> None:
    """Measure, print a line for each figure, write the results if the machine is calm."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="visits per median (%(default)s)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        return serve(asked.serve, _tell)
    before = machine("gradio", "playwright")
    files, runs, before["chromium"] = measure(asked.repeat)
    figures = figures_of(files, runs)
    print(*figures, sep="\n")
    for name, visits in (("open", files), ("run", runs)):
        for one in visits:
            for frame in one.told["frames"]:
                print(f"  slow frame ({name}): {frame['duration']:.0f} ms, {frame['scripts']}")
    load, cores = before["load"], before["cores"]
    if isinstance(load, float) and isinstance(cores, int) and load > CALM * cores:
        return print(f"Not kept: the machine was busy (a load of {load:g} on {cores} cores).")
    found = {"files": [one.to_json() for one in files], "runs": [one.to_json() for one in runs]}
    return write("matrix", before, figures, found)


if __name__ == "__main__":
    main()
