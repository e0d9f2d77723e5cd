"""What is kept of a view: an answer is written down beside the other side's ticks."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from backends import Message
from playground import compare, conversation
from playground.answer import Request
from playground.compare import Run
from playground.conversation import Conversation, Turn
from playground.languages import LANGUAGES, Expectation
from tests.fakes import Fed, last
from ui.compare import session as session_module
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


def _asked(*backends: Fed) -> Session:
    asked = [Request(one, "fake", (Message.of("user", "Hello"),)) for one in backends]
    return Session(conversation=Conversation(turns=(Turn(prompt="Hello"),)), run=Run(asked))


async def test_an_answer_stays_where_it_is_while_the_other_one_is_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "expect", lambda *_, **__: Expectation("en"))
    monkeypatch.setattr(conversation, "detect", lambda _: LANGUAGES["en"])
    both = Fed(), Fed()
    session = _asked(*both)
    for one in both:
        one.feed("All of it.", last(), None)
    async with asyncio.timeout(30), aclosing(session.draw()) as ticks:
        async for _ in ticks:
            grown = dict(session.rows.row(0).cells)
    assert await session.finish() == []
    assert session.rows.row(0).cells == grown
    assert [*grown] == ["a", "b"]


async def test_an_answer_that_grows_tells_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    async def language_of(text: str) -> str:
        return "th" if len(text) >= 200 else "too short"

    monkeypatch.setattr(session_module, "language_of", language_of)
    monkeypatch.setattr(compare, "HEARTBEAT", 0.001)
    fed = Fed()
    session = _asked(fed)
    fed.feed("x" * 199)
    said: list[str] = []
    async with asyncio.timeout(30), aclosing(session.draw()) as ticks:
        async for tick in ticks:
            cell = json.loads(tick).get("cells", {}).get("1", {}).get("a", {})
            said += [cell["lang"]] if cell.get("lang") else []
            if session.sides[0].snapshot and session.sides[0].snapshot.text == "x" * 199:
                fed.feed("x")
            if said:
                session.stop()
    assert said[0] == "th"
