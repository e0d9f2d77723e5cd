"""Components of the page as one input: of two that are told at once, the later one counts."""

import asyncio
from typing import Any

import gradio as gr

from playground.keyring import Keyring
from ui.events import LATEST, PRIVATE
from ui.gathered import Gathered


def reader(handler: Any, **arguments: Any) -> tuple[Any, Any, Any]:
    """What the page calls, with the components whose values it is given."""
    with gr.Blocks() as page:
        box, keyring, shown = gr.Textbox(), gr.State(Keyring()), gr.Textbox()
        gathered = Gathered([box], keyring)
        gathered.on(box.change, lambda values: handler(values[box]), shown, **arguments)
    [event] = [one for one in page.fns.values() if one.fn and one.inputs_as_dict]
    [value] = [one for one in event.inputs if one is not keyring]
    return event.fn, value, keyring


async def ask(read: Any, value: Any, keyring: Any, page: Keyring, said: str, at: float) -> Any:
    """Tell it that the box holds a text since a moment."""
    return await read({value: {"values": [said], "pressed": None, "at": at}, keyring: page})


async def test_what_was_read_before_and_arrives_later_changes_nothing() -> None:
    async def say(text: str) -> str:
        return f"It says {text}."

    read, value, keyring = reader(say, **LATEST)
    one, other = Keyring(), Keyring()
    assert await ask(read, value, keyring, one, "new", 20.0) == "It says new."
    assert await ask(read, value, keyring, one, "old", 10.0) == gr.skip()
    assert await ask(read, value, keyring, other, "old", 10.0) == "It says old."
    assert await ask(read, value, keyring, one, "newest", 30.0) == "It says newest."


async def test_an_answer_that_took_longer_than_a_later_one_changes_nothing() -> None:
    slow = asyncio.Event()

    async def say(text: str) -> str:
        if text == "old":
            await slow.wait()
        return text

    read, value, keyring = reader(say, **LATEST)
    page = Keyring()
    first = asyncio.ensure_future(ask(read, value, keyring, page, "old", 10.0))
    await asyncio.sleep(0)
    assert await ask(read, value, keyring, page, "new", 20.0) == "new"
    slow.set()
    assert await first == gr.skip()


async def test_a_press_is_never_left_out() -> None:
    async def say(text: str) -> str:
        return text

    read, value, keyring = reader(say, **PRIVATE)
    page = Keyring()
    for said, at in (("new", 20.0), ("old", 10.0)):
        assert await ask(read, value, keyring, page, said, at) == said


async def test_what_a_page_tells_is_not_trusted() -> None:
    async def say(text: str | None) -> str:
        return str(text)

    read, value, keyring = reader(say, **LATEST)
    for told in (None, [], {"values": 3, "at": "never"}, {"at": None}):
        assert await read({value: told, keyring: Keyring()}) == "None"
