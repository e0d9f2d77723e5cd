"""What servers were seen to stream that is not in the protocol's own documentation."""

import asyncio
import json

import pytest

from backends import (
    REGISTRY,
    BackendConnectionError,
    BackendError,
    Chunk,
    Connection,
    ContentFilterError,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    ServerError,
    TextPart,
)
from playground.answer import AnswerSnapshot, Request
from playground.compare import complete
from playground.conversation import AnswerRecord
from playground.numbers import describe_empty, describe_numbers
from tests.stub import Reply, Stub, delta, sse, usage

CHAT, MODELS = "/v1/chat/completions", "/v1/models"
BACKEND = REGISTRY["openai_compatible"]
HELLO = (Message.of("user", "Hello"),)
REPORT = usage(9, 4)
STREAM = {"content-type": "text/event-stream"}


def stream(*pieces: bytes, **headers: str) -> Reply:
    return Reply(pieces, headers={**STREAM, **headers})


async def ask(
    stub: Stub, model: str = "phi", prompt: str = "Hello", stop: tuple[str, ...] = ()
) -> AnswerSnapshot:
    messages, params = (Message.of("user", prompt),), GenerationParams(stop=stop)
    return await complete(Request(BACKEND, model, messages, params, Connection(stub.url)))


def choice(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, **fields}]}


def thinking(text: str, name: str = "reasoning_content") -> dict[str, object]:
    return choice(delta={"role": "assistant", "content": None, name: text})


# ── An answer all the same ─────────────────────────────────────────────────────────────────────

WHOLE = {
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}


@pytest.mark.parametrize(
    "body",
    [
        b"retry: 3000\n\n" + sse(delta("Paris."), delta("", "stop")),
        b"event: ping\n\n: ping\r\n\r\ndata:\n\nid: 1\n\n" + sse(delta("Paris.", "stop")),
        b"\xef\xbb\xbf" + sse(delta("Paris.", "stop")),
        sse(delta("Paris.", "stop")).replace(b"\n\n", b"\n"),
        sse(delta("Paris.", "stop"), done=False).rstrip(),
        sse(delta("Paris.")),
        sse(delta("Paris.", ""), delta("", "")),
        sse(choice(message={"content": "Paris."}, finish_reason="stop")),
        sse(choice(text="Paris.", finish_reason="stop")),
        sse(choice(delta={"content": [{"type": "text", "text": "Par"}, {"text": "is."}]})),
        sse(delta("Paris."), choice(delta={}, finish_reason={"type": "stop"})),
        json.dumps(WHOLE).encode(),
        json.dumps(WHOLE, indent=2).encode(),
        sse(WHOLE),
        sse(delta("Paris.", "eos_token"), {"error": None, "choices": []}),
        sse(choice(delta={"content": ["Par", {"type": "output_text", "text": "is."}]})),
        sse(choice(delta={"content": {"text": "Paris."}}), choice(delta={}, finish_reason=1)),
        sse(choice(delta={"text": "Paris."}), choice(delta={"finish_reason": "stop"}), done=False),
        b"event: ping\ndata: ping\n\ndata: keepalive\n\n" + sse(delta("Paris.", "stop")),
        sse(delta("Paris."), done=False) + b"event: done\ndata: {}\n\n",
        sse(delta("Paris."), done=False) + b'data: "[done]"\n\n',
        sse(delta("Paris.", "stop")).replace(b"data: ", b"data: data: "),
        sse(choice(delta="Paris."), choice(stop_reason="stop"), done=False),
        sse(choice(delta={"refusal": "Paris."}), choice(delta={}, finish_reason=["stop"])),
        sse(delta("Paris."), choice(delta={}, message={"content": "Paris."}), WHOLE),
        sse(
            choice(delta={"content": "Paris."}),
            {"choices": [{"index": 1, "delta": {"content": "R"}}]},
        ),
        sse(delta("Paris.", "stop")) + b"data: {broken\n\n",
    ],
)
async def test_paris(stub: Stub, body: bytes) -> None:
    stub.on(CHAT, stream(body))
    answer = await ask(stub)
    assert (answer.text, answer.state, answer.finish_reason) == ("Paris.", "done", "stop")


