"""The chat/completions wire against servers that say everything that was ever seen."""

import asyncio
import base64
import gzip
import json
import logging
import traceback
from itertools import pairwise

import pytest
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
    ContentFilterError,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    ModelNotFoundError,
    Progress,
    RateLimitError,
    RetiredError,
    ServerError,
    TextPart,
    Usage,
)
from backends._remote import retry
from backends._remote.base_url import normalize_url
from playground import compare
from playground.answer import Request
from tests.stub import Reply, Stub, delta, sse, usage

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
BACKEND = REGISTRY["openai_compatible"]
STREAM = {"content-type": "text/event-stream"}
HELLO = (Message.of("user", "Hello"),)
PLAIN = GenerationParams()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a retry."""
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)


def stream(*pieces: bytes | asyncio.Event, cut: bool = False, **headers: str) -> Reply:
    return Reply(pieces, headers={**STREAM, **headers}, cut=cut)


async def steps_of(
    stub: Stub, messages=HELLO, params=PLAIN, key: str | None = None
) -> list[Chunk | Progress]:
    answer = BACKEND.stream("phi", messages, params, Connection(stub.url, key))
    return [step async for step in answer]


async def text_of(stub: Stub) -> str:
    return "".join(step.text for step in await steps_of(stub) if isinstance(step, Chunk))


# What a good server says


async def test_a_good_stream(stub: Stub) -> None:
    stub.on(
        CHAT, stream(sse(delta(None), delta("Hel"), delta("lo"), delta("", "stop"), usage(9, 2)))
    )
    *_, end = steps = await steps_of(stub)
    assert [step.text for step in steps] == ["Hel", "lo", ""]
    assert (end.finish_reason, end.usage) == ("stop", Usage(9, 2))
    assert all(step.at > 0 for step in steps) and end.timings.device == stub.url + "/v1"


async def test_the_request(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("x", "length"))))
    params = GenerationParams(5, 0.2, 0.9, 40, 7, ("###",))
    messages = (Message.of("system", "Be brief."), *HELLO)
    await steps_of(stub, messages, params, "sk-1")
    (seen,) = stub.asked(CHAT)
    assert seen.json == {
        "model": "phi",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ],
        "max_tokens": 5,
        "temperature": 0.2,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["###"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert seen.headers["authorization"] == "Bearer sk-1"


async def test_an_answer_that_goes_on(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta(" x", "stop"))))
    await steps_of(stub, (*HELLO, Message.of("assistant", "Half of")))
    (seen,) = stub.asked(CHAT)
    assert seen.json["messages"][-1] == {"role": "assistant", "content": "Half of"}
    assert seen.json["continue_final_message"] is True
    assert seen.json["add_generation_prompt"] is False


async def test_without_a_key_none_is_sent(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-ours")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: sk-custom")
    stub.on(CHAT, stream(sse(delta("x", "stop"))))
    stub.on(MODELS, Reply.of({"data": []}))
    await steps_of(stub)
    await BACKEND.check(Connection(stub.url))
    for seen in stub.seen:
        assert set(seen.headers) <= {
            *("host", "accept", "accept-encoding", "connection", "user-agent"),
            *("content-type", "content-length"),
        }


async def test_the_environments_key_goes_to_the_environments_address_only(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-ours")
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", stub.url)
    stub.on(CHAT, stream(sse(delta("x", "stop"))))
    async for _ in BACKEND.stream("phi", HELLO, PLAIN):
        pass
    await steps_of(stub)
    assert [seen.headers.get("authorization") for seen in stub.asked(CHAT)] == [
        "Bearer sk-ours",
        None,
    ]


async def test_a_list_of_models(stub: Stub) -> None:
    stub.on(
        MODELS, Reply.of({"data": [{"id": "llama"}, {"id": "microsoft/Phi-3.5-mini-instruct"}]})
    )
    offers = (await BACKEND.check(Connection(stub.url))).offers
    assert [(offer.model, offer.spec.label) for offer in offers] == [
        ("microsoft/Phi-3.5-mini-instruct", "Phi-3.5-mini"),
        ("llama", "llama"),
    ]
    assert (await BACKEND.check(Connection(stub.url))).status.ready


# What servers leave out, and what they say instead


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([sse(delta(" Paris"), delta("", "stop"))], "Paris"),
        ([sse(delta("no usage"), delta(None, "stop"))], "no usage"),
        ([sse(delta("no end mark"), delta("", "stop"), done=False)], "no end mark"),
        ([sse(delta("alone"), {"choices": [{"finish_reason": "stop"}]})], "alone"),
        ([sse({"choices": []}, delta("late", "stop"))], "late"),
        ([sse({"choices": None}, delta("null"), delta(None, "eos"))], "null"),
        ([b": comment\r\n\r\n", sse(delta("crlf", "stop")).replace(b"\n", b"\r\n")], "crlf"),
        ([sse(delta("x" * 900_000, "stop"))], "x" * 900_000),
    ],
)
async def test_what_was_really_seen(stub: Stub, pieces: list[bytes], text: str) -> None:
    stub.on(CHAT, stream(*pieces))
    assert await text_of(stub) == text


async def test_compression_is_neither_asked_for_nor_taken(stub: Stub) -> None:
    packed = gzip.compress(sse(delta("packed", "stop")))
    stub.on(CHAT, stream(packed, **{"content-encoding": "gzip"}))
    with pytest.raises(ServerError, match="compressed answer, though none was asked for"):
        await text_of(stub)
    assert stub.asked(CHAT)[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("body", ["404 page not found", "[1", '"text"', '{"x": 1}'])
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_server_without_a_list_can_be_asked_by_name(
    stub: Stub, status: int, body: str
) -> None:
    stub.on(MODELS, Reply.of(body, status))
    found = (await BACKEND.check(Connection(stub.url))).status
    assert (found.state, found.code) == ("ready", "ready_unlisted")
    assert (await BACKEND.check(Connection(stub.url))).offers == []


# Pictures


PNG, JPEG = b"\x89PNG" + bytes(range(256)) * 8, b"\xff\xd8" + bytes(range(255, -1, -1)) * 8
ONE, OTHER = ImagePart(PNG, "image/png"), ImagePart(JPEG, "image/jpeg")
SHOWN = (Message("user", (ONE, TextPart("What is it?"))),)


def address_of(image: ImagePart) -> dict[str, object]:
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


async def test_pictures_go_in_their_order_and_texts_stay_texts(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("x", "stop"))))
    messages = (
        Message.of("system", "Be brief."),
        Message("user", (TextPart("This:"), ONE, TextPart("and"), OTHER, ONE, TextPart("?"))),
        Message.of("assistant", "A cat."),
        Message("user", (OTHER, TextPart(""))),
        Message("user", (TextPart("Are you "), TextPart("sure?"))),
    )
    await steps_of(stub, messages)
    assert [message["content"] for message in stub.asked(CHAT)[0].json["messages"]] == [
        "Be brief.",
        [
            text("This:"),
            address_of(ONE),
            text("and"),
            address_of(OTHER),
            address_of(ONE),
            text("?"),
        ],
        "A cat.",
        [address_of(OTHER)],
        "Are you sure?",
    ]


async def test_what_a_server_cuts_pictures_into_is_its_own_business(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("x", "stop"))))
    await steps_of(stub, SHOWN, GenerationParams(num_crops=4))
    assert set(stub.asked(CHAT)[0].json) == {"model", "messages", "stream", "stream_options"}


async def test_a_name_that_sounds_like_text_only_is_sent_pictures_all_the_same(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("A cat.", "stop"))))
    answer = BACKEND.stream("phi-3.5-mini", SHOWN, PLAIN, Connection(stub.url))
    assert [step.text async for step in answer if isinstance(step, Chunk)] == ["A cat.", ""]
    assert stub.asked(CHAT)[0].json["messages"][0]["content"][0] == address_of(ONE)


# Each in its server's words: its source stands in `backends/_remote/errors.py`.
VLLM_MANY = "At most 1 image(s) may be provided in one prompt."
VLLM_OLDER = (
    "You set image=1 (or defaulted to 1) in `--limit-mm-per-prompt`, but passed 2 image items in"
    " the same prompt."
)
VLLM_BLIND = {"object": "error", "message": "facebook/opt-125m is not a multimodal model None"}
VLLM_LONG = (
    "The decoder prompt (length 9000) is longer than the maximum model length of 4096. Make sure"
    " that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens."
)
LLAMA = (
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
)
LM_STUDIO = "Model does not support images. Please use a model that does."
AZURE = "Invalid content type. image_url is only supported by certain models."


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (
            400,
            {"error": {"message": VLLM_MANY}},
            "too_many_pictures",
            "at most 1 of the 2 pictures",
        ),
        (400, {"message": VLLM_OLDER}, "too_many_pictures", '--limit-mm-per-prompt \'{"image": 2}'),
        (400, {"error": "at most 0 image(s) may be provided"}, "no_vision", "vision model"),
        (400, VLLM_BLIND, "no_vision", "“phi-x” cannot look at pictures"),
        (500, {"error": {"code": 500, "message": LLAMA}}, "no_vision", "--mmproj"),
        (500, {"error": "image input is not supported by this server"}, "no_vision", "vision"),
        (400, {"error": LM_STUDIO}, "no_vision", "Please use a model that does"),
        (400, {"error": {"message": AZURE}}, "no_vision", "Choose a vision model"),
        (404, {"error": "No endpoints found that support image input"}, "no_vision", "vision"),
        (404, {"error": "Only 'text' content type is supported."}, "no_vision", "vision"),
        (
            400,
            {"error": "Model x does not support multi-image chat."},
            "too_many_pictures",
            "fewer",
        ),
        (
            400,
            {"error": "'url' field must be a base64 encoded image."},
            "unreadable_picture",
            "PNG",
        ),
        (
            400,
            {"error": "Failed to load image: cannot identify image file"},
            "unreadable_picture",
            "",
        ),
        (413, "<html>413 Request Entity Too Large</html>", "pictures_too_large", "earlier ones"),
    ],
)
async def test_a_picture_that_is_refused(
    stub: Stub, status: int, body: object, reason: str, words: str
) -> None:
    messages = (*SHOWN, Message.of("assistant", "A cat."), Message("user", (OTHER,)))
    stub.on(CHAT, Reply.of(body, status))
    answer = BACKEND.stream("phi-x", messages, PLAIN, Connection(stub.url, "sk-1"))
    with pytest.raises(BadRequestError) as caught:
        await anext(answer)
    assert caught.value.values["reason"] == reason and words in str(caught.value)
    assert caught.value.hint.endswith((".", "'.")) and len(stub.seen) == 1


@pytest.mark.parametrize("code", [f"at most {'9' * 5000} image(s)", "set image=1 " * 80_000])
async def test_a_refusal_made_to_be_a_burden_is_a_refusal(stub: Stub, code: str) -> None:
    stub.on(CHAT, Reply.of({"error": {"code": code, "message": "No."}}, 400))
    answer = BACKEND.stream("phi-x", SHOWN, PLAIN, Connection(stub.url, "sk-1"))
    with pytest.raises(BadRequestError, match=r"No\.") as caught:
        await anext(answer)
    assert "reason" not in caught.value.values


async def test_pictures_that_take_too_many_tokens(stub: Stub) -> None:
    stub.on(CHAT, Reply.of({"error": {"message": VLLM_LONG}}, 400))
    with pytest.raises(ContextLengthError, match="no room for a picture") as caught:
        await steps_of(stub, SHOWN)
    assert "fewer or smaller" in caught.value.hint


@pytest.mark.parametrize("body", [VLLM_MANY, LLAMA, "<html>"])
async def test_without_a_picture_nothing_is_said_of_one(stub: Stub, body: str) -> None:
    stub.on(CHAT, Reply.of(body, 413))
    with pytest.raises(ContextLengthError, match="Prompt and answer"):
        await steps_of(stub)


async def test_a_server_that_hangs_up_on_a_large_picture(stub: Stub) -> None:
    stub.hang_up(2)
    large = (Message("user", (ImagePart(PNG * 2000, "image/png"),)),)
    with pytest.raises(BackendConnectionError, match="hung up while it was sent a picture"):
        await steps_of(stub, large)
    stub.on(CHAT, stream(sse(delta("A cat", "stop"))))
    assert len((await steps_of(stub, large))[0].text) == 5
    assert len(stub.seen[-1].body) > 4_000_000


@pytest.mark.parametrize("status", [400, 401, 413, 422, 500, 200])
async def test_nothing_of_a_picture_is_in_an_error_or_a_log(
    stub: Stub, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Some servers repeat the request that they refuse."""
    caplog.set_level(logging.DEBUG)
    picture = address_of(ONE)
    said = {"detail": [{"msg": f"Input should be a valid string: {picture}", "input": picture}]}
    other = {"error": {"message": f"bad {json.dumps([picture] * 3)} here"}}
    for body in (said, other, str(picture)):
        reply = stream(sse({"error": body})) if status == 200 else Reply.of(body, status)
        stub.on(CHAT, reply)
        with pytest.raises(BackendError) as caught:
            await steps_of(stub, SHOWN, key="sk-1")
        error = caught.value
        told = f"{error} {error!r} {error.values} {SHOWN} {traceback_of(error)} {caplog.text}"
        data = base64.b64encode(PNG).decode()
        assert not any(data[at : at + 40] in told for at in range(0, len(data), 40))
        assert "x89PNG" not in told


