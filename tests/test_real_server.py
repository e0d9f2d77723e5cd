"""The chat/completions wire against a server that others wrote: `transformers serve`."""

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from backends import REGISTRY, Chunk, Connection, GenerationParams, Message, ServerError, Usage
from playground.answer import Request
from playground.compare import Run
from tests.pages import Visitor, column_of, line_of
from tests.real_server import MODELS, SERVED, RealServer
from tests.test_models_tab import choose, connect

WIRE, POCKET = REGISTRY["openai_compatible"], REGISTRY["pocket"]
PHI_3, PHI_35 = SERVED
GREEDY = GenerationParams(temperature=0)
QUESTION = "What is a small language model?"
TALKS = {
    "english": (PHI_3, [("user", QUESTION)]),
    "several tokens to a character": (PHI_35, [("user", "什么是小语言模型？")]),
    "right to left": (PHI_35, [("user", "ما هو نموذج اللغة الصغير؟")]),
    "a conversation": (
        PHI_35,
        [
            ("system", "You are a helpful assistant."),
            *(("user", "Hello!"), ("assistant", "Hello! How can I help?"), ("user", QUESTION)),
        ],
    ),
}


def answer(
    server: RealServer, model: str, *messages: Message, params: GenerationParams = GREEDY
) -> AsyncGenerator[Chunk, None]:
    """The server's answer through the wire."""
    asked = messages or (Message.of("user", QUESTION),)
    return chunks(WIRE.stream(model, asked, params, Connection(server.url)))


def built_in(model: str, *messages: Message) -> AsyncGenerator[Chunk, None]:
    """What Pocket itself says in this process."""
    asked = messages or (Message.of("user", QUESTION),)
    return chunks(POCKET.stream(SERVED[model], asked, GREEDY))


async def chunks(steps: AsyncGenerator) -> AsyncGenerator[Chunk, None]:
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Chunk):
                yield step


async def whole(steps: AsyncGenerator[Chunk, None]) -> tuple[str, Chunk]:
    """The text of an answer, and its last chunk."""
    every = [step async for step in steps]
    return "".join(step.text for step in every), every[-1]


async def test_it_is_ready_and_lists_its_models(real_server: RealServer) -> None:
    connection = Connection(real_server.url)
    assert (await WIRE.check(connection)).status.state == "ready"
    offers = {offer.model: offer for offer in (await WIRE.check(connection)).offers}
    known = {model: offer.spec.key for model, offer in offers.items()}
    assert known == {PHI_3: "phi-3-mini-4k", PHI_35: "phi-3.5-mini"}
    assert all(offer.status.ready for offer in offers.values())


@pytest.mark.parametrize("talk", TALKS)
async def test_the_very_text_of_the_same_model_in_this_process(
    real_server: RealServer,
    talk: str,
) -> None:
    model, turns = TALKS[talk]
    messages = [Message.of(role, text) for role, text in turns]
    text, end = await whole(answer(real_server, model, *messages))
    expected, ours = await whole(built_in(model, *messages))
    assert len(expected) > 20
    assert text == expected
    assert end.finish_reason == ours.finish_reason == "stop"
    assert ours.usage and end.usage == replace(ours.usage, context=None)  # it tells of none
    assert end.timings is not None and end.timings.device == f"{real_server.url}/v1"


async def test_the_tokens_that_were_allowed(real_server: RealServer) -> None:
    params = GenerationParams(temperature=0, max_tokens=7)
    text, end = await whole(answer(real_server, PHI_35, params=params))
    expected, _ = await whole(built_in(PHI_35))
    assert 0 < len(text) < len(expected) and expected.startswith(text)
    assert end.finish_reason == "length"
    assert end.usage is not None and end.usage.output_tokens == 7


