"""The real page in a real browser, its models played by puppets whose every word a test speaks.

PHI_BROWSER_SLOWDOWN=6 makes every page's scripts run six times slower than they can, and the
tests wait six times longer: what is then lost, was won by luck on a fast machine.
"""

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    TimeoutError,
    async_playwright,
    expect,
)

from backends import (
    REGISTRY,
    Backend,
    Chunk,
    Connection,
    GenerationParams,
    Health,
    Message,
    MissingDependencyError,
    ModelSpec,
    Offer,
    Progress,
    Status,
)
from playground.services import Services
from tests.browser import ARGUMENTS, PATIENCE, SLOWDOWN, executable
from tests.fakes import SPEC, last, said

SEEING = replace(SPEC, modalities=("text", "image"))
Step = Chunk | Progress | BaseException | None


class Puppet(Backend):
    """Says what the test feeds to a model, from another thread, when it is fed.

    Of answers of the same model, the one that began last is fed until it ends.
    """

    id = "puppet"
    label = "Puppet"
    kind = "local"
    downloads_from = "the Hugging Face Hub"
    continues = True
    reports_routing = True

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self.reset()

    def reset(self) -> None:
        """Forget everything said and asked."""
        with self._lock:
            self._pending: dict[str, list[Step]] = defaultdict(list)
            self._fed: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = (
                defaultdict(list)
            )
            self.asked: list[tuple[str, tuple[Message, ...], GenerationParams]] = []
            self.open: dict[str, int] = defaultdict(int)
            self.prepared: list[str] = []

    def feed(self, model: str, *steps: Step | str) -> None:
        """The next steps of a model's answer; `None` ends it."""
        with self._lock:
            self._pending[model] += [said(s) if isinstance(s, str) else s for s in steps]
            self._wake(model)

    def _wake(self, model: str) -> None:
        for loop, event in self._fed[model][-1:]:
            loop.call_soon_threadsafe(event.set)

    def answer(self, model: str, text: str) -> None:
        """A whole answer, a chunk a word."""
        words = text.split(" ")
        pieces = [word + " " for word in words[:-1]] + words[-1:]
        self.feed(model, *pieces, last(7, len(pieces)), None)

    def wait_open(self, model: str, count: int, timeout: float = PATIENCE) -> bool:
        """Wait until so many answers of a model are on their way."""
        return self.wait_for(lambda: self.open[model] == count, timeout)

    def wait_for(self, happened: Callable[[], bool], timeout: float = PATIENCE) -> bool:
        """Wait until something has happened to the puppets."""
        with self._lock:
            return self._lock.wait_for(happened, timeout)

    async def prepare(self, model: str) -> None:
        with self._lock:
            self.prepared.append(model)
            self._lock.notify_all()

    async def check(self, connection: Connection | None = None) -> Health:
        here = Status("ready", "Ready to play.")
        away = Status("not installed", "Not on this machine yet.", "not_downloaded")
        offers = [
            Offer("one", replace(SEEING, key="one", label="One"), here),
            Offer("two", replace(SEEING, key="two", label="Two"), here),
            Offer("away", replace(SPEC, key="away", label="Away"), away, 7_640_000_000),
        ]
        return Health(here, offers)

    def spec_of(self, model: str) -> ModelSpec:
        """The first is a mixture of experts, the others are dense."""
        active = 4e6 if model == "one" else 16e6
        label = model.capitalize()
        return replace(SEEING, key=model, label=label, parameters=16e6, active_parameters=active)

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        return params.num_crops or 4

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        if model == "away":
            raise MissingDependencyError("Away is not on this machine.", "Download it first.")
        event = asyncio.Event()
        with self._lock:
            self.asked.append((model, tuple(messages), params))
            self._fed[model].append(mine := (asyncio.get_running_loop(), event))
            self.open[model] += 1
            self._lock.notify_all()
        try:
            while True:
                event.clear()
                with self._lock:
                    steps: list[Step] = []
                    if mine in self._fed[model][-1:]:
                        steps, self._pending[model] = self._pending[model], []
                for n, step in enumerate(steps):
                    if step is None:
                        with self._lock:
                            self._pending[model][:0] = steps[n + 1 :]
                        return
                    if isinstance(step, BaseException):
                        raise step
                    yield step
                await event.wait()
        finally:
            with self._lock:
                self.open[model] -= 1
                if mine in self._fed[model]:  # it was not reset meanwhile
                    self._fed[model].remove(mine)
                self._wake(model)
                self._lock.notify_all()

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        async for step in self.stream("one", (), GenerationParams()):
            if isinstance(step, Progress):
                yield step


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="session")
def served() -> str:
    """The page, served by this process; its address."""
    from ui import page

    REGISTRY["puppet"] = PUPPET
    port = free_port()
    page.launch(SERVICES, page.Serving(port=port))
    return f"http://127.0.0.1:{port}"