async def test_a_whole_completion_has_its_own_count(stub: Stub) -> None:
    stub.on(CHAT, Reply.of(WHOLE))
    answer = await ask(stub)
    assert answer.clock.tokens == 2 and answer.clock.tokens_per_second is None


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_stream_options_is_asked_without_them(
    stub: Stub, status: int
) -> None:
    said = [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
    stub.on(CHAT, Reply.of({"detail": said}, status), stream(sse(delta("Paris.", "stop"))))
    assert (await ask(stub)).text == "Paris."
    bodies = [seen.json for seen in stub.asked(CHAT)]
    assert ["stream_options" in body for body in bodies] == [True, False]
    assert {**bodies[0], "stream_options": None} == {**bodies[1], "stream_options": None}


async def test_halves_of_a_character_are_joined(stub: Stub) -> None:
    halves = "\ud83d", "\ude00"
    stub.on(CHAT, stream(sse(delta("Hi "), *map(delta, halves), delta("!", "stop"))))
    assert (await ask(stub)).text == "Hi 😀!"
    stub.on(CHAT, stream(sse(delta("Hi \ud83d", "stop"))))
    assert (await ask(stub)).text == "Hi \ufffd"


async def test_an_indentation_stays(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("    return"), delta(" a", "stop"))))
    assert (await ask(stub)).text == "    return a"
    stub.on(CHAT, stream(sse(delta(" Paris"), delta(".", "stop"))))
    assert (await ask(stub)).text == "Paris."


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((delta("One, t"), delta("wo, "), delta("5"), delta("", "stop"), REPORT), "One, two, "),
        ((delta("One, 5, six"), delta(" seven"), delta(" eight", "length")), "One, "),
        ((delta("a EN"), delta("D b"), delta("", "stop")), "a "),
        ((delta("a EN"), delta("", "stop")), "a EN"),
        ((delta("5", "stop"),), ""),
    ],
)
async def test_an_answer_ends_before_a_stop_text_that_the_server_sends(
    stub: Stub, events: tuple[object, ...], text: str
) -> None:
    # As `transformers serve` does: the text at which it stops is the last part of its answer.
    stub.on(CHAT, stream(sse(*events)))
    answer = await ask(stub, stop=("5", "END"))
    assert (answer.text, answer.state, answer.finish_reason) == (text, "done", "stop")
    if REPORT in events:
        assert answer.clock.tokens == 4


async def test_a_server_tells_its_own_clock(stub: Stub) -> None:
    """llama.cpp's, in its last event."""
    clock = {"prompt_ms": 50.0, "predicted_n": 4, "predicted_ms": 200.0}
    stub.on(CHAT, stream(sse(delta("Paris"), delta(".", "stop"), {**REPORT, "timings": clock})))
    numbers = (await ask(stub)).clock
    assert numbers.by_server and numbers.tokens_per_second == pytest.approx(20)
    stub.on(
        CHAT, stream(sse(delta("Paris.", "stop"), {**REPORT, "timings": {"predicted_ms": "x"}}))
    )
    assert not (await ask(stub)).clock.by_server


@pytest.mark.parametrize(
    ("asked", "warned"), [("phi-0", True), ("pocket-3", False), ("pocket-3-q4.gguf", False)]
)
async def test_a_server_that_repeats_any_name_is_held_to_its_list(
    stub: Stub, asked: str, warned: bool
) -> None:
    stub.on(MODELS, Reply.of({"data": [{"id": "/models/pocket-3-q4.gguf"}, {"id": "other"}]}))
    stub.on(CHAT, stream(sse({**delta("I am Pocket.", "stop"), "model": asked})))
    assert (await ask(stub, asked)).warnings == ()  # nobody has asked for its list
    await BACKEND.check(Connection(stub.url))
    said = " ".join((await ask(stub, asked)).warnings)
    assert ("does not list “phi-0”" in said) is warned
    stub.on(CHAT, Reply.of("Internal Server Error", 500))  # `transformers serve` of an unknown name
    assert ("does not list “phi-0”" in str((await ask(stub, asked)).error)) is warned


# ── Errors with HTTP 200 ───────────────────────────────────────────────────────────────────────

SAID = "Unexpected endpoint or method"


