"""What is kept of a view: an answer is written down beside the other side's ticks."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from backends import Message
from playground import conversation
from playground.answer import Request
from playground.compare import Run
from playground.conversation import Conversation, Turn
from playground.languages import LANGUAGES, Expectation
from tests.fakes import Fed, last
from ui.compare.session import Session


async def test_an_answers_language_holds_up_no_tick_of_the_other_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = asyncio.Event()

    async def in_media_thread(function: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
        await found.wait()
        return function(*given, **named)

    monkeypatch.setattr(conversation, "in_media_thread", in_media_thread)
    monkeypatch.setattr(conversation, "expect", lambda *_, **__: Expectation("en"))
    monkeypatch.setattr(conversation, "detect", lambda _: LANGUAGES["en"])
    left, right = Fed(), Fed()
    asked = [Request(one, "fake", (Message.of("user", "Hello"),)) for one in (left, right)]
    session = Session(conversation=Conversation(turns=(Turn(prompt="Hello"),)), run=Run(asked))
    left.feed("Short.", last(), None)
    right.feed("Long")
    async with asyncio.timeout(30), aclosing(session.draw()) as ticks:
        async for _ in ticks:
            drawn = [side.snapshot.text if side.snapshot else "" for side in session.sides]
            if drawn == ["Short.", "Long"]:
                right.feed(" and longer")
            if drawn[1] == "Long and longer":
                right.feed(last(), None)  # all of it was drawn, and no language is known yet
    finishing = asyncio.ensure_future(session.finish())
    found.set()
    assert await finishing == []
    turn = session.conversation.last
    assert turn and turn.language == "en"
    assert [(record.text, record.language) for record in turn.answers if record] == [
        ("Short.", "en"),
        ("Long and longer", "en"),
    ]
    cells = json.loads(session.rows.message(whole=True))["cells"]["1"]
    assert {cell["state"] for cell in cells.values()} == {"done"}
