"""Ollama's API against servers that say everything that was seen, and some that say worse."""

import asyncio
import base64
import gc
import json
import logging
import weakref
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from itertools import groupby, pairwise

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import (
    REGISTRY,
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    BadRequestError,
    Chunk,
    Connection,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    MissingKeyError,
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    Progress,
    RateLimitError,
    ServerError,
    TextPart,
    Usage,
)
from backends._remote import retry
from backends.ollama.turns import Turn, Turns
from playground.answer import Request
from playground.compare import complete
from tests.stub import Reply, Stub

CHAT, TAGS, PS, SHOW = "/api/chat", "/api/tags", "/api/ps", "/api/show"
PULL, VERSION = "/api/pull", "/api/version"
BACKEND = REGISTRY["ollama"]
NDJSON = {"content-type": "application/x-ndjson"}
HELLO = (Message.of("user", "Hello"),)
PLAIN = GenerationParams()
ROW = {
    "name": "phi3.5:latest",
    "model": "phi3.5:latest",
    "size": 2_176_178_843,
    "digest": "sha256:35",
    "details": {"family": "phi3", "parameter_size": "3.8B", "quantization_level": "Q4_0"},
}
RUNNING = ROW | {"context_length": 4096}
SLOWLY = 3_000_000_000
DONE: dict[str, object] = {
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 770_000_000,
    "load_duration": 20_000_000,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 2,
    "eval_duration": 500_000_000,
}