def traceback_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, chain=False))


@pytest.mark.parametrize(
    "pieces",
    [
        [
            sse(delta("Half"), done=False),
            'data: {"choices": [{"delta": {"content": "é'.encode()[:-1],
        ],
        [sse(delta("Half"), done=False)],
        [sse(delta("Half"), done=False), b"data: {broken\n\n"],
    ],
)
async def test_an_answer_about_a_picture_that_breaks_off(stub: Stub, pieces: list[bytes]) -> None:
    stub.on(CHAT, stream(*pieces, cut=True))
    answer = BACKEND.stream("phi-3.5-vision", SHOWN, PLAIN, Connection(stub.url))
    assert (await anext(answer)).text == "Half"
    with pytest.raises((BackendConnectionError, ServerError)):
        await anext(answer)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply.of("<html><body>Sign in</body></html>"), "web page"),
        (
            Reply.of({"success": False, "errors": [{"message": "No route for that URI"}]}),
            "No route",
        ),
        (Reply.of("error code: 530", 530), "is away"),
    ],
)
async def test_a_list_that_is_none_is_not_called_ready(
    stub: Stub, reply: Reply, words: str
) -> None:
    stub.on(MODELS, reply)
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.state == "unreachable" and words in status.message


async def test_a_list_with_a_mark_of_byte_order_is_read(stub: Stub) -> None:
    stub.on(MODELS, Reply.of('\ufeff{"data": [{"id": "phi"}]}'))
    health = await BACKEND.check(Connection(stub.url))
    assert [offer.model for offer in health.offers] == ["phi"]


