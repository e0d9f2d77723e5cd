"""What a comparison does without a page: which sides are checked, asked, added and left alone."""

import asyncio
import json
from typing import Any

import gradio as gr
import pytest

from backends import REGISTRY, BadRequestError
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.services import Services
from tests.fakes import Fed, Scripted, last, said
from tests.forms import given
from ui.compare.session import Session
from ui.compare.view import CompareView
from ui.gathered import PRESSED

ANSWER = AnswerRecord(text="Hello.", state="done", model="Fake", backend="Scripted")
FAKE = ("scripted", "fake")


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> CompareView[Session]:
    monkeypatch.setitem(REGISTRY, "scripted", Scripted(said("Hi."), last(1, 1)))
    with gr.Blocks():
        return CompareView("text", Services(), gr.State(Keyring()))


def pressed(**told: Any) -> dict[Any, Any]:
    """What the transcript tells of a press, among an event's values."""
    return {PRESSED: told}


def session_of(*turns: Turn) -> Session:
    """An open page with a conversation, drawn."""
    session = Session(conversation=Conversation(turns=turns))
    session.show_rows()
    return session


async def test_one_side_is_asked_anew_while_the_other_has_no_model(view) -> None:
    turn = Turn(prompt="Hi").with_answer(0, ANSWER).with_answer(1, ANSWER)
    session = session_of(turn)
    values = given(view, session, FAKE, ("scripted", ""))
    event = pressed(act="regenerate", turn=session.rows.row(0).id, side="a")
    updates = await view.ask_again(values | event)
    assert session.is_running(0) and not session.is_running(1), updates
    session.stop()


async def test_the_side_that_is_asked_needs_a_model(view) -> None:
    session = session_of(Turn(prompt="Hi").with_answer(0, ANSWER))
    values = given(view, session, ("scripted", ""), FAKE)
    event = pressed(act="regenerate", turn=session.rows.row(0).id, side="a")
    updates = await view.ask_again(values | event)
    assert not session.answering
    assert "Side A has no model" in updates[view.composer.notice]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"act": "regenerate", "turn": "x", "side": "a"},
        {"act": "regenerate", "turn": 1, "side": ["a"]},
        {"act": "regenerate", "turn": 1, "side": "c"},
        {"act": "edit", "turn": 1, "text": {"no": "text"}},
        {"act": "version", "turn": 1, "side": "a", "index": 7},
        {"act": "version", "turn": 1, "side": "a", "index": "0"},
        {"act": "code", "side": None},
    ],
)
async def test_what_no_button_says_does_nothing(view, told: dict[str, Any]) -> None:
    session = session_of(Turn(prompt="Hi").with_answer(0, ANSWER))
    before = session.conversation
    await view.ask_again(given(view, session, FAKE, FAKE) | pressed(**told))
    await view.editing.on_select(gr.EventData(None, told), session)
    assert session.conversation is before and not session.answering


async def asked(view: CompareView[Session], session: Session, prompt: str) -> None:
    """Ask both sides, and wait until their answers are written down."""
    await view.ask(given(view, session, FAKE, FAKE, prompt=prompt))
    async for _ in view.draw(session):
        pass
    await view.finish(session, "")


async def test_what_nobody_answered_is_asked_again_in_its_place(view) -> None:
    session = session_of(Turn(prompt="Hi"))
    await asked(view, session, "Hi")
    await asked(view, session, "Hi")
    assert [turn.answered for turn in session.conversation.turns] == [True, True]


