"""The Text tab in a real browser: what a visitor does, sees and keeps."""

import asyncio
import json
from dataclasses import replace

import pytest
from playwright.async_api import BrowserContext, Route, expect

from backends import BackendConnectionError, Chunk, Progress
from tests.pages import (
    FOUR,
    PROMPT,
    Puppet,
    Visitor,
    answer_of,
    button_of,
    column_of,
    last,
    line_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def compare(visitor: Visitor, puppet: Puppet, prompt: str, left: str, right: str) -> None:
    """One whole turn."""
    await visitor.ask(prompt)
    puppet.answer("one", left)
    puppet.answer("two", right)
    await visitor.sees(column_of("a"), left)
    await visitor.sees(column_of("b"), right)
    await visitor.finished()


async def test_both_panes_stream_at_once(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Say something")
    puppet.feed("one", "Left begins")
    puppet.feed("two", "Right begins")
    await visitor.sees(answer_of("a"), "Left begins")
    await visitor.sees(answer_of("b"), "Right begins")
    puppet.feed("one", " and ends.", last(5, 2), None)
    await expect(visitor.page.locator(f"{column_of('a')} .more")).to_contain_text("7 of 2,048")
    assert await visitor.text(answer_of("b")) == "Right begins"
    puppet.feed("two", " and ends too.", last(5, 2), None)
    await visitor.finished()
    assert "Left begins and ends." in await visitor.text(column_of("a"))
    assert "Right begins and ends too." in await visitor.text(column_of("b"))
    assert await visitor.prompt() == ""
    assert [(model, messages[-1].text) for model, messages, _ in puppet.asked] == [
        ("one", "Say something"),
        ("two", "Say something"),
    ]


async def test_what_it_waits_for_is_said(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Go")
    await visitor.sees(line_of("a"), "Waiting")
    puppet.feed("one", Progress("loading", 0.41))
    await visitor.sees(line_of("a"), "Loading 41 %")
    puppet.feed("two", Progress("queued", detail="number 2 in line"))
    await visitor.sees(
        line_of("b"),
        "Waiting (number 2 in line)",
    )
    puppet.answer("one", "Done.")
    puppet.answer("two", "Done.")
    await visitor.finished()
    assert "cold start" in await visitor.text(line_of("a"))


async def test_stop_both(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Count")
    puppet.feed("one", "one two")
    puppet.feed("two", "uno dos")
    await visitor.sees(answer_of("b"), "uno dos")
    await visitor.sees(answer_of("a"), "one two")
    await visitor.page.click("#text-stop")
    await visitor.finished()
    assert puppet.wait_open("one", 0) and puppet.wait_open("two", 0)
    assert "one two" in await visitor.text(column_of("a"))
    assert "stopped" in await visitor.text(line_of("b"))


async def test_stop_one_side_before_its_first_token(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Count")
    puppet.feed("two", "uno")
    await visitor.sees(answer_of("b"), "uno")
    await visitor.page.click(button_of("a", "stop"))
    await visitor.sees(
        line_of("a"),
        "Stopped before the first token.",
    )
    assert puppet.wait_open("one", 0)
    puppet.feed("two", " dos", last(1, 2), None)
    await visitor.finished()
    assert "uno dos" in await visitor.text(column_of("b"))
    await compare(visitor, puppet, "Again", "Fine.", "Fine too.")


async def test_regenerate_one_side_afterwards(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "Hello", "First left.", "First right.")
    await visitor.page.click(button_of("b", "regenerate"))
    puppet.answer("two", "Second right.")
    await visitor.sees(column_of("b"), "Second right.")
    await visitor.finished()
    assert "First right." not in await visitor.text(column_of("b"))
    assert "First left." in await visitor.text(column_of("a"))
    assert [model for model, _, _ in puppet.asked] == ["one", "two", "two"]


async def test_an_answer_that_was_cut_off_goes_on(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Why?")
    puppet.feed("one", "**The sky", replace(last(1, 3), finish_reason="length"), None)
    puppet.feed("two", "It is.", last(1, 2), None)
    await visitor.finished()
    await visitor.sees(line_of("a"), "cut off at the token limit")
    assert not await visitor.page.is_visible(button_of("b", "continue"))
    await visitor.page.click(button_of("a", "continue"))
    assert puppet.wait_open("one", 1)
    assert "The" in await visitor.text(answer_of("a"))
    puppet.feed("one", " sky is** blue.", last(1, 2), None)
    await visitor.finished()
    await visitor.sees(answer_of("a"), "The sky is blue.")
    await visitor.sees(line_of("a"), "continued")
    assert [message.text for message in puppet.asked[-1][1]] == ["Why?", "**The"]
    await visitor.sees(column_of("a"), "2/2")
    assert not await visitor.page.is_visible(button_of("a", "continue"))


async def test_regenerate_one_side_while_the_other_goes_on(
    visitor: Visitor, puppet: Puppet
) -> None:
    await visitor.ask("Hello")
    puppet.feed("one", "Left goes on")
    puppet.feed("two", "Right at first")
    await visitor.sees(answer_of("b"), "Right at first")
    await visitor.page.click(button_of("b", "again"))
    await visitor.sees(line_of("b"), "Waiting")
    await expect(visitor.page.locator(button_of("b", "again"))).to_be_focused()
    assert not await visitor.page.is_visible(button_of("b", "regenerate"))  # one is enough
    assert puppet.wait_open("two", 1)
    puppet.feed("two", "Right again.", last(1, 1), None)
    await visitor.sees(answer_of("b"), "Right again.")
    puppet.feed("one", " and on.", last(1, 2), None)
    await visitor.finished()
    assert "Left goes on and on." in await visitor.text(column_of("a"))
    assert "Right at first" not in await visitor.text(column_of("b"))


async def test_what_is_typed_meanwhile_stays(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.page.focus("#text-prompt textarea")
    await visitor.page.keyboard.type("One")
    await visitor.page.keyboard.press("Enter")
    await visitor.page.keyboard.type("two three", delay=20)
    puppet.answer("one", "A.")
    puppet.answer("two", "B.")
    await visitor.page.keyboard.type(" four five", delay=20)
    await visitor.sees(column_of("b"), "B.")
    await visitor.finished()
    assert await visitor.prompt() == "two three four five"
    assert puppet.asked[0][1][-1].text == "One"


async def test_a_stopped_second_try_keeps_the_first_answer(
    visitor: Visitor, puppet: Puppet
) -> None:
    await compare(visitor, puppet, "Hello", "First left.", "First right.")
    await visitor.page.click(button_of("b", "regenerate"))
    await visitor.page.click(button_of("b", "stop"))
    await visitor.finished()
    await visitor.sees(column_of("b"), "First right.")
    assert await visitor.page.is_visible(button_of("a", "regenerate"))


async def test_clear_while_both_answer_then_ask_at_once(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "Before", "A0.", "B0.")
    await visitor.ask("First")
    puppet.feed("one", "Gone")
    await visitor.sees(answer_of("a"), "Gone")
    await visitor.page.click("#text-clear")
    await visitor.finished()
    assert puppet.wait_open("one", 0) and puppet.wait_open("two", 0)
    puppet.feed("one")
    await compare(visitor, puppet, "Second", "A2.", "B2.")
    text = await visitor.text(column_of("a"))
    assert "Gone" not in text and "A0." not in text


async def test_an_unsent_prompt_survives_a_reload(visitor: Visitor) -> None:
    await visitor.page.focus("#text-prompt textarea")
    await visitor.page.keyboard.type("Not sent yet")
    await visitor.page.reload()
    await visitor.has_prompt("Not sent yet")


async def test_tab_leaves_the_pickers_as_they_are(visitor: Visitor) -> None:
    inputs = [f"#text-{what}-{side} input" for side in ("a", "b") for what in ("backend", "model")]
    before = [await visitor.page.input_value(selector) for selector in inputs]
    await visitor.page.focus(inputs[0])
    for _ in range(5):
        await visitor.page.keyboard.press("Tab")
    assert [await visitor.page.input_value(selector) for selector in inputs] == before
    assert await visitor.page.locator("ul.options:visible").count() == 0


async def test_a_bad_link_opens_the_usual_page(context: BrowserContext, served, puppet) -> None:
    visitor = Visitor(await context.new_page(), served)
    await visitor.open("?a=puppet/nope&b=nowhere/two&seed=inf&temperature=99&top_k=x")
    await visitor.page.wait_for_selector("#text-state-a .state[data-state=ready]")
    await visitor.page.click("#text-settings > button")
    assert await visitor.page.input_value("#text-temperature input[type=number]") == "0.7"
    assert visitor.faults == []


async def test_edit_asks_both_again_from_there(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "First", "A1.", "B1.")
    await compare(visitor, puppet, "Second", "A2.", "B2.")
    page = visitor.page
    await page.hover("#text-transcript .prompt >> nth=0")
    await page.click("#text-transcript .prompt >> nth=0 >> [data-act=edit]")
    await page.fill("#text-transcript textarea", "First, but better")
    await page.keyboard.press("Enter")
    puppet.answer("one", "A3.")
    puppet.answer("two", "B3.")
    await visitor.sees(column_of("b"), "B3.")
    await visitor.finished()
    text = await visitor.text("#text-transcript .turns")
    assert "First, but better" in text and "Second" not in text and "B1." not in text


async def test_undo_and_clear(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "First", "A1.", "B1.")
    await compare(visitor, puppet, "Second", "A2.", "B2.")
    await visitor.page.click("#text-undo")
    await visitor.has_prompt("Second")
    assert "A2." not in await visitor.text(column_of("a"))
    await visitor.page.click("#text-clear")
    await visitor.page.wait_for_selector("#text-clear", state="hidden")
    await expect(visitor.page.locator("#text-transcript .turn")).to_have_count(0)
    assert await visitor.prompt() == "Second"
    await visitor.page.click("#text-restore")
    await visitor.sees(column_of("a"), "A1.")


async def test_earlier_turns_are_sent_along(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "First", "A1.", "B1.")
    await compare(visitor, puppet, "Second", "A2.", "B2.")
    _, messages, _ = puppet.asked[-1]
    assert [(m.role, m.text) for m in messages] == [
        ("user", "First"),
        ("assistant", "B1."),
        ("user", "Second"),
    ]


async def test_settings_reach_the_models(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await page.click("#text-settings > button")
    await page.fill("#text-system textarea", "Answer briefly.")
    await page.fill("#text-seed input, #text-seed textarea", "7")
    await page.fill("#text-temperature input[type=number]", "0")
    await page.fill("#text-stop-texts textarea", "###")
    await compare(visitor, puppet, "Go", "Yes.", "Yes.")
    _, messages, params = puppet.asked[0]
    assert messages[0].role == "system" and messages[0].text == "Answer briefly."
    assert (params.seed, params.temperature, params.stop) == (7, 0, ("###",))
    assert "temperature=0" in page.url and "seed=7" in page.url


async def test_what_is_typed_as_soon_as_the_settings_are_there_stays(visitor: Visitor) -> None:
    page, temperature = visitor.page, "#text-temperature input[type=number]"
    # A very busy browser: it takes half a second from one picture to the next.
    await page.evaluate(
        """() => {
          const soon = requestAnimationFrame.bind(window);
          window.requestAnimationFrame = (draw) => setTimeout(() => soon(draw), 500);
        }"""
    )
    await page.click("#text-settings > button")
    await page.fill(temperature, "0.3")
    await page.evaluate(
        """async () => {
          for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
        }"""
    )
    assert await page.input_value(temperature) == "0.3"
    await page.wait_for_url("**temperature=0.3*")


async def test_a_link_opens_the_same_page(context: BrowserContext, served, puppet: Puppet) -> None:
    visitor = Visitor(await context.new_page(), served)
    await visitor.open("?a=puppet/two&b=puppet/one&temperature=0.3&prompt=Hello+there")
    assert await visitor.page.input_value("#text-model-a input") == "Two"
    assert await visitor.prompt() == "Hello there"
    await compare(visitor, puppet, "Hello there", "Yes.", "Yes.")
    assert puppet.asked[0][2].temperature == 0.3


async def test_the_conversation_survives_a_reload(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "Remember me", "I do.", "So do I.")
    await visitor.page.reload()
    await visitor.sees(column_of("a"), "I do.")
    await visitor.sees(column_of("b"), "So do I.")
    await compare(visitor, puppet, "Still there?", "Yes.", "Yes.")
    assert [m.text for m in puppet.asked[-1][1]] == ["Remember me", "So do I.", "Still there?"]


async def test_a_reload_in_the_middle_keeps_the_question(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Do not lose me")
    puppet.feed("one", "Half")
    await visitor.sees(answer_of("a"), "Half")
    await visitor.page.reload()
    await visitor.sees(PROMPT, "Do not lose me")
    await visitor.sees(answer_of("a"), "Half")
    await visitor.sees(line_of("a"), "Stopped")
    assert puppet.wait_open("one", 0) and puppet.wait_open("two", 0)
    visitor.faults.clear()  # Gradio's page says that its stream was cut off: it was


async def test_one_side_fails_and_the_prompt_comes_back(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Hold on")
    puppet.feed("two", "Half", BackendConnectionError("The server hung up.", "Press Regenerate."))
    await visitor.sees(
        line_of("b"),
        "The server hung up. Press Regenerate.",
    )
    puppet.answer("one", "All of it.")
    await visitor.sees(column_of("a"), "All of it.")
    await visitor.finished()
    assert await visitor.prompt() == "Hold on"
    assert "Half" in await visitor.text(column_of("b"))
    await compare(visitor, puppet, "Again", "Good.", "Good.")


async def test_the_language_of_the_answer_stands_out(visitor: Visitor, puppet: Puppet) -> None:
    chinese, english = "小型语言模型可以在手机上运行吗？", "Yes, they run on a phone quite well."
    await compare(visitor, puppet, chinese, "可以，它们在手机上运行得很好。", english)
    assert "Answered in English; you asked in Chinese" in await visitor.text(line_of("b"))
    assert "Answered in" not in await visitor.text(line_of("a"))


async def test_right_to_left_text_stands_on_the_right(visitor: Visitor, puppet: Puppet) -> None:
    arabic = "نماذج اللغة الصغيرة تعمل على الهاتف.\n\n- Ollama أولا\n- ثانيا\n\n`code = 1`"
    await visitor.ask("ما هي؟")
    for model in ("one", "two"):
        puppet.feed(model, arabic, last(1, 1), None)
    await visitor.sees(column_of("a"), "أولا")
    sides = await visitor.page.evaluate(
        """() => {
          const box = document.querySelector('#text-transcript .cell[data-side=a] .md');
          const edge = (node) => {
            const range = document.createRange();
            range.selectNodeContents(node);
            const text = range.getBoundingClientRect(), all = box.getBoundingClientRect();
            return Math.abs(all.right - text.right) < Math.abs(text.left - all.left);
          };
          const code = getComputedStyle(box.querySelector('code')).direction;
          return [edge(box.querySelector('p')), edge(box.querySelector('li')), code];
        }"""
    )
    assert sides == [True, True, "ltr"]


async def test_code_keeps_its_indentation(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Code")
    code = "```python\ndef f():\n\tif True:\n\t\treturn 1\n```"
    for model in ("one", "two"):
        puppet.feed(model, code, last(1, 1), None)
    await visitor.sees(column_of("a"), "return 1")
    shown = await visitor.page.text_content(f"{answer_of('a')} pre code")
    assert shown and shown.splitlines()[:3] == ["def f():", "\tif True:", "\t\treturn 1"]


async def test_code_is_copied_as_it_was_written(visitor: Visitor, puppet: Puppet, context) -> None:
    """Also while it grows, and with the keyboard; its button stays in place, and is no text."""
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, box = visitor.page, f"{answer_of('a')} .code"
    copy = page.locator(box).get_by_role("button", name="Copy code")
    clip = "() => navigator.clipboard.readText()"

    async def copied() -> str:
        await page.wait_for_selector(".copied")
        await page.wait_for_selector(".copied", state="detached")
        return await page.evaluate(clip)

    await visitor.ask("Code")
    puppet.feed("one", "So:\n\n```python\ndef f():\n\treturn '<b>'\n")
    await visitor.sees(answer_of("a"), "return")
    await page.hover(box)
    await copy.click()
    assert await copied() == "def f():\n\treturn '<b>'"
    await page.evaluate("(box) => { kept = document.querySelector(`${box} button`); }", box)
    before = await copy.bounding_box()
    puppet.feed("one", "\n\n# and on\n```\n\nThat is all.", last(1, 1), None)
    puppet.answer("two", "Nothing.")
    await visitor.sees(answer_of("a"), "That is all.")
    await visitor.finished()
    assert await copy.bounding_box() == before
    assert await page.evaluate("document.activeElement === kept && kept.isConnected")
    assert await copy.evaluate("(node) => getComputedStyle(node).opacity") == "1"
    await page.keyboard.press("Enter")
    assert await copied() == "def f():\n\treturn '<b>'\n\n\n# and on"
    await page.click(button_of("a", "copy-plain"))
    plain = await copied()
    assert plain.startswith("So:\n\ndef f():\n\treturn") and "Copy" not in plain


async def test_a_prompt_is_shown_as_it_was_typed(visitor: Visitor, puppet: Puppet) -> None:
    prompt = "# include <stdio.h>\nWhat does <div class='x'>  **do**</div> &lt; here?"
    await compare(visitor, puppet, prompt, "Nothing.", "Nothing.")
    typed = f"{PROMPT} .typed"
    assert await visitor.page.inner_text(typed) == prompt
    await visitor.page.hover(PROMPT)
    await visitor.page.click(f"{PROMPT} [data-act=edit]")
    assert await visitor.page.input_value(f"{PROMPT} textarea") == prompt
    assert not await visitor.page.locator(typed).is_visible()
    await visitor.page.fill(f"{PROMPT} textarea", "And <b>?")
    await visitor.page.click(f"{PROMPT} [data-act=send]")
    puppet.answer("one", "Bold.")
    puppet.answer("two", "Bold.")
    await visitor.sees(column_of("b"), "Bold.")
    await visitor.finished()
    assert await visitor.page.inner_text(typed) == "And <b>?"


async def test_no_picture_is_fetched_from_an_answer(visitor: Visitor, puppet: Puppet) -> None:
    evil = "![A cat](https://elsewhere.example/p.png?secret) ![](/gradio_api/file=https://e.org/p) "
    evil += "<img src='https://elsewhere.example/q.png'><script>document.title='x'</script> end"
    await visitor.ask("Draw")
    for model in ("one", "two"):
        puppet.feed(model, evil, last(1, 1), None)
    await visitor.sees(column_of("a"), "end")
    await visitor.finished()
    assert await visitor.page.title() == "Phi Playground"
    assert await visitor.page.locator(f"{answer_of('a')} img").count() == 0
    link = visitor.page.locator(f"{answer_of('a')} a.picture")
    assert await link.get_attribute("title") == "https://elsewhere.example/p.png?secret"


CONTROLS = """Words before.

<form action="https://elsewhere.example"><input name="key"><button>Log in</button></form>

<textarea>type here</textarea> <select><option>one</option></select> <style>p{color:red}</style>

<p style="position:fixed;inset:0" id="text-stop">over everything</p>

```html
<form><input name="key"></form>
```

$$\\frac{1}{2}$$
"""


async def test_an_answer_holds_no_form_field_button_or_style(
    visitor: Visitor, puppet: Puppet
) -> None:
    button = "button:not(.code > [data-act=copy-code])"  # which is the page's own
    active = f"form, select, textarea, style, input, {button}, [style], [id], iframe, script"
    held = visitor.page.locator(f"{answer_of('a')} :is({active})")
    await visitor.ask("A form, please")
    puppet.feed("one", CONTROLS)
    await visitor.sees(answer_of("a"), "over everything")
    await expect(held).to_have_count(0)
    puppet.feed("one", " End.", last(1, 1), None)
    puppet.answer("two", "Nothing.")
    await visitor.finished()
    await visitor.sees(column_of("a"), "End.")
    await expect(held).to_have_count(0)
    shown = await visitor.text(answer_of("a"))
    for words in ("<form action=", "Log in", "type here", "over everything", '<input name="key">'):
        assert words in shown
    assert await visitor.page.locator(f"{answer_of('a')} math mfrac").count() == 1


async def test_copy_the_comparison(visitor: Visitor, puppet: Puppet, context) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await compare(visitor, puppet, "Hello", "Left says.", "Right says.")
    clip = "() => navigator.clipboard.readText()"
    await visitor.page.click("#text-copy-markdown")
    await visitor.page.wait_for_selector(".copied")
    text = await visitor.page.evaluate(clip)
    assert "### A: One (Puppet)\n\nLeft says." in text and "2 tokens" in text
    await visitor.page.wait_for_selector(".copied", state="detached")
    await visitor.page.click("#text-copy-json")
    await visitor.page.wait_for_selector(".copied")
    data = json.loads(await visitor.page.evaluate(clip))
    assert data["turns"][0]["answers"][1]["text"] == "Right says."


async def test_enter_while_models_answer_asks_next(visitor: Visitor, puppet: Puppet) -> None:
    page, notice = visitor.page, "Asked next, when the answers have ended."
    await visitor.ask("First")
    puppet.feed("one", "Well")
    await visitor.sees(answer_of("a"), "Well")
    await page.fill("#text-prompt textarea", "Second")
    await page.keyboard.press("Enter")
    await visitor.sees("#text-composer", notice)
    await page.keyboard.press("Escape")
    assert notice not in await visitor.text("#text-composer")
    await page.keyboard.press("Enter")
    puppet.feed("one", last(1, 1), None)
    puppet.answer("two", "Yes.")
    await visitor.sees(PROMPT, "Second")
    assert await visitor.prompt() == "" and notice not in await visitor.text("#text-composer")
    for model in ("one", "two"):
        puppet.answer(model, "Again.")
    await visitor.sees(answer_of("b"), "Again.")
    await visitor.finished()


async def test_keyboard_alone(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await page.focus("#text-prompt textarea")
    await page.keyboard.type("One line")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("another")
    assert await visitor.prompt() == "One line\nanother"
    await page.keyboard.press("Enter")
    puppet.answer("one", "A.")
    puppet.answer("two", "B.")
    await visitor.sees(column_of("b"), "B.")
    assert puppet.asked[0][1][-1].text == "One line\nanother"


async def test_enter_that_ends_a_composition_does_not_send(
    visitor: Visitor, puppet: Puppet
) -> None:
    await visitor.page.fill("#text-prompt textarea", "长沙")
    for event in ("{isComposing: true}", "{keyCode: 229}"):
        await visitor.page.evaluate(
            f"""() => document.querySelector('#text-prompt textarea').dispatchEvent(
                new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true, ...{event}}}))"""
        )
    await compare(visitor, puppet, "长沙在哪里", "湖南。", "湖南。")
    assert len(puppet.asked) == 2


async def test_one_live_region_says_that_a_side_is_done(visitor: Visitor, puppet: Puppet) -> None:
    await visitor.ask("Tell")
    puppet.answer("one", "three words here")
    await visitor.sees("#announcer", "A, One: done, 3 words")
    puppet.answer("two", "two words")
    await visitor.sees("#announcer", "B, Two: done, 2 words")
    await visitor.finished()
    regions = await visitor.page.eval_on_selector_all(
        "[aria-live=polite]:not(#announcer)", "nodes => nodes.map(node => node.outerHTML)"
    )
    assert regions == []


async def test_typing_lets_the_models_get_ready(visitor: Visitor, puppet: Puppet) -> None:
    assert puppet.prepared == []
    await visitor.page.focus("#text-prompt textarea")
    await visitor.page.keyboard.type("Hello")
    assert puppet.wait_for(lambda: sorted(puppet.prepared) == ["one", "two"])


async def test_the_prompt_box_stands_at_the_bottom(visitor: Visitor, puppet: Puppet) -> None:
    bottom = "innerHeight - document.querySelector('#text-composer').getBoundingClientRect().bottom"
    assert abs(await visitor.page.evaluate(bottom)) <= 1
    await compare(visitor, puppet, "Much", "word " * 2000 + "end", "A few words.")
    assert abs(await visitor.page.evaluate(bottom)) <= 1


async def test_one_side_alone(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "Hello", "First.", "Second.")
    page, switch = visitor.page, "#text-transcript .switch"
    assert not await page.is_visible(switch)
    await page.click(button_of("b", "only"))
    await page.wait_for_selector(answer_of("a"), state="hidden")
    await page.click(f"{switch} [data-side=a]")
    await page.wait_for_selector(answer_of("b"), state="hidden")
    await page.click(f"{switch} [data-side='']")
    await page.wait_for_selector(answer_of("b"), state="visible")
    await page.click(button_of("b", "only"))
    await page.wait_for_selector(answer_of("a"), state="hidden")
    await page.click(button_of("b", "only"))
    await page.wait_for_selector(answer_of("a"), state="visible")


async def test_whose_answer_it_is_stays_in_sight(visitor: Visitor, puppet: Puppet) -> None:
    """And how fast it comes, and what stops it; but where the window is low."""
    page, head = visitor.page, f"{column_of('a')} .head"
    await visitor.ask("Much")
    puppet.feed("one", *["A paragraph.\n\n"] * 100, "It grows")
    puppet.feed("two", "Little")
    await visitor.sees(answer_of("a"), "It grows")
    await page.mouse.move(400, 300)
    await page.mouse.wheel(0, -100_000)
    await page.wait_for_function("() => scrollY === 0")
    await page.evaluate("() => scrollTo(0, 900)")
    top = "(head) => document.querySelector(head).getBoundingClientRect().top"
    assert await page.evaluate(top, head) == 0
    first = await page.locator(f"{answer_of('a')} p >> nth=0").bounding_box()
    await visitor.sees(head, "tokens/s")
    await page.click(button_of("a", "stop"))
    await page.wait_for_selector(button_of("a", "stop"), state="hidden")
    assert await page.locator(f"{answer_of('a')} p >> nth=0").bounding_box() == first
    assert await page.evaluate(top, head) == 0
    assert "tokens/s" not in await page.locator(head).inner_text()
    puppet.feed("two", " enough.", last(1, 2), None)
    await visitor.finished()
    await page.set_viewport_size({"width": 1280, "height": 470})
    position = "(head) => getComputedStyle(document.querySelector(head)).position"
    assert await page.evaluate(position, head) == "static"


async def test_a_third_side(visitor: Visitor, puppet: Puppet) -> None:
    """Sides are added, with settings of their own, kept in the address, and removed."""
    page = visitor.page
    await page.click("#text-copy-a")
    await page.wait_for_selector("#text-state-c .state[data-state=ready]")
    await page.fill("#text-own-c [data-setting=temperature]", "0")
    await visitor.ask("Hello")
    for model in ("one", "two"):
        puppet.answer(model, f"{model} says.")
    assert puppet.wait_open("one", 1)
    puppet.answer("one", "one says.")
    for side in "abc":
        await visitor.sees(answer_of(side), "says.")
    await visitor.finished()
    asked = sorted((model, params.temperature) for model, _, params in puppet.asked)
    assert asked == [("one", 0), ("one", 0.7), ("two", 0.7)]
    await page.wait_for_url("**c=puppet/one*")
    linked = "?" + page.url.partition("?")[2]
    again = await Visitor(await page.context.new_page(), visitor.address).open(linked)
    await again.page.wait_for_selector("#text-state-c .state[data-state=ready]")
    field = again.page.locator("#text-own-c [data-setting=temperature]")
    await expect(field).to_have_value("0")
    await page.click("#text-remove-b")
    await page.wait_for_selector("#text-pane-c", state="detached")
    await expect(page.locator("#text-transcript .turn .cell")).to_have_count(2)
    await expect(page.locator("#text-model-b input")).to_have_value("One")


async def test_a_side_has_a_system_prompt_of_its_own(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await page.click("#text-own-b summary")
    await page.fill("#text-own-b [data-setting=system]", "Answer in Spanish.")
    await compare(visitor, puppet, "Why is the sky blue?", "It scatters light.", "It is the air.")
    told = {model: messages for model, messages, _ in puppet.asked}
    assert [message.role for message in told["one"]] == ["user"]
    assert [message.text for message in told["two"]][:1] == ["Answer in Spanish."]


async def test_an_earlier_version_can_be_seen(visitor: Visitor, puppet: Puppet) -> None:
    await compare(visitor, puppet, "Hello", "First.", "Yes.")
    await visitor.page.click(button_of("a", "regenerate"))
    puppet.answer("one", "Second.")
    await visitor.sees(answer_of("a"), "Second.")
    await visitor.finished()
    await visitor.sees(column_of("a"), "2/2")
    await visitor.page.click(button_of("a", "version"))
    await visitor.sees(answer_of("a"), "First.")
    await visitor.sees(column_of("a"), "1/2")
    await compare(visitor, puppet, "More", "Fine.", "Fine.")
    told = next(messages for model, messages, _ in reversed(puppet.asked) if model == "one")
    assert [message.text for message in told] == ["Hello", "First.", "More"]


async def test_the_node_that_grows_is_the_one_that_stays(visitor: Visitor, puppet: Puppet) -> None:
    """With what is selected in it; and the reader's place is kept to the pixel."""
    page = visitor.page
    await visitor.ask("Much")
    puppet.feed("one", "A first paragraph to be read.\n\n" + "A line. \n\n" * 60 + "It grows")
    await visitor.sees(answer_of("a"), "It grows")
    await page.evaluate(
        """(selector) => {
          const md = document.querySelector(selector), first = md.querySelector("p");
          window.kept = { md, first, last: md.lastElementChild };
          getSelection().selectAllChildren(first);
        }""",
        answer_of("a"),
    )
    await page.mouse.move(400, 300)
    await page.mouse.wheel(0, -100_000)
    top = "() => kept.first.getBoundingClientRect().top"
    await page.wait_for_function("() => scrollY === 0")
    before = await page.evaluate(top)
    puppet.feed("one", " and grows.", "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nThe end.")
    await visitor.sees(answer_of("a"), "The end.")
    assert await page.evaluate(top) == before
    puppet.feed("one", last(1, 1), None)
    puppet.answer("two", "Little.")
    await visitor.finished()
    assert await page.evaluate(top) == before
    assert await page.evaluate("() => kept.first.isConnected && kept.last.isConnected")
    assert await page.evaluate("String(getSelection())") == "A first paragraph to be read."


async def test_nothing_moves_below_an_answer_that_is_followed(
    visitor: Visitor, puppet: Puppet
) -> None:
    """The browser holds the end of the answers still, in the same picture as they grow."""
    page = visitor.page
    await visitor.ask("Much")
    puppet.feed("one", "A line.\n\n" * 60 + "begun")
    await visitor.sees(answer_of("a"), "begun")
    await page.wait_for_function("() => scrollY > 0")
    await page.evaluate(
        """() => {
            window.moved = [];
            const below = document.querySelector(".view .below");
            new PerformanceObserver((list) => {
                const sources = list.getEntries().flatMap((entry) => entry.sources);
                const those = sources.filter(({ node }) => below.contains(node));
                moved.push(...those.map(() => scrollY));
            }).observe({ type: "layout-shift" });
        }"""
    )
    before = await page.evaluate("scrollY")
    for n in range(5):
        puppet.feed("one", f"\n\nA line.\n\nA line, the {n}.")
        await visitor.sees(answer_of("a"), f"the {n}.")
    # What was measured is told a moment after it was painted.
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")
    assert await page.evaluate("(before) => [moved, scrollY > before]", before + 100) == [[], True]
    puppet.feed("one", last(1, 1), None)
    puppet.answer("two", "Little.")
    await visitor.finished()


async def test_answers_are_followed_until_the_reader_turns_away(
    visitor: Visitor, puppet: Puppet
) -> None:
    """And again when they come back, or press “Latest”."""
    page, latest = visitor.page, "#text-transcript .latest"
    ends = (
        "(word) => { const box = document.getElementById('text-composer').getBoundingClientRect();"
        f' const cell = document.querySelector("{answer_of("a")}");'
        " const end = cell?.getBoundingClientRect().bottom;"
        " return cell?.innerText.includes(word) && (end <= box.top) === (word !== 'away'); }"
    )
    await visitor.ask("Much")
    puppet.feed("one", "A line.\n\n" * 60 + "followed")
    await page.wait_for_function(ends, arg="followed")
    puppet.feed("one", "\n\nA line." * 60 + "\n\nstill")
    await page.wait_for_function(ends, arg="still")
    assert not await page.is_visible(latest)
    await page.mouse.move(400, 300)
    await page.mouse.wheel(0, -600)
    await page.wait_for_selector(latest, state="visible")
    at = await page.evaluate("scrollY")
    puppet.feed("one", "\n\nA line." * 60 + "\n\naway")
    await page.wait_for_function(ends, arg="away")
    assert await page.evaluate("scrollY") == at
    await page.click(latest)
    await page.wait_for_selector(latest, state="hidden")
    puppet.feed("one", "\n\nA line." * 60 + "\n\nback")
    await page.wait_for_function(ends, arg="back")
    puppet.feed("one", last(1, 1), None)
    puppet.answer("two", "Little.")
    await visitor.finished()


async def test_a_page_that_was_busy_loses_nothing(visitor: Visitor, puppet: Puppet) -> None:
    """It skips more messages than one makes up for, and asks for the whole."""
    await visitor.ask("Much")
    puppet.feed("two", last(1, 1), None)
    puppet.feed("one", "It begins. ")
    await visitor.sees(answer_of("a"), "It begins.")
    for n in range(40):
        await visitor.page.evaluate(
            "() => { const until = performance.now() + 80; while (performance.now() < until); }"
        )
        puppet.feed("one", f"{n}\n\n")
    puppet.feed("one", "The end.", last(1, 1), None)
    await visitor.sees(answer_of("a"), "The end.")
    await visitor.finished()
    shown = await visitor.text(answer_of("a"))
    assert shown.split() == ["It", "begins.", *map(str, range(40)), "The", "end."]


async def test_examples_fill_the_prompt(visitor: Visitor) -> None:
    await visitor.page.click("#text-examples-language label:has-text('中文')")
    await visitor.page.wait_for_selector("#text-example-7", state="visible")
    await visitor.page.click("#text-example-7")
    await visitor.page.wait_for_function(
        "() => document.querySelector('#text-prompt textarea').value.includes('长沙')"
    )
    assert "人工智能助手" in await visitor.page.input_value("#text-system textarea")


async def test_a_download_waits_for_a_yes(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await page.click("#text-model-a input")
    await page.get_by_role("option", name="Away").click()
    await visitor.sees("#text-state-a", "Not on this machine yet.")
    await page.click("#text-download-a")
    await visitor.sees("#text-state-a", "Download Away? 7.6 GB")
    assert puppet.asked == []
    await page.click("#text-confirm-a")
    puppet.feed("one", Progress("downloading", 0.25, "1.9 of 7.6 GB"))
    await visitor.sees("#text-state-a", "25 % · 1.9 of 7.6 GB")
    await page.click("#text-cancel-a")
    await visitor.sees("#text-state-a", "Not on this machine yet.")
    assert puppet.wait_open("one", 0)
    await page.click("#text-download-a")
    await page.click("#text-confirm-a")
    puppet.feed("one", BackendConnectionError("The line broke.", "Try again; it goes on."))
    await visitor.sees("#text-state-a", "Away: The line broke. Try again; it goes on.")
    await page.click("#text-retry-a")
    puppet.feed("one", Progress("downloading", 0.5, "3.8 of 7.6 GB"))
    await visitor.sees("#text-state-a", "50 % · 3.8 of 7.6 GB")
    await page.click("#text-cancel-a")
    await visitor.sees("#text-state-a", "Not on this machine yet.")
    assert puppet.wait_open("one", 0)


async def test_an_answer_that_comes_late_does_not_close_a_question(
    visitor: Visitor, puppet: Puppet
) -> None:
    """What the page was told before it asked arrives after that: the question is drawn again."""
    page, state = visitor.page, "Not on this machine yet."
    held, go_on = asyncio.Event(), asyncio.Event()

    async def keep_the_first(route: Route) -> None:
        response = await route.fetch()
        if state in await response.text() and not held.is_set():
            held.set()
            await go_on.wait()
        await route.fulfill(response=response)

    await page.route("**/gradio_api/run/**", keep_the_first)
    await page.click("#text-model-a input")
    await page.get_by_role("option", name="Away").click()
    await held.wait()
    await page.evaluate("document.querySelector('#recheck').click()")
    await visitor.sees("#text-state-a", state)
    await page.click("#text-download-a")
    await visitor.sees("#text-state-a", "Download Away? 7.6 GB")
    await page.evaluate(
        """() => {
          const row = document.querySelector("#text-state-a");
          window.drawn = [];
          new MutationObserver(() => drawn.push(row.innerText)).observe(
            row, { childList: true, subtree: true });
        }"""
    )
    go_on.set()
    await page.unroute_all(behavior="wait")
    await page.wait_for_function("s => drawn.some(text => text.includes(s))", arg=state)
    await visitor.sees("#text-state-a", "Download Away? 7.6 GB")
    await page.click("#text-confirm-a")
    puppet.feed("one", Progress("downloading", 0.25, "1.9 of 7.6 GB"))
    await visitor.sees("#text-state-a", "25 % · 1.9 of 7.6 GB")
    await page.click("#text-cancel-a")
    await visitor.sees("#text-state-a", state)
    assert visitor.faults == []


async def test_a_phone(browser, served: str, puppet: Puppet) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    context = await browser.new_context(**phone)
    visitor = await Visitor(await context.new_page(), served).open()
    await visitor.page.fill("#text-prompt textarea", "Hello")
    await visitor.page.tap("#text-compare")
    puppet.answer("one", "Left " * 80)
    puppet.answer("two", "Right " * 80)
    await visitor.sees(answer_of("a"), "Left")
    await visitor.finished()
    assert await visitor.page.is_visible(answer_of("a"))
    assert not await visitor.page.is_visible(answer_of("b"))
    await visitor.page.tap("#text-transcript .switch [data-side=b]")
    await visitor.page.wait_for_selector(answer_of("b"), state="visible")
    assert not await visitor.page.is_visible("#text-pane-a")
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
    await context.close()


async def test_on_a_phone_what_is_used_less_stands_in_a_sheet(
    browser, served: str, puppet: Puppet
) -> None:
    """Whatever can be pressed is large enough, and nothing scrolls sideways."""
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    context = await browser.new_context(**phone)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor = await Visitor(await context.new_page(), served).open(FOUR)
    page = visitor.page
    await page.fill("#text-prompt textarea", "Hello")
    await page.tap("#text-compare")
    cut = ("**Left** " * 80, replace(last(1, 80), finish_reason="length"), None)
    for model in ("one", "two"):
        puppet.feed(model, *cut, *cut)
    await visitor.finished()
    await page.wait_for_selector(button_of("a", "continue"))
    assert not await page.is_visible(button_of("a", "copy-plain"))
    sheet = "#text-transcript .less-used:popover-open"
    small = """() => [...document.querySelectorAll(":is(.tools, .cell-tools, .switch) button")]
      .filter((button) => button.checkVisibility())
      .map((button) => [button.outerHTML, button.getBoundingClientRect()])
      .filter(([, { width, height }]) => Math.min(width, height) < 43.5)"""
    assert await page.evaluate(small) == []
    await page.tap(button_of("a", "less"))
    assert await page.evaluate(small) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.tap(f"{sheet} [data-act=copy-plain]")
    await page.wait_for_selector(".copied")
    assert not await page.is_visible(sheet)
    await page.tap(button_of("a", "less"))
    await page.tap(f"{sheet} [data-act=more]")
    await visitor.sees("#text-transcript .more:popover-open", "1 token")
    assert not await page.is_visible(sheet)
    await page.keyboard.press("Escape")
    await page.tap("#text-composer .less-used-open button")
    await page.tap("#text-less-used #text-clear")
    await page.wait_for_selector("#text-restore", state="visible")
    assert not await page.is_visible("#text-less-used")
    assert visitor.faults == []
    await context.close()


async def test_on_paper_nothing_is_cut_off(visitor: Visitor, puppet: Puppet) -> None:
    heads = "| Model | Parameters | Context | MMLU | Notes on memory | More |\n" + "|--" * 6 + "|\n"
    wide = heads + "| Phi-3-mini | 3.8 B | 131,072 | 68.8 | 2.4 GB in four bits | "
    wide += "w" * 60 + " |\n\n```\n"
    wide += "code = " + "x" * 200 + "\n```"
    await visitor.ask("Hello")
    puppet.feed("one", wide, last(1, 9), None)
    puppet.answer("two", "Little.")
    await visitor.sees(answer_of("a"), "code =")
    await visitor.finished()
    await visitor.page.emulate_media(media="print")
    await visitor.page.set_viewport_size({"width": 718, "height": 1000})
    answer = visitor.page.locator(answer_of("a"))
    assert await answer.evaluate("(md) => md.scrollWidth - md.clientWidth") <= 1
    hidden = visitor.page.locator("#text-composer, #text-panes, #text-transcript .cell-tools")
    assert not any([await one.is_visible() for one in await hidden.all()])


@pytest.mark.parametrize(("width", "across"), [(1280, 4), (1000, 2)])
async def test_four_sides_stand_two_by_two_where_it_is_narrow(
    context: BrowserContext, served: str, puppet: Puppet, width: int, across: int
) -> None:
    page = await context.new_page()
    await page.set_viewport_size({"width": width, "height": 800})
    visitor = await Visitor(page, served).open(FOUR)
    await visitor.ask("Hello")
    for model in ("one", "two"):
        assert await asyncio.to_thread(puppet.wait_open, model, 2)
        puppet.answer(model, "Yes.")
        puppet.answer(model, "No.")
    await visitor.finished()
    await expect(visitor.page.locator("#text-transcript .cell .head")).to_have_count(4)
    lefts = """(every) =>
      [...document.querySelectorAll(every)].map((node) => node.getBoundingClientRect().left)"""
    for every in ("#text-transcript .cell .head", "#text-panes .pane"):
        places = await visitor.page.evaluate(lefts, every)
        assert len(places) == 4 and len(set(map(round, places))) == across
    assert visitor.faults == []


@pytest.mark.parametrize(("device", "offered"), [("cpu", True), ("http://far:8000", False)])
async def test_what_slowed_both_down_is_said_once_with_the_way_out(
    visitor: Visitor, puppet: Puppet, device: str, offered: bool
) -> None:
    notice = "#text-notice"
    for times in (1, 0):
        await visitor.ask(f"Who is faster {times}?")
        await visitor.sees(PROMPT, f"Who is faster {times}?")
        for model in ("one", "two"):
            puppet.feed(model, "I")
        await visitor.sees(answer_of("b"), "I")
        for model in ("one", "two"):  # both have begun: what they say now, they say at once
            puppet.feed(model, "am", last(2, 2, device), None)
        await visitor.finished()
        await visitor.sees(line_of("b"), "shared device")
        said = await visitor.page.locator(f"{notice} .hint").count()
        assert said == (times if offered else 0)


async def test_one_side_after_the_other(visitor: Visitor, puppet: Puppet) -> None:
    page = visitor.page
    await page.check("#text-in-turn input")
    await visitor.ask("Who is first?")
    await visitor.sees(
        line_of("b"),
        "Waiting (for the other side)",
    )
    puppet.feed("one", "Left")
    await visitor.sees(answer_of("a"), "Left")
    assert [model for model, _, _ in puppet.asked] == ["one"]
    puppet.feed("one", last(2, 1), None)
    puppet.answer("two", "Right.")
    await visitor.sees(column_of("b"), "Right.")
    await visitor.finished()
    await visitor.sees(line_of("b"), "one after the other")
    assert "in_turn=true" in page.url
    linked = "?" + page.url.partition("?")[2]
    again = await Visitor(await page.context.new_page(), visitor.address).open(linked)
    await again.page.wait_for_selector("#text-in-turn input:checked")


async def test_nothing_that_streams_is_lost(visitor: Visitor, puppet: Puppet) -> None:
    words = [f"w{n} " for n in range(2000)]
    await visitor.ask("Much")
    puppet.feed("one", *(Chunk(text=word, tokens=1) for word in words), last(1, 2000), None)
    puppet.answer("two", "Little.")
    await visitor.sees(column_of("a"), words[-1].strip())
    shown = await visitor.page.inner_text(answer_of("a"))
    assert shown.split() == "".join(words).split()


async def test_what_is_ticked_stays_so_under_the_pointer(visitor: Visitor) -> None:
    box = visitor.page.locator("#text-view input[type=radio]:checked").first
    await box.hover()
    await visitor.page.wait_for_timeout(300)  # Gradio's own style changes slowly
    ticked = "(box) => getComputedStyle(box).backgroundColor"
    under = await box.evaluate(ticked)
    await visitor.page.locator("#text-prompt textarea").hover()
    await visitor.page.wait_for_timeout(300)
    assert under == await box.evaluate(ticked)