async def test_an_answer_tells_the_context_that_its_server_listed(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"data": [{"id": "phi", "max_model_len": 2048}]}))
    stub.on(CHAT, stream(sse(delta("Hi", "stop"), usage(9, 2))))
    *_, end = await steps_of(stub)
    assert end.usage == Usage(9, 2)
    await BACKEND.check(Connection(stub.url))
    *_, end = await steps_of(stub)
    assert end.usage == Usage(9, 2, context=2048)


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            401,
            {"error": {"message": "Incorrect API key provided: sk-1"}},
            AuthenticationError,
            "refused the key",
        ),
        (403, {"detail": "No."}, AuthenticationError, "does not let this key use"),
        (
            404,
            {"error": "model 'phi' not found"},
            ModelNotFoundError,
            "does not have the model “phi”",
        ),
        (410, {"title": "Gone", "detail": "end of life"}, RetiredError, "switched “phi” off"),
        (429, {"message": "slow down"}, RateLimitError, "too many requests"),
        (
            400,
            {"error": {"code": "content_filter", "message": "x"}},
            ContentFilterError,
            "content filter",
        ),
        (
            400,
            {"error": {"code": 400, "type": "exceed_context_size_error", "message": "y"}},
            ContextLengthError,
            "do not fit",
        ),
        (
            400,
            {"object": "error", "message": "This model's maximum context length is 4096 tokens."},
            ContextLengthError,
            "do not fit",
        ),
        (413, {"error": {"code": "tokens_limit_reached"}}, ContextLengthError, "do not fit"),
        (422, {"detail": [{"msg": "bad temperature"}]}, BadRequestError, "bad temperature"),
        (500, "<html>nginx</html>", ServerError, "failed (500)."),
        (503, {"error": "loading"}, ServerError, "loading"),
    ],
)
async def test_refusals(stub: Stub, status: int, body: object, kind: type, words: str) -> None:
    stub.on(CHAT, Reply.of(body, status))
    with pytest.raises(kind) as caught:
        await steps_of(stub, key="sk-1")
    assert type(caught.value) is kind
    assert words in str(caught.value) and "sk-1" not in str(caught.value)


