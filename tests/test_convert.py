"""What the page sends: nothing in it is trusted."""

import json
import math
from html import escape

import pytest

from backends import BadRequestError, GenerationParams
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from playground.text import strip_controls
from ui.compare.form import from_browser
from ui.tabs.moe.agent_steps import steps_of
from ui.tabs.vision.session import VisionForm as Form

GOOD = {"prompt": "Hi", "temperature": 0.7, "max_tokens": 512, "top_p": 0.95, "top_k": 50}
SIDES = [{"backend": "pocket", "model": "pocket-3"}, {"backend": "pocket", "model": "pocket-3.5"}]
Given = dict[str, object]


def form(a: Given | None = None, b: Given | None = None, **changes: object) -> Form:
    sides = [side | (more or {}) for side, more in zip(SIDES, (a, b), strict=True)]
    return Form.read(GOOD | changes, sides)


def refused(limits=LOCAL, a: Given | None = None, b: Given | None = None, **changes: object) -> str:
    with pytest.raises(BadRequestError) as caught:
        checked = form(a, b, **changes).checked(limits, {0, 1})
        limits.check_prompt(checked.prompt)
    return str(caught.value)


def test_a_good_form() -> None:
    checked = form(stop="###\n\nEnd", seed=3).checked(LOCAL, {0, 1})
    assert checked.params == GenerationParams(512, 0.7, 0.95, 50, 3, ("###", "End"))
    assert [side.model for side in checked.sides] == ["pocket-3", "pocket-3.5"]
    request = checked.request(1, Conversation(turns=(Turn(prompt="Hi"),)), Keyring(), LOCAL)
    assert request.model == "pocket-3.5" and request.messages[-1].text == "Hi"


def test_crops_are_each_sides_own() -> None:
    checked = form({"crops": ""}, {"crops": "4"}).checked(LOCAL, {0, 1})
    assert [checked.params_of(side).num_crops for side in (0, 1)] == [None, 4]
    request = checked.request(1, Conversation(turns=(Turn(prompt="Hi"),)), Keyring(), LOCAL)
    assert request.params.num_crops == 4
    for wrong in (5, "many", 4.5, [4]):
        assert "crops" in refused(a={"crops": wrong})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "There is no prompt yet. Type one, or pick an example."),
        ({"prompt": " \n\t "}, "There is no prompt yet. Type one, or pick an example."),
        ({"prompt": None}, "There is no prompt yet. Type one, or pick an example."),
        (
            {"prompt": "x" * 200_000},
            "This prompt has 200,000 characters; at most 100,000 fit here. "
            "Shorten it and try again.",
        ),
        (
            {"system": "x" * 200_000},
            "This system prompt has 200,000 characters; at most 100,000 fit here. "
            "Shorten it and try again.",
        ),
        (
            {"temperature": 99},
            "Temperature must be between 0 and 2, not 99. Change it under Settings.",
        ),
        (
            {"max_tokens": 1_000_000},
            "Max tokens must be between 1 and 4,096, not 1,000,000. Change it under Settings.",
        ),
        ({"top_p": 0}, "Top-p must be between 0.01 and 1, not 0. Change it under Settings."),
        ({"top_k": -1}, "Top-k must be between 0 and 1,000, not -1. Change it under Settings."),
        (
            {"seed": -5},
            "Seed must be between 0 and 4,294,967,295, not -5. Change it under Settings.",
        ),
        (
            {"stop": "a\nb\nc\nd\ne"},
            "The number of stop texts must be between 0 and 4, not 5. Change it under Settings.",
        ),
        (
            {"temperature": "hot"},
            "The temperature is not of a kind that can be used here. Correct it, or reload the "
            "page.",
        ),
        (
            {"temperature": math.nan},
            "The temperature is not of a kind that can be used here. Correct it, or reload the "
            "page.",
        ),
        (
            {"max_tokens": 1.5},
            "The max tokens is not of a kind that can be used here. Correct it, or reload the "
            "page.",
        ),
        (
            {"prompt": {"path": "/etc/passwd"}},
            "The prompt is not of a kind that can be used here. Correct it, or reload the page.",
        ),
        (
            {"a": {"backend": "http://elsewhere"}},
            "Side A has no backend that can be used here. Choose one from its list.",
        ),
        ({"b": {"model": ""}}, "Side B has no model yet. Choose one above."),
        (
            {"b": {"own": '{"temperature": "99"}'}},
            "Temperature must be between 0 and 2, not 99. Change it under Settings.",
        ),
        (
            {"b": {"own": '{"seed": "many"}'}},
            "The seed is not of a kind that can be used here. Correct it, or reload the page.",
        ),
        (
            {"b": {"own": "[1]"}},
            "The own is not of a kind that can be used here. Correct it, or reload the page.",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], sentence: str) -> None:
    assert refused(**changes) == sentence


