"""The MoE tab in a real browser: which experts work, drawn while they do, kept in a file."""

import json
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, expect

from backends import Chunk, ExpertRouting
from playground.routing import from_file
from tests.browser import PATIENCE
from tests.fakes import last, said
from tests.pages import Puppet, Visitor, button_of, column_of, line_of
from tests.test_routing import grown, to_file, token
from ui.tabs.moe.figure import RESENT_TOKENS, figure_delta

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUPPETS = "?tab=moe&a=puppet/one&b=puppet/two"
LEFT = "#moe-routing-a"
PROMPT = 4


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(
    context: BrowserContext, served: str, puppet: Puppet
) -> AsyncGenerator[Visitor, None]:
    """Somebody on the MoE tab, with a puppet that is a mixture of experts, and a dense one."""
    visitor = await Visitor(await context.new_page(), served, "moe").open(PUPPETS)
    yield visitor
    assert visitor.faults == [], visitor.faults


def steps(count: int, first: int = PROMPT) -> list[Chunk]:
    """So many tokens of an answer, each with the routing of the one before."""
    return [
        Chunk(text=f" word{n}", tokens=1, routing=(token(n - 1),) if n > first else ())
        for n in range(first, first + count)
    ]


def whole(count: int) -> list[Chunk]:
    """A prompt, an answer of so many tokens, and its end."""
    asked = Chunk(routing=tuple(token(n, True) for n in range(PROMPT)))
    return [asked, *steps(count), last(PROMPT, count), Chunk(routing=(token(PROMPT + count - 1),))]


async def answered(visitor: Visitor, puppet: Puppet, count: int = 12) -> None:
    await visitor.ask("Who works?")
    puppet.feed("one", *whole(count), None)
    puppet.answer("two", "I do, all of me.")
    await visitor.sees(column_of("b", view="moe"), "all of me")
    await visitor.finished()
    await expect(tokens(visitor)).to_have_count(PROMPT + count)


def tokens(visitor: Visitor) -> Locator:
    return visitor.page.locator(f"{LEFT} .token")


def cell(visitor: Visitor, layer: int, expert: int) -> Locator:
    return visitor.page.locator(f"{LEFT} .cell >> nth={layer * 16 + expert}")


def told(visitor: Visitor) -> Locator:
    return visitor.page.locator(f"{LEFT} .told")


async def table(visitor: Visitor, expected: list[int] | None = None) -> list[int]:
    """The loads as the table shows them; waits until they are what is expected."""
    await expect(visitor.page.locator(f"{LEFT} .table td")).to_have_count(48)
    if expected:
        await visitor.page.wait_for_function(
            "([cells, all]) => [...document.querySelectorAll(cells)]"
            ".map((cell) => cell.innerText).join() === all",
            arg=[f"{LEFT} .table td", ",".join(map(str, expected))],
        )
    shown = await visitor.page.locator(f"{LEFT} .table td").all_inner_texts()
    return [int(text) for text in shown]


def expert_counts(prompt: int, answer: int) -> list[int]:
    both = grown(prompt, answer).expert_counts
    return [both[0][layer][e] + both[1][layer][e] for layer in range(3) for e in range(16)]


async def test_the_picture_grows_while_the_answer_does(visitor: Visitor, puppet: Puppet):
    await visitor.ask("Who works?")
    puppet.feed("one", Chunk(routing=tuple(token(n, True) for n in range(PROMPT))))
    await expect(tokens(visitor)).to_have_count(PROMPT)  # before anything is said
    await visitor.page.click(f"{LEFT} .table summary")
    await table(visitor, expert_counts(PROMPT, 0))
    answer = steps(20)
    for n, step in enumerate(answer):
        puppet.feed("one", step)
        await expect(tokens(visitor)).to_have_count(PROMPT + n)
    assert await visitor.page.is_visible("#moe-stop")
    await table(visitor, expert_counts(PROMPT, 19))
    strength = "n => getComputedStyle(n).getPropertyValue('--strength')"
    assert await cell(visitor, 0, 5).evaluate(strength) != "0%"
    puppet.feed("one", last(PROMPT, 20), Chunk(routing=(token(PROMPT + 19),)), None)
    puppet.feed("two", None)
    await visitor.finished()
    await expect(tokens(visitor)).to_have_count(PROMPT + 20)
    await table(visitor, expert_counts(PROMPT, 20))
    assert await tokens(visitor).all_inner_texts() == [f" word{n}" for n in range(PROMPT + 20)]


