"""What real Ollamas said, and what is made of it: three versions, recorded."""

import asyncio

import pytest

from backends import (
    REGISTRY,
    BackendConnectionError,
    BackendError,
    BadRequestError,
    Chunk,
    Connection,
    ContextLengthError,
    GenerationParams,
    Message,
    ModelNotFoundError,
    Progress,
    ServerError,
)
from backends._remote import retry
from playground.answer import AnswerSnapshot, Request
from playground.compare import complete
from tests.recordings import exchanges, play
from tests.stub import Stub

BACKEND, CHAT = REGISTRY["ollama"], "/api/chat"
VERSIONS = ("0.12.5", "0.24.0", "0.32.15")
LONG = " ".join(f"word{n}" for n in range(3000))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a retry."""
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)


async def ask(stub: Stub, model: str = "phi3.5", prompt: str = "What is Ollama?") -> AnswerSnapshot:
    messages = (Message.of("user", prompt),)
    params = GenerationParams(max_tokens=48)
    return await complete(Request(BACKEND, model, messages, params, Connection(stub.url)))


async def chunks_of(stub: Stub, model: str = "phi3.5", prompt: str = "Hi") -> list[Chunk]:
    steps = BACKEND.stream(
        model, (Message.of("user", prompt),), GenerationParams(), Connection(stub.url)
    )
    return [step async for step in steps if isinstance(step, Chunk)]


async def failure(stub: Stub, model: str = "phi3.5", prompt: str = "Hi") -> BackendError:
    answer = await ask(stub, model, prompt)
    assert answer.state == "failed" and answer.error is not None
    return answer.error


# ── Answers ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_answer(stub: Stub, version: str) -> None:
    exchange = play(stub, version, "chat")
    *_, end = chunks = await chunks_of(stub)
    told = exchange.objects
    said = "".join(line["message"]["content"] for line in told)
    assert "".join(chunk.text for chunk in chunks) == said.removeprefix(" ")
    last, timings = told[-1], end.timings
    assert end.finish_reason == "length" and end.usage and timings
    assert (end.usage.input_tokens, end.usage.output_tokens) == (7, 48)
    assert len(chunks) - 1 + exchange.left_out == 48  # each line is one token
    assert timings.load == last["load_duration"] / 1e9 > 0.2
    parts = (timings.queued, timings.load, timings.prefill, timings.decode)
    assert sum(part or 0 for part in parts) == pytest.approx(last["total_duration"] / 1e9)
    assert timings.queued and timings.queued < 0.01  # nobody was before it
    assert end.warnings == ()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_it_has(stub: Stub, version: str) -> None:
    play(stub, version, "tags")
    health = await BACKEND.check(Connection(stub.url))
    assert health.status.message == f"Ollama {version} answers."
    offers = {offer.model: offer for offer in health.offers}
    assert offers["phi3:mini"].status.ready and "phi3" in offers["phi3:mini"].aliases
    assert offers["phi3.5"].status.message == "Installed in Ollama: F16, 8 MB."
    assert "phi3" not in offers and offers["phi4"].download_size
    small = offers["smollm2"].spec
    assert small.parameters == 134_520_000
    assert small.context == (8192 if version == "0.32.15" else 0)


async def test_a_model_in_memory_is_taken_as_it_is(stub: Stub) -> None:
    play(stub, "0.32.15", "chat")
    await ask(stub)
    (sent,) = stub.asked(CHAT)
    assert sent.json["options"]["num_ctx"] == 4096 and "shift" not in sent.json


async def test_only_thoughts(stub: Stub) -> None:
    exchange = play(stub, "0.32.15", "think")
    answer = await ask(stub, "thinker")
    assert (answer.state, answer.text, answer.finish_reason) == ("done", "", "length")
    assert answer.thinking == "".join(
        line["message"].get("thinking", "") for line in exchange.objects
    )
    assert answer.clock.thinking_tokens >= 23  # lines; the last one stands for a token too


async def test_a_thinking_model_that_does_not_think(stub: Stub) -> None:
    play(stub, "0.32.15", "think-off")
    answer = await ask(stub, "thinker")
    assert answer.text.startswith("The sky") and answer.thinking == ""


@pytest.mark.parametrize("name", ["load", "unload"])
async def test_what_was_only_loaded(stub: Stub, name: str) -> None:
    play(stub, "0.32.15", name)
    (end,) = await chunks_of(stub)
    assert f"Ollama only {name}ed it" in end.notes


async def test_tokens_are_shown_as_they_come(stub: Stub) -> None:
    go_on = asyncio.Event()
    play(stub, "0.32.15", "chat", pause_before={2: go_on})
    answer = BACKEND.stream(
        "phi3.5", (Message.of("user", "Hi"),), GenerationParams(), Connection(stub.url)
    )
    first = [await anext(answer) for _ in range(3)]
    assert isinstance(first[0], Progress) and [step.text for step in first[1:]] == ["There", " are"]
    go_on.set()
    *_, end = [step async for step in answer]
    assert isinstance(end, Chunk) and end.finish_reason == "length"


# ── Prompts that are too long ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["0.24.0", "0.32.15"])
async def test_a_prompt_that_does_not_fit_is_refused(stub: Stub, version: str) -> None:
    play(stub, version, "chat-too-long")
    error = await failure(stub, prompt=LONG)
    assert isinstance(error, ContextLengthError)
    told = {name: error.values.get(name) for name in ("tokens", "context")}
    assert told == (
        {"tokens": 16_893, "context": 4096}
        if version == "0.32.15"
        else {"tokens": None, "context": None}
    )


@pytest.mark.parametrize("name", ["chat-too-long", "chat-too-long-cut-in-silence"])
async def test_a_prompt_that_an_old_version_cuts_is_said(stub: Stub, name: str) -> None:
    """0.12 knows no `truncate`; what it takes to cut is no time in line."""
    play(stub, "0.12.5", name)
    *_, end = await chunks_of(stub, prompt=LONG)
    assert "longer than the 4,096 tokens that Ollama keeps" in end.warnings[0]
    assert end.timings and end.timings.queued is None


# ── Failures ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_model_that_is_not_there(stub: Stub, version: str) -> None:
    play(stub, version, "chat-unknown")
    error = await failure(stub, "nosuch:7b")
    assert isinstance(error, ModelNotFoundError) and "ollama pull nosuch:7b" in error.hint


@pytest.mark.parametrize("version", ["0.12.5", "0.32.15"])
async def test_a_name_that_no_model_can_have(stub: Stub, version: str) -> None:
    play(stub, version, "chat-bad-name")
    error = await failure(stub, "a b/c?d")
    assert isinstance(error, BadRequestError) and "“a b/c?d” is no name" in error.message


@pytest.mark.parametrize("name", ["engine-dies", "engine-dies-after-a-refusal"])
async def test_an_engine_that_dies(stub: Stub, name: str) -> None:
    play(stub, "0.32.15", name)
    answer = await ask(stub, "smollm2", "Tell me the whole history of Rome.")
    assert type(answer.error) is ServerError and answer.text.startswith("Rome's")
    assert answer.error.message == "Ollama's engine stopped while it answered."


async def test_a_full_queue_is_asked_again(stub: Stub) -> None:
    full, chat = (exchanges("0.32.15")[name] for name in ("queue-full", "chat"))
    play(stub, "0.32.15", "chat")
    stub.on(CHAT, full.reply(), chat.reply())
    assert (await ask(stub)).state == "done" and len(stub.asked(CHAT)) == 2
    stub.on(CHAT, full.reply())
    assert "as many questions in line as it takes" in (await failure(stub)).message


async def test_a_setting_of_the_wrong_kind(stub: Stub) -> None:
    play(stub, "0.32.15", "chat-bad-option")
    assert isinstance(await failure(stub), BadRequestError)


async def test_a_name_of_its_machine_that_it_does_not_know(stub: Stub) -> None:
    play(stub, "0.32.15", "foreign-host")
    status = (await BACKEND.check(Connection(stub.url))).status
    assert status.state == "unreachable" and "OLLAMA_HOST" in status.message


# ── Downloads ──────────────────────────────────────────────────────────────────────────────────


async def pull(stub: Stub, name: str) -> list[Progress]:
    play(stub, "0.32.15", name)
    return [step async for step in BACKEND.download("phi3.5", Connection(stub.url))]


async def test_a_download(stub: Stub) -> None:
    steps = await pull(stub, "pull")
    assert steps[0].detail == "looking it up"
    assert [step.detail for step in steps[-2:]] == ["verifying", "writing manifest"]
    assert all(step.fraction and step.fraction > 0.99 for step in steps[-2:])


async def test_what_is_there_already(stub: Stub) -> None:
    assert (await pull(stub, "pull-again"))[-1].fraction == 1.0


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("pull-corrupt", ServerError, "“phi3.5” came damaged"),
        ("pull-no-such-host", BackendConnectionError, "cannot reach its library"),
        ("pull-refused", BackendConnectionError, "cannot reach its library"),
        ("pull-unknown", ModelNotFoundError, "library has no “phi3.5”"),
    ],
)
async def test_a_download_that_fails(stub: Stub, name: str, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        await pull(stub, name)


# ── Through chat/completions, which Ollama speaks too ──────────────────────────────────────────


async def ask_v1(stub: Stub, name: str, model: str, prompt: str) -> AnswerSnapshot:
    play(stub, "0.32.15", name)
    messages = (Message.of("user", prompt),)
    backend, server = REGISTRY["openai_compatible"], Connection(f"{stub.url}/v1")
    return await complete(Request(backend, model, messages, connection=server))


async def test_only_thoughts_through_v1(stub: Stub) -> None:
    answer = await ask_v1(stub, "v1-think", "thinker", "Why is the sky blue?")
    assert (answer.text, answer.finish_reason) == ("", "length")
    assert answer.thinking.startswith("The sky")


async def test_a_prompt_that_v1_cuts_is_said(stub: Stub) -> None:
    answer = await ask_v1(stub, "v1-too-long-cut-in-silence", "phi3.5", LONG)
    assert "read only 2,050 tokens of a prompt that has 3,000 at least" in answer.warnings[0]