async def test_a_refused_prompt_says_how_long_it_is(stub: Stub) -> None:
    """As llama.cpp's server tells it, here or behind Ollama."""
    told = {"type": "exceed_context_size_error", "n_prompt_tokens": 16_893, "n_ctx": 4096}
    stub.on(CHAT, Reply.of({"error": told}, 400))
    with pytest.raises(ContextLengthError) as caught:
        await text_of(stub)
    assert (caught.value.values["tokens"], caught.value.values["context"]) == (16_893, 4096)


@pytest.mark.parametrize("key", ['se"cret', "se\\cret", "null", "4"])
async def test_a_repeated_key_is_not_shown(stub: Stub, key: str) -> None:
    stub.on(CHAT, Reply.of({"error": {"message": f"Bad {key}!", "code": None, "n": 4}}, 400))
    with pytest.raises(BadRequestError) as caught:
        await steps_of(stub, key=key)
    assert "Bad …!" in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"retry_after": "7200"}, {"retry_after": "7200s"}, {"retry_after_ms": "7200000"}]
)
async def test_a_wait_in_any_form(stub: Stub, headers: dict[str, str]) -> None:
    stub.on(CHAT, Reply.of("", 429, **headers))
    with pytest.raises(RateLimitError, match="Try again in 2 hours"):
        await steps_of(stub)


