"""Ollama's API against servers that say everything that was seen, and some that say worse."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator
from itertools import groupby, pairwise

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import (
    CONTEXT_CAP,
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
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    Progress,
    RateLimitError,
    ServerError,
    TextPart,
    Usage,
)
from backends._remote import endpoint
from playground.answer import Request
from playground.compare import complete
from tests.stub import Reply, Stub

CHAT, TAGS, PS = "/api/chat", "/api/tags", "/api/ps"
PULL, VERSION = "/api/pull", "/api/version"
BACKEND = REGISTRY["ollama"]
NDJSON = {"content-type": "application/x-ndjson"}
HELLO = (Message.of("user", "Hello"),)
PLAIN = GenerationParams()
ROW = {
    "name": "phi3.5:latest",
    "model": "phi3.5:latest",
    "size": 2_176_178_843,
    "details": {"family": "phi3", "parameter_size": "3.8B", "quantization_level": "Q4_0"},
}
SLOWLY = 3_000_000_000
DONE: dict[str, object] = {
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000_000,
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
        stub.on(PS, Reply.of({"models": [ROW]}))
        stub.on(VERSION, Reply.of({"version": "0.33.2"}))
        yield stub


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a retry, and none finds an Ollama of this machine."""
    monkeypatch.setattr(endpoint.random, "uniform", lambda low, high: 0.0)
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


async def text_of(stub: Stub, messages=HELLO, model: str = "phi3.5") -> str:
    steps = await steps_of(stub, messages, model=model)
    return "".join(step.text for step in steps if isinstance(step, Chunk))


# What a good Ollama says


async def test_a_good_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said(" Hel"), said("lo"), DONE)))
    *_, end = steps = await steps_of(stub)
    assert [step.text for step in steps] == ["Hel", "lo", ""]
    assert all(step.at > 0 and step.tokens is None for step in steps)
    assert (end.finish_reason, end.usage) == ("stop", Usage(9, 2))
    assert (end.notes, end.warnings) == (("Q4_0 weights",), ())
    timings = end.timings
    assert (timings.load, timings.prefill, timings.decode) == (0.0, 0.25, 0.5)
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
            "num_ctx": CONTEXT_CAP,
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
        "shift": False,
        "stream": True,
    }
    assert seen.headers["authorization"] == "Bearer sk-1"
    assert end.finish_reason == "length"


async def test_knobs_that_were_not_turned_are_left_to_the_model(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub)
    assert stub.asked(CHAT)[0].json["options"] == {"num_ctx": CONTEXT_CAP, "repeat_penalty": 1.0}


async def test_stop_texts_do_not_replace_those_of_a_phi_model(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE)))
    await steps_of(stub, params=GenerationParams(stop=("###",)))
    assert stub.asked(CHAT)[0].json["options"]["stop"][:2] == ["###", "<|end|>"]


async def test_a_picture_for_a_model_that_reads_none_is_refused_before_any_request(
    stub: Stub,
) -> None:
    picture = Message("user", (ImagePart(b"x", "image/png"),))
    with pytest.raises(BadRequestError, match="reads text only"):
        await steps_of(stub, (picture,))
    assert stub.seen == []


# Pictures


