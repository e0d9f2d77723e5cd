"""Routings: how they grow, what the page is sent of them, and what a file may hold."""

import json
from typing import Any

import pytest

from backends import BadRequestError, Chunk, ExpertRouting
from playground.answer import AnswerBuilder, AnswerSnapshot
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.export import to_json
from playground.routing import Routing, figure_data, from_file, to_file


def token(n: int, in_prompt: bool = False, layers: int = 3) -> ExpertRouting:
    """Some token: by layer l it meets the experts n+l and n+l+1 of 16."""
    experts = tuple(((n + layer) % 16, (n + layer + 1) % 16) for layer in range(layers))
    weights = tuple((1.0, 0.25 + layer / 8) for layer in range(layers))
    return ExpertRouting(1000 + n, f" word{n}", in_prompt, experts, weights, 16)


def grown(prompt: int, answer: int, layers: int = 3) -> Routing:
    routing = Routing()
    for n in range(prompt + answer):
        routing.add(token(n, n < prompt, layers))
    return routing


def test_what_was_added_comes_back() -> None:
    routing = grown(4, 6)
    assert [*routing] == [token(n, n < 4) for n in range(10)]
    assert (len(routing), routing.prompt_tokens) == (10, 4)
    assert (routing.num_layers, routing.num_experts, routing.experts_per_token) == (3, 16, 2)
    with pytest.raises(IndexError):
        routing[10]


def test_experts_are_counted_for_the_prompt_and_the_answer_apart() -> None:
    routing = grown(40, 23)
    for part, tokens in enumerate((range(40), range(40, 63))):
        for layer in range(3):
            taken = [0] * 16
            for n in tokens:
                for expert in token(n).experts[layer]:
                    taken[expert] += 1
            told = figure_data(routing)["expert_counts"][part][layer * 16 : layer * 16 + 16]
            assert told == taken
            assert sum(told) == 2 * len(tokens)


def test_the_page_is_sent_what_is_new_and_no_more() -> None:
    sizes = set()
    for answer in (100, 2000):
        told = figure_data(grown(100, answer), since=97 + answer)
        assert [row[0] for row in told["tokens"]] == [f" word{97 + answer + n}" for n in range(3)]
        assert told["from"] == 97 + answer
        assert told["tokens"][0][2][:2] == [1000, 250]
        sizes.add(
            len(told["expert_counts"][0]) + len(told["expert_counts"][1]) + len(told["tokens"])
        )
    assert len(sizes) == 1


def test_an_answer_gathers_its_routing_and_shares_it() -> None:
    answer = AnswerBuilder()
    assert answer.snapshot().routing is None
    answer.add(Chunk(routing=(token(0, True), token(1, True))))
    assert answer.state == "waiting"  # the prompt has been read; nothing was said yet
    answer.add(Chunk("Hi", 1, routing=(token(2),)))
    before = answer.snapshot()
    answer.add(Chunk("!", 1, routing=(token(3),)))
    assert answer.snapshot().routing is before.routing
    assert [one.id for one in answer.snapshot().routing or ()] == [1000, 1001, 1002, 1003]


async def test_a_routing_stays_with_its_answer_and_leaves_with_none_of_its_copies() -> None:
    routing = grown(2, 3)
    record = await AnswerRecord.of(
        AnswerSnapshot(state="done", text="Hi", routing=routing), "M", "B"
    )
    talk = Conversation(turns=(Turn(prompt="x", answers=(record, None)),))
    assert talk.turns[0].answers[0].routing is routing  # type: ignore[union-attr]
    assert "routing" not in to_json(talk)
    assert "routing" not in talk.model_dump_json()
    back = Conversation.model_validate_json(
        talk.model_dump_json().replace('"text"', '"routing":[1],"text"')
    )
    assert back.turns[0].answers[0].routing is None  # type: ignore[union-attr]


def test_only_the_last_turns_keep_their_routings() -> None:
    record = AnswerRecord(model="M", backend="B", text="Hi", routing=grown(1, 1))
    turns = tuple(Turn(prompt=str(n), answers=(record, None)) for n in range(11))
    kept = Conversation(turns=turns).without_old_routing().turns
    assert [bool(turn.answers[0] and turn.answers[0].routing) for turn in kept] == [
        *[False] * 3, *[True] * 8
    ]  # fmt: skip
    assert [turn.prompt for turn in kept] == [str(n) for n in range(11)]
    assert Conversation(turns=turns[:3]).without_old_routing() == Conversation(turns=turns[:3])