async def test_a_token_shows_its_experts(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet)
    for n in (2, 9):
        await tokens(visitor).nth(n).hover()
        ranked = visitor.page.locator(f"{LEFT} .cell[data-rank]")
        await expect(ranked).to_have_count(6)
        for layer, pair in enumerate(token(n).experts):
            for rank, expert in enumerate(pair, 1):
                await expect(cell(visitor, layer, expert)).to_have_attribute("data-rank", str(rank))
    await expect(told(visitor)).to_contain_text("“word9”, token 6 of the answer")
    # Weights stand beside the layers; who listens hears all of it.
    await expect(visitor.page.locator(f"{LEFT} .meter").nth(1)).to_have_text("1.00 0.38")
    assert "layer 1: 10 with weight 1.00 and 11 with weight 0.25" in (
        await visitor.page.text_content(f"{LEFT} .spoken") or ""
    )


async def test_an_expert_shows_its_tokens_and_not_by_colour_alone(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet, 40)
    await cell(visitor, 1, 7).hover()
    expected = [n for n in range(PROMPT + 40) if 7 in token(n).experts[1]]
    took = visitor.page.locator(f"{LEFT} .token.took")
    assert [int(await one.get_attribute("data-n") or -1) for one in await took.all()] == expected
    line = "n => getComputedStyle(n).textDecorationLine"
    assert await took.first.evaluate(line) == "underline"
    assert await tokens(visitor).first.evaluate(line) == "none"
    share = len(expected) / 44
    await expect(told(visitor)).to_contain_text(
        f"Layer 2, expert 8: took {len(expected)} of 44 tokens, {share:.1%}".replace("%", " %")
    )
    await expect(told(visitor)).to_contain_text("an even spread would be 12.5 %")
    await visitor.page.click(f"{LEFT} [data-part=answer]")
    await cell(visitor, 1, 7).hover()
    in_answer = [n for n in expected if n >= PROMPT]
    await expect(took).to_have_count(len(in_answer))
    await expect(told(visitor)).to_contain_text(f"took {len(in_answer)} of 40 tokens")


async def test_prompt_answer_and_both_count_their_own(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet)
    await visitor.page.click(f"{LEFT} .table summary")
    every = {}
    for part in ("prompt", "answer", "both"):
        await visitor.page.click(f"{LEFT} [data-part={part}]")
        assert await visitor.page.get_attribute(f"{LEFT} [data-part={part}]", "aria-pressed") == (
            "true"
        )
        every[part] = await table(visitor)
    assert sum(every["prompt"]) == 2 * 3 * PROMPT
    assert sum(every["answer"]) == 2 * 3 * 12
    assert every["both"] == [p + a for p, a in zip(every["prompt"], every["answer"], strict=True)]


async def test_all_of_it_by_keyboard(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet)
    press = visitor.page.keyboard.press
    await visitor.page.locator(f"{LEFT} [data-part=both]").focus()
    await press("Tab")  # the grid
    await expect(told(visitor)).to_contain_text("Layer 1, expert 1:")
    await press("ArrowRight")
    await press("ArrowDown")
    await expect(told(visitor)).to_contain_text("Layer 2, expert 2:")
    at = await visitor.page.get_attribute(f"{LEFT} .grid", "aria-activedescendant")
    assert at and await cell(visitor, 1, 1).get_attribute("id") == at
    await press("End")
    await expect(told(visitor)).to_contain_text("Layer 3, expert 16:")
    await press("Tab")  # the tokens
    await expect(told(visitor)).to_contain_text("“word4”, token 1 of the answer")
    await press("ArrowLeft")
    await expect(told(visitor)).to_contain_text("“word3”, token 4 of the prompt")
    chosen = visitor.page.locator(f"{LEFT} [role=option][aria-selected=true]")
    await expect(chosen).to_have_text(" word3")
    await press("Escape")
    await expect(told(visitor)).to_contain_text("Point at a token")
    await expect(chosen).to_have_count(0)
    await press("Tab")
    await press("Enter")  # the table
    assert await table(visitor) == expert_counts(PROMPT, 12)