PUPPET = Puppet()
SERVICES = Services()
"""Those of the served page."""


@pytest.fixture
def puppet() -> Puppet:
    """The puppets, with nothing said yet."""
    PUPPET.reset()
    return PUPPET


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser, None]:
    """One Chromium: an installed one if there is one, else Playwright's own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE * 1000)
        _slow_down(browser)
        yield browser
        await browser.close()


def _slow_down(browser: Browser) -> None:
    """Make every context of a browser as patient, and every page as slow, as was asked for."""
    new_context = browser.new_context

    async def patient(**options: Any) -> BrowserContext:
        context = await new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        new_page = context.new_page

        async def slow() -> Page:
            page = await new_page()
            if SLOWDOWN > 1:
                session = await context.new_cdp_session(page)
                await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
            return page

        context.new_page = slow
        return context

    browser.new_context = patient


class Visitor:
    """Somebody at the page, and everything that went wrong in their browser."""

    def __init__(self, page: Page, address: str, view: str = "text") -> None:
        self.page, self.address, self.view = page, address, view
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error.stack}"))
        page.on("request", self._request)

    def _console(self, message) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.faults.append(f"left this machine: {request.url}")

    async def open(self, query: str = "?a=puppet/one&b=puppet/two") -> "Visitor":
        """Open the page and wait until it can be used."""
        await self.page.goto(self.address + "/" + query)
        await self.page.wait_for_selector(f"#{self.view}-prompt textarea", state="visible")
        await self.page.wait_for_selector(f"#{self.view}-view .state[data-state]")
        return self

    async def ask(self, prompt: str) -> None:
        """Type a prompt and press Compare."""
        await self.page.fill(f"#{self.view}-prompt textarea", prompt)
        await self.page.click(f"#{self.view}-compare")

    async def finished(self) -> None:
        """Wait until the run has ended and been written down."""
        try:
            await self.page.wait_for_selector(f"#{self.view}-compare", state="visible")
        except TimeoutError as error:
            shown = await self.page.locator(f"#{self.view}-transcript").inner_text()
            raise AssertionError(f"it has not ended: {shown!r}, {self.faults}") from error

    async def text(self, selector: str) -> str:
        """What the elements say, one after the other."""
        await self.page.wait_for_selector(selector, state="attached")
        return "\n".join(await self.page.locator(selector).all_inner_texts()).strip()

    async def sees(self, selector: str, text: str) -> None:
        """Wait until one of the elements shows a text."""
        try:
            await self.page.wait_for_function(
                "([where, text]) => [...document.querySelectorAll(where)].some("
                "(node) => node.innerText.includes(text))",
                arg=[selector, text],
            )
        except TimeoutError as error:
            said = await self.page.locator(selector).all_inner_texts()
            raise AssertionError(f"no {text!r} at {selector}: {said}, {self.faults}") from error

    async def has_prompt(self, text: str) -> None:
        """Wait until the prompt box holds exactly this."""
        box = self.page.locator(f"#{self.view}-prompt textarea")
        await expect(box).to_have_value(text)

    async def prompt(self) -> str:
        """What is in the prompt box."""
        return await self.page.input_value(f"#{self.view}-prompt textarea")


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncGenerator[BrowserContext, None]:
    """A fresh browser profile."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(
    context: BrowserContext, served: str, puppet: Puppet
) -> AsyncGenerator[Visitor, None]:
    """Somebody with the page open on two puppets."""
    visitor = await Visitor(await context.new_page(), served).open()
    yield visitor
    assert visitor.faults == [], visitor.faults


# ── What stands where in the transcript ─────────────────────────────────────────────────────────


def column_of(side: str, view: str = "text") -> str:
    """Selects the answers of one side to all prompts."""
    return f"#{view}-transcript .cell[data-side={side}]"


def answer_of(side: str, view: str = "text") -> str:
    """Selects the text of one side's last answer."""
    return f"#{view}-transcript .turn[data-last] .cell[data-side={side}] .md"


def line_of(side: str, view: str = "text") -> str:
    """Selects the line of numbers below one side's last answer."""
    return f"#{view}-transcript .turn[data-last] .cell[data-side={side}] .numbers"


def button_of(side: str, act: str, view: str = "text") -> str:
    """Selects a button of one side's last answer."""
    return f"#{view}-transcript .turn[data-last] .cell[data-side={side}] [data-act={act}]"


FOUR = "?a=puppet/one&b=puppet/two&c=puppet/one&d=puppet/two"
"""Opens the page on four sides."""

PROMPT = "#text-transcript .turn[data-last] .prompt"
"""Selects the last prompt."""
