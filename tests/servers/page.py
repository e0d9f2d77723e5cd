"""Both sides of the page, in a real browser, answered by a real server."""

import asyncio
from contextlib import AsyncExitStack

from playwright.async_api import TimeoutError as NotSeen
from playwright.async_api import async_playwright

from backends import REGISTRY
from benchmarks.served import Served as PageProcess
from benchmarks.served import free_port
from tests.browser import ARGUMENTS, PATIENCE, executable
from tests.pages import Visitor, column_of, line_of
from tests.test_models_tab import add_server

from .checks import QUESTION, Case, Differs, expected, user

TITLE = "through the page"


async def on_the_page(case: Case) -> str:
    """Add the server's addresses, choose both Pockets, and read both answers."""
    both = case.pair()
    async with AsyncExitStack() as stack:
        port = free_port()
        arguments = ["app.py", "--no-browser", "--port", str(port)]
        process = stack.enter_context(PageProcess(arguments, port))
        await asyncio.to_thread(process.wait)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        stack.push_async_callback(browser.close)
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        visitor = Visitor(page, process.url.rstrip("/"))
        await visitor.open("?a=pocket/pocket-3&b=pocket/pocket-3.5")
        names = {one.connection: f"Server {n}" for n, one in enumerate(both, start=1)}
        for n, (connection, name) in enumerate(names.items(), start=1):
            assert connection and connection.base_url
            await add_server(visitor, name, connection.base_url)
            await visitor.sees(f"#card-server-{n}", "Can answer: ")
        # The browser keeps the servers, so that a link to them works.
        sides = dict(zip(("a", "b"), both, strict=True))
        server = REGISTRY["openai_compatible"].id
        chosen = [f"{side}={server}:{names[at.connection]}/{at.name}" for side, at in sides.items()]
        await visitor.open(f"?{'&'.join(chosen)}")
        for side in sides:
            await page.wait_for_selector(f"#text-state-{side} .state[data-state=ready]")
        await page.click("#text-settings > button")
        await page.fill("#text-temperature input[type=number]", "0")
        await visitor.ask(QUESTION)
        for side, one in sides.items():
            right, _ = await expected(one.model, user(QUESTION))
            conversation = column_of(side)
            try:
                await visitor.sees(conversation, (right or "").replace("**", "").partition("\n")[0])
            except NotSeen:
                shown = await visitor.text(conversation)
                raise Differs(f"the {side} side shows “{shown[-80:]}”") from None
        await visitor.finished()
        lines = [await visitor.text(line_of(side)) for side in sides]
        if visitor.faults:
            raise Differs(visitor.faults[0])
        return " / ".join(line.replace("\n", " ") for line in lines)
