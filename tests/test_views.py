"""Two views on one page: neither is drawn before its time, and neither disturbs the other."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from backends import REGISTRY
from playground.keyring import Keyring
from playground.services import Services
from tests.pages import Puppet, Visitor, answer_of, button_of, column_of, free_port, line_of
from ui import page
from ui.compare.default_pair import DefaultPair
from ui.compare.examples import Examples
from ui.compare.restore import ViewRestore
from ui.compare.session import Session
from ui.compare.side import letter_of
from ui.compare.view import CompareView
from ui.events import Updates

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Noted:
    """An example with something that the Text tab's examples have not."""

    title: str
    prompt: str
    note: str


class TwinView(CompareView):
    """A view with a note above its prompt, and one more control on each side."""

    def build_above_prompt(self) -> None:
        self.note = gr.Textbox(label="Note", elem_id=f"{self.name}-note", interactive=True)

    def build_beside_model(self, side: int) -> Mapping[str, gr.Component]:
        name = f"{self.name}-more-{letter_of(side)}"
        gr.Dropdown(["a", "b"], label="More", elem_id=name, min_width=60)
        return {}

    @property
    def example_outputs(self) -> list[Any]:
        return [*super().example_outputs, self.note]

    async def on_example(self, example: Noted, session: Session) -> Updates:
        return {self.composer.prompt: example.prompt, self.note: example.note}


async def puppets(services: Services, keyring: Keyring) -> DefaultPair:
    """The pair that the second tab opens on."""
    health = await services.health.check(REGISTRY["puppet"], keyring)
    one, two, *_ = health.offers
    return DefaultPair((health, two), (health, one), "Two puppets.")


class TwinTab:
    """A second tab with a view, opened when it is first seen."""

    ID: ClassVar[str] = "twin"
    LABEL: ClassVar[str] = "tab_text"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        examples = Examples({"en": [Noted("Look", "What is it?", "A cat")]})
        self.view = TwinView(self.ID, services, keyring, examples)
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, puppets)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        return self._restore.on_first_select(tab)