async def test_a_tap_stays_until_the_next(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet)
    await tokens(visitor).nth(5).click()
    await visitor.page.mouse.move(5, 5)
    await expect(visitor.page.locator(f"{LEFT} .cell[data-rank]")).to_have_count(6)
    await tokens(visitor).nth(5).click()
    await expect(visitor.page.locator(f"{LEFT} .cell[data-rank]")).to_have_count(0)


async def saved(visitor: Visitor) -> bytes:
    async with visitor.page.expect_download() as download:
        await visitor.page.click(f"{LEFT} .save")
    return (await (await download.value).path()).read_bytes()


async def open_file(visitor: Visitor, data: bytes, side: str = "a") -> None:
    await visitor.page.set_input_files(
        f"#moe-routing-{side} input[type=file]",
        {"name": "saved.json", "mimeType": "application/json", "buffer": data},
    )


async def picture(visitor: Visitor, side: str = "a") -> list:
    return await visitor.page.evaluate(
        """(side) => {
          const root = document.querySelector(`#moe-routing-${side}`);
          return [[...root.querySelectorAll(".token")].map((n) => n.textContent),
            [...root.querySelectorAll(".cell")].map((n) => n.style.getPropertyValue("--strength")),
            [...root.querySelectorAll(".meter")].map((n) => n.textContent)];
        }""",
        side,
    )


async def test_saved_and_opened_again_without_a_model_it_is_equal(
    visitor: Visitor, puppet: Puppet, context: BrowserContext
):
    await answered(visitor, puppet, 30)
    await visitor.page.mouse.move(5, 5)
    before, data = await picture(visitor), await saved(visitor)
    assert data.decode() == to_file(grown(PROMPT, 30), "One")
    assert [*from_file(data.decode()).routing] == [token(n, n < PROMPT) for n in range(34)]
    asked = len(puppet.asked)
    another = await Visitor(await context.new_page(), visitor.address, "moe").open(PUPPETS)
    await open_file(another, data)
    await another.sees(LEFT, "Opened: saved.json, One, 34 tokens.")
    assert await picture(another) == before
    await open_file(another, data, "b")  # on the side of a dense model too
    await another.sees("#moe-routing-b", "Opened: saved.json")
    assert await picture(another, "b") == before
    await another.page.click("#moe-routing-b .close")
    await another.sees("#moe-routing-b", "Two is dense")
    assert len(puppet.asked) == asked
    assert another.faults == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b"[1, 2]", "This is not a file with a routing"),
        (json.dumps({"format": "else"}).encode(), "This is not a file with a routing"),
        (b"[" * 100_000, "This is not a file with a routing"),
    ],
)
async def test_a_file_that_is_none_is_refused_and_the_picture_stays(
    visitor: Visitor, puppet: Puppet, data: bytes, why: str
):
    await answered(visitor, puppet)
    await visitor.page.mouse.move(5, 5)
    before = await picture(visitor)
    await open_file(visitor, data)
    await visitor.sees(LEFT, why)
    await visitor.sees(LEFT, "Open one that this page saved.")
    assert await picture(visitor) == before


async def test_a_new_answer_closes_an_opened_file(visitor: Visitor, puppet: Puppet):
    await open_file(visitor, to_file(grown(3, 60), "Another").encode())
    await visitor.sees(LEFT, "Opened: saved.json, Another")
    await answered(visitor, puppet)
    await expect(visitor.page.locator(f"{LEFT} .opened")).to_be_hidden()