async def test_an_earlier_version_is_shown_and_told_to_the_model(view) -> None:
    session = session_of()
    await asked(view, session, "Hi")
    REGISTRY["scripted"].steps = (said("Ho."), last(1, 1))  # type: ignore[attr-defined]
    row = session.rows.row(0).id
    values = given(view, session, FAKE, FAKE)
    await view.ask_again(values | pressed(act="regenerate", turn=row, side="b"))
    async for _ in view.draw(session):
        pass
    await view.finish(session, "")
    turn = session.conversation.turns[0]
    assert [one.text for one in turn.versions_of(1)] == ["Hi.", "Ho."]
    assert turn.answers[1].text == "Ho." and len(turn.versions_of(0)) == 1  # type: ignore[union-attr]
    told = {"act": "version", "turn": row, "side": "b", "index": 0}
    updates = await view.editing.on_select(gr.EventData(None, told), session)
    assert session.conversation.turns[0].answers[1].text == "Hi."  # type: ignore[union-attr]
    cell = json.loads(updates[view.transcript])["cells"][str(row)]["b"]
    assert cell["version"] == [1, 2] and cell["source"][1].endswith("i.")


async def test_a_side_is_copied_and_removed_with_its_answers(view) -> None:
    turn = Turn(prompt="Hi").with_answer(0, ANSWER)
    turn = turn.with_answer(1, ANSWER.model_copy(update={"text": "B"}))
    session = session_of(turn)
    editor, values = view.side_editor, given(view, session, ("pocket", "pocket-3"), FAKE)
    updates = await editor._copy(0)(values)
    assert len(session.sides) == 3 and updates[view.panes[2].model].value == "pocket-3"
    assert updates[view.panes[2].column].visible and not updates[view.panes[3].column].visible
    values = given(view, session, ("pocket", "pocket-3"), FAKE, ("pocket", "pocket-3"))
    await editor._remove(0)(values)
    assert len(session.sides) == 2
    assert [one and one.text for one in session.conversation.turns[0].answers] == ["B"]


async def test_two_sides_that_are_the_same_say_so(view) -> None:
    session = session_of()
    values = given(view, session, ("pocket", "pocket-3"), ("pocket", "pocket-3"))
    updates = await view.side_editor._copy(0)(values)
    assert "the same model" in updates[view.composer.notice]


async def test_what_was_cleared_can_be_had_back(view) -> None:
    session = session_of(Turn(prompt="Hi").with_answer(0, ANSWER))
    kept = session.conversation
    updates = await view.editing.clear(session)
    assert updates[view.composer.restore].visible and not session.conversation.turns
    updates = await view.editing.restore(session)
    assert session.conversation is kept and not updates[view.composer.restore].visible


async def test_the_sentence_above_follows_what_is_chosen(view) -> None:
    session, pockets = session_of(), (("pocket", "pocket-3"), ("pocket", "pocket-3.5"))
    session.opening = ([*pockets], "Two of ours.")

    async def sentence(*sides: tuple[str, str]) -> str:
        return (await view.intro.on_choice(given(view, session, *sides)))[view.intro.html]

    assert await sentence(*pockets) == "<p>Two of ours.</p>"
    assert await sentence(FAKE, FAKE) == "<p></p>", "of real models nothing is said"
    assert "Pocket-3 is a tiny built-in demonstration" in await sentence(FAKE, pockets[0])
    assert "Two tiny built-in demonstrations" in await sentence(pockets[1], pockets[0])
    assert await sentence(("pocket", "pocket-3"), ("nowhere", "x")) == "<p></p>"