def test_saved_and_opened_again_it_is_equal() -> None:
    routing = grown(5, 9)
    text = to_file(routing, "Pocket-MoE")
    opened = from_file(text)
    assert [*opened.routing] == [*routing]
    assert (opened.model, opened.num_experts) == ("Pocket-MoE", 16)
    assert to_file(opened.routing, opened.model) == text
    told = json.loads(text)
    assert told["tokens"][0] == {
        "id": 1000,
        "text": " word0",
        "in_prompt": True,
        "experts": [[0, 1], [1, 2], [2, 3]],
        "weights": [[1.0, 0.25], [1.0, 0.375], [1.0, 0.5]],
    }


SAVED = """{"format":"phi-playground/routing/1","model":"Pocket-MoE","experts":4,
"numbering":"Layers and experts are numbered from 0; the page shows them from 1.",
"weights":"Each between 0 and 1 by itself: SparseMixer's need not sum to one.","tokens":[
{"id":7,"text":" Hi","in_prompt":true,"experts":[[0,2],[1,3]],"weights":[[1.0,0.25],[0.5,1.0]]},
{"id":8,"text":"!","in_prompt":false,"experts":[[3,1],[0,2]],"weights":[[1.0,0.5],[1.0,0.125]]}
]}""".replace("\n", "")
"""A file of version 1 as visitors have saved it: its names may never change."""


def test_what_was_saved_once_opens_for_ever_and_is_still_written_so() -> None:
    opened = from_file(SAVED)
    assert (opened.model, opened.num_experts) == ("Pocket-MoE", 4)
    assert [one.token for one in opened.routing] == [" Hi", "!"]
    assert opened.routing[1].experts == ((3, 1), (0, 2)) and opened.routing.prompt_tokens == 1
    assert to_file(opened.routing, opened.model) == SAVED


def test_any_weight_survives_a_file() -> None:
    routing = Routing()
    odd = 0.5019606351852417
    routing.add(ExpertRouting(1, "🙂", False, ((0, 1),), ((odd, 1 / 3),), 16))
    (back,) = from_file(to_file(routing, "M")).routing
    assert back == routing[0]


def changed(**fields: Any) -> str:
    told = json.loads(to_file(grown(2, 2), "M"))
    first = {**told["tokens"][0], **fields.pop("first", {})}
    return json.dumps({**told, "tokens": [first, *told["tokens"][1:]]} | fields)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[]", "object"),
        ('{"format": "phi-playground/routing/1"}', "Field required"),
        (changed(format="other"), "'phi-playground/routing/1'"),
        (changed(tokens=[]), "at least 1 item"),
        (changed(experts=3), "there are only 3 experts"),
        (changed(experts=10**9), "less than or equal to 256"),
        (changed(first={"experts": [[0, 1]]}), "not every token has met as many experts"),
        (changed(first={"experts": [[0], [1], [2]]}), "not every token has met as many experts"),
        (changed(first={"experts": [[-1, 1], [1, 2], [2, 3]]}), "greater than or equal to 0"),
        (changed(first={"experts": [[], [], []], "weights": [[], [], []]}), "not every token"),
        (changed(first={"weights": [["x", 1], [1, 2], [2, 3]]}), "valid number"),
        (changed().replace("0.25", "NaN", 1), "number"),
        (changed(first={"weights": [[1e39, 1], [1, 0], [1, 0]]}), "less than or equal to 1"),
        (changed(first={"experts": [[0, 1]] * 4, "weights": [[1, 1]] * 2}), "not every token"),
        (changed(first={"in_prompt": False}), "stands within the answer"),
        (changed(first={"text": "x" * 401}), "at most 400 characters"),
        (changed(first={"id": 2**40}), "less than"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_routing_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        from_file(text)
    assert why in caught.value.message
    assert "Open one that this page saved." in caught.value.hint


def test_what_is_no_number_is_kept_as_nothing() -> None:
    """float16 may overflow; a page could not read it, nor could a file be opened again."""
    routing = Routing()
    routing.add(ExpertRouting(1, "x", False, ((0, 1),), ((float("nan"), 1.0),), 16))
    assert routing[0].weights == ((0.0, 1.0),)
    assert [*from_file(to_file(routing, "M")).routing] == [*routing]


def test_a_file_too_large_is_refused_before_it_is_read(monkeypatch) -> None:
    monkeypatch.setattr("playground.routing.MAX_BYTES", 100)
    with pytest.raises(BadRequestError, match="too large"):
        from_file(changed())
    monkeypatch.undo()
    with pytest.raises(BadRequestError, match="at most 20000 items"):
        rows = [json.loads(changed())["tokens"][3]] * 20_001
        from_file(changed(tokens=rows))