@pytest.mark.parametrize("wait", ["inf", "1e999", "nan", "Wed, 21 Oct 2015 07:28:00 -0000", "soon"])
async def test_a_wait_that_is_none(stub: Stub, wait: str) -> None:
    stub.on(CHAT, Reply.of("", 429, retry_after=wait))
    with pytest.raises(RateLimitError):
        await steps_of(stub)


async def test_a_refusal_of_a_thousand_floors(stub: Stub) -> None:
    stub.on(CHAT, Reply.of('{"error":' * 900 + '"x"' + "}" * 900, 400))
    with pytest.raises(BadRequestError):
        await steps_of(stub, key="sk-1")
    stub.on(MODELS, Reply.of("[" * 100_000))
    assert (await BACKEND.check(Connection(stub.url))).status.code == "ready_unlisted"


@pytest.mark.parametrize("number", [10**400, -1, True, 1.5, "7", None])
async def test_a_count_that_is_none(stub: Stub, number: object) -> None:
    tokens = {"prompt_tokens": number, "completion_tokens": number}
    stub.on(CHAT, stream(sse(delta("x", "stop"), {"choices": [], "usage": tokens})))
    *_, end = await steps_of(stub)
    assert end.usage == Usage(None, None)


async def test_an_answer_without_an_end_is_stopped(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MAX_ANSWER_CHARACTERS", 1000)
    stub.on(CHAT, stream(*[sse(delta("x" * 400), done=False)] * 5, asyncio.Event()))
    request = Request(BACKEND, "phi", HELLO, connection=Connection(stub.url))
    snapshot = await compare.complete(request)
    assert snapshot.state == "failed" and "without an end" in str(snapshot.error)
    assert len(snapshot.text) == 1200
    await stub.until_open(0)


async def test_what_goes_beyond_the_context_says_so(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("x", "stop"), usage(5000, 9))))
    *_, end = await steps_of(stub)
    assert end.warnings and "4,096" in end.warnings[0]


