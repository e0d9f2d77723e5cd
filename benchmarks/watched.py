"""A comparison in Chromium that tells when each character was visible, and what it cost."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.paced import READING, Script
from benchmarks.served import Served
from tests.browser import ARGUMENTS, executable

_WATCH = (Path(__file__).parent / "watch.js").read_text(encoding="utf-8")
_SETTLE_MS = 700
"""After the last character: the page moves the answers to where they stay. That blocks too."""
_BOT = "#text-conversation-{side} [data-testid=bot]"
_ANSWER = "#text-transcript .cell[data-side={side}] .md"


@dataclass(frozen=True)
class Way:
    """A page with so many sides, and where its answers grow."""

    answer: str
    """Selects the answers of a side."""
    sides: str = "ab"
    """Their letters."""
    server: str = "page"
    """The page that is served: ours, or the naive one."""

    @property
    def query(self) -> str:
        """The address behind the server's: it asks for the sides. The naive page reads none."""
        return "?" + "&".join(f"{side}=paced-{side}/paced" for side in self.sides)


WAYS = {
    "page": Way(_ANSWER),
    "four": Way(_ANSWER, "abcd"),
    "naive": Way(_BOT, server="naive"),
}


@dataclass
class Watched:
    """One comparison as it was seen. Milliseconds; CPU in seconds."""

    first: float
    """The first character visible after it was sent: the latest side."""
    last: float
    """The last character visible after it was sent: the latest side."""
    blocked: float
    """By how much each frame, from its first task until it was drawn, exceeded 50 ms, summed."""
    computed: float
    """By how much each task's processor time exceeded 50 ms, summed: other programs' load on the
    machine makes `blocked` larger, and leaves this as it is."""
    moved: float
    """By how much what was there has moved until the last character was visible: Chromium's
    layout shifts, summed. What stands below a text that grows moves. What half a second after a
    press moves, as the page makes room for the answers, does not count."""
    text_moved: float
    """The part of them that an answer's own text has in them: what is being read. Chromium names
    at most five parts of a shift, the largest; smaller ones are not counted."""
    moved_after: float
    """All in what follows, when the answers join the conversation."""
    cpu: float
    """Of the server, from the click to the last character."""
    complete: bool
    """False if it was not waited for; then `last` is a lower bound."""
    slow_frames: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """As it stands in the results."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if name != "slow_frames"
        }


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium: the machine's own if it has one, else Playwright's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, server: Served, way: str) -> Iterator[Page]:
    """A fresh visitor on the page, ready to type."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(server.url + WAYS[way].query)
    page.wait_for_selector("#text-prompt textarea")
    if WAYS[way].server == "page":  # the opening event draws the models that the address asks for
        for side in WAYS[way].sides:
            page.wait_for_selector(f"#text-state-{side} [data-state=ready]")
    page.wait_for_timeout(1000)
    yield page
    context.close()


def ask(page: Page, script: Script) -> None:
    """Type the prompt and press Compare."""
    page.fill("#text-prompt textarea", script.prompt)
    page.click("#text-compare")


def converse(page: Page, turns: int) -> None:
    """Lead a conversation of so many turns, of a hundred quick tokens a side."""
    for n in range(turns):
        script = Script(100, 5000, f"EARLIER-{n}")
        ask(page, script)
        wait_for_turn(page, script)


def wait_for_turn(page: Page, script: Script) -> None:
    """Wait until both answers have joined the conversation and the page is ready again."""
    for side in ("a", "b"):
        bubble = page.locator(_ANSWER.format(side=side), has_text=script.end)
        bubble.first.wait_for(state="attached")
    page.wait_for_selector("#text-compare")


def _computed(trace: bytes) -> float:
    """Milliseconds of processor time beyond 50 in each task of the page's main thread, summed."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = (
        event.get("tdur", 0) / 1000
        for event in events
        if event.get("name") == "ThreadControllerImpl::RunTask"
        and (event["pid"], event["tid"]) in mains
    )
    return sum(max(0.0, task - 50) for task in tasks)


def watch(page: Page, server: Served, way: str, script: Script, limit: float = 60.0) -> Watched:
    """Ask, and watch the answers come; wait at most `limit` seconds longer than they take."""
    looked_at = WAYS[way]
    sides = {side: {"growing": looked_at.answer.format(side=side)} for side in looked_at.sides}
    browser = page.context.browser
    assert browser
    browser.start_tracing(page=page, categories=["-*", "toplevel"])
    page.evaluate(_WATCH, {"sides": sides, "end": script.end})
    page.fill("#text-prompt textarea", script.prompt)
    cpu, clicked = server.cpu(), time.perf_counter()
    page.click("#text-compare")
    takes = READING + script.count / script.rate
    complete = False
    while not complete and time.perf_counter() - clicked < takes + limit:
        # Few questions: each one is a task on the thread that is being measured.
        time.sleep(max(0.25, clicked + takes - time.perf_counter()))
        complete = page.evaluate("() => watched.complete()")
    page.wait_for_timeout(_SETTLE_MS)
    cpu = server.cpu() - cpu
    report, now = page.evaluate("() => watched.stop()"), time.time() * 1000
    computed = _computed(browser.stop_tracing())
    if abs(report["skew"]) > 5:
        raise RuntimeError(f"the browser's clock is {report['skew']:.0f} ms off the machine's")
    due = server.due(script.end)

    def late(what: str) -> float:
        return max(report["seen"][s].get(what, now) - due[s][what] * 1000 for s in sides)

    frames = report["frames"]
    blocked = sum(frame["duration"] - 50 for frame in frames)
    ends = max(report["seen"][side].get("last", now) for side in sides)
    shifts = [(value, text) for at, value, text in report["shifts"] if at <= ends]
    return Watched(
        late("first"),
        late("last"),
        blocked,
        computed,
        moved=sum(value for value, _ in shifts),
        text_moved=sum(text for _, text in shifts),
        moved_after=sum(value for at, value, _ in report["shifts"] if at > ends),
        cpu=cpu,
        complete=complete,
        slow_frames=frames,
    )
