"""Runs of the matrix that are stopped, killed and gone on with: real pages, models and browsers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from backends import REGISTRY
from playground.languages.table import LANGUAGES
from playground.limits import PUBLIC
from playground.matrix import runner, shelf
from playground.matrix.asking import items_of
from playground.matrix.run_file import RunFile, read
from playground.services import Services
from tests.browser import PATIENCE
from tests.pages import SERVICES, Puppet, Visitor, free_port
from tests.stub import Reply, Stub, delta, sse, usage
from ui import page as served_page
from ui.tabs.languages.choices import FIRST_KINDS

pytestmark = pytest.mark.asyncio(loop_scope="session")
MATRIX = "#languages-matrix"
SCRIPT = """
import sys
from pathlib import Path
from playground.limits import LOCAL
from playground.matrix import shelf
from ui.page import Serving, serve
shelf.RUNS = Path(sys.argv[1])
serve(LOCAL, Serving(port=int(sys.argv[2])))
"""
ROOT = Path(__file__).parents[1]
STREAM = {"content-type": "text/event-stream"}
FOUR = ("ar", "cs", "en", "es")
TOTAL = 2 * len(items_of(FIRST_KINDS, FOUR, 3, 1))
LIST, CHAT = "/v1/models", "/v1/chat/completions"


class Process:
    """A page in a process of its own, whose runs go to a folder; started elsewhere than at home."""

    def __init__(self, runs: Path, folder: Path) -> None:
        self._runs, self._folder = runs, folder
        folder.mkdir(exist_ok=True)
        self._start()

    def _start(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(self._runs), str(self.port)],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def ready(self) -> None:
        """Wait until it listens."""
        async with asyncio.timeout(4 * PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    return writer.close()
                except OSError:
                    await asyncio.sleep(0.1)
                    if self._process.poll() is not None:  # another program took its port first
                        self._start()

    def kill(self) -> None:
        """End it as `kill -9` does, and its models with it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


async def choose(visitor: Visitor, *codes: str) -> None:
    """Open the inputs, and choose languages."""
    page = visitor.page
    await page.click(f"{MATRIX} [data-act=choose]")
    await page.click("#languages-none")
    await expect(page.locator("#languages-languages input:checked")).to_have_count(0)
    for code in codes:
        await page.click(f"#languages-languages label:has-text('{LANGUAGES[code].own_name}')")


async def tasks(page: Page) -> None:
    """Ask six kinds of tasks, three items each."""
    await page.click("#languages-what label >> nth=3")
    await page.wait_for_selector("#languages-kinds")


async def open_tab(context: BrowserContext, url: str, query: str = "") -> Visitor:
    visitor = Visitor(await context.new_page(), url, "languages")
    await visitor.page.goto(f"{url}/?tab=languages{query}")
    await visitor.page.wait_for_selector(f"{MATRIX} tbody tr")
    return visitor


async def has_answers(page: Page, count: int) -> None:
    await page.wait_for_function(
        "([where, count]) => parseInt(document.querySelector(where).innerText) >= count",
        arg=[f"{MATRIX} .status", count],
    )


def only_run(folder: Path) -> RunFile:
    """The one run in a folder."""
    [path] = folder.glob("*.jsonl")
    return read(path)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "playground.matrix", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=20 * PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed in groups")