async def test_what_a_model_writes_never_becomes_html(visitor: Visitor, puppet: Puppet):
    evil = "<img src=x onerror=document.title='pwned'>"
    routing = tuple(
        ExpertRouting(7, text, False, ((0, 1),), ((1.0, 1.0),), 16)
        for text in (evil, "</script>", "${1+1}", "{{value}}", '"', "\\", "\u2028")
    )
    await visitor.ask("Be evil")
    puppet.feed("one", said("x"), Chunk(routing=routing), last(1, 1), None)
    puppet.answer("two", "No.")
    await visitor.sees(column_of("b", view="moe"), "No.")
    await visitor.finished()
    assert await tokens(visitor).all_inner_texts() == [one.token for one in routing]
    await tokens(visitor).first.hover()
    assert await visitor.page.locator(f"{LEFT} img").count() == 0
    assert "pwned" not in await visitor.page.title()


async def test_regenerated_cleared_and_taken_back(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet, 12)
    await visitor.page.click(button_of("a", "regenerate", view="moe"))
    puppet.feed("one", *whole(5), None)
    await expect(tokens(visitor)).to_have_count(PROMPT + 5)
    await visitor.finished()
    await answered(visitor, puppet, 8)
    await visitor.page.click("#moe-undo")
    await expect(tokens(visitor)).to_have_count(PROMPT + 5)
    await visitor.page.click("#moe-clear")
    await visitor.sees(LEFT, "Ask something")
    await expect(tokens(visitor)).to_have_count(0)


async def test_while_one_side_is_asked_again_its_old_picture_is_gone(
    visitor: Visitor, puppet: Puppet
):
    await visitor.ask("Who works?")
    puppet.feed("one", *whole(6), None)
    puppet.feed("two", "Still ")
    await expect(tokens(visitor)).to_have_count(PROMPT + 6)
    await visitor.page.wait_for_selector(
        "#moe-transcript .turn[data-last] .cell[data-side=a] .numbers[data-state=done]"
    )
    await visitor.page.click(
        button_of("a", "regenerate", view="moe")
    )  # while the other one goes on
    await visitor.sees(LEFT, "The picture begins with the first token.")
    puppet.feed("one", *whole(3), None)
    await expect(tokens(visitor)).to_have_count(PROMPT + 3)
    puppet.feed("two", last(1, 1), None)
    await visitor.finished()
    await expect(tokens(visitor)).to_have_count(PROMPT + 3)


async def test_why_there_is_no_picture_is_said(visitor: Visitor, puppet: Puppet, monkeypatch):
    await visitor.sees(LEFT, "Ask something: here you see which experts work")
    await visitor.sees("#moe-routing-b", "Two is dense: all its 16 M parameters work")
    await answered(visitor, puppet)
    await visitor.page.reload()
    await visitor.sees(column_of("a", view="moe"), "word4")
    await visitor.sees(LEFT, "The routing of this answer is no longer there")
    monkeypatch.setattr(Puppet, "reports_routing", False)
    await visitor.page.reload()
    await visitor.sees(LEFT, "This server does not report routing")


async def test_what_an_answer_costs_is_said_in_a_line(visitor: Visitor, puppet: Puppet):
    left = "16 M parameters, 4 M at work on each token"
    await visitor.sees("#moe-cost-a", left)
    await visitor.sees("#moe-cost-a", "32.0 MB in bf16")
    await visitor.sees("#moe-cost-a", "≈ 8.0 MFLOP a token = 2 × 4 M")
    await visitor.sees("#moe-cost-b", "16 M parameters, all at work on each token")
    await visitor.sees("#moe-cost-b", "≈ 32.0 MFLOP a token = 2 × 16 M")
    await answered(visitor, puppet)
    await visitor.sees("#moe-cost-a", "tokens/s in the last answer")