@pytest.fixture(scope="module")
def both(served: str) -> Iterator[str]:
    """The address of a page with the Text tab and its twin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "TABS", (*page.TABS, TwinTab))
        port = free_port()
        _launch(port)
    yield f"http://127.0.0.1:{port}"


def _launch(port: int, tries: int = 3) -> None:
    """Start the page. Gradio has one page under construction in a process: what a handler of
    another page makes meanwhile, half made, becomes a part of this one, and it fails."""
    try:
        page.launch(Services(), page.Serving(port=port))
    except AttributeError:
        if tries == 1:
            raise
        _launch(port, tries - 1)


@pytest_asyncio.fixture(loop_scope="session")
async def text(context: BrowserContext, both: str, puppet: Puppet) -> AsyncGenerator[Visitor, None]:
    """Somebody on the Text tab of the page with two views."""
    visitor = await Visitor(await context.new_page(), both).open()
    yield visitor
    assert visitor.faults == [], visitor.faults


async def turn_to(visitor: Visitor, tab: str) -> Visitor:
    """The same visitor, on another tab."""
    await visitor.page.click(f"#tabs [data-tab-id={tab}]")
    await visitor.page.wait_for_selector(f"#{tab}-view .state[data-state]")
    other = Visitor(visitor.page, visitor.address, tab)
    other.faults = visitor.faults
    return other


async def shows(visitor: Visitor, left: str, right: str) -> None:
    """Wait until these models are chosen."""
    for side, model in (("a", left), ("b", right)):
        box = visitor.page.locator(f"#{visitor.view}-model-{side} input")
        await expect(box).to_have_value(model)


async def test_a_view_opens_once_when_its_tab_is_first_chosen(text: Visitor) -> None:
    # The board has been drawn, and has told the view that is not there yet.
    await text.page.wait_for_selector("#text-state-b [data-state=ready]")
    assert await text.page.locator("#twin-view").count() == 0
    twin = await turn_to(text, "twin")
    await shows(twin, "Two", "One")
    assert await twin.text("#twin-opening") == "Two puppets."
    await twin.page.click("#twin-model-b input")
    await twin.page.get_by_role("option", name="Two").click()
    await shows(twin, "Two", "Two")
    await turn_to(text, "text")
    await turn_to(text, "twin")
    await shows(twin, "Two", "Two")
    assert (
        await text.page.evaluate(
            """() => {
          const ids = [...document.querySelectorAll("[id^=text-], [id^=twin-]")].map(e => e.id);
          return ids.filter((id, n) => ids.indexOf(id) !== n);
        }"""
        )
        == []
    )


async def test_both_answer_at_once_and_each_keeps_its_own(text: Visitor, puppet: Puppet) -> None:
    await text.ask("In the text view")
    puppet.feed("one", "Text left")
    await text.sees(answer_of("a"), "Text left")
    puppet.answer("two", "Text right.")
    await text.sees(line_of("b"), "2 tokens")
    twin = await turn_to(text, "twin")
    await twin.ask("In its twin")
    assert puppet.wait_open("one", 2)
    puppet.answer("two", "Twin left.")
    puppet.answer("one", "Twin right.")
    await twin.sees(column_of("b", view="twin"), "Twin right.")
    await twin.finished()
    assert "In the text view" not in await twin.text(column_of("a", view="twin"))
    await turn_to(text, "text")
    await text.page.click("#text-stop")
    await text.finished()
    await text.sees(column_of("a"), "Text left")
    assert "In its twin" not in await text.text(column_of("b"))


async def test_drafts_conversations_and_settings_survive_a_reload(
    text: Visitor, puppet: Puppet
) -> None:
    await text.page.fill("#text-prompt textarea", "Mine")
    await text.page.click("#text-settings > button")
    await text.page.fill("#text-temperature input[type=number]", "0.3")
    await text.page.wait_for_url("**temperature=0.3*")
    twin = await turn_to(text, "twin")
    await twin.page.wait_for_url("**?tab=twin&a=puppet/two&b=puppet/one")
    await twin.ask("Remember")
    puppet.answer("one", "I do.")
    puppet.answer("two", "So do I.")
    await twin.sees(column_of("a", view="twin"), "So do I.")
    await twin.finished()
    await twin.page.fill("#twin-prompt textarea", "Also mine")
    await turn_to(text, "text")
    await text.page.wait_for_url(lambda url: "temperature=0.3" in url and "tab=" not in url)
    await turn_to(text, "twin")
    await text.page.reload()
    await twin.sees(column_of("a", view="twin"), "So do I.")
    await twin.has_prompt("Also mine")
    await shows(twin, "Two", "One")
    await turn_to(text, "text")
    await text.has_prompt("Mine")
    assert "Remember" not in await text.text("#text-transcript")


async def test_a_link_opens_its_tab_and_no_other(
    context: BrowserContext, both: str, puppet: Puppet
) -> None:
    twin = Visitor(await context.new_page(), both, "twin")
    await twin.open("?tab=twin&a=puppet/one&b=puppet/one&temperature=0.3&prompt=Hello")
    await shows(twin, "One", "One")
    assert await twin.prompt() == "Hello"
    text = await turn_to(twin, "text")
    assert await text.prompt() == ""
    temperature = "#text-temperature input[type=number]"
    await text.page.click("#text-settings > button")
    assert await text.page.input_value(temperature) == "0.7"
    assert twin.faults == []


async def test_a_link_to_the_models_tab(context: BrowserContext, both: str) -> None:
    visitor = Visitor(await context.new_page(), both)
    await visitor.page.goto(f"{both}/?tab=models")
    await visitor.sees("#card-puppet, #card-pocket", "Ready")
    assert visitor.faults == []


async def test_an_example_fills_in_what_its_view_adds(text: Visitor) -> None:
    twin = await turn_to(text, "twin")
    await twin.page.click("#twin-example-0")
    await twin.has_prompt("What is it?")
    await expect(twin.page.locator("#twin-note textarea, #twin-note input")).to_have_value("A cat")
    assert await twin.page.locator(".pickers #twin-more-b").count() == 1


async def test_one_side_alone_is_for_one_view(text: Visitor, puppet: Puppet) -> None:
    await text.ask("Hello")
    for model in ("one", "two"):
        puppet.answer(model, "Yes.")
    await text.sees(answer_of("b"), "Yes.")
    await text.page.click(button_of("a", "only"))
    await text.page.wait_for_selector(answer_of("b"), state="hidden")
    twin = await turn_to(text, "twin")
    assert await twin.page.is_visible("#twin-pane-b")
