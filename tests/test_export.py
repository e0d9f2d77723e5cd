"""Comparisons as JSON and Markdown, and how their numbers read."""

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from backends import REGISTRY, BadRequestError, GenerationParams, Message
from playground import VERSION
from playground.answer import AnswerSnapshot, Request
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
    record = await AnswerRecord.of(snapshot, "m", "Ollama", own_system="Be brief.\n# Or not")
    turn = Turn(prompt="Well?", answers=(record, None))
    line = final_line(record, turn)
    assert ">Q4_0 weights</span>" in line and 'class="note"' in line
    assert ">It may have forgotten &lt;b&gt;you" in line and "<b>you" not in line
    talk = Conversation(turns=(turn,))
    text = to_markdown(talk)
    assert "_Its own system prompt:_\n\n> Be brief.\n> # Or not\n" in text
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
        "### A: Phi-3.5-mini (Transformers)",
        ANSWER.text,
        "_first token 250 ms · 12.3 tokens/s · 7 tokens · German_",
        "> It is gone.",
    ):
        assert piece in text


def test_json_comes_back_as_it_went() -> None:
    text = to_json(conversation())
    back = Conversation.model_validate_json(text)
    assert to_json(back) == text and to_markdown(back) == to_markdown(conversation())
    (answer, _) = json.loads(text)["turns"][0]["answers"]
    assert answer["tokens_per_second"] == 12.3, "as it is shown"


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


def talk_of(left: str, right: str = "Fine.", prompt: str = "Code, please", **more: str) -> str:
    answers = (
        AnswerRecord(model="A", backend="One", text=left, state="stopped", **more),  # type: ignore[arg-type]
        AnswerRecord(model="B", backend="Other", text=right),
    )
    return to_markdown(Conversation(turns=(Turn(prompt=prompt, answers=answers),) * 2))


@pytest.mark.parametrize(
    "text", ["```py\nx", "~~~~\nx", "- ```\n  x", "> ~~~ js\n> x", "<!-- x", "<details>\nx"]
)
@pytest.mark.parametrize("where", ["prompt", "left", "right", "error"])
def test_what_a_text_leaves_open_ends_before_the_next_heading(text: str, where: str) -> None:
    exported = talk_of(**{"left": "Well.", where: text})
    headings = [line for line in exported.split("\n") if line.startswith("##")]
    tokens = MarkdownIt("commonmark").parse(exported)
    found = [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    assert found[1:] == [line.lstrip("# ") for line in headings] and len(found) == 7
    html = MarkdownIt("commonmark").render(exported)
    assert html.count("<details>") == html.count("</details>")
    assert html.count("<!--") == html.count("-->")


def test_control_characters_stay_out_of_exports() -> None:
    text = "\x1b[31mred\x1b[0m\x00,\r\n\ttab\x07 \x1b]0;title\x07and \x9bmore"
    clean = "red,\n\ttab and more"
    assert clean in talk_of(text)
    record = AnswerRecord(model="A\x1b[1m", backend="B", text=text, warnings=(text,))
    talk = Conversation(system=text, turns=(Turn(prompt=text, answers=(record, None)),))
    exported = json.loads(to_json(talk))
    turn = exported["turns"][0]
    (answer,) = filter(None, turn["answers"])
    assert [exported["system"], turn["prompt"], answer["text"], *answer["warnings"]] == [clean] * 4
    assert answer["model"] == "A"


def test_a_name_opens_nothing_and_an_error_stays_in_its_quote() -> None:
    picture = shown("photo.png").model_copy(update={"name": "<!--`` of ~.png"})
    record = AnswerRecord(model="a\n# <b>", backend="B", text="", error="First\n\n# second")
    talk = Conversation(turns=(Turn(prompt="A", pictures=(picture,), answers=(record, None)),))
    text = to_markdown(talk)
    assert "1. \\<!--\\`\\` of \\~.png (40 × 30)" in text
    assert "### A: a # \\<b> (B)" in text and "> First\n> \n> # second" in text


async def test_an_export_tells_what_was_sent() -> None:
    asked = GenerationParams(512, 0.7, top_k=50, seed=7)
    request = Request(REGISTRY["openai_compatible"], "phi3.5", (Message.of("user", "Hi"),), asked)
    snapshot = AnswerSnapshot(
        "done", "Hello.", thinking="They greet me.", clock=Clock(total=1.23456789)
    )
    record = await AnswerRecord.of(snapshot, "Phi-3.5-mini", "A server", request=request)
    talk = Conversation(turns=(Turn(prompt="Hi", answers=(record,)),), params=asked)
    told = json.loads(to_json(talk))
    (answer,) = told["turns"][0]["answers"]
    assert (answer["backend_id"], answer["model_id"]) == ("openai_compatible", "phi3.5")
    assert answer["params"]["seed"] == 7 and answer["params"]["top_k"] is None, "not on this wire"
    assert answer["total"] == 1.235 and answer["thinking"] == "They greet me."
    assert answer["asked_at"] == request.asked_at and told["format_version"] == 2
    text = to_markdown(talk)
    assert f"_openai_compatible/phi3.5 · {request.asked_at} · temperature 0.7" in text
    assert "top-k" not in text and "> They greet me." in text


def test_the_version_stands_once() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    assert f'version = "{VERSION}"' in project