async def test_a_server_that_wants_a_key(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"error": "no key"}, 401))
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.state == "needs key" and "wants a key" in status.message


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_whose_server_is_away_is_not_ready(stub: Stub, status: int) -> None:
    stub.on(MODELS, Reply.of("<html>", status))
    assert (await BACKEND.check(Connection(stub.url))).status.state == "unreachable"


async def test_an_endless_list_is_cut(stub: Stub) -> None:
    names = ["x" * 100_000, *(f"m{n}" for n in range(5_000))]
    stub.on(MODELS, Reply.of({"data": [{"id": name} for name in names]}))
    assert len((await BACKEND.check(Connection(stub.url))).offers) == 2_000


async def test_an_error_in_the_middle_of_a_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Half"), {"error": {"message": "out of memory", "code": 500}})))
    answer = BACKEND.stream("phi", HELLO, PLAIN, Connection(stub.url))
    assert (await anext(answer)).text == "Half"
    with pytest.raises(ServerError, match="out of memory"):
        await anext(answer)


async def test_a_filter_in_the_middle_of_a_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Half"), delta("", "content_filter"))))
    with pytest.raises(ContentFilterError):
        await steps_of(stub)


@pytest.mark.parametrize(
    "pieces",
    [
        [sse(delta("Half"), done=False)],
        [
            sse(delta("Half"), done=False),
            'data: {"choices": [{"delta": {"content": "é'.encode()[:-1],
        ],
    ],
)
@pytest.mark.parametrize("cut", [True, False])
async def test_a_server_that_hangs_up(stub: Stub, pieces: list[bytes], cut: bool) -> None:
    stub.on(CHAT, stream(*pieces, cut=cut))
    answer = BACKEND.stream("phi", HELLO, PLAIN, Connection(stub.url))
    assert (await anext(answer)).text == "Half"
    with pytest.raises((BackendConnectionError, ServerError)):
        async for _ in answer:
            pass


