"""The system ends the page's process (SIGTERM) while twenty answers are on the screens."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.pages import Visitor, answer_of, free_port
from tests.real_server import BUSY, wait_until_up
from tests.stub import Reply, Stub, delta, sse
from ui import page

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGTERM"),
]
ROOT = Path(__file__).resolve().parent.parent
PHI = "microsoft/Phi-3.5-mini-instruct"
SIDES = "abcd"
FOUR = "?" + "&".join(f"{side}=openai_compatible/{PHI}" for side in SIDES)
PAGES = 5
CHAT = "/v1/chat/completions"
STREAM = {"content-type": "text/event-stream"}
RESTARTING = "The page is being restarted. What came is kept."


class OwnProcess:
    """A page in a process of its own, always on the same port."""

    def __init__(self, folder: Path, stub: Stub) -> None:
        self.log, self.stub, self.port = folder / "page.log", stub, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it, and return once it answers."""
        command = [sys.executable, "app.py", "--port", str(self.port), "--no-browser", *arguments]
        environment = os.environ | {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "OPENAI_COMPATIBLE_BASE_URL": self.stub.url,
            "PHI_SERVER_ANSWERS": "64",
        }
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_until_up(self.address, self.process, self.log)

    def kill(self) -> None:
        """End it, if it has not ended yet."""
        if self.process:
            self.process.kill()
            self.process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path) -> AsyncGenerator[OwnProcess, None]:
    """A page in a process of its own, to be started, and the server that it asks."""
    async with Stub() as stub:
        stub.on("/v1/models", Reply.of({"data": [{"id": PHI}]}))
        own = OwnProcess(tmp_path, stub)
        yield own
        own.kill()


async def until_it_stops(client: httpx.AsyncClient) -> None:
    """Wait until the process has heard its signal, and says so."""
    async with asyncio.timeout(BUSY):
        while (health := await client.get("/healthz")).json() == {"status": "ready"}:
            pass
    assert (health.status_code, health.json()) == (503, {"status": "stopping"})


async def test_the_page_ends_within_ten_seconds() -> None:
    assert page.PATIENCE + page.TELLING + page.CLOSING <= 9.5


async def test_twenty_answers_lose_nothing_when_the_page_is_ended(
    browser: Browser, own: OwnProcess
) -> None:
    await asyncio.to_thread(own.start, "--json-log")
    never = asyncio.Event()
    own.stub.on(CHAT, Reply((sse(delta("Half of it, "), done=False), never), headers=STREAM))
    visitors: list[Visitor] = []
    for number in range(PAGES):
        context = await browser.new_context()
        context.set_default_timeout(BUSY * 1000)
        visitor = await Visitor(await context.new_page(), own.address).open(FOUR)
        await visitor.page.wait_for_selector("#text-state-d [data-state=ready]")
        await visitor.ask(f"Question {number}")
        visitors.append(visitor)
    for visitor in visitors:
        for side in SIDES:
            await visitor.sees(answer_of(side), "Half of it,")
    assert own.stub.open == PAGES * len(SIDES)
    refused = await Visitor(await visitors[0].page.context.new_page(), own.address).open(FOUR)
    await refused.page.wait_for_selector("#text-state-d [data-state=ready]")
    assert own.process is not None
    own.process.send_signal(signal.SIGTERM)
    async with httpx.AsyncClient(base_url=own.address) as client:
        await until_it_stops(client)
        await refused.ask("Too late?")
        await refused.sees("#text-composer", RESTARTING)
        await refused.has_prompt("Too late?")
    assert await asyncio.to_thread(own.process.wait, BUSY) == 0
    for visitor in visitors:
        for side in SIDES:
            assert "Half of it," in await visitor.text(answer_of(side))
            # A machine so busy that the last words came too late says that the answer was cut off.
            await visitor.page.wait_for_function(
                "([where, told]) => { const text = document.querySelector(where).innerText;"
                " return text.includes(told) || /cut off/i.test(text); }",
                arg=[f"#text-transcript .cell[data-side={side}]", RESTARTING],
            )
    log = own.log.read_text()
    assert "Traceback" not in log and "Question" not in log and own.stub.url not in log
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    answers = [line for line in told if line["logger"] == "phi.answers"]
    assert len(answers) == PAGES * len(SIDES) == len({line["id"] for line in answers})
    assert {(one["backend"], one["model"], one["error"]) for one in answers} == {
        ("openai_compatible", PHI, "restarting")
    }
    # The pages open anew by themselves, with what came.
    await asyncio.to_thread(own.start)
    for number, visitor in enumerate(visitors):
        await visitor.page.wait_for_selector("#text-away", state="detached")
        await visitor.sees("#text-transcript .turns", f"Question {number}")
        for side in SIDES:
            await visitor.sees(answer_of(side), "Half of it,")
        await visitor.page.context.close()


async def test_answers_that_end_in_time_end(browser: Browser, own: OwnProcess) -> None:
    await asyncio.to_thread(own.start)
    end = asyncio.Event()
    pieces = (sse(delta("One, "), done=False), end, sse(delta("two.", "stop")))
    own.stub.on(CHAT, Reply(pieces, headers=STREAM))
    context = await browser.new_context()
    context.set_default_timeout(BUSY * 1000)
    visitor = await Visitor(await context.new_page(), own.address).open(FOUR)
    await visitor.page.wait_for_selector("#text-state-d [data-state=ready]")
    await visitor.ask("Count")
    for side in SIDES:
        await visitor.sees(answer_of(side), "One,")
    assert own.process is not None
    own.process.send_signal(signal.SIGTERM)
    async with httpx.AsyncClient(base_url=own.address) as client:
        await until_it_stops(client)
    end.set()
    assert await asyncio.to_thread(own.process.wait, BUSY) == 0
    for side in SIDES:
        assert await visitor.text(answer_of(side)) == "One, two."
    await context.close()