async def test_the_tab_opens_on_the_built_in_mixture_and_its_routing_is_real(visitor: Visitor):
    await visitor.page.goto(visitor.address + "/?tab=moe")
    await visitor.sees("#moe-view .opening", "Pocket-MoE")
    await visitor.sees("#moe-cost-a", "4.1 M parameters, 1.6 M at work on each token")
    await visitor.page.click("#moe-example-0")
    await visitor.has_prompt("What is a mixture of experts?")
    await visitor.page.click("#moe-compare")
    for side in ("a", "b"):
        done = f"#moe-transcript .turn[data-last] .cell[data-side={side}] .numbers[data-state=done]"
        await visitor.page.wait_for_selector(done, timeout=3 * PATIENCE * 1000)
    await visitor.finished()
    written = await tokens(visitor).all_inner_texts()
    assert written[-1] == "<|end|>" and " token" in written
    opened = from_file((await saved(visitor)).decode())
    assert opened.model == "Pocket-MoE" and len(opened.routing) == len(written)
    routing = opened.routing
    assert (routing.num_layers, routing.num_experts, routing.experts_per_token) == (4, 16, 2)


AGENT = """```json
[
  {"agentid": "step1", "tool_name": "Blog", "input": "MoE", "output": "Experts share the work."},
  {"agentid": "step2", "tool_name": "Translate", "input": "Experts", "output": "专家分担工作。"},
  {"agentid": "final" "tool_name": "Result", "output": "专家分担工作。"},
]
```"""


async def test_an_agents_answer_is_shown_as_steps_its_own_text_one_click_away(
    visitor: Visitor, puppet: Puppet
):
    await visitor.ask("Write and translate")
    puppet.answer("one", AGENT)
    puppet.answer("two", "Just words.")
    shown = column_of("a", view="moe")
    for text in (
        "Blog",
        "Experts share the work.",
        "Translate",
        "专家分担工作。",
        "Result",
        "nothing was run",
    ):
        await visitor.sees(shown, text)
    await visitor.finished()
    raw = visitor.page.locator(shown).get_by_text('"tool_name"')
    await expect(raw).not_to_be_visible()
    await visitor.page.locator(shown).get_by_text("What the model wrote, word for word").click()
    await expect(raw.first).to_be_visible()
    await visitor.sees(column_of("b", view="moe"), "Just words.")


async def test_the_courses_agent_brings_its_system_prompt_and_room(visitor: Visitor):
    system = visitor.page.locator("#moe-system textarea")
    await visitor.page.click("#moe-example-1")
    await expect(system).to_have_value(_naming('"tool_name": "Translate"'))
    await visitor.page.click("#moe-example-2")
    await expect(system).to_have_value(_naming("calculator tool"))
    await expect(visitor.page.locator("#moe-max-tokens input[type=number]")).to_have_value("1024")
    await visitor.has_prompt(
        "Write something about Generative AI with MOE , translate it to Chinese"
    )


def _naming(text: str):
    import re

    return re.compile(re.escape(text))


async def test_two_visitors_see_each_their_own(
    visitor: Visitor, puppet: Puppet, context: BrowserContext
):
    another = await Visitor(await context.new_page(), visitor.address, "moe").open(PUPPETS)
    await answered(visitor, puppet, 12)
    await another.ask("And mine?")
    puppet.feed("one", *whole(3), None)
    puppet.answer("two", "Yours.")
    await expect(tokens(another)).to_have_count(PROMPT + 3)
    await another.finished()
    await expect(tokens(visitor)).to_have_count(PROMPT + 12)
    assert another.faults == []


async def test_a_late_page_is_sent_the_newest_tokens_again_and_no_more():
    routing = grown(10, 500)
    message, sent = figure_delta(routing, "M", (routing.key, 508))
    told = json.loads(message)
    assert (told["from"], len(told["tokens"])) == (510 - RESENT_TOKENS, RESENT_TOKENS)
    assert sent == (routing.key, 510)
    first, _ = figure_delta(routing, "M", (0, 0))
    assert json.loads(first)["from"] == 0
    behind, _ = figure_delta(routing, "M", (routing.key, 200))
    assert json.loads(behind)["from"] == 200