@pytest.mark.parametrize("before", ["", "Par"])
@pytest.mark.parametrize(
    "body",
    [
        sse({"error": {"message": SAID}}, done=False),
        sse({"error": SAID}),
        sse({"object": "error", "message": SAID, "code": 500}),
        sse({"text": "", "error_code": 50002, "message": SAID}),
        sse({"text": SAID, "error_code": 50002}),
        sse({"type": "error", "error": {"message": SAID}}),
        b"event: error\n" + sse({"message": SAID}),
        sse({"error": json.dumps({"message": SAID, "code": 500})}),
        sse({"error": {"message": "It failed", "metadata": {"raw": SAID}}}),
        b"event: error\n" + sse(SAID),
        b'error: {"code": 500, "message": "' + SAID.encode() + b'"}\n\n',
        json.dumps({"error": {"message": SAID}}).encode(),
        json.dumps({"error": SAID}, indent=1).encode(),
    ],
)
async def test_the_servers_own_words(stub: Stub, body: bytes, before: str) -> None:
    come = sse(delta(before), done=False) if before else b""
    stub.on(CHAT, stream(come + body))
    answer = await ask(stub)
    assert answer.state == "failed" and answer.text == before
    assert SAID in str(answer.error) and "hung up" not in str(answer.error)


async def test_a_body_that_is_no_answer(stub: Stub) -> None:
    stub.on(CHAT, Reply.of({"detail": SAID}))
    assert SAID in str((await ask(stub)).error)


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"message": SAID, "code": 5007}], "success": False},
        {"base_resp": {"status_code": 1008, "status_msg": SAID}, "choices": None},
        {"code": 1113, "msg": SAID},
        {"fault": {"faultstring": SAID}},
        {"Message": SAID},
        {"error": "invalid_request", "error_description": SAID},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_where_others_have_their_words(
    stub: Stub, body: dict[str, object], status: int
) -> None:
    stub.on(CHAT, Reply.of(body, status))
    assert SAID in str((await ask(stub)).error)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": {"message": "No.", "code": "model_not_found"}}, "does not have the model"),
        (400, {"error": {"message": "API key not valid."}}, "refused the key"),
        (429, {"error": {"message": "No.", "code": "insufficient_quota"}}, "used up"),
        (400, {"error": "Prompt too long: 5000 tokens"}, "do not fit"),
        (405, {"detail": "Method Not Allowed"}, "Is the address right?"),
        (408, {}, "gave up waiting"),
        (499, {}, "gave up waiting"),
        (521, {}, "is away"),
        (530, {}, "is away"),
    ],
)
async def test_whose_fault_a_refusal_is(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, status: int, body: object, said: str
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
    stub.on(CHAT, Reply.of(body, status))
    assert said in str((await ask(stub)).error)


@pytest.mark.parametrize(
    "event",
    [
        {"model": "phi", "message": {"role": "assistant", "content": ""}, "done": True},
        {"type": "response.output_text.delta", "delta": "Paris."},
        {"token": {"text": "Paris."}, "generated_text": None},
        {"results": [{"text": "Paris."}]},
    ],
)
async def test_another_protocol_is_not_a_prompt_too_long(stub: Stub, event: object) -> None:
    stub.on(CHAT, stream(sse(event, done=False)))
    said = str((await ask(stub)).error)
    assert "answered in a form that is not" in said and "too long" not in said


async def test_a_connection_that_breaks_after_the_end_is_no_failure(stub: Stub) -> None:
    events = sse(delta("Paris."), delta("", "stop"), done=False)
    stub.on(CHAT, Reply((events,), headers=STREAM, cut=True))
    answer = await ask(stub)
    assert (answer.text, answer.state, answer.finish_reason) == ("Paris.", "done", "stop")
    stub.on(CHAT, stream(sse(delta("Par"), done=False) + b'data: {"choices": [{"del'))
    assert "hung up in the middle" in str((await ask(stub)).error)


async def test_an_empty_content_encoding_is_none(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Paris.", "stop")), **{"content-encoding": ""}))
    assert (await ask(stub)).text == "Paris."


async def test_a_prompt_too_long_for_it_is_said_with_200(stub: Stub) -> None:
    message = "the request exceeds the available context size"
    stub.on(CHAT, stream(b'error: {"code": 400, "message": "' + message.encode() + b'"}\n'))
    answer = await ask(stub)
    assert isinstance(answer.error, ContextLengthError)


@pytest.mark.parametrize("kind", ["text/html", "text/event-stream"])
async def test_a_page_that_wants_a_visitor_to_sign_in(stub: Stub, kind: str) -> None:
    page = "<!doctype html>\n<html><title>Sign in</title>\n<p>data: none</p></html>"
    stub.on(CHAT, Reply((page.encode(),), headers={"content-type": kind}))
    answer = await ask(stub)
    assert "sent a web page instead of an answer" in str(answer.error)


async def test_nothing_at_all(stub: Stub) -> None:
    stub.on(CHAT, stream(b""))
    answer = await ask(stub)
    assert isinstance(answer.error, BackendConnectionError)
    assert "ended its answer before it had begun" in str(answer.error)
    assert "pictures" not in str(answer.error)


async def test_nothing_at_all_for_a_picture(stub: Stub) -> None:
    """llama_cpp.server: its template fails on the message, after it has said 200."""
    stub.on(CHAT, stream(b""))
    picture = Message("user", (ImagePart(b"\x89PNG", "image/png"), TextPart("What is this?")))
    answer = await complete(
        Request(BACKEND, "phi", (picture,), connection=Connection(stub.url)),
    )
    assert "The model may not read pictures: ask without." in str(answer.error)


@pytest.mark.parametrize("finish", ["abort", "error", "insufficient_system_resource", "CANCELLED"])
async def test_an_answer_that_was_broken_off_is_not_whole(stub: Stub, finish: str) -> None:
    stub.on(CHAT, stream(sse(delta("Par"), delta("", finish))))
    answer = await ask(stub)
    assert isinstance(answer.error, ServerError) and answer.text == "Par"
    assert f"broke off its answer: it says “{finish.lower()}”" in str(answer.error)


@pytest.mark.parametrize(
    ("finish", "told"),
    [("model_context_window_exceeded", "length"), ("RECITATION", None), ("SAFETY", None)],
)
async def test_how_others_call_a_limit_or_a_filter(
    stub: Stub, finish: str, told: str | None
) -> None:
    stub.on(CHAT, stream(sse(delta("Par"), delta("", finish))))
    answer = await ask(stub)
    assert answer.text == "Par" and answer.finish_reason == told
    assert (told is None) is isinstance(answer.error, ContentFilterError)


async def test_an_error_in_a_choice_is_said(stub: Stub) -> None:
    """OpenRouter's, when a provider went away."""
    failed = choice(delta={"content": ""}, finish_reason="error", error={"message": SAID})
    stub.on(CHAT, stream(sse(delta("Par"), failed)))
    answer = await ask(stub)
    assert answer.text == "Par" and SAID in str(answer.error)


@pytest.mark.parametrize("status", [200, 404, 400])
async def test_an_error_in_the_place_of_a_list_is_not_ready(stub: Stub, status: int) -> None:
    stub.on(MODELS, Reply.of({"error": f"{SAID}. (GET /v1/models)"}, status))
    found = (await BACKEND.check(Connection(stub.url))).status
    assert found.ready is (status != 200)
    assert status != 200 or SAID in found.message


# ── Answers without text ───────────────────────────────────────────────────────────────────────


async def record(stub: Stub, *events: object) -> AnswerRecord:
    stub.on(CHAT, stream(sse(*events)))
    return await AnswerRecord.of(await ask(stub), "Phi", "Server")


async def test_an_empty_answer_says_why(stub: Stub) -> None:
    assert describe_empty(await record(stub, delta("", "stop"))) == "It answered nothing."
    spent = await record(stub, thinking("Hm"), delta("", "length"))
    assert "all its tokens on thinking" in describe_empty(spent)
    thought = await record(stub, thinking("Hm"), delta("", "stop"))
    assert describe_empty(thought) == "It thought, and then answered nothing."
    called = await record(stub, choice(delta={"tool_calls": [{"function": {"name": "f"}}]}))
    assert called.notes == ("it called a tool",) and called.state == "done"


# ── Thinking ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
async def test_thinking_is_apart(stub: Stub, name: str) -> None:
    events = [
        thinking("The capital", name),
        thinking(" of France.", name),
        delta("法国的首都是巴黎。", "stop"),
    ]
    told = {"completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 30}}
    stub.on(CHAT, stream(sse(*events, {"choices": [], "usage": told})))
    answer = await ask(stub)
    assert (answer.thinking, answer.text) == ("The capital of France.", "法国的首都是巴黎。")
    assert (answer.clock.tokens, answer.clock.thinking_tokens) == (40, 30)
    kept = await AnswerRecord.of(answer, "Phi", "Server")
    assert kept.thinking == answer.thinking and kept.language == "zh"
    told_of = " · ".join(describe_numbers(kept))
    assert "thought for" in told_of and "(30 tokens)" in told_of and "10 tokens" in told_of


@pytest.mark.parametrize(
    "piece",
    [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
        {"content": [{"type": "thinking", "thinking": "Hm"}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm"}]},
        {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}], "reasoning": "Hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "x"}]},
        {"reasoning": {"content": "Hm"}},
        {"reasoning_text": "Hm"},
    ],
)
async def test_thinking_in_parts(stub: Stub, piece: dict[str, object]) -> None:
    stub.on(CHAT, stream(sse(choice(delta=piece), delta("Paris.", "stop"))))
    answer = await ask(stub)
    assert (answer.thinking, answer.text) == ("Hm", "Paris.")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"usage": {"input_tokens": 9, "output_tokens": 7}}, (9, 7, None)),
        ({"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 7}}}, (9, 7, None)),
        ({"usage": {"completion_tokens": 7, "reasoning_tokens": 3}}, (None, 7, 3)),
    ],
)
async def test_other_names_of_the_counts(
    stub: Stub, more: dict[str, object], told: tuple[int | None, ...]
) -> None:
    stub.on(CHAT, stream(sse(thinking("Hm"), delta("Paris.", "stop", **more))))
    usage = (await ask(stub)).usage
    assert usage and (usage.input_tokens, usage.output_tokens, usage.thinking_tokens) == told


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\nHm, so.\n</think>\n\nParis.", "Hm, so.\n", "Paris."),
        ("\n<think>Hm</think>Paris.", "Hm", "Paris."),
        ("<think></think>\n\nParis.", "", "Paris."),
        ("<THINK>Hm</THINK> Paris.", "Hm", "Paris."),
        ("<thinking>a < b</thinking>Yes", "a < b", "Yes"),
        ("<think>cut off by the li", "cut off by the li", ""),
        ("<thin ice>", "", "<thin ice>"),
        ("<", "", "<"),
        ("In XML: <think>Hm</think>", "", "In XML: <think>Hm</think>"),
        ("  indented", "", " indented"),
        ("Paris.", "", "Paris."),
        ("[THINK]Hm[/THINK]Paris.", "Hm", "Paris."),
        ("<seed:think>Hm</seed:think>Paris.", "Hm", "Paris."),
        ('<think time="3">Hm</think>Paris.', "Hm", "Paris."),
        ("<|begin_of_thought|>Hm<|end_of_thought|>Paris.", "Hm", "Paris."),
        ("<|channel>thought\nHm<channel|>Paris.", "Hm", "Paris."),
        (
            "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>P",
            "Hm",
            "P",
        ),
        ("</think>\n\nParis.", "", "Paris."),
        ("Okay, hm.\nSo.\n</think>\n\nParis.", "Okay, hm.\nSo.", "Paris."),
        ("Okay, İ</think>Paris.", "", "Okay, İ</think>Paris."),
        ("```\n</think>\n```", "", "```\n</think>\n```"),
        ("<think>İ</think>Paris.", "İ", "Paris."),
        ("[the] list", "", "[the] list"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_thinking_in_tags(
    stub: Stub, text: str, thought: str, answer: str, size: int
) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    stub.on(CHAT, stream(sse(*map(delta, pieces), delta("", "stop"))))
    found = await ask(stub)
    assert found.thinking.strip() == thought.strip()
    assert found.text.strip() == answer.strip()


# ── Which model, and how much of the prompt ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("phi-3.5-mini", "phi-3.5-mini", True),
        ("microsoft/Phi-3.5-mini-instruct", "phi-3.5-mini-instruct", True),
        ("phi3.5", "phi3.5:latest", True),
        ("Phi-3.5-mini-instruct", "/models/Phi-3.5-mini-instruct-Q4_K_M.gguf", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("phi-3.5-mini", "SmolLM2-135M-Instruct", False),
        ("phi-3", "phi-3.5-mini", False),
        ("Phi-3-mini-4k-instruct", "phi-3-mini-4k-instruct.Q4_0.gguf", True),
        ("phi-3.5-mini", "phi-3.5-minimal", False),
        ("phi-3.5-mini", "", True),
    ],
)
async def test_another_model_is_said(stub: Stub, asked: str, served: str, same: bool) -> None:
    stub.on(CHAT, stream(sse(delta("Yes.", "stop", model=served))))
    warnings = (await ask(stub, asked)).warnings
    assert bool(warnings) is not same
    assert same or (f"“{served}” answered" in warnings[0] and f"not “{asked}”" in warnings[0])


async def test_a_prompt_that_was_cut_in_silence_is_said(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("Yes.", "stop"), usage(2050, 2))))
    warnings = (await ask(stub, prompt="word " * 3000)).warnings
    assert any("read only 2,050 tokens of a prompt that has 3,000 at least" in w for w in warnings)
    stub.on(CHAT, stream(sse(delta("Yes.", "stop"), usage(3300, 2))))
    assert (await ask(stub, prompt="word " * 3000)).warnings == ()


