"""Turns and records: what each side is sent, and what is written down."""

import io

import pytest
from PIL import Image
from pydantic import ValidationError

from backends import BackendConnectionError, TextPart, Usage
from playground.answer import AnswerSnapshot
from playground.clock import Clock, estimate_tokens
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.media.pictures import Picture, PictureLimits, read_picture
from playground.numbers import describe_numbers

ANSWER = AnswerRecord(
    model="Phi-3.5-mini",
    backend="Transformers",
    text="Kleine Modelle\tlaufen überall.",
    language="de",
    input_tokens=12,
    output_tokens=7,
    first_token=0.25,
    tokens_per_second=12.34,
)
FAILED = AnswerRecord(
    model="Phi-3-mini", backend="Ollama", text="", state="failed", error="It is gone."
)


def conversation() -> Conversation:
    first = Turn(prompt="One", answers=(ANSWER, FAILED))
    return Conversation(system="Be kind.", turns=(first, Turn(prompt="Two")))


def test_each_side_is_sent_its_own_conversation() -> None:
    left = [(m.role, m.text) for m in conversation().messages(0)]
    assert left == [
        ("system", "Be kind."),
        ("user", "One"),
        ("assistant", ANSWER.text),
        ("user", "Two"),
    ]


def test_a_turn_a_side_could_not_answer_is_not_sent_to_it_again() -> None:
    right = [(m.role, m.text) for m in conversation().messages(1)]
    assert right == [("system", "Be kind."), ("user", "Two")]


async def test_an_ended_answer_is_written_down_with_its_numbers() -> None:
    clock = Clock(
        load=2,
        decode=4.0,
        first_token=2.5,
        tokens=9,
        first_tokens=1,
        arrivals=9,
        shared=True,
        alone=0.25,
    )
    snapshot = AnswerSnapshot(
        "done",
        "Small language models run on a laptop and answer quickly.",
        usage=Usage(5, 9),
        clock=clock,
    )
    record = await AnswerRecord.of(snapshot, "Phi-3.5-mini", "Transformers")
    assert record.tokens_per_second == 2.0 and record.cold and record.language == "en"
    assert describe_numbers(record) == [
        "first token 2.50 s",
        "2.0 tokens/s",
        "9 tokens",
        "cold start, loaded in 2.00 s",
        "shared device, alone about 8 tokens/s",
        "English",
    ]


async def test_a_failure_is_written_down_as_its_sentence() -> None:
    error = BackendConnectionError("The server hung up.", "Try again.")
    record = await AnswerRecord.of(AnswerSnapshot("failed", "half", error=error), "m", "b")
    assert (record.state, record.text, record.error) == (
        "failed",
        "half",
        "The server hung up. Try again.",
    )


def test_records_have_limits() -> None:
    with pytest.raises(ValidationError):
        Conversation(turns=tuple(Turn(prompt="x") for _ in range(201)))
    with pytest.raises(ValidationError):
        Turn(prompt="x" * 400_001)


def test_estimates_count_bytes() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcd") == 1
    assert estimate_tokens("长沙") == 2


def shown(name: str, colour: str = "red") -> Picture:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return read_picture(file.getvalue(), name, PictureLimits())


def test_pictures_stand_before_their_prompt() -> None:
    one, two = shown("one.png"), shown("two.png", "blue")
    asked = Turn(prompt="What is this?", pictures=(one, two)).message()
    assert asked.parts == (one.part, two.part, TextPart("What is this?"))


def test_a_prompt_may_say_where_its_pictures_stand() -> None:
    one, two = shown("one.png"), shown("two.png", "blue")
    turn = Turn(prompt="First <|image_4|>\nthen <|image_3|>.", pictures=(one, two))
    assert turn.message(3).parts == (
        TextPart("First "), two.part, TextPart("then "), one.part, TextPart("."),
    )  # fmt: skip
    for other in (1, 2, 4):  # the numbers of other pictures: then it is a text like any other
        assert turn.message(other).parts == (one.part, two.part, TextPart(turn.prompt))
    only = Turn(prompt="<|image_1|>", pictures=(one,)).message()
    assert only.parts == (one.part,)


def test_numbers_go_on_through_the_conversation() -> None:
    one, two = shown("one.png"), shown("two.png", "blue")
    record = AnswerRecord(model="One", backend="Here", text="Seen.")
    talk = Conversation(
        turns=(
            Turn(prompt="A", pictures=(one,), answers=(record, None)),
            Turn(prompt="B <|image_2|> C", pictures=(two,)),
        )
    )
    assert talk.pictures() == (one,)  # nobody has answered the second turn yet
    assert [message.images for message in talk.messages(0)] == [(one.part,), (), (two.part,)]
    assert talk.messages(0)[2].parts == (TextPart("B "), two.part, TextPart(" C"))
    assert talk.messages(1) == (talk.messages(0)[2],)  # it could not answer the first turn
    failed = AnswerRecord(model="One", backend="Here", text="", error="It fell over.")
    nobody = talk.turns[0].with_answer(0, failed)
    again = Conversation(turns=(nobody, Turn(prompt="B <|image_1|> C", pictures=(two,))))
    assert again.messages(0)[-1].parts == (TextPart("B "), two.part, TextPart(" C"))
