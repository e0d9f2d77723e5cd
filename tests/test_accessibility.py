"""Accessibility: axe finds nothing on the page but known faults of Gradio's own."""

from dataclasses import replace
from importlib.resources import files

import pytest
from playwright.async_api import BrowserContext

from playground.routing import to_file
from tests.pages import FOUR, Puppet, Visitor, answer_of, button_of, column_of, last, line_of
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


@pytest.mark.parametrize("width", [1280, 390])
async def test_four_sides(browser, served: str, puppet: Puppet, width: int) -> None:
    """While answers grow, with one that was cut off, and with what is used less on a phone."""
    context = await browser.new_context(viewport={"width": width, "height": 800})
    visitor = await Visitor(await context.new_page(), served).open(FOUR)
    await visitor.ask("Code?")
    for model in ("one", "two"):
        puppet.feed(model, "```sh\nls\n```\n\nand")
    await visitor.sees("#text-transcript .md", "and")
    assert await findings(visitor) <= KNOWN
    end = (replace(last(1, 9), finish_reason="length"), None)
    for model in ("one", "two"):
        puppet.feed(model, *end, "Yes.", *end)
    await visitor.finished()
    await visitor.page.wait_for_selector(button_of("a", "continue"))
    assert await findings(visitor) <= KNOWN
    if width < 700:
        await visitor.page.click(button_of("a", "less"))
        assert await findings(visitor) <= KNOWN
        await visitor.page.keyboard.press("Escape")
        await visitor.page.click("#text-composer .less-used-open button")
        assert await findings(visitor) <= KNOWN
    await context.close()
