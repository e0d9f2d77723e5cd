"""The Code button in a real browser: the program of what is on the screen, as it is."""

import pytest
from playwright.async_api import BrowserContext, expect

from backends import REGISTRY, GenerationParams, Message
from tests.pages import Puppet, Visitor
from tests.test_accessibility import KNOWN, findings
from tests.test_page import compare

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARAMS = GenerationParams(512, 0.7, 0.95, 50, 7, ("###",))
ODD = 'Is <b>this</b> "odd"? `x` $$y$$\n```\n\tأهلا'


@pytest.fixture
def snippets(puppet: Puppet, monkeypatch) -> None:
    """Puppets that have programs: what was asked, in a line of Python."""

    def snippet(model, messages, params, connection=None) -> str:
        said = [message.text for message in messages]
        return f"# {model} at {params.temperature}\nprint({said!r})\n"

    monkeypatch.setattr(puppet, "snippet", snippet)


async def shows(visitor: Visitor, side: str, program: str) -> None:
    code = visitor.page.locator(f"#text-transcript .program[data-side={side}] pre code")
    await expect(code).to_have_text(program.rstrip("\n"), use_inner_text=True)


async def test_the_program_of_what_was_asked(visitor: Visitor, puppet: Puppet, snippets) -> None:
    assert await visitor.page.locator("#text-transcript .program[data-side=a]").count() == 0
    await compare(visitor, puppet, ODD, "Yes.", "No.")
    await visitor.page.fill("#text-prompt textarea", "Not yet asked")
    await visitor.page.focus("#text-code-b")
    await visitor.page.keyboard.press("Enter")
    await shows(visitor, "b", f"# two at 0.7\nprint({[ODD]!r})\n")
    assert await visitor.text("#text-code-b") == "Hide code"
    assert await visitor.page.locator("#text-transcript .program[data-side=a]").count() == 0
    # The next question is shown as soon as it is asked.
    await compare(visitor, puppet, "And now?", "Now.", "Later.")
    await shows(visitor, "b", f"# two at 0.7\nprint({[ODD, 'No.', 'And now?']!r})\n")
    await visitor.page.click("#text-code-b")
    await expect(visitor.page.locator("#text-transcript .program[data-side=b]")).to_have_count(0)
    assert await visitor.text("#text-code-b") == "Code"


async def test_nothing_asked_yet(visitor: Visitor, snippets) -> None:
    await visitor.page.click("#text-code-a")
    await shows(visitor, "a", "# one at 0.7\nprint(['Hello!'])\n")
    await visitor.page.fill("#text-prompt textarea", "What is it?")
    await visitor.page.click("#text-code-b")
    await shows(visitor, "b", "# two at 0.7\nprint(['What is it?'])\n")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe(browser, served: str, puppet: Puppet, monkeypatch, scheme: str) -> None:
    program = REGISTRY["openai_compatible"].snippet("phi", (Message.of("user", ODD),), PARAMS)
    monkeypatch.setattr(puppet, "snippet", lambda *request: f"{program}def f(x): return len(x)\n")
    context: BrowserContext = await browser.new_context(color_scheme=scheme)
    visitor = await Visitor(await context.new_page(), served).open()
    await visitor.page.click("#text-code-a")
    await visitor.page.wait_for_selector("#text-transcript .program[data-side=a] .k")
    assert await findings(visitor) <= KNOWN
    assert visitor.faults == []
    await context.close()


async def test_it_goes_with_the_conversation(visitor: Visitor, puppet: Puppet, snippets) -> None:
    await compare(visitor, puppet, "First", "A.", "B.")
    await visitor.page.click("#text-code-a")
    await shows(visitor, "a", "# one at 0.7\nprint(['First'])\n")
    await visitor.page.click("#text-clear")
    await expect(visitor.page.locator("#text-transcript .program[data-side=a]")).to_have_count(0)
    assert await visitor.text("#text-code-a") == "Code"


async def test_a_model_without_a_program(visitor: Visitor) -> None:
    await visitor.page.click("#text-code-a")
    await visitor.sees(
        "#text-transcript .program[data-side=a]", "There is no program to show for this model."
    )


async def test_a_phone_keeps_its_width(visitor: Visitor, puppet: Puppet, monkeypatch) -> None:
    monkeypatch.setattr(puppet, "snippet", lambda *request: f"print('{'x' * 300}')\n")
    await visitor.page.set_viewport_size({"width": 390, "height": 844})
    await visitor.page.click("#text-code-a")
    await visitor.page.wait_for_selector("#text-transcript .program[data-side=a] pre")
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") == 390