# ── Honest time ────────────────────────────────────────────────────────────────────────────────


async def test_what_came_in_one_packet_has_no_speed(stub: Stub) -> None:
    words = [delta(f"word{n} ") for n in range(100)]
    stub.on(CHAT, stream(sse(*words, delta("", "stop"), usage(5, 100))))
    answer = await ask(stub)
    assert answer.clock.tokens == 100
    assert answer.clock.tokens_per_second is None and answer.clock.came_at_once
    assert "came at once" in describe_numbers(await AnswerRecord.of(answer, "Phi", "Server"))


async def test_the_first_token_is_timed_from_the_question(stub: Stub) -> None:
    release = asyncio.Event()
    stub.on(CHAT, Reply((release, sse(delta("a", "stop"))), headers=STREAM))
    asking = asyncio.ensure_future(ask(stub))
    await stub.until_asked(CHAT)
    await asyncio.sleep(0.05)
    release.set()
    assert ((await asking).clock.first_token or 0) > 0.04


async def test_control_characters_of_an_answer_go(stub: Stub) -> None:
    stub.on(CHAT, stream(sse(delta("red \x1b[3"), delta("1mtext\x1b[0m\x00\r\n\tend", "stop"))))
    assert (await ask(stub)).text == "red text\n\tend"


async def test_without_a_report_the_steps_are_counted(stub: Stub) -> None:
    words = [delta("internationalisation ") for _ in range(20)]
    stub.on(CHAT, stream(sse(*words, delta("", "stop"))))
    clock = (await ask(stub)).clock
    assert (clock.tokens, clock.token_source) == (20, "estimate")