async def test_an_event_that_is_not_json(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Half"), done=False), b"data: {broken\n\n"))
    with pytest.raises(BackendError):
        await steps_of(stub)


async def test_nobody_there() -> None:
    async with Stub() as stub:
        url = stub.url
    with pytest.raises(BackendConnectionError, match="cannot be reached"):
        async for _ in BACKEND.stream("phi", HELLO, PLAIN, Connection(url)):
            pass
    status = (await BACKEND.check(Connection(url))).status
    assert status.state == "unreachable" and url in status.message


async def test_a_silent_server(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than a busy machine needs to bring "Half" here.
    monkeypatch.setattr("backends._remote.patience.first_token_timeout", lambda: 0.5)
    monkeypatch.setattr("backends._remote.patience.silence_timeout", lambda: 0.5)
    never = asyncio.Event()
    stub.on(CHAT, stream(never), stream(sse(delta("Half"), done=False), never))
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await steps_of(stub)
    with pytest.raises(BackendTimeoutError, match="fell silent"):
        await steps_of(stub)


async def test_a_redirect_carries_no_key(stub: Stub) -> None:
    async with Stub() as other:
        stub.on(CHAT, Reply.of("", 307, location=f"{other.url}{CHAT}"))
        with pytest.raises(BackendConnectionError, match="another address"):
            await steps_of(stub, key="sk-1")
        assert other.seen == []


# One polite retry


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_server_is_asked_once_again(stub: Stub, status: int) -> None:
    busy = Reply.of({"message": "busy"}, status, retry_after="0")
    stub.on(CHAT, busy, stream(sse(delta("Now", "stop"))))
    steps = await steps_of(stub)
    assert [step.text for step in steps if isinstance(step, Chunk)] == ["Now", ""]
    assert len(stub.asked(CHAT)) == 2


async def test_the_wait_is_shown(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(retry, "sleep", sleep)
    stub.on(CHAT, Reply.of("", 429, retry_after="3"), stream(sse(delta("Now", "stop"))))
    waits = [step for step in await steps_of(stub) if isinstance(step, Progress)]
    assert [(wait.stage, wait.detail) for wait in waits] == [
        ("retrying", f"again in {n} s") for n in (3, 2, 1)
    ]
    assert slept == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 500])
async def test_other_refusals_are_not_retried(stub: Stub, status: int) -> None:
    stub.on(CHAT, Reply.of("", status), stream(sse(delta("Now", "stop"))))
    with pytest.raises(BackendError):
        await steps_of(stub)
    assert len(stub.asked(CHAT)) == 1


async def test_a_closed_connection_is_tried_once_more_at_once(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Now", "stop"))))
    stub.hang_up(1)
    assert await text_of(stub) == "Now"
    stub.hang_up(2)
    with pytest.raises(BackendConnectionError, match="cannot be reached"):
        await steps_of(stub)


async def test_a_busy_server_says_how_long_in_any_refusal(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(retry, "sleep", sleep)
    stub.on(CHAT, Reply.of("", 503, retry_after="2"), stream(sse(delta("Now", "stop"))))
    await steps_of(stub)
    assert slept == [1.0, 1.0]


async def test_a_second_refusal_is_final(stub: Stub) -> None:
    stub.on(CHAT, Reply.of("", 503))
    with pytest.raises(ServerError):
        await steps_of(stub)
    assert len(stub.asked(CHAT)) == 2


async def test_who_is_asked_to_wait_long_is_told(stub: Stub) -> None:
    stub.on(CHAT, Reply.of("", 429, retry_after="7200"))
    with pytest.raises(RateLimitError, match="Try again in 2 hours"):
        await steps_of(stub)
    assert len(stub.asked(CHAT)) == 1


# Leaving


async def test_closing_the_answer_closes_the_stream(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Half"), done=False), asyncio.Event()))
    answer = BACKEND.stream("phi", HELLO, PLAIN, Connection(stub.url))
    await anext(answer)
    assert stub.open == 1
    await answer.aclose()
    await stub.until_open(0)


async def test_cancelling_before_the_first_byte_closes_it_too(stub: Stub) -> None:
    stub.on(CHAT, Reply((asyncio.Event(),), headers=STREAM))
    task = asyncio.ensure_future(steps_of(stub))
    await stub.until_open(1)
    task.cancel()
    await stub.until_open(0)


# Any split of the bytes


TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6)


@given(texts=TEXTS, cuts=st.lists(st.integers(0, 2000), max_size=12), crlf=st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_split_gives_the_same_text(texts: list[str], cuts: list[int], crlf: bool) -> None:
    whole = sse(*map(delta, texts), delta("", "stop"), usage(1, 2))
    whole = whole.replace(b"\n", b"\r\n") if crlf else whole
    marks = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    pieces = [whole[a:b] for a, b in pairwise(marks)]

    async def read() -> str:
        async with Stub() as stub:
            stub.on(CHAT, stream(*pieces))
            return await text_of(stub)

    joined = json.loads(json.dumps("".join(texts)))
    assert asyncio.run(read()) == joined.lstrip(" ")


# Addresses


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        (" http://10.0.0.2:30000/ ", "http://10.0.0.2:30000/v1"),
        ("https://host.example/v1/chat/completions", "https://host.example/v1"),
        ("https://host.example/openai/v1/", "https://host.example/openai/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("HTTPS://Host.Example/V1", "https://host.example/v1"),
    ],
)
def test_addresses_as_people_type_them(typed: str, url: str) -> None:
    assert normalize_url(typed, "/v1") == url


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "ftp://host",
            "http://",
            "file:///etc/passwd",
            "http://host:99999",
            "not an address",
        ),
        *("http://☃.net", "http://[v1.a]", "http://a\x7fb", "http://ho\u00adst", "http://a b"),
        *("http://name:secret@host", "http://host/v1?key=1", "http://" + "x" * 3000),
    ],
)
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        normalize_url(typed, "/v1")
    assert "secret" not in str(caught.value)


async def test_no_address_yet() -> None:
    status = (await BACKEND.check()).status
    assert (status.state, status.code) == ("unreachable", "no_address")
    assert "Models tab" in status.message


async def test_a_check_asks_for_the_list_once(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"data": [{"id": "phi"}]}))
    health = await BACKEND.check(Connection(stub.url))
    assert health.status.ready and [offer.model for offer in health.offers] == ["phi"]
    assert len(stub.asked(MODELS)) == 1