async def test_a_run_of_the_pockets_outlives_its_page(
    context: BrowserContext, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    first = Process(runs, tmp_path / "one")
    second = Process(runs, tmp_path / "two")
    third = Process(tmp_path / "other", tmp_path / "three")
    try:
        await first.ready()
        visitor = await open_tab(context, first.url)
        page = visitor.page
        await choose(visitor, *FOUR)
        await tasks(page)
        await visitor.sees("#languages-cost", f"{TOTAL} answers")
        await page.click("#languages-run")
        await has_answers(page, 3)
        first.kill()
        [path] = runs.glob("*.jsonl")
        killed = len(read(path).cells)
        assert 3 <= killed < TOTAL
        await visitor.sees(f"{MATRIX} .said", f"What came is in runs/{path.name}")
        await page.close()

        await second.ready()
        visitor = await open_tab(context, second.url)
        page = visitor.page
        await page.click("#languages-files input")
        await page.click(f"#languages-files [role=option]:has-text('{path.stem}')")
        await page.click(f"{MATRIX} [data-act=go-on]:has-text('Go on: {TOTAL - killed} answers')")
        await has_answers(page, killed + 3)
        await page.click(f"{MATRIX} [data-act=stop]")
        await visitor.sees(f"{MATRIX} .ended", "Stopped.")
        await page.close()
        stopped = len(read(path).cells)
        assert killed < stopped < TOTAL

        ended = await asyncio.to_thread(command, "continue", str(path))
        assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stderr
        assert len(path.read_text("utf-8").splitlines()) == TOTAL + 1  # nothing was asked twice
        report = await asyncio.to_thread(command, "report", str(path))
        assert report.returncode == 0 and "Asked in 4 languages: Pocket-3" in report.stdout

        await third.ready()
        visitor = await open_tab(context, third.url)
        page = visitor.page
        await page.locator("#languages-view input[type=file]").first.set_input_files(path)
        await visitor.sees(f"{MATRIX} .headline", "Asked in 4 languages: Pocket-3")
        await expect(page.locator(f"{MATRIX} [data-act=go-on]")).to_be_hidden()
        assert visitor.faults == []
    finally:
        for one in (first, second, third):
            one.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def public() -> AsyncGenerator[str, None]:
    """A public page, with puppets to ask; its address."""
    port = free_port()
    page = served_page.launch(Services(PUBLIC), served_page.Serving(port=port))
    yield f"http://127.0.0.1:{port}"
    page.close(verbose=False)


async def test_a_public_page_has_short_runs_one_a_visitor(
    context: BrowserContext, served: str, public: str, puppet: Puppet
) -> None:
    REGISTRY["puppet"] = puppet
    one, other = [await open_tab(context, public, "&a=puppet/one") for _ in range(2)]
    await choose(one, *LANGUAGES)
    await one.sees("#languages-cost", "This run would ask for 26 answers; on this public page")
    await one.page.click("#languages-none")
    for visitor in (one, other):
        if visitor is other:
            await visitor.page.click(f"{MATRIX} [data-act=choose]")
            await visitor.page.click("#languages-none")
        await visitor.page.click("#languages-languages label:has-text('Deutsch')")
        await visitor.sees("#languages-cost", "1 answer,")
    await one.page.click("#languages-run")
    assert await asyncio.to_thread(puppet.wait_open, "one", 1)
    await other.page.click("#languages-run")
    await other.sees(f"{MATRIX} .said", "You have a run going on this public page already.")
    puppet.answer("one", "Guten Tag! Wie kann ich Ihnen heute helfen?")
    await one.sees(f"{MATRIX} .headline", "Asked in German: One answered in German.")
    # Nothing of it is on this machine, or can be gone on with.
    assert "runs/" not in await one.page.inner_text(f"{MATRIX} header")
    await expect(one.page.locator(f"{MATRIX} [data-act=go-on]")).to_be_hidden()
    await one.page.click(f"{MATRIX} .mark")
    await expect(one.page.locator(f"{MATRIX} dialog footer a")).to_have_count(1)  # ask, not play
    assert one.faults == other.faults == []


async def test_a_server_that_dies_in_the_middle_ends_the_run_in_words(
    context: BrowserContext, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(shelf, "RUNS", tmp_path)
    async with Stub() as stub:
        stub.on(LIST, Reply.of({"data": [{"id": "phi-3.5-mini"}]}))
        answer = sse(delta("Das ist ein Satz.", "stop"), usage(3, 2))
        slow = asyncio.Event()
        stub.on(CHAT, *[Reply((answer,), headers=STREAM)] * 3, Reply((slow,), headers=STREAM))
        monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", f"{stub.url}/v1")
        SERVICES.health.forget()
        visitor = await open_tab(context, served, "&a=openai_compatible/phi-3.5-mini")
        await choose(visitor, *LANGUAGES)
        await visitor.sees("#languages-cost", "26 answers")
        await visitor.page.click("#languages-run")
        await visitor.sees(f"{MATRIX} .status", "3 of 26 answers")
        await stub.die()
        await visitor.sees(f"{MATRIX} .said", "could not be asked 5 times in a row")
        await visitor.sees(f"{MATRIX} .said", "3 of 26 answers came, and stay.")
        await visitor.sees(f"{MATRIX} [data-act=go-on]", "Go on: 23 answers are missing")
        await expect(visitor.page.locator(f"{MATRIX} .mark.failed").first).to_be_visible()
        assert sum(one.error is None for one in only_run(tmp_path).cells) == 3
        assert visitor.faults == []
    SERVICES.health.forget()