# ── Servers that never end ─────────────────────────────────────────────────────────────────────


async def test_an_event_beyond_the_limit(stub: Stub) -> None:
    stub.on(CHAT, stream(b"data: " + b"x" * 3_000_000))
    with pytest.raises(BackendError, match="cannot be read"):
        async for _ in BACKEND.stream("phi", HELLO, GenerationParams(), Connection(stub.url)):
            pass


async def test_a_huge_refusal_is_read_to_a_limit(stub: Stub) -> None:
    stub.on(CHAT, Reply.of({"error": {"message": "No. " * 2_000_000}}, 400))
    answer = await ask(stub)
    assert "refused the request" in str(answer.error) and len(str(answer.error)) < 1000


@pytest.mark.parametrize("depth", [900, 100_000])
@pytest.mark.parametrize("body", ["{}", '{{"error": {}}}', '{{"error": {{"code": {}}}}}'])
async def test_a_refusal_that_is_nested_deeply_is_one_all_the_same(
    stub: Stub, body: str, depth: int
) -> None:
    stub.on(CHAT, Reply.of(body.format("[" * depth + "]" * depth), 400))
    assert "refused the request" in str((await ask(stub)).error)


def test_a_chunk_has_its_thinking_apart() -> None:
    assert Chunk(text="a", thinking="b") != Chunk(text="a")