ONE, TWO = ImagePart(b"\x89PNG" + bytes(600), "image/png"), ImagePart(b"\xff\xd8two", "image/jpeg")
DATA = [base64.b64encode(image.data).decode() for image in (ONE, TWO)]
SHOWN = (Message("user", (ONE, TextPart("What is it?"))),)
SHOW = "/api/show"


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
    mine = row("my-phi-4-eyes:latest", capabilities=["completion", "vision"])
    blind = row("phi-3.5-vision:latest", capabilities=["completion"])
    stub.on(TAGS, Reply.of({"models": [mine, blind]}))
    stub.on(CHAT, stream(lines(said("A cat"), DONE)))
    seeing, other = (await BACKEND.check(Connection(stub.url))).offers[:2]
    assert (seeing.spec.key, seeing.spec.modalities) == ("phi-4", ("text", "image"))
    assert (other.spec.key, other.spec.modalities) == ("phi-3.5-vision", ("text",))
    assert await text_of(stub, SHOWN, "my-phi-4-eyes") == "A cat"
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
    assert [seen.json for seen in stub.asked(SHOW)] == [{"model": "a"}, {"model": "b"}]
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
    assert len(stub.asked(SHOW)) == 1
    assert await text_of(stub, SHOWN, "old") == "A cat"
    # What was told is remembered, even that it is nothing; a failure is only the moment's.
    assert len(stub.asked(SHOW)) == (1 if reply.status == 200 else 2)


async def test_without_a_picture_nothing_more_is_asked(stub: Stub) -> None:
    stub.on(TAGS, Reply.of({"models": [row("mine:latest")]}))
    stub.on(CHAT, stream(lines(said("Hi"), DONE)))
    await steps_of(stub, model="mine")
    assert {seen.path for seen in stub.seen} == {TAGS, PS, CHAT}


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
    assert (await anext(answer)).text == "Half"
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
    *_, end = steps = await steps_of(stub)
    assert [step.text for step in steps] == ["Hi", ""] and end.notes == ()


# Forgetting


WORDS = (Message.of("user", "many words " * 2500),)


@pytest.mark.parametrize(
    ("messages", "counts", "forgot"),
    [
        (HELLO, {}, False),
        (WORDS, {"prompt_eval_count": 2050}, True),  # about half, as Ollama cuts it
        (WORDS, {"prompt_eval_count": None}, False),  # nobody knows
        (HELLO, {"prompt_eval_count": 3000, "eval_count": 1097}, True),  # it wrote on
        (HELLO, {"prompt_eval_count": 3000, "eval_count": 1096}, False),
        # An old version that did not count what it remembered of the turn before.
        ((Message.of("user", "many words " * 500),), {"prompt_eval_count": 40}, False),
        ((Message.of("user", "长沙" * 4200),), {"prompt_eval_count": 2050}, True),
    ],
)
async def test_a_forgotten_beginning_is_shown(stub: Stub, messages, counts, forgot: bool) -> None:
    stub.on(CHAT, stream(lines(said("x"), DONE | counts)))
    *_, end = await steps_of(stub, messages)
    assert bool(end.warnings) is forgot
    assert all("forgotten the beginning" in warning for warning in end.warnings)


async def test_a_recent_ollama_refuses_what_does_not_fit(stub: Stub) -> None:
    inner = {"code": 400, "message": "request (8889 tokens) exceeds the available context size"}
    stub.on(CHAT, Reply.of({"error": json.dumps({"error": inner})}, 400))
    with pytest.raises(ContextLengthError) as caught:
        await steps_of(stub)
    assert "“request (8889 tokens) exceeds" in str(caught.value)


# Refusals and worse


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": "unauthorized sk-1"}, AuthenticationError, "refused the key"),
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
        (500, "<html>nginx</html>", ServerError, "failed (500)."),
        (503, {"error": "server busy, please try again."}, ServerError, "server busy"),
        (429, {"error": "slow down"}, RateLimitError, "too many requests"),
        (307, "", BackendConnectionError, "another address"),
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
        ("17", ServerError, "cannot be read"),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(stub: Stub, error, kind, words) -> None:
    stub.on(CHAT, stream(lines(said("Half"), {"error": error})))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url, "sk-1"))
    assert (await anext(answer)).text == "Half"
    with pytest.raises(kind, match=words) as caught:
        await anext(answer)
    assert "sk-1" not in str(caught.value)
    assert len(stub.asked(CHAT)) == 1