async def test_a_side_that_is_asked_anew_in_mid_run_keeps_its_first_answer(
    view, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Fed()
    monkeypatch.setitem(REGISTRY, "fed", other)
    session = session_of()
    sides = (FAKE, ("fed", "fake"))
    await view.ask(given(view, session, *sides, prompt="Hi"))
    asked = False
    async with asyncio.timeout(30):
        async for _ in view.draw(session):
            if asked:
                continue
            other.feed("on ")  # the other side goes on, tick by tick
            if session.conversation.turns[0].answer(0):
                event = pressed(act="regenerate", turn=session.rows.row(0).id, side="a")
                await view.ask_again(given(view, session, *sides) | event)
                other.feed(last(1, 1), None)
                asked = True
    await view.finish(session, "")
    turn = session.conversation.turns[0]
    assert [one.text for one in turn.versions_of(0)] == ["Hi.", "Hi."]


CUT = AnswerRecord(
    text="The sky is",
    model="Fake",
    backend="Scripted",
    finish_reason="length",
    backend_id="scripted",
    model_id="fake",
)


async def drawn(view: CompareView[Session], session: Session) -> None:
    """Draw the run in progress to its end, and write it down."""
    async for _ in view.draw(session):
        pass
    await view.finish(session, "")


@pytest.mark.parametrize("end", ["length", "stopped", "failed"])
async def test_an_answer_that_ended_too_early_goes_on(
    view, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    backend = Scripted(said("is "), said("blue."), last(4, 2))
    monkeypatch.setitem(REGISTRY, "scripted", backend)
    how = {"finish_reason": "length"} if end == "length" else {"finish_reason": None, "state": end}
    cut = CUT.model_copy(update=how)
    session = session_of(Turn(prompt="Why?").with_answer(0, cut).with_answer(1, ANSWER))
    event = pressed(act="continue", turn=session.rows.row(0).id, side="a")
    await view.ask_again(given(view, session, FAKE, FAKE) | event)
    assert [one.text for one in session.run.requests[0].messages] == ["Why?", "The sky"]
    shown = json.loads(session.rows.message(whole=True))["cells"]
    assert "The sky" in json.dumps(shown)  # what there is stays while the rest is waited for
    await drawn(view, session)
    turn = session.conversation.turns[0]
    assert [one.text for one in turn.versions_of(0)] == ["The sky is", "The sky is blue."]
    assert turn.answers[0].begun == len("The sky ") and turn.answers[0].output_tokens == 2
    assert not turn.answers[0].may_go_on and turn.answers[1] is ANSWER
    assert session.conversation.messages(0)[0].text == "Why?"


async def test_what_comes_of_going_on_with_a_server_that_fails(
    view, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "scripted", Scripted(BadRequestError("No.", "Try again.")))
    session = session_of(Turn(prompt="Why?").with_answer(0, CUT))
    event = pressed(act="continue", turn=session.rows.row(0).id, side="a")
    await view.ask_again(given(view, session, FAKE, FAKE) | event)
    await drawn(view, session)
    assert session.conversation.turns[0].answers[0] == CUT


@pytest.mark.parametrize(
    ("change", "chosen", "said"),
    [
        ({}, ("pocket", "pocket-3"), "Fake (Scripted) wrote this answer. Choose it on side A"),
        ({"finish_reason": "stop"}, FAKE, ""),
        ({"text": ""}, FAKE, ""),
        ({"backend_id": "github_models"}, FAKE, ""),
        ({"backend_id": "gone"}, FAKE, ""),
    ],
)
async def test_what_cannot_go_on(view, change: dict[str, str], chosen: Any, said: str) -> None:
    session = session_of(Turn(prompt="Why?").with_answer(0, CUT.model_copy(update=change)))
    event = pressed(act="continue", turn=session.rows.row(0).id, side="a")
    updates = await view.ask_again(given(view, session, chosen, FAKE) | event)
    assert not session.answering
    assert said in updates[view.composer.notice] if said else view.composer.notice not in updates


async def test_drawing_nothing_empties_nothing(view) -> None:
    assert [values async for values in view.draw(session_of())] == [gr.skip()]


async def test_code_goes_with_a_side_that_is_removed(view) -> None:
    session = session_of(Turn(prompt="Hi").with_answer(0, ANSWER).with_answer(1, ANSWER))
    values = given(view, session, ("pocket", "pocket-3"), ("pocket", "pocket-3.5"))
    await view.code.toggle(0, values)
    assert json.loads(session.rows.message(whole=True))["programs"]["a"]
    await view.side_editor._remove(0)(values)
    assert json.loads(session.rows.message(whole=True))["programs"]["a"] is None
    assert not any(side.shows_code for side in session.sides)


def test_own_settings_that_are_nested_without_end_are_refused(view) -> None:
    values = given(view, session := session_of(), FAKE, FAKE)
    values[view.panes[1].own] = "[" * 100_000
    with pytest.raises(BadRequestError, match="not of a kind that can be used here"):
        view.read_form(session, values)
