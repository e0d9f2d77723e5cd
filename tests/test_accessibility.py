"""Accessibility: axe finds nothing on the page but known faults of Gradio's own."""

from importlib.resources import files

import pytest
from playwright.async_api import BrowserContext

from playground.routing import to_file
from tests.pages import Puppet, Visitor, answer_of, column_of, last, line_of
from tests.test_routing import grown

pytestmark = pytest.mark.asyncio(loop_scope="session")

KNOWN: set[tuple[str, str]] = set()
"""Faults of Gradio's own parts, as (rule, CSS selector of the element). Only ever shorter."""

SAVED = to_file(grown(4, 30), "Pocket-MoE").encode()
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


async def findings(visitor: Visitor) -> set[tuple[str, str]]:
    await visitor.page.evaluate(AXE)
    found = await visitor.page.evaluate("() => axe.run()")
    return {
        (violation["id"], " ".join(node["target"]))
        for violation in found["violations"]
        for node in violation["nodes"]
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe(browser, served: str, puppet: Puppet, scheme: str) -> None:
    context: BrowserContext = await browser.new_context(color_scheme=scheme)
    visitor = await Visitor(await context.new_page(), served).open()
    await visitor.page.click("#text-settings > button")
    assert await findings(visitor) <= KNOWN
    await visitor.page.click("#tabs [data-tab-id=models]")
    await visitor.sees("#card-pocket", "Ready")
    assert await findings(visitor) <= KNOWN
    await visitor.page.click("#tabs [data-tab-id=vision]")
    await visitor.page.wait_for_selector("#vision-view .state[data-state]")
    await visitor.page.click("#vision-example-9")
    await visitor.page.click("#vision-strip summary")
    assert await findings(visitor) <= KNOWN
    await visitor.page.click("#tabs [data-tab-id=moe]")
    await visitor.page.wait_for_selector("#moe-view .state[data-state]")
    await visitor.page.click("#moe-explained summary")
    assert await findings(visitor) <= KNOWN
    await visitor.page.set_input_files(
        "#moe-routing-a input[type=file]",
        {"name": "saved.json", "mimeType": "application/json", "buffer": SAVED},
    )
    await visitor.page.click("#moe-routing-a .table summary")
    await visitor.page.click("#moe-routing-a .token >> nth=3")
    assert await findings(visitor) <= KNOWN
    await visitor.page.click("#tabs [data-tab-id=text]")
    await visitor.ask("什么是小型语言模型？它可以做什么？")
    for model in ("one", "two"):
        puppet.feed(model, "# Title\n\nText with `code`, a [link](/x) and\n\n- a list\n")
    await visitor.sees(answer_of("b"), "a list")
    assert await findings(visitor) <= KNOWN
    for model in ("one", "two"):
        puppet.feed(model, "\nThis answer is in English after all.", last(5, 9), None)
    await visitor.finished()
    await visitor.sees(line_of("b"), "Answered in English")
    assert await findings(visitor) <= KNOWN
    await visitor.ask("And again?")  # the first answer's numbers are folded away now
    for model in ("one", "two"):
        puppet.answer(model, "Again.")
    await visitor.sees(column_of("b"), "Again.")
    await visitor.finished()
    assert await findings(visitor) <= KNOWN
    await context.close()