async def test_a_page_that_missed_some_has_all_at_the_end(visitor: Visitor, puppet: Puppet):
    """Gradio shows only the newest of several messages: what a gap hides comes with the end."""
    await visitor.ask("Who works?")
    await visitor.page.evaluate(
        """() => {
          // As slow as a page can be: nothing is drawn while all of it comes.
          const until = performance.now() + 1500;
          while (performance.now() < until);
        }"""
    )
    puppet.feed("one", *whole(400), None)
    puppet.answer("two", "Done.")
    await visitor.sees(column_of("b", view="moe"), "Done.")
    await visitor.finished()
    await expect(tokens(visitor)).to_have_count(PROMPT + 400)
    assert (await tokens(visitor).all_inner_texts())[-1] == " word403"
    await expect(visitor.page.locator(f"{LEFT} .gap")).to_have_count(0)


async def scrolled(visitor: Visitor) -> int:
    return await visitor.page.evaluate("Math.round(scrollY)")


async def test_who_turns_away_from_a_growing_answer_is_left_alone(visitor: Visitor, puppet: Puppet):
    await visitor.ask("Who works?")
    puppet.feed("two", None)
    puppet.feed("one", Chunk(routing=tuple(token(n, True) for n in range(PROMPT))))
    line = f"{'A line of the answer. ' * 6}\n\n"
    for n in range(30):
        puppet.feed("one", Chunk(line, 1, routing=(token(PROMPT + n),)))
    await expect(tokens(visitor)).to_have_count(PROMPT + 30)
    # It was followed: the answer's end is in sight, not the page's, where other things stand.
    foot = visitor.page.locator(line_of("a", view="moe"))
    await expect(foot).to_be_in_viewport()
    before = await scrolled(visitor)
    assert before > 100
    await visitor.page.mouse.move(400, 300)
    await visitor.page.mouse.wheel(0, -120)
    await visitor.page.wait_for_function("before => scrollY < before - 60", arg=before)
    away = await scrolled(visitor)
    for n in range(20):
        puppet.feed("one", Chunk(line, 1, routing=(token(PROMPT + 30 + n),)))
    await expect(tokens(visitor)).to_have_count(PROMPT + 50)
    assert await scrolled(visitor) <= away
    puppet.feed("one", last(1, 50), None)
    await visitor.finished()


async def test_a_long_prompt_is_left_out_unless_the_reader_wants_it(
    visitor: Visitor, puppet: Puppet
):
    async def pressed() -> str:
        return await visitor.text(f"{LEFT} [data-part][aria-pressed=true]")

    await visitor.ask("Who works?")
    puppet.feed("one", Chunk(routing=tuple(token(n, True) for n in range(300))))
    await expect(tokens(visitor)).to_have_count(300)
    assert await pressed() == "Both"  # there is nothing else yet
    puppet.feed("one", *steps(4, first=300))
    await expect(tokens(visitor)).to_have_count(303)
    assert await pressed() == "Answer"
    await visitor.page.click(f"{LEFT} [data-part=both]")
    puppet.feed("one", *steps(3, first=304), last(300, 7), None)
    puppet.feed("two", None)
    await visitor.finished()
    assert await pressed() == "Both"


async def test_a_wrong_file_does_not_take_the_name_of_the_right_one(visitor: Visitor):
    await open_file(visitor, to_file(grown(3, 60), "Another").encode())
    await visitor.sees(LEFT, "Opened: saved.json, Another, 63 tokens.")
    await open_file(visitor, b"nonsense")
    await visitor.sees(f"{LEFT} .failed", "This is not a file with a routing")
    await visitor.sees(LEFT, "Opened: saved.json, Another, 63 tokens.")
    await visitor.page.focus(f"{LEFT} .close")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.locator(f"{LEFT} .open")).to_be_focused()
    await expect(visitor.page.locator(f"{LEFT} .failed")).to_be_hidden()


async def test_the_keyboard_is_never_lost(visitor: Visitor, puppet: Puppet):
    await answered(visitor, puppet)
    prompt = visitor.page.locator("#moe-prompt textarea")
    await visitor.page.focus("#moe-clear")
    await visitor.page.keyboard.press("Enter")
    await expect(prompt).to_be_focused()
    await visitor.ask("And now?")
    await visitor.page.focus("#moe-stop")
    puppet.feed("one", *whole(3), None)
    puppet.answer("two", "Done.")
    await visitor.finished()
    await expect(prompt).to_be_focused()
