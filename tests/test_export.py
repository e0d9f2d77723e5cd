"""Comparisons as JSON and Markdown, and how their numbers read."""

import json

import pytest

from backends import BadRequestError, GenerationParams
from playground.answer import AnswerSnapshot
from playground.clock import Clock
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.export import to_json, to_markdown
from playground.limits import LOCAL
from playground.numbers import describe_numbers, format_duration
from tests.test_conversation import ANSWER, conversation, shown
from ui.compare.numbers import final_line


async def test_notes_and_warnings_stay_with_the_answer() -> None:
    snapshot = AnswerSnapshot(
        "done",
        "Yes.",
        clock=Clock(device="http://" + "x" * 300),
        notes=("Q4_0 weights",),
        warnings=("It may have forgotten <b>you</b>.",),
    )
    record = await AnswerRecord.of(snapshot, "m", "Ollama")
    turn = Turn(prompt="Well?", answers=(record, None))
    line = final_line(record, turn)
    assert ">Q4_0 weights</span>" in line and 'class="note"' in line
    assert '<span class="note warning">It may have forgotten &lt;b&gt;you' in line
    talk = Conversation(turns=(turn,))
    text = to_markdown(talk)
    assert "Q4_0 weights_" in text and "> It may have forgotten <b>you</b>." in text
    assert Conversation.model_validate_json(to_json(talk)) == talk


def test_an_estimate_is_called_one() -> None:
    record = ANSWER.model_copy(update={"token_source": "estimate"})
    assert "about 7 tokens" in describe_numbers(record)


def test_markdown_has_settings_texts_and_numbers() -> None:
    talk = conversation().model_copy(update={"params": GenerationParams(temperature=0, seed=7)})
    text = to_markdown(talk)
    for piece in (
        "**System prompt:** Be kind.",
        "**Settings:** temperature 0 · seed 7",
        "### Left: Phi-3.5-mini (Transformers)",
        ANSWER.text,
        "_first token 250 ms · 12.3 tokens/s · 7 tokens · German_",
        "> It is gone.",
    ):
        assert piece in text


def test_json_comes_back_as_it_went() -> None:
    text = to_json(conversation())
    assert Conversation.model_validate_json(text) == conversation()
    assert json.loads(text)["turns"][0]["answers"][0]["tokens_per_second"] == 12.34


@pytest.mark.parametrize(
    ("duration", "text"), [(0.0851, "85 ms"), (1.239, "1.24 s"), (125.4, "2 min 5 s")]
)
def test_durations(duration: float, text: str) -> None:
    assert format_duration(duration) == text


def test_pictures_are_never_written_down() -> None:
    record = AnswerRecord(model="One", backend="Here", text="Seen.")
    turn = Turn(prompt="A", pictures=(shown("photo.png"),), answers=(record, None))
    talk = Conversation(turns=(turn,))
    assert "photo.png (40 × 30)" in to_markdown(talk)
    back = Conversation.model_validate_json(to_json(talk))
    (gone,) = back.pictures()
    assert (gone.name, gone.available) == ("photo.png", False)
    with pytest.raises(BadRequestError, match="no longer here"):
        LOCAL.check_attached_pictures(back.pictures())
    with pytest.raises(BadRequestError, match="33 pictures"):
        LOCAL.check_attached_pictures([shown("x.png")] * 33)
    LOCAL.check_attached_pictures(talk.pictures())
