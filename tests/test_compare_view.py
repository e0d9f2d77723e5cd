"""What a comparison does without a page: which sides are checked, asked, and left alone."""

import gradio as gr
import pytest

from backends import REGISTRY
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.services import Services
from tests.fakes import Scripted
from ui.compare.form import Form
from ui.compare.session import Session
from ui.compare.view import CompareView

ANSWER = AnswerRecord(text="Hello.", state="done", model="Fake", backend="Scripted")


@pytest.fixture
def view(monkeypatch) -> CompareView[Session]:
    monkeypatch.setitem(REGISTRY, "scripted", Scripted())
    with gr.Blocks():
        return CompareView("text", Services(), gr.State(Keyring()))


def values(**form: str) -> list[object]:
    return list(Form.model_construct(**form).model_dump().values())


async def test_one_side_is_made_anew_while_the_other_has_no_model(view) -> None:
    turn = Turn(prompt="Hi").with_answer(0, ANSWER).with_answer(1, ANSWER)
    session = Session(conversation=Conversation(turns=(turn,)))
    form = values(left_backend="scripted", left_model="fake", right_backend="scripted")
    updates = await view._regenerate_one(0)(session, *form)
    assert session.is_running(0) and not session.is_running(1), updates
    session.stop()


async def test_the_side_that_is_asked_needs_a_model(view) -> None:
    turn = Turn(prompt="Hi").with_answer(0, ANSWER)
    session = Session(conversation=Conversation(turns=(turn,)))
    form = values(left_backend="scripted", right_backend="scripted", right_model="fake")
    updates = await view._regenerate_one(0)(session, *form)
    assert not session.answering
    assert "left side has no model" in updates[view.composer.notice]