def test_a_public_page_takes_less() -> None:
    assert "at most 8,000 fit here" in refused(PUBLIC, prompt="x" * 9_000)
    assert "between 1 and 1,024" in refused(PUBLIC, max_tokens=2048)
    with pytest.raises(BadRequestError, match="20 turns"):
        PUBLIC.check_turns(20)


@pytest.mark.parametrize(
    ("dirty", "text"),
    [
        ("a\x00b\x1b[31mc\x7f", "abc"),
        ("tab\tand\nnew\r\nline\rend", "tab\tand\nnew\nline\nend"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("a whole \ud83d\ude00 pair", "a whole 😀 pair"),
        ("مرحبا 长沙 שלום", "مرحبا 长沙 שלום"),
    ],
)
def test_control_characters_and_half_pairs(dirty: str, text: str) -> None:
    assert strip_controls(dirty) == text
    strip_controls(dirty).encode("utf-8")


def test_what_the_browser_kept_comes_back() -> None:
    record = AnswerRecord(model="m", backend="b", text="Yes\n\tindented")
    kept = Conversation(turns=(Turn(prompt="Q", answers=(record, None)),))
    assert from_browser(kept.model_dump_json(), LOCAL) == kept


@pytest.mark.parametrize(
    "forged",
    [
        None,
        7,
        "",
        "not json",
        "[]",
        json.dumps({"turns": "many"}),
        json.dumps({"turns": [{"prompt": {"component": "html"}}]}),
        json.dumps({"turns": [{"prompt": "x" * 500_000}]}),
    ],
)
def test_a_broken_or_forged_history_is_an_empty_one(forged: object) -> None:
    assert from_browser(forged, LOCAL) == Conversation()


def test_of_a_forged_history_only_texts_of_user_and_assistant_are_left() -> None:
    answer = {
        "model": "m",
        "backend": "b",
        "text": "Hello",
        "role": "system",
        "component": "html",
        "value": "<script>",
    }
    turn = {"role": "system", "prompt": "Hi", "answers": [answer, None]}
    forged = json.dumps({"turns": [turn], "key": "sk-1"})
    conversation = from_browser(forged, LOCAL)
    roles = {message.role for message in conversation.messages(0)}
    assert roles == {"user"}
    assert "script" not in conversation.model_dump_json()
    again = conversation.with_turn(Turn(prompt="More"))
    assert [m.role for m in again.messages(0)] == ["user", "assistant", "user"]


def test_a_long_history_keeps_its_newest_turns() -> None:
    turns = tuple(Turn(prompt=str(n)) for n in range(150))
    kept = from_browser(Conversation(turns=turns).model_dump_json(), LOCAL)
    assert len(kept.turns) == 100
    assert kept.turns[-1].prompt == "149"


def test_a_side_has_settings_of_its_own() -> None:
    checked = form(b={"own": '{"temperature": "0", "seed": "7"}'}, seed=3).checked(LOCAL, {0, 1})
    first, second = (checked.params_of(side) for side in (0, 1))
    assert (first.temperature, first.seed) == (0.7, 3)
    assert (second.temperature, second.seed, second.top_k) == (0, 7, 50)


@pytest.mark.parametrize("how", [{"state": "stopped"}, {"finish_reason": "length"}])
def test_an_agent_that_was_cut_off_made_no_fault(how: dict[str, str]) -> None:
    text = '[{"agentid": "step1", "tool_name": "Blog", "input": "MoE", "output": "Experts sha'
    shown = {}
    for more in ({}, how):
        record = AnswerRecord(model="M", backend="B", text=text, **more)  # pyright: ignore[reportArgumentType]
        _, own = shown[bool(more)] = steps_of(record)
        assert escape(text) in own
    whole, cut_off = shown[False][1], shown[True][1]
    assert "had faults" in whole and "cut off" not in whole
    assert "had faults" not in cut_off and "cut off" in cut_off