@pytest_asyncio.fixture
async def stub() -> AsyncGenerator[Stub, None]:
    async with Stub() as stub:
        stub.on(TAGS, Reply.of({"models": [ROW]}))
        stub.on(PS, Reply.of({"models": [RUNNING]}))
        stub.on(SHOW, Reply.of({"template": "<|user|>{{ .Prompt }}<|end|>"}))
        stub.on(VERSION, Reply.of({"version": "0.33.2"}))
        yield stub


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a retry, and none finds an Ollama of this machine."""
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)
    for variable in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def lines(*events: object) -> bytes:
    return "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events).encode()


def said(text: str) -> dict[str, object]:
    return {"model": "phi3.5", "message": {"role": "assistant", "content": text}, "done": False}


def stream(*pieces: bytes | asyncio.Event, cut: bool = False) -> Reply:
    return Reply(pieces, headers=NDJSON, cut=cut)


async def steps_of(
    stub: Stub, messages=HELLO, params=PLAIN, key: str | None = None, model: str = "phi3.5"
) -> list[Chunk | Progress]:
    answer = BACKEND.stream(model, messages, params, Connection(stub.url, key))
    return [step async for step in answer]


async def chunks_of(stub: Stub, messages=HELLO, **more) -> list[Chunk]:
    return [step for step in await steps_of(stub, messages, **more) if isinstance(step, Chunk)]


async def first_chunk(answer: AsyncGenerator[Chunk | Progress, None]) -> Chunk:
    """What comes after the steps that say what is waited for."""
    while isinstance(step := await anext(answer), Progress):
        pass
    return step


async def text_of(stub: Stub, messages=HELLO, model: str = "phi3.5") -> str:
    return "".join(chunk.text for chunk in await chunks_of(stub, messages, model=model))


# What a good Ollama says


async def test_a_good_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said(" Hel"), said("lo"), DONE)))
    reading, *chunks = await steps_of(stub)
    assert reading == Progress("prefill")
    *_, end = chunks
    assert [step.text for step in chunks] == ["Hel", "lo", ""]
    assert all(step.at > 0 and step.tokens is None for step in chunks)
    assert (end.finish_reason, end.usage) == ("stop", Usage(9, 2, context=4096))
    assert (end.notes, end.warnings) == (("Q4_0 weights",), ())
    timings = end.timings
    assert (timings.load, timings.prefill, timings.decode) == (0.0, 0.25, 0.5)
    assert timings.queued == pytest.approx(0)
    assert timings.device == stub.url


async def test_the_request(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE | {"done_reason": "length"})))
    picture = Message("user", (ImagePart(b"\x89PNG", "image/png"), TextPart("What is it?")))
    params = GenerationParams(5, 0.2, 0.9, 40, 7, ("###",))
    messages = (Message.of("system", "Be brief."), picture)
    *_, end = await steps_of(stub, messages, params, "sk-1", "llava")
    (seen,) = stub.asked(CHAT)
    assert seen.json == {
        "model": "llava",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": "What is it?",
                "images": [base64.b64encode(b"\x89PNG").decode()],
            },
        ],
        "options": {
            "num_predict": 5,
            "temperature": 0.2,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "stop": ["###"],
            "repeat_penalty": 1.0,
        },
        "keep_alive": "10m",
        "truncate": False,
        "stream": True,
    }
    assert seen.headers["authorization"] == "Bearer sk-1"
    assert end.finish_reason == "length"


async def test_knobs_that_were_not_turned_are_left_to_the_model(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub)
    assert stub.asked(CHAT)[0].json["options"] == {"num_ctx": 4096, "repeat_penalty": 1.0}


async def test_stop_texts_do_not_replace_those_of_a_phi_model(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub, params=GenerationParams(stop=("###",)))
    assert stub.asked(CHAT)[0].json["options"]["stop"][:2] == ["###", "<|end|>"]


@pytest.mark.parametrize(
    ("listed", "loaded", "params", "fitted"),
    [
        # In memory: as it is there, whoever loaded it.
        ([ROW], [RUNNING | {"context_length": 32768}], {"max_tokens": 512}, {"num_ctx": 32768}),
        ([ROW], [RUNNING], {"max_tokens": 3000}, {"num_ctx": 4096}),
        ([ROW], [RUNNING], {"max_tokens": 4096}, {"num_ctx": 4096, "shift": False}),
        ([ROW], [RUNNING], {}, {"num_ctx": 4096, "shift": False}),
        ([ROW], [RUNNING | {"context_length": 8192}], {"max_tokens": 4096}, {"num_ctx": 8192}),
        # Not in memory, or it does not tell: as Ollama loads it by itself.
        ([ROW], [], {"max_tokens": 512}, {}),
        ([ROW], [ROW], {"max_tokens": 512}, {}),
        ([ROW], [RUNNING | {"context_length": 0}], {"max_tokens": 512}, {}),
        ([], [], {"max_tokens": 4096}, {"shift": False}),
    ],
)
async def test_a_model_in_memory_is_not_loaded_anew(
    stub: Stub, listed, loaded, params, fitted
) -> None:
    stub.on(TAGS, Reply.of({"models": listed}))
    stub.on(PS, Reply.of({"models": loaded}))
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub, params=GenerationParams(**params))
    sent = stub.asked(CHAT)[0].json
    launch = {name: sent["options"][name] for name in ("num_ctx",) if name in sent["options"]}
    launch |= {name: sent[name] for name in ("shift",) if name in sent}
    assert launch == fitted and sent["truncate"] is False


async def test_a_prompt_that_may_not_fit_is_not_shortened_while_it_answers(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    for words, shifts in ((1000, True), (2000, False)):
        messages = (Message.of("user", "word " * words),)
        await steps_of(stub, messages, GenerationParams(max_tokens=512))
        assert ("shift" not in stub.asked(CHAT)[-1].json) is shifts


# Pictures


ONE, TWO = ImagePart(b"\x89PNG" + bytes(600), "image/png"), ImagePart(b"\xff\xd8two", "image/jpeg")
DATA = [base64.b64encode(image.data).decode() for image in (ONE, TWO)]
SHOWN = (Message("user", (ONE, TextPart("What is it?"))),)


def row(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "model": name, "digest": f"sha256:{name}", "details": {}} | more


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((ONE, TWO, TextPart("Differ "), TextPart("how?")), "Differ how?"),
        ((ONE, TextPart("")), ""),
        ((TextPart(""), ONE, TextPart("What?")), "What?"),
        ((TextPart("What?"), ONE), "What?\n[picture 1]"),
        ((ONE, TextPart("or"), TWO, TextPart("?")), "[picture 1]\nor\n[picture 2]\n?"),
        ((ONE, TextPart("[img] [img-0]")), "[ img] [ img-0]"),
    ],
)
async def test_pictures_come_before_a_text_or_have_marks_in_it(stub: Stub, parts, content) -> None:
    stub.on(TAGS, Reply.of({"models": [row("llava:latest")]}))
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    messages = (Message("user", parts), Message.of("assistant", "[img]"), *SHOWN)
    await steps_of(stub, messages, model="llava")
    first, second, last = stub.asked(CHAT)[0].json["messages"]
    pictures = [DATA[(ONE, TWO).index(part)] for part in parts if isinstance(part, ImagePart)]
    assert first == {"role": "user", "content": content, "images": pictures}
    assert second == {"role": "assistant", "content": "[img]"}
    assert last == {"role": "user", "content": "What is it?", "images": DATA[:1]}


async def test_pictures_are_numbered_through_the_conversation(stub: Stub) -> None:
    stub.on(TAGS, Reply.of({"models": [row("llava:latest")]}))
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    messages = (*SHOWN, Message.of("assistant", "A cat"), Message("user", (TextPart("And"), TWO)))
    await steps_of(stub, messages, model="llava")
    *_, last = stub.asked(CHAT)[0].json["messages"]
    assert last["content"] == "And\n[picture 2]"


@pytest.mark.parametrize(
    ("told", "modalities"),
    [
        ({"capabilities": ["completion", "vision"]}, ("text", "image")),
        ({"capabilities": ["completion", "tools"]}, ("text",)),
        ({"capabilities": []}, ("text", "image")),  # nobody knows
        ({"capabilities": "vision"}, ("text", "image")),
        ({}, ("text", "image")),
        ({"details": {"families": ["llama", "clip"]}}, ("text", "image")),
        ({"details": {"families": None}}, ("text", "image")),
    ],
)
async def test_a_list_tells_what_its_models_read(stub: Stub, told, modalities) -> None:
    stub.on(TAGS, Reply.of({"models": [row("mine:latest", **told)]}))
    offer = (await BACKEND.check(Connection(stub.url))).offers[0]
    assert (offer.model, offer.spec.modalities) == ("mine", modalities)
    assert {seen.path for seen in stub.seen} == {VERSION, TAGS}


async def test_what_ollama_tells_counts_more_than_a_name(stub: Stub) -> None:
    mine = row("phi-4-instruct:latest", capabilities=["completion", "vision"])
    blind = row("phi-3.5-vision:latest", capabilities=["completion"])
    stub.on(TAGS, Reply.of({"models": [mine, blind]}))
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    seeing, other = (await BACKEND.check(Connection(stub.url))).offers[:2]
    assert (seeing.spec.key, seeing.spec.modalities) == ("phi-4", ("text", "image"))
    assert (other.spec.key, other.spec.modalities) == ("phi-3.5-vision", ("text",))
    assert await text_of(stub, SHOWN, "phi-4-instruct") == "A cat"
    with pytest.raises(BadRequestError, match="reads text only"):
        await steps_of(stub, SHOWN, model="phi-3.5-vision")


async def test_a_model_that_cannot_see_is_sent_no_picture(stub: Stub) -> None:
    stub.on(TAGS, Reply.of({"models": [row("llama3:latest", capabilities=["completion"])]}))
    with pytest.raises(BadRequestError, match="llama3 reads text only"):
        await steps_of(stub, SHOWN, model="llama3")
    assert [seen.path for seen in stub.seen] == [TAGS]
    with pytest.raises(BadRequestError):
        await steps_of(stub, SHOWN, model="llama3")
    assert len(stub.seen) == 1  # it is known by now


async def test_an_older_ollama_is_asked_once_for_each_content(stub: Stub) -> None:
    stub.on(TAGS, Reply.of({"models": [row("a:latest"), row("b:latest", digest="sha256:b2")]}))
    stub.on(
        SHOW, Reply.of({"capabilities": ["completion"]}), Reply.of({"capabilities": ["vision"]})
    )
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    for _ in range(2):
        with pytest.raises(BadRequestError):
            await steps_of(stub, SHOWN, model="a")
        await steps_of(stub, SHOWN, model="b")
    assert [seen.json["model"] for seen in stub.asked(SHOW)] == ["a:latest", "b:latest"]
    told = {o.model: o.spec.modalities for o in (await BACKEND.check(Connection(stub.url))).offers}
    assert told["a"] == ("text",) and told["b"] == ("text", "image")
    stub.on(TAGS, Reply.of({"models": [row("a:latest", digest="sha256:new")]}))
    assert (await BACKEND.check(Connection(stub.url))).offers[0].spec.modalities == (
        "text",
        "image",
    )


@pytest.mark.parametrize(
    "reply", [Reply.of("404", 404), Reply.of({"error": "x"}, 500), Reply.of({"capabilities": None})]
)
async def test_where_nobody_knows_the_question_is_asked(stub: Stub, reply: Reply) -> None:
    stub.on(TAGS, Reply.of({"models": [row("old:latest")]}))
    stub.on(SHOW, reply)
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    assert await text_of(stub, SHOWN, "old") == "A cat"
    assert await text_of(stub, SHOWN, "not-listed") == "A cat"
    asked = len(stub.asked(SHOW))
    assert await text_of(stub, SHOWN, "old") == "A cat"
    # What was told is remembered, even that it is nothing; a failure is only the moment's.
    assert (len(stub.asked(SHOW)) == asked) is (reply.status == 200)


async def test_what_the_server_tells_of_a_model_counts_before_a_guess_by_its_name(
    stub: Stub,
) -> None:
    stub.on(TAGS, Reply.of({"models": [ROW | {"capabilities": ["completion", "vision"]}]}))
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    assert await text_of(stub, SHOWN) == "A cat"
    stub.on(TAGS, Reply.of({"models": []}))
    with pytest.raises(BadRequestError, match="reads text only"):  # nothing else is known
        await steps_of(stub, SHOWN, model="phi4")
    assert len(stub.asked(CHAT)) == 1


async def test_a_models_details_are_asked_once(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    for _ in range(2):
        await steps_of(stub)
    assert [seen.path for seen in stub.seen if seen.path in (TAGS, SHOW)] == [TAGS, SHOW]


NO_EYES = (
    "Failed to create new sequence: failed to process inputs: this model is missing data required"
    " for image input"
)
NO_PROJECTOR = json.dumps({"error": {"code": 500, "message": "image input is not supported"}})


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (500, NO_EYES, "no_vision"),
        (200, NO_EYES, "no_vision"),
        (500, NO_PROJECTOR, "no_vision"),
        (400, "mine does not support vision", "no_vision"),
        (
            500,
            "this model only supports one image while more than one image requested",
            "too_many_pictures",
        ),
        (500, "Failed to load image or audio file", "unreadable_picture"),
        (400, "illegal base64 data at input byte 4", "unreadable_picture"),
        (413, "too large", "pictures_too_large"),
    ],
)
async def test_a_picture_that_is_refused(stub: Stub, status: int, error: str, reason: str) -> None:
    body = {"error": error}
    stub.on(CHAT, stream(lines(body)) if status == 200 else Reply.of(body, status))
    with pytest.raises(BadRequestError) as caught:
        await steps_of(stub, SHOWN, model="mine")
    assert caught.value.values["reason"] == reason
    assert "Ollama" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_nothing_of_a_picture_is_in_an_error_or_a_log(
    stub: Stub, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"error": f"cannot use {DATA[0]} of {SHOWN}"}
    stub.on(CHAT, stream(lines(body)) if status == 200 else Reply.of(body, status))
    with pytest.raises(BackendError) as caught:
        await steps_of(stub, SHOWN, model="mine")
    told = f"{caught.value} {caught.value!r} {caught.value.values} {caplog.text}"
    assert "cannot use … of" in told and DATA[0][:40] not in told


async def test_an_ollama_that_hangs_up_on_a_large_picture(stub: Stub) -> None:
    await BACKEND.check(Connection(stub.url))
    large = (Message("user", (ImagePart(bytes(3_000_000), "image/png"),)),)
    stub.on(TAGS, Reply.of({"models": [row("mine:latest", capabilities=["vision"])]}))
    stub.on(PS, Reply.of("", 404))
    stub.on(CHAT, Reply(headers=NDJSON, cut=True))
    with pytest.raises(BackendConnectionError):
        await steps_of(stub, large, model="mine")
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    assert await text_of(stub, large, "mine") == "A cat"
    assert len(stub.asked(CHAT)[-1].body) > 4_000_000


@pytest.mark.parametrize("rest", [b'{"message": {"content": "\xc3', b""])
async def test_an_answer_about_a_picture_that_breaks_off(stub: Stub, rest: bytes) -> None:
    stub.on(CHAT, stream(lines(said("Half")), rest, cut=True))
    answer = BACKEND.stream("mine", SHOWN, PLAIN, Connection(stub.url))
    assert (await first_chunk(answer)).text == "Half"
    with pytest.raises(BackendConnectionError, match="hung up"):
        await anext(answer)


# Loading


async def test_a_model_that_is_being_loaded_is_said_so(stub: Stub) -> None:
    stub.on(PS, Reply.of({"models": []}))
    stub.on(CHAT, stream(lines(said("Hi"), DONE | {"load_duration": SLOWLY})))
    first, *_, end = await steps_of(stub)
    assert first == Progress("loading", detail="into Ollama's memory")
    assert end.timings.load == 3.0


async def test_loading_and_reading_the_prompt_are_told_apart(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on(PS, Reply.of({"models": []}))
    stub.on(CHAT, stream(lines(said("Hi"), said(" there"), DONE | {"load_duration": 1})))
    request = Request(BACKEND, "phi3.5", HELLO, connection=Connection(stub.url))
    answer = await complete(request)
    assert answer.clock.load <= 1e-8 < answer.clock.prefill
    assert answer.notes == ("Q4_0 weights",)
    assert (answer.clock.tokens, answer.clock.token_source) == (2, "reported")


@pytest.mark.parametrize("reply", [Reply.of("", 404), Reply.of("[]"), Reply.of({"models": None})])
async def test_an_ollama_that_lists_nothing_still_answers(stub: Stub, reply: Reply) -> None:
    stub.on(TAGS, reply)
    stub.on(PS, reply)
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    *_, end = chunks = await chunks_of(stub)
    assert [chunk.text for chunk in chunks] == ["Hi", ""] and end.notes == ()


# Forgetting


WORDS = (Message.of("user", "many words " * 1500),)


@pytest.mark.parametrize(
    ("messages", "context", "counts", "words"),
    [
        (HELLO, 4096, {}, ""),
        (WORDS, 8192, {"prompt_eval_count": 2050}, "read only 2,050 tokens"),
        (WORDS, 4096, {"prompt_eval_count": None}, ""),  # nobody knows
        (WORDS, 4096, {"prompt_eval_count": 4096}, "4,096 tokens that Ollama keeps"),
        (HELLO, 4096, {"prompt_eval_count": 3000, "eval_count": 1097}, "forgot the beginning"),
        (HELLO, 4096, {"prompt_eval_count": 3000, "eval_count": 1096}, ""),
        (HELLO, 8192, {"prompt_eval_count": 3000, "eval_count": 1097}, "do not compare"),
        (HELLO, 0, {"prompt_eval_count": 3000, "eval_count": 1097}, "do not compare"),
        (HELLO, 0, {"prompt_eval_count": 2048}, "2,048 tokens that Ollama keeps"),
        (HELLO, 4096, {"prompt_eval_count": 2048}, ""),
        # An old version that did not count what it remembered of the turn before (ollama#5371).
        (WORDS, 4096, {"prompt_eval_count": 40}, ""),
        ((Message.of("user", "长沙" * 4200),), 8192, {"prompt_eval_count": 2050}, "read only"),
    ],
)
async def test_what_was_not_read_is_said(stub: Stub, messages, context, counts, words) -> None:
    stub.on(PS, Reply.of({"models": [RUNNING | {"context_length": context}]}))
    stub.on(CHAT, stream(lines(said("x"), DONE | counts)))
    (*_, end) = await steps_of(stub, messages)
    assert bool(end.warnings) is bool(words)
    assert all(words in warning for warning in end.warnings)


async def test_the_context_of_a_model_that_was_not_in_memory_is_asked_afterwards(
    stub: Stub,
) -> None:
    long = DONE | {"prompt_eval_count": 2048, "eval_count": 100}
    stub.on(CHAT, stream(lines(said("x"), long)))
    small = RUNNING | {"context_length": 2048}
    stub.on(PS, Reply.of({"models": []}), Reply.of({"models": [small]}))
    *_, end = await steps_of(stub)
    assert "2,048 tokens that Ollama keeps" in end.warnings[0]


# Waiting in line


async def test_the_time_in_line_is_told(stub: Stub) -> None:
    # Two questions to SmolLM2 at the same time, as Ollama 0.32 answered the second.
    times = {
        "total_duration": 1_994_000_000,
        "load_duration": 2_000_000,
        "prompt_eval_duration": 12_000_000,
        "eval_duration": 975_000_000,
    }
    stub.on(CHAT, stream(lines(said("x"), DONE | times)))
    *_, end = await steps_of(stub)
    assert end.timings.queued == pytest.approx(1.005)
    stub.on(CHAT, stream(lines(said("x"), {"done": True, "total_duration": 5})))
    *_, end = await steps_of(stub)
    assert end.timings.queued is None  # nobody knows


@pytest.mark.parametrize(("nanoseconds", "load"), [(9_000_000, 0.0), (230_000_000, 0.23)])
async def test_a_model_that_is_loaded_anew_is_said_so(stub: Stub, nanoseconds, load) -> None:
    # It is listed as in memory all the while.
    stub.on(CHAT, stream(lines(said("x"), DONE | {"load_duration": nanoseconds})))
    *_, end = await steps_of(stub)
    assert (end.timings.load, end.timings.waited_to_load) == (load, False)


async def one_after_the_other(stub: Stub, *replies: Reply, models=("phi3.5", "phi3.5")):
    """Two answers: the first has begun when the second is asked for. The steps of the second."""
    stub.on(CHAT, *replies)
    answers = [BACKEND.stream(one, HELLO, PLAIN, Connection(stub.url)) for one in models]
    first = answers[0]
    assert (await first_chunk(first)).text == "First"
    return first, answers[1]


async def test_who_waits_in_line_is_told_so_and_need_not_hurry(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.ollama.first_token_timeout", lambda: 0.05)
    end, go = asyncio.Event(), asyncio.Event()
    ahead = stream(lines(said("First")), end, lines(DONE))
    first, second = await one_after_the_other(stub, ahead, stream(go, lines(said("Hi"), DONE)))
    assert await anext(second) == Progress("queued", detail="number 1 in line")
    waiting = asyncio.ensure_future(anext(second))
    # Longer than it would wait for a server that is silent without a reason.
    assert await asyncio.wait({waiting}, timeout=0.2) == (set(), {waiting})
    end.set()
    assert [step.text async for step in first] == [""]
    assert await waiting == Progress("prefill")
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await anext(second)


async def test_who_is_answered_at_the_same_time_is_not_in_line(stub: Stub) -> None:
    more, never = asyncio.Event(), asyncio.Event()
    ahead = stream(lines(said("First")), more, lines(said("More")), never)
    first, second = await one_after_the_other(stub, ahead, stream(lines(said("Hi"), DONE), never))
    waiting = asyncio.ensure_future(anext(first))
    queued, *rest = [await anext(second) for _ in range(2)]
    assert queued == Progress.in_line(1) and rest[0].text == "Hi"
    more.set()
    assert (await waiting).text == "More"  # after the second has begun
    third = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert await anext(third) == Progress("prefill")
    for answer in (third, second, first):
        await answer.aclose()


async def test_a_last_line_that_comes_late_does_not_hide_the_line(stub: Stub) -> None:
    end = asyncio.Event()
    ahead = stream(lines(said("First")), end, lines(DONE))
    first, second = await one_after_the_other(stub, ahead, stream(lines(said("Hi"), DONE)))
    assert [step.text async for step in second if isinstance(step, Chunk)] == ["Hi", ""]
    third = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert await anext(third) == Progress.in_line(1)
    for answer in (third, first):
        await answer.aclose()


async def test_leaving_the_line_closes_the_stream(stub: Stub) -> None:
    end = asyncio.Event()
    ahead = stream(lines(said("First")), end, lines(DONE))
    first, second = await one_after_the_other(stub, ahead, stream(asyncio.Event()))
    assert await anext(second) == Progress.in_line(1)
    await stub.until_open(2)
    await second.aclose()
    await stub.until_open(1)
    third = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    waiting = asyncio.ensure_future(anext(third))
    assert await waiting == Progress.in_line(1)
    waiting = asyncio.ensure_future(anext(third))
    await stub.until_open(2)
    waiting.cancel()
    await asyncio.wait([waiting])
    await stub.until_open(1)
    await first.aclose()


async def test_an_ollama_that_is_never_idle_keeps_nothing_of_old_answers() -> None:
    turns, joined, old = Turns(), deque[ExitStack](), list[weakref.ref[Turn]]()
    for _ in range(20):  # each begins before the one in front of it has ended
        joined.append(ExitStack())
        old.append(weakref.ref(joined[-1].enter_context(turns.join("phi3.5"))))
        if len(joined) > 2:
            joined.popleft().close()
    gc.collect()
    # Those on their way, and those in front of them when they came.
    assert sum(one() is not None for one in old) <= 2 * len(joined)


@pytest.mark.parametrize("fits", [True, False])
async def test_a_load_that_holds_another_answer_is_not_told_as_a_load(
    stub: Stub, fits: bool
) -> None:
    other = {"name": "phi4:latest", "model": "phi4:latest", "context_length": 4096}
    rows = {"models": [other, *([RUNNING] if fits else [])]}
    stub.on(TAGS, Reply.of({"models": [ROW, other]}))
    stub.on(PS, Reply.of({"models": [RUNNING]}), Reply.of({"models": [RUNNING]}), Reply.of(rows))
    end = asyncio.Event()
    ahead = stream(lines(said("First")), end, lines(DONE))
    loaded = stream(end, lines(said("Hi"), DONE | {"load_duration": SLOWLY}))
    first, second = await one_after_the_other(stub, ahead, loaded, models=("phi3.5", "phi4"))
    assert await anext(second) == Progress("loading", detail="into Ollama's memory")
    end.set()
    assert [step.text async for step in first] == [""]
    *_, last = [step async for step in second]
    assert last.timings.load == 3.0 and last.timings.waited_to_load is not fits


# What a model thinks, and answers without text


def thought(text: str) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": "", "thinking": text}, "done": False}


async def test_thoughts_are_told_apart(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(thought("Hm. "), thought("Well."), said("    Paris"), DONE)))
    chunks = await chunks_of(stub)
    assert [(chunk.thinking, chunk.text) for chunk in chunks] == [
        ("Hm. ", ""),
        ("Well.", ""),
        ("", "    Paris"),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("message", "reason", "note"),
    [
        ({}, "load", "Ollama only loaded it"),
        ({}, "unload", "Ollama only unloaded it"),
        ({"tool_calls": [{"function": {"name": "sum"}}]}, "stop", "it called a tool"),
    ],
)
async def test_an_answer_without_text_says_why(stub: Stub, message, reason, note) -> None:
    stub.on(CHAT, stream(lines(DONE | {"message": message, "done_reason": reason})))
    (end,) = await chunks_of(stub)
    assert (end.finish_reason, end.notes) == ("stop", ("Q4_0 weights", note))


@pytest.mark.parametrize(("times", "guarded"), [(30, False), (31, True), (40, True)])
async def test_a_model_that_repeats_itself_is_no_fault_of_the_network(
    stub: Stub, times: int, guarded: bool
) -> None:
    # Ollama ends such an answer without a last line.
    same = [said(" la" if n % 2 else "la\n") for n in range(times)]
    stub.on(CHAT, stream(lines(said("Tra"), *same)))
    if not guarded:
        with pytest.raises(BackendConnectionError, match="hung up"):
            await steps_of(stub)
        return
    *_, end = await chunks_of(stub)
    assert end.finish_reason == "stop" and "again and again" in end.warnings[0]
    stub.on(CHAT, stream(lines(*same), cut=True))
    with pytest.raises(BackendConnectionError, match="hung up"):
        await steps_of(stub)


async def test_an_answer_that_never_begins(stub: Stub) -> None:
    stub.on(CHAT, stream(b""))
    with pytest.raises(BackendConnectionError, match="before it had begun"):
        await steps_of(stub)


@pytest.mark.parametrize(
    ("details", "said_so"),
    [
        ({"template": "{{ .Prompt }}"}, True),
        ({"template": "{{- .Prompt -}}\n"}, True),
        ({"template": "{{ .Prompt }}", "renderer": "gemma4"}, False),
        ({"template": "<|user|>{{ .Prompt }}<|end|>"}, False),
        ({"template": ""}, False),
        ({}, False),
    ],
)
async def test_a_model_without_a_chat_template_is_said_so(stub: Stub, details, said_so) -> None:
    stub.on(SHOW, Reply.of(details))
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    *_, end = await steps_of(stub)
    assert [("without its chat template" in one) for one in end.warnings] == [True] * said_so


async def test_another_model_that_answers_is_said(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x") | {"model": "smollm2:latest"}, DONE)))
    *_, end = await steps_of(stub)
    assert "“smollm2:latest” answered" in end.warnings[0]


# Models that run at ollama.com


CLOUD = {
    "name": "gpt-oss:120b-cloud",
    "model": "gpt-oss:120b-cloud",
    "remote_model": "gpt-oss:120b",
    "remote_host": "https://ollama.com:443",
    "size": 384,
    "digest": "sha256:cloud",
    "details": {"quantization_level": "MXFP4", "parameter_size": "116.8B"},
    "capabilities": ["completion", "thinking", "tools"],
}


async def test_a_model_that_runs_elsewhere_says_where(stub: Stub) -> None:
    stub.on(TAGS, Reply.of({"models": [CLOUD]}))
    offer = (await BACKEND.check(Connection(stub.url))).offers[0]
    assert offer.status.message == "Runs at ollama.com: what you write is sent there."
    stub.on(CHAT, stream(lines(said("Hi") | {"remote_host": CLOUD["remote_host"]}, DONE)))
    *_, end = await chunks_of(stub, model="gpt-oss:120b-cloud")
    assert end.notes == ("answered at ollama.com",) and end.timings.device is None
    assert not stub.asked(PS) and not stub.asked(SHOW)


async def test_a_model_that_was_not_listed_may_run_elsewhere_too(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Hi") | {"remote_host": CLOUD["remote_host"]}, DONE)))
    *_, end = await chunks_of(stub, model="minimax-m2:cloud")
    assert end.notes == ("answered at ollama.com",) and end.timings.device is None
    assert not stub.asked(PS)


LINK = "https://ollama.com/connect?name=laptop&key=c3NoLWVk"


@pytest.mark.parametrize(
    ("model", "body", "hint"),
    [
        ("gpt-oss:120b-cloud", {"error": "unauthorized", "signin_url": LINK}, f"or open {LINK}."),
        ("gpt-oss:120b-cloud", {"error": "unauthorized"}, "on its machine."),
        ("mine", {"error": "unauthorized", "signin_url": LINK}, LINK),
        (
            "mine",
            {"error": "unauthorized", "signin_url": "https://evil.example/"},
            "machine.",
        ),
        ("mine", {"error": "unauthorized", "signin_url": 7}, "on its machine."),
    ],
)
async def test_a_cloud_model_wants_a_sign_in_not_a_key(stub: Stub, model, body, hint) -> None:
    stub.on(CHAT, Reply.of(body, 401))
    with pytest.raises(AuthenticationError) as caught:
        await steps_of(stub, model=model)
    assert "not signed in" in caught.value.message
    assert caught.value.hint.startswith("Run `ollama signin`") and hint in caught.value.hint
    assert "evil" not in str(caught.value)


# Refusals and worse


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": "unauthorized sk-1"}, AuthenticationError, "refused the key"),
        (403, "", BackendConnectionError, "OLLAMA_HOST=0.0.0.0"),
        (403, {"error": "not for you"}, AuthenticationError, "does not let this key"),
        (
            403,
            {"error": "ollama cloud is disabled: remote model is unavailable"},
            BadRequestError,
            "switched off",
        ),
        (404, "404 page not found", BackendConnectionError, "is not Ollama"),
        (404, {"detail": "Not Found"}, BackendConnectionError, "is not Ollama"),
        (404, {"error": {"message": "No such route"}}, BackendConnectionError, "is not Ollama"),
        (405, {"detail": "Method Not Allowed"}, BackendConnectionError, "is not Ollama"),
        (
            404,
            {"error": 'model "phi3.5" not found, try pulling it first'},
            ModelNotFoundError,
            "ollama pull phi3.5",
        ),
        (400, {"error": '"phi3.5" does not support chat'}, BadRequestError, "not made for"),
        (400, {"error": "invalid model name"}, BadRequestError, "no name that a model can have"),
        (500, {"error": 'option "seed" must be of type integer'}, BadRequestError, "a setting"),
        (404, {"error": "model 'phi3.5' not found"}, ModelNotFoundError, "ollama pull phi3.5"),
        (400, {"error": "phi does not support images sk-1"}, BadRequestError, "support images"),
        (
            400,
            {"error": "the input length exceeds the context length"},
            ContextLengthError,
            "do not fit",
        ),
        (
            500,
            {"error": "model requires more system memory (5.6 GiB) than is available (1.1 GiB)"},
            OutOfMemoryError,
            "5.6 GiB",
        ),
        (500, {"error": "ggml: failed to allocate buffer"}, OutOfMemoryError, "smaller model"),
        (500, {"error": "not enough memory for the cache"}, OutOfMemoryError, "smaller model"),
        (500, {"error": "ErrorOutOfDeviceMemory: allocation failed"}, OutOfMemoryError, "smaller"),
        (500, "<html>nginx</html>", ServerError, "failed (500)."),
        (503, {"error": "server busy, please try again."}, ServerError, "server busy"),
        (429, {"error": "slow down"}, RateLimitError, "too many requests"),
        (307, "", BackendConnectionError, "another address"),
        (400, '{"error": ' + "[" * 900 + "]" * 900 + "}", BadRequestError, "refused the request"),
    ],
)
async def test_refusals(stub: Stub, status: int, body: object, kind: type, words: str) -> None:
    stub.on(CHAT, Reply.of(body, status, location="http://127.0.0.1:9/"))
    with pytest.raises(kind) as caught:
        await steps_of(stub, key="sk-1")
    assert type(caught.value) is kind
    assert words in str(caught.value) and "sk-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("llama runner process has terminated: sk-1", ServerError, "has terminated"),
        ("CUDA error: out of memory", OutOfMemoryError, "does not fit into the memory"),
        ({"code": 500}, ServerError, "cannot be read"),
        (17, ServerError, "cannot be read"),
        ("17", ServerError, "says: “17”"),
        ({"message": "it broke"}, ServerError, "says: “it broke”"),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(stub: Stub, error, kind, words) -> None:
    stub.on(CHAT, stream(lines(said("Half"), {"error": error})))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url, "sk-1"))
    assert (await first_chunk(answer)).text == "Half"
    with pytest.raises(kind, match=words) as caught:
        await anext(answer)
    assert "sk-1" not in str(caught.value)
    assert len(stub.asked(CHAT)) == 1


DIED = "an error was encountered while running the model: "
STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal "
    "error, check ollama server logs for details"
)
REFUSED = "error: request (13899 tokens) exceeds the available context size (4096 tokens)"


@pytest.mark.parametrize(
    ("error", "kind", "quoted"),
    [
        (DIED + REFUSED, ServerError, ""),
        (f"{DIED}CUDA error: out of memory\n{REFUSED}", ServerError, ""),
        (f"{STOPPED}: {REFUSED}", ServerError, ""),
        (f"{DIED}error: this model is missing data required for image input", ServerError, ""),
        (STOPPED, ServerError, ""),
        (f"{DIED}unexpected EOF", ServerError, ""),
        ("llama-server process no longer running: -1 ", ServerError, "-1"),
        (f"{DIED}{REFUSED}\nGGML_ASSERT(n > 0) failed", ServerError, "GGML_ASSERT(n > 0) failed"),
        (f"{DIED}{REFUSED}\ncudaMalloc failed", OutOfMemoryError, ""),
        (f"{STOPPED}: CUDA error: out of memory", OutOfMemoryError, ""),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
async def test_an_engine_that_died_is_not_explained_by_what_it_refused_before(
    stub: Stub, status: int, error: str, kind: type, quoted: str
) -> None:
    body = {"error": error}
    stub.on(CHAT, stream(lines(said("x"), body)) if status == 200 else Reply.of(body, status))
    with pytest.raises(BackendError) as caught:
        await steps_of(stub)
    assert type(caught.value) is kind
    assert caught.value.message.startswith("Ollama's engine stopped while it answered")
    assert ("Its log ends" in caught.value.message) is bool(quoted)
    assert ("It says" in caught.value.message) is (error == STOPPED)
    assert quoted in caught.value.message and "13899" not in str(caught.value)


async def test_an_answer_that_was_broken_off_is_no_whole_one(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Half"), DONE | {"done_reason": "error"})))
    with pytest.raises(ServerError, match="broke off its answer: it says “error”"):
        await steps_of(stub)


async def test_a_refused_prompt_says_how_long_it_is(stub: Stub) -> None:
    inner = {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 8889}
    text = json.dumps({"error": inner | {"message": "request exceeds", "n_ctx": 4096}})
    stub.on(CHAT, Reply.of({"error": text}, 400))
    with pytest.raises(ContextLengthError) as caught:
        await steps_of(stub)
    assert (caught.value.values["tokens"], caught.value.values["context"]) == (8889, 4096)


async def test_without_a_key_one_is_wanted(stub: Stub) -> None:
    stub.on(CHAT, Reply.of({"error": "unauthorized"}, 401))
    with pytest.raises(MissingKeyError, match="wants a key"):
        await steps_of(stub)


async def test_a_login_page_in_place_of_an_answer(stub: Stub) -> None:
    stub.on(CHAT, Reply((b"\n<!DOCTYPE html><p>Sign in",), headers={"content-type": "text/html"}))
    with pytest.raises(BackendConnectionError, match="web page"):
        await steps_of(stub)


@pytest.mark.parametrize("rest", [b"", b'{"message": {"content": "\xc3', b"{} \n"])
@pytest.mark.parametrize("cut", [True, False])
async def test_a_server_that_hangs_up(stub: Stub, rest: bytes, cut: bool) -> None:
    stub.on(CHAT, stream(lines(said("Half")), rest, cut=cut))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert (await first_chunk(answer)).text == "Half"
    with pytest.raises(BackendConnectionError, match="hung up"):
        await anext(answer)


@pytest.mark.parametrize(
    "line", [b"{broken\n", b"<html>\n", b"[1]\n", b"{]}\n", b"[" * 100_000 + b"\n"]
)
async def test_a_line_that_cannot_be_read(stub: Stub, line: bytes) -> None:
    stub.on(CHAT, stream(lines(said("Half")), line))
    with pytest.raises(ServerError, match="cannot be read"):
        await steps_of(stub)


@pytest.mark.parametrize("line", [{"message": None}, {"message": "x"}, {"message": {"content": 1}}])
async def test_lines_without_text_are_passed_over(stub: Stub, line: object) -> None:
    stub.on(CHAT, stream(b"\n", lines(line, said("Text"), DONE)))
    assert await text_of(stub) == "Text"


async def test_bytes_that_are_no_text_are_replaced(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("a@b"), DONE).replace(b"@", b"\xff")))
    assert await text_of(stub) == "a\ufffdb"


async def test_nobody_there() -> None:
    async with Stub() as stub:
        url = stub.url
    with pytest.raises(BackendConnectionError, match="cannot be reached"):
        await anext(BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(url)))
    status = (await BACKEND.check(Connection(url))).status
    assert status.state == "unreachable" and url in status.message
    offers = (await BACKEND.check(Connection(url))).offers
    assert [offer.model for offer in offers] == [
        *("phi3.5", "phi3", "phi4-mini", "phi3:medium", "phi4")
    ]
    assert all(offer.status == status and offer.download_size is None for offer in offers)


async def test_a_silent_server(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than a busy machine needs to bring "Half" here.
    monkeypatch.setenv("PHI_SILENCE_TIMEOUT", "1")
    never = asyncio.Event()
    stub.on(CHAT, stream(never), stream(lines(said("Half")), never))
    with pytest.raises(BackendTimeoutError, match="did not begin to answer for 1 s"):
        await steps_of(stub)
    with pytest.raises(BackendTimeoutError, match="fell silent for 1 s"):
        await steps_of(stub)


async def test_lines_without_text_do_not_count_as_an_answer(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.ollama.first_token_timeout", lambda: 0.05)
    stub.on(CHAT, stream(lines({"message": {"content": ""}}), asyncio.Event()))
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await steps_of(stub)


async def test_loading_may_take_longer(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_SILENCE_TIMEOUT", "1")
    monkeypatch.setattr("backends.ollama.client.LOADING_TIMEOUT", 2.0)
    stub.on(PS, Reply.of({"models": []}))
    stub.on(CHAT, stream(asyncio.Event()))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert (await anext(answer)).stage == "loading"
    with pytest.raises(BackendTimeoutError, match="did not begin to answer for 2 s"):
        await anext(answer)


async def test_an_ollama_that_does_not_tell_about_itself_while_it_loads(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = type(BACKEND.servers)
    ask = servers.request_json
    monkeypatch.setattr(servers, "request_json", lambda *known, **more: ask(*known[:4], 0.05))
    stub.on(PS, Reply((asyncio.Event(),), headers=NDJSON))
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    assert await text_of(stub) == "Hi"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_once_again(stub: Stub, status: int) -> None:
    busy = Reply.of({"error": "busy"}, status, retry_after="0")
    stub.on(CHAT, busy, stream(lines(said("Now"), DONE)))
    assert await text_of(stub) == "Now"
    assert len(stub.asked(CHAT)) == 2


async def test_it_waits_as_long_as_the_server_asks(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.extend([seconds] if seconds else [])

    monkeypatch.setattr(retry, "sleep", sleep)
    stub.on(CHAT, Reply.of("", 429, retry_after="2"), stream(lines(said("Now"), DONE)))
    steps = [step for step in await steps_of(stub) if isinstance(step, Progress)]
    waits = [step.detail for step in steps if step.stage == "retrying"]
    assert waits == ["again in 2 s", "again in 1 s"] and slept == [1.0, 1.0]


# Leaving


async def test_closing_the_answer_closes_the_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Half")), asyncio.Event()))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    await anext(answer)
    await answer.aclose()
    await stub.until_open(0)


@pytest.mark.parametrize("path", [CHAT, PS, TAGS, SHOW])
async def test_cancelling_before_the_first_byte_closes_it_too(stub: Stub, path: str) -> None:
    stub.on(path, Reply((asyncio.Event(),), headers=NDJSON))
    task = asyncio.ensure_future(steps_of(stub))
    await stub.until_asked(path)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await stub.until_open(0)


# Any split of the bytes


TEXTS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=1)


@given(texts=TEXTS, cuts=st.lists(st.integers(0, 2000), max_size=12), crlf=st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_split_gives_the_same_text(texts: list[str], cuts: list[int], crlf: bool) -> None:
    whole = lines(*map(said, texts), DONE)
    whole = whole.replace(b"\n", b"\r\n") if crlf else whole
    marks = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    pieces = [whole[a:b] for a, b in pairwise(marks)]

    async def read() -> str:
        async with Stub() as stub:
            stub.on(CHAT, stream(*pieces))
            return await text_of(stub)

    text = "".join(texts)
    begins = next((one for one in texts if one), "")
    indented = begins.startswith(" ") and not begins.startswith("  ")
    assert asyncio.run(read()) == (text[1:] if indented else text)


async def test_lines_end_at_line_feeds_only(stub: Stub) -> None:
    text = "one\u0085two\u2028three\x1cfour"
    stub.on(CHAT, stream(lines(said(text), DONE)))
    assert await text_of(stub) == text


# Keys and addresses


async def test_without_a_key_none_is_sent(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-ours")
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub)
    await BACKEND.check(Connection(stub.url))
    await BACKEND.check(Connection(stub.url))
    assert {seen.path for seen in stub.seen} == {CHAT, TAGS, PS, SHOW, VERSION}
    assert not any("sk-ours" in str(seen) for seen in stub.seen)


async def test_the_environments_key_goes_to_the_environments_address_only(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-ours")
    monkeypatch.setattr(type(BACKEND), "default_address", stub.url)
    await BACKEND.check()
    monkeypatch.setenv("OLLAMA_HOST", stub.url.removeprefix("http://"))
    await BACKEND.check()
    await BACKEND.check(Connection(stub.url))
    await BACKEND.check(Connection(None, "sk-typed"))
    keys = [seen.headers.get("authorization") for seen in stub.seen]
    assert [key for key, _ in groupby(keys)] == [None, "Bearer sk-ours", None, "Bearer sk-typed"]


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":11435", "http://127.0.0.1:11435"),
        ("box.local", "http://box.local:11434"),
        ("box.local:", "http://box.local:11434"),
        ("box.local:8080/", "http://box.local:8080"),
        ("box.local/ollama", "http://box.local:11434/ollama"),
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://box.local", "http://box.local"),
        ("https://box.local:444/x/", "https://box.local:444/x"),
        ("http://localhost:11434/v1", "http://localhost:11434"),
        ("http://localhost:11434/api/chat", "http://localhost:11434"),
        ("https://ollama.com/api", "https://ollama.com"),
        ("ollama.com", "https://ollama.com"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:8080", "http://[::1]:8080"),
        ("fe80::1", "http://[fe80::1]:11434"),
        (' "127.0.0.1:11434" ', "http://127.0.0.1:11434"),
        ("http://:8080", "http://127.0.0.1:8080"),
        ("ollama.com/api", "https://ollama.com"),
        ("www.ollama.com", "https://www.ollama.com"),
        # as others paste them
        ("OLLAMA_HOST=0.0.0.0:11435", "http://127.0.0.1:11435"),
        ("export OLLAMA_HOST=box.local", "http://box.local:11434"),
        ("http:/box.local:8080", "http://box.local:8080"),
        ("http//box.local:8080", "http://box.local:8080"),
        ("http://http://box.local:8080", "http://box.local:8080"),
        ("//box.local/api/tags", "http://box.local:11434"),
        ("\\\\box.local", "http://box.local:11434"),
        ("“box.local:8080”,", "http://box.local:8080"),
        ("<box.local>", "http://box.local:11434"),
        ("11435", "http://localhost:11435"),
    ],
)
def test_addresses_as_ollama_takes_them(
    typed: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", typed)
    assert BACKEND.resolve_endpoint(None).url == url


@pytest.mark.parametrize("typed", ["http://", "ftp://box", "box:99999", "not an address", "a@b:1"])
async def test_what_is_no_address(typed: str) -> None:
    assert (await BACKEND.check(Connection(typed))).status.code == "bad_address"


# What it has


async def test_a_status_names_the_version(stub: Stub) -> None:
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.ready and status.message == "Ollama 0.33.2 answers."


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of("404 page not found", 404),
        Reply.of("<html>"),
        Reply.of({}),
        Reply.of({"error": "Unexpected endpoint or method. (GET /api/version)"}),  # LM Studio
    ],
)
async def test_what_is_not_an_ollama_is_not_called_one(stub: Stub, reply: Reply) -> None:
    for path in (VERSION, TAGS):
        stub.on(path, reply)
    assert (await BACKEND.check(Connection(stub.url))).status.state == "unreachable"


@pytest.mark.parametrize(("hidden", "words"), [(VERSION, "Ollama answers."), (TAGS, "Ollama 0.3")])
async def test_an_ollama_behind_a_proxy_that_hides_a_part(
    stub: Stub, hidden: str, words: str
) -> None:
    stub.on(hidden, Reply.of("404 page not found", 404))
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.ready and status.message.startswith(words)


async def test_a_key_that_is_refused_is_asked_for(stub: Stub) -> None:
    stub.on(VERSION, Reply.of({"error": "unauthorized"}, 401))
    for key in (None, "sk-1"):
        status = (await BACKEND.check(Connection(stub.url, key))).status
        assert status.state == "needs key"


async def test_a_host_that_ollama_does_not_know_is_named(stub: Stub) -> None:
    for path in (VERSION, TAGS):
        stub.on(path, Reply(status=403))
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.state == "unreachable"
    assert stub.url.removeprefix("http://") in status.message and "Host" in status.message


async def test_the_models(stub: Stub) -> None:
    other = {"name": "llama3.2:3b", "size": 2_000_000_000, "details": {}}
    bert = {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}}
    named = {"name": "phi3:14b-medium-128k-instruct-q4_0", "details": "?"}
    stub.on(TAGS, Reply.of({"models": [other, bert, ROW, named, "?", {"size": 1}]}))
    offers = (await BACKEND.check(Connection(stub.url))).offers
    assert [(offer.model, offer.spec.label, offer.status.message) for offer in offers[:3]] == [
        ("phi3.5", "Phi-3.5-mini", "Installed in Ollama: Q4_0, 2.2 GB."),
        ("phi3:14b-medium-128k-instruct-q4_0", "Phi-3-medium-128k", "Installed in Ollama."),
        ("llama3.2:3b", "llama3.2:3b", "Installed in Ollama: 2.0 GB."),
    ]
    missing = {offer.model: offer for offer in offers[3:]}
    assert list(missing) == ["phi3", "phi4-mini", "phi3:medium", "phi4"]
    phi = missing["phi3"]
    assert (phi.status.state, phi.status.code) == ("not installed", "not_pulled")
    assert phi.status.message.endswith("about 2.2 GB.") and phi.download_size


@pytest.mark.parametrize(
    ("told", "offered"),
    [
        ({"capabilities": ["completion", "tools"]}, True),
        ({"capabilities": ["embedding"]}, False),
        ({"capabilities": ["image"]}, False),
        ({"capabilities": []}, True),  # nobody knows
        ({"details": {"family": "nomic-bert"}}, False),
        ({"details": {"family": "nomic-bert"}, "capabilities": ["completion"]}, True),
    ],
)
async def test_only_models_that_can_chat_are_offered(stub: Stub, told, offered: bool) -> None:
    stub.on(TAGS, Reply.of({"models": [row("mine:latest", **told)]}))
    models = [offer.model for offer in (await BACKEND.check(Connection(stub.url))).offers]
    assert ("mine" in models) is offered


async def test_what_the_server_tells_of_a_model_is_in_its_offer(stub: Stub) -> None:
    details = {"parameter_size": "134.52M", "context_length": 8192}
    long = ROW | {"details": {"parameter_size": "4B", "context_length": 131_072}}
    stub.on(TAGS, Reply.of({"models": [row("smollm2:latest", details=details), long]}))
    phi, other = (await BACKEND.check(Connection(stub.url))).offers[:2]
    assert (phi.spec.key, phi.spec.context, phi.spec.parameters) == (
        *("phi-3.5-mini", 131_072, 3_821_079_552),
    )
    assert (other.spec.context, other.spec.parameters) == (8192, 134_520_000)


@pytest.mark.parametrize(
    ("installed", "asked", "sent"),
    [
        (["phi3:latest"], "phi3:mini", "phi3"),
        (["phi3:latest"], "phi3:3.8b", "phi3"),
        (["phi3:mini"], "phi3", "phi3:mini"),
        (["phi3:mini"], "phi3:latest", "phi3:mini"),
        (["phi3:mini", "phi3:latest"], "phi3:mini", "phi3:mini"),
        (["phi3:14b"], "phi3:medium", "phi3:14b"),
        (["phi3:14b"], "phi3", "phi3"),
        (["phi3.5:latest"], "library/Phi3.5", "phi3.5"),
        (["phi3.5:latest"], "registry.ollama.ai/library/phi3.5:latest", "phi3.5"),
        (["me/phi3:latest"], "me/phi3:mini", "me/phi3:mini"),
        ([], "phi3:mini", "phi3:mini"),
    ],
)
async def test_names_of_the_library_that_mean_one_model(
    stub: Stub, installed: list[str], asked: str, sent: str
) -> None:
    stub.on(TAGS, Reply.of({"models": [row(name) for name in installed]}))
    stub.on(CHAT, stream(lines(said("Hi") | {"model": sent}, DONE)))
    *_, end = await chunks_of(stub, model=asked)
    assert stub.asked(CHAT)[0].json["model"] == sent and end.warnings == ()


@pytest.mark.parametrize(
    ("installed", "offer"),
    [
        ("phi3:latest", ("phi3", "ready", {"phi3:mini", "phi3:3.8b"})),
        ("phi3:mini", ("phi3:mini", "ready", {"phi3", "phi3:3.8b"})),
        ("other:latest", ("phi3", "not installed", {"phi3:mini", "phi3:3.8b"})),
    ],
)
async def test_an_offer_names_the_aliases_of_its_model(stub: Stub, installed, offer) -> None:
    stub.on(TAGS, Reply.of({"models": [row(installed)]}))
    offers = (await BACKEND.check(Connection(stub.url))).offers
    (found,) = (one for one in offers if one.spec.key == "phi-3-mini-4k")
    assert (found.model, found.status.state, set(found.aliases)) == offer


async def test_a_model_that_was_deleted_is_looked_for_again(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    assert await text_of(stub) == "Hi"
    stub.on(TAGS, Reply.of({"models": []}))
    stub.on(CHAT, Reply.of({"error": "model 'phi3.5' not found"}, 404))
    with pytest.raises(ModelNotFoundError):
        await steps_of(stub)
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    *_, end = await steps_of(stub)
    assert len(stub.asked(TAGS)) == 2 and end.notes == ()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("phi3", "Phi-3-mini-4k"),
        ("library/phi3:mini", "Phi-3-mini-4k"),
        ("phi3:3.8b-mini-128k-instruct-q4_0", "Phi-3-mini-128k"),
        ("phi3:14b", "Phi-3-medium-4k"),
        ("phi3.5:3.8b-mini-instruct-q4_K_M", "Phi-3.5-mini"),
        ("phi4-mini", "Phi-4-mini"),
        ("phi4-mini-reasoning", "Phi-4-mini-reasoning"),
        ("phi4-reasoning:14b-plus-q4_K_M", "Phi-4-reasoning-plus"),
        ("phi4-reasoning", "Phi-4-reasoning"),
        ("phi4:14b-q8_0", "Phi-4"),
        ("hf.co/microsoft/Phi-3-mini-4k-instruct-gguf:latest", "Phi-3-mini-4k"),
        ("me/phi3-pirate", "me/phi3-pirate"),
    ],
)
def test_what_names_mean(name: str, label: str) -> None:
    assert BACKEND.spec_of(name).label == label


# Downloads


def layer(digest: str, total: int, completed: int | None = None) -> dict[str, object]:
    line: dict[str, object] = {"status": f"pulling {digest}", "digest": digest, "total": total}
    return line if completed is None else line | {"completed": completed}


async def pull(stub: Stub, model: str = "phi3.5") -> list[Progress]:
    return [step async for step in BACKEND.download(model, Connection(stub.url))]


async def test_a_download(stub: Stub) -> None:
    events = (
        {"status": "pulling manifest"},
        layer("sha256:a", 2_000_000_000),
        layer("sha256:a", 2_000_000_000, 500_000_000),
        layer("sha256:a", 2_000_000_000, 2_000_000_000),
        layer("sha256:b", 500_000_000, 0),
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    )
    stub.on(PULL, stream(lines(*events)))
    steps = await pull(stub)
    assert [(step.fraction, step.detail) for step in steps] == [
        (None, "looking it up"),
        (0.0, "0.0 of 2.0 GB"),
        (0.25, "0.5 of 2.0 GB"),
        (1.0, "2.0 of 2.0 GB"),
        (0.8, "2.0 of 2.5 GB"),
        (0.8, "verifying"),
        (0.8, "writing manifest"),
    ]
    assert stub.asked(PULL)[0].json == {"model": "phi3.5", "stream": True}


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("pull model manifest: file does not exist", ModelNotFoundError, "has no “phi9”"),
        ("write /x: no space left on device", OutOfDiskError, "does not fit onto the disk"),
        ("dial tcp: lookup registry.ollama.ai: no such host", BackendConnectionError, "connected"),
        ("requires a newer version of Ollama", BadRequestError, "too old"),
        ("digest mismatch, file must be downloaded again", ServerError, "came damaged"),
        ("pull model manifest: unauthorized: access denied", AuthenticationError, "signin"),
        ("something else", ServerError, "something else"),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_download_that_fails(stub: Stub, status: int, error, kind, words) -> None:
    body = {"error": error}
    stub.on(PULL, stream(lines(body)) if status == 200 else Reply.of(body, status))
    with pytest.raises(kind, match=words):
        await pull(stub, "phi9")


@pytest.mark.parametrize("cut", [True, False])
async def test_a_download_that_breaks_off(stub: Stub, cut: bool) -> None:
    stub.on(PULL, stream(lines(layer("sha256:a", 10, 5)), cut=cut))
    with pytest.raises(BackendConnectionError, match="press Download to go on"):
        await pull(stub)


async def test_a_download_that_is_cancelled(stub: Stub) -> None:
    stub.on(PULL, stream(lines(layer("sha256:a", 10, 5)), asyncio.Event()))
    steps = BACKEND.download("phi3.5", Connection(stub.url))
    assert (await anext(steps)).fraction == 0.5
    await steps.aclose()
    await stub.until_open(0)


async def test_half_a_pair_in_a_models_name_is_no_text_that_a_page_can_send(stub: Stub) -> None:
    row = '{"name": "\\ud800lone:1b", "size": 1, "details": {"quantization_level": "Q\\udc00"}}'
    tags = f'{{"models": [{row}, {{"name": "phi3.5", "size": 1}}]}}'
    stub.on(TAGS, Reply((tags.encode(),), headers={"content-type": "application/json"}))
    offers = (await BACKEND.check(Connection(stub.url))).offers
    assert "\ufffdlone:1b" in [offer.model for offer in offers]
    for offer in offers:
        f"{offer.model}{offer.status.message}{offer.spec.label}".encode()