async def test_the_usual_variables_name_a_proxy(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", stub.url)
    monkeypatch.setenv("NO_PROXY", "")
    far = "http://far.example:8000/v1"
    stub.on(f"{far}/models", Reply.of({"data": [{"id": "phi"}]}))
    assert (await BACKEND.check(Connection(far))).status.ready
    assert stub.asked(f"{far}/models")


LONE = '{"data": [{"id": "\\ud800lone"}, {"id": "whole \\ud83d\\ude00"}, {"id": "ok"}]}'


async def test_half_a_pair_in_a_models_name_is_no_text_that_a_page_can_send(stub: Stub) -> None:
    stub.on(MODELS, Reply((LONE.encode(),), headers={"content-type": "application/json"}))
    offers = (await BACKEND.check(Connection(stub.url))).offers
    assert [offer.model for offer in offers] == ["\ufffdlone", "whole 😀", "ok"]
    for offer in offers:
        offer.status.message.encode()
        offer.spec.label.encode()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_half_a_pair_in_a_servers_words_neither(stub: Stub, status: int) -> None:
    words = '{"error": {"message": "no \\udc00 here", "code": "\\ud800"}}'
    stub.on(CHAT, Reply((words.encode(),), status, {"content-type": "application/json"}))
    with pytest.raises(BackendError) as failed:
        await steps_of(stub)
    assert "no \ufffd here" in str(failed.value)
    str(failed.value).encode()


@pytest.mark.parametrize("finish", [[1], {"a": 1}, 5, True])
async def test_a_reason_to_finish_that_is_no_text_is_one_all_the_same(
    stub: Stub, finish: object
) -> None:
    events = [delta("Paris"), {"choices": [{"delta": {}, "finish_reason": finish}]}]
    stub.on(CHAT, stream(sse(*events)))
    assert (await steps_of(stub))[-1].finish_reason == "stop"
