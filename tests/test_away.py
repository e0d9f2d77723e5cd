"""The page's own process is killed in the middle of an answer, and comes back on the same port."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from tests.pages import Visitor, answer_of, button_of, column_of, free_port, line_of
from tests.real_server import BUSY, wait_until_up
from tests.stub import Reply, Stub, delta, sse, usage

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROOT = Path(__file__).resolve().parent.parent
PHI = "microsoft/Phi-3.5-mini-instruct"
BOTH = f"?a=openai_compatible/{PHI}&b=openai_compatible/{PHI}"
AWAY = "The page's own server has stopped answering."
CHAT = "/v1/chat/completions"
STREAM = {"content-type": "text/event-stream"}


class OwnProcess:
    """A page in a process of its own, always on the same port, and the server that it asks."""

    def __init__(self, log: Path, stub: Stub) -> None:
        self.log, self.stub, self.port = log, stub, free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and return once it answers."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        command = [sys.executable, "app.py", "--port", str(self.port), "--no-browser"]
        environment = os.environ | {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "OPENAI_COMPATIBLE_BASE_URL": self.stub.url,
        }
        with self.log.open("a") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_until_up(self.address, self._process, self.log)

    def kill(self) -> None:
        """End it without a chance to say good-bye."""
        self._process.kill()
        self._process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path) -> AsyncGenerator[OwnProcess, None]:
    """A page in a process of its own, running."""
    async with Stub() as stub:
        stub.on("/v1/models", Reply.of({"data": [{"id": PHI}]}))
        own = OwnProcess(tmp_path / "page.log", stub)
        await own.start()
        yield own
        own.kill()


async def opened(context: BrowserContext, own: OwnProcess) -> Visitor:
    """Somebody who can ask."""
    context.set_default_timeout(BUSY * 1000)  # a process has only just begun
    visitor = await Visitor(await context.new_page(), own.address).open(BOTH)
    for side in ("a", "b"):
        await visitor.page.wait_for_selector(f"#text-state-{side} [data-state=ready]")
    return visitor


async def test_it_is_said_and_the_press_is_kept(context: BrowserContext, own: OwnProcess) -> None:
    visitor = await opened(context, own)
    page = visitor.page
    half = sse(delta("Half of "), done=False)
    own.stub.on(CHAT, Reply((half, asyncio.Event()), headers=STREAM))
    await visitor.ask("Do not lose me")
    for side in ("a", "b"):
        await visitor.sees(answer_of(side), "Half of")
    await page.route("**/app_id", lambda route: route.abort())  # Gradio's page looks by itself
    await page.evaluate(
        """() => {
          const announcer = document.querySelector("#announcer");
          window.heard = [];
          new MutationObserver(() => heard.push(announcer.textContent))
            .observe(announcer, { childList: true, characterData: true, subtree: true });
        }"""
    )
    own.kill()
    await visitor.sees("#text-composer", AWAY)
    await visitor.sees("#announcer", AWAY)
    assert not await page.is_visible("#text-stop")
    assert not await page.is_visible(button_of("a", "stop"))
    await visitor.has_prompt("Do not lose me")
    for side in ("a", "b"):
        line = await visitor.text(line_of(side))
        assert "cut off" in line.lower() and "before the first token" not in line
    assert await visitor.text(answer_of("b")) == "Half of"
    # What is pressed and typed now is not heard by Gradio's page any more.
    await page.click("#text-compare")
    await page.wait_for_function(
        "(away) => heard.filter((text) => text.includes(away)).length === 2", arg=AWAY
    )
    await page.press("#text-prompt textarea", "End")
    await page.keyboard.type("!")
    whole = Reply((sse(delta("Here again", "stop"), usage(3, 2)),), headers=STREAM)
    own.stub.on(CHAT, whole)
    await own.start()
    await page.click("#text-compare")
    await visitor.sees(column_of("a"), "Here again")
    await visitor.sees("#text-transcript .turns", "Do not lose me!")


async def test_it_opens_anew_once_it_is_back(context: BrowserContext, own: OwnProcess) -> None:
    visitor = await opened(context, own)
    own.kill()
    await visitor.ask("Is there anybody?")
    await visitor.sees("#text-composer", AWAY)
    await own.start()
    await visitor.page.wait_for_selector("#text-away", state="detached")
    await visitor.page.wait_for_selector("#text-state-b [data-state=ready]")
    await visitor.has_prompt("Is there anybody?")
    own.stub.on(CHAT, Reply((sse(delta("I am", "stop"), usage(3, 2)),), headers=STREAM))
    await visitor.page.click("#text-compare")
    await visitor.sees(column_of("a"), "I am")
    await visitor.finished()