@pytest.mark.parametrize("rest", [b"", b'{"message": {"content": "\xc3', b"{} \n"])
@pytest.mark.parametrize("cut", [True, False])
async def test_a_server_that_hangs_up(stub: Stub, rest: bytes, cut: bool) -> None:
    stub.on(CHAT, stream(lines(said("Half")), rest, cut=cut))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert (await anext(answer)).text == "Half"
    with pytest.raises(BackendConnectionError, match="hung up"):
        await anext(answer)


@pytest.mark.parametrize(
    "line", [b"{broken\n", b"<html>\n", b"[1]\n", b'{"a": "\xff"}\n', b"{]}\n"]
)
async def test_a_line_that_cannot_be_read(stub: Stub, line: bytes) -> None:
    stub.on(CHAT, stream(lines(said("Half")), line))
    with pytest.raises(ServerError, match="cannot be read"):
        await steps_of(stub)


@pytest.mark.parametrize("line", [{"message": None}, {"message": "x"}, {"message": {"content": 1}}])
async def test_lines_without_text_are_passed_over(stub: Stub, line: object) -> None:
    stub.on(CHAT, stream(b"\n", lines(line, said("Text"), DONE)))
    assert await text_of(stub) == "Text"


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
    monkeypatch.setattr("backends.ollama.client.silence_timeout", lambda: 0.5)
    never = asyncio.Event()
    stub.on(CHAT, stream(never), stream(lines(said("Half")), never))
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await steps_of(stub)
    with pytest.raises(BackendTimeoutError, match="fell silent"):
        await steps_of(stub)


async def test_loading_may_take_longer(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.ollama.client.LOADING_TIMEOUT", 0.05)
    monkeypatch.setattr("backends.ollama.client.silence_timeout", lambda: 0.04)
    stub.on(PS, Reply.of({"models": []}))
    stub.on(CHAT, stream(asyncio.Event()))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    assert (await anext(answer)).stage == "loading"
    with pytest.raises(BackendTimeoutError, match="for 0 s"):
        await anext(answer)


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

    monkeypatch.setattr(endpoint, "sleep", sleep)
    stub.on(CHAT, Reply.of("", 429, retry_after="2"), stream(lines(said("Now"), DONE)))
    waits = [step.detail for step in await steps_of(stub) if isinstance(step, Progress)]
    assert waits == ["again in 2 s", "again in 1 s"] and slept == [1.0, 1.0]


# Leaving


async def test_closing_the_answer_closes_the_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(lines(said("Half")), asyncio.Event()))
    answer = BACKEND.stream("phi3.5", HELLO, PLAIN, Connection(stub.url))
    await anext(answer)
    await answer.aclose()
    await stub.until_open(0)


@pytest.mark.parametrize("path", [CHAT, PS, TAGS])
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

    assert asyncio.run(read()) == "".join(texts).lstrip(" ")


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
    assert {seen.path for seen in stub.seen} == {CHAT, TAGS, PS, VERSION}
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


@pytest.mark.parametrize("reply", [Reply.of("404 page not found", 404), Reply.of("<html>")])
async def test_what_is_not_an_ollama_is_not_called_one(stub: Stub, reply: Reply) -> None:
    stub.on(VERSION, reply)
    assert (await BACKEND.check(Connection(stub.url))).status.state == "unreachable"


async def test_a_key_that_is_refused_is_asked_for(stub: Stub) -> None:
    stub.on(VERSION, Reply.of({"error": "unauthorized"}, 401))
    assert (await BACKEND.check(Connection(stub.url))).status.state == "needs key"


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
        (0.8, "2.0 of 2.5 GB"),
    ]
    assert stub.asked(PULL)[0].json == {"model": "phi3.5", "stream": True}


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("pull model manifest: file does not exist", ModelNotFoundError, "has no “phi9”"),
        ("write /x: no space left on device", OutOfDiskError, "does not fit onto the disk"),
        ("dial tcp: lookup registry.ollama.ai: no such host", BackendConnectionError, "connected"),
        ("requires a newer version of Ollama", BadRequestError, "too old"),
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