async def test_two_answers_at_once_one_per_model(real_server: RealServer) -> None:
    async with (
        aclosing(answer(real_server, PHI_3)) as first,
        aclosing(answer(real_server, PHI_35)) as second,
    ):
        begun = [(await anext(first)).text, (await anext(second)).text]
        ends = [await whole(first), await whole(second)]
    for model, beginning, (rest, end) in zip(SERVED, begun, ends, strict=True):
        expected, _ = await whole(built_in(model))
        assert beginning + rest == expected
        assert end.finish_reason == "stop"


async def test_two_sides_of_a_comparison(real_server: RealServer) -> None:
    asked = (Message.of("user", QUESTION),)
    connection = Connection(real_server.url)
    run = Run([Request(WIRE, model, asked, GREEDY, connection) for model in SERVED])
    async for _ in run.snapshots():
        pass
    for model, side in zip(SERVED, run.snapshot(), strict=True):
        expected, end = await whole(built_in(model))
        assert side is not None and side.error is None
        assert end.usage is not None
        counted = replace(end.usage, context=None)  # the server tells of none
        assert (side.state, side.text, side.usage) == ("done", expected, counted)
        assert (side.clock.tokens, side.clock.token_source) == (
            end.usage.output_tokens,
            "reported",
        )
        assert side.clock.shared, "both answers came from one address"


async def test_a_model_that_it_does_not_have(real_server: RealServer) -> None:
    # It answers 500 without a reason: the file is missing in its cache, and it may not download.
    with pytest.raises(ServerError, match="failed \\(500\\)") as caught:
        await whole(answer(real_server, "microsoft/Phi-0"))
    assert caught.value.hint


async def test_closing_the_answer_ends_the_servers_work(
    real_server: RealServer,
    tmp_path: Path,
) -> None:
    # The server gives one answer of a model at a time: the next one waits for the one before.
    model = str(endless(tmp_path / "endless"))
    few = GenerationParams(temperature=0, max_tokens=40)
    many = GenerationParams(temperature=0, max_tokens=4000)
    first, end = await whole(answer(real_server, model, params=few))  # loads the model, too
    assert end.usage == Usage(10, 40)

    before = real_server.cpu()
    assert (await whole(answer(real_server, model, params=few)))[0] == first
    one = real_server.cpu() - before

    costs: list[float] = []
    # A client that goes while the server writes, not waits, is noticed late by that server: the
    # exception is raised where its answer's generator does not see it.
    while not costs or (costs[-1] >= 10 * max(one, 0.05) and len(costs) < 3):
        left = answer(real_server, model, params=many)
        assert (await anext(left)).text
        before = real_server.cpu()
        await left.aclose()
        assert (await whole(answer(real_server, model, params=few)))[0] == first
        costs.append(real_server.cpu() - before)
    # In processor time, which no other program's load changes much. Had the answer gone on,
    # it would have taken a hundred times that of the short one before the next could begin.
    assert costs[-1] < 10 * max(one, 0.05), costs


def endless(folder: Path) -> Path:
    """A Pocket that goes on until it may say no more: no token ends its answers."""
    shutil.copytree(MODELS / "pocket-3.5", folder)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {"eos_token_id": None}))
    return folder


@pytest.mark.asyncio(loop_scope="session")
async def test_both_pickers_two_streams(visitor: Visitor, real_server: RealServer) -> None:
    await connect(visitor, real_server.url)
    await visitor.sees("#card-openai_compatible", "Can answer: ")
    server = "OpenAI-compatible server"
    await choose(visitor, "a", server, "Phi-3-mini-4k")
    await choose(visitor, "b", server, "Phi-3.5-mini")
    await visitor.page.click("#text-settings > button")
    await visitor.page.fill("#text-temperature input[type=number]", "0")
    await visitor.ask("什么是小语言模型？")
    await visitor.sees(column_of("a"), "小语言模型是大语言模型的缩小版")
    await visitor.sees(column_of("b"), "小语言模型")
    await visitor.finished()
    for side in ("a", "b"):
        line = await visitor.text(line_of(side))
        assert "tokens/s" in line and "shared device" in line and "about" not in line
