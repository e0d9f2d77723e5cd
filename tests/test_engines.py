"""What every local engine owes: each test runs on all of them, each in its real process."""

import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from backends import (
    REGISTRY,
    Chunk,
    ContextLengthError,
    GenerationParams,
    Message,
    OutOfMemoryError,
    Progress,
)
from backends._local.host import Host, LocalModel
from backends.llama_cpp import LlamaCpp
from tests import openvino_pocket, pocket_gguf
from tests.browser import PATIENCE

POCKET = Path(__file__).parents[1] / "backends" / "pocket" / "models" / "pocket-3.5"
ENGINES = {
    "onnx": ("backends._local.onnx_text", {"folder": str(POCKET / "onnx")}),
    "torch": (
        "backends._local.torch_engine",
        {"folder": str(POCKET), "active_parameters": 3_016_448},
    ),
    "openvino": ("backends._local.openvino_text", {"folder": str(openvino_pocket.FOLDER)}),
    "mlx": ("backends._local.mlx_text", {"folder": str(POCKET)}),
    "llama": ("backends._local.llama_server", {"file": str(pocket_gguf.FILE)}),
}
"""One model, Pocket-3.5, as each engine reads it."""


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip an engine whose packages are not installed: `make test-engines` brings them."""
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


GREEDY = GenerationParams(temperature=0.0)
LESSON = Path(__file__).parents[1] / "tools" / "pocket" / "dialogues"


def taught(language: str) -> tuple[str, str]:
    """A question of the lesson and its answer, of which each token leads by far."""
    topic = tomllib.loads((LESSON / f"{language}.toml").read_text("utf-8"))["topics"]["moe"]
    return topic["questions"][0], topic["answers"][-1]


TAUGHT = dict(map(taught, ("en", "es", "zh", "ar")))
WHAT = next(iter(TAUGHT))
LONG = "the " * 3400
"""3,400 tokens."""


OTHERS = [
    pytest.param("torch", marks=pytest.mark.engine),
    pytest.param("openvino", marks=needs("openvino")),
    pytest.param("mlx", marks=[pytest.mark.engine, needs("mlx_lm")]),
    pytest.param("llama", marks=needs("xllamacpp", "gguf")),
]


@pytest.fixture(params=["onnx", *OTHERS])
def model(request: pytest.FixtureRequest) -> LocalModel:
    return model_of(request.param)


def model_of(key: str) -> LocalModel:
    """Pocket-3.5 in one of the engines."""
    engine, options = ENGINES[key]
    if key == "llama":
        pocket_gguf.written()
    if key == "openvino":
        openvino_pocket.pocket()
    return LocalModel(key, "Pocket-3.5", engine, options)


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[Host]:
    """The engines stay loaded from test to test: what one leaves behind, the next one meets."""
    host = Host()
    yield host
    host.close()


async def stream(
    host: Host, model: LocalModel, *talk: str, params: GenerationParams = GREEDY
) -> AsyncGenerator[Chunk | Progress, None]:
    """The steps of an answer to a conversation of alternating turns."""
    roles = ("user", "assistant")
    messages = [Message.of(roles[n % 2], text) for n, text in enumerate(talk)]
    asked = host.stream(model, messages, params)
    if model.key == "llama":  # a whole server, which is asked through its backend
        backend = REGISTRY["llama_cpp"]
        assert isinstance(backend, LlamaCpp)
        asked = backend.answer(host, model, messages, params)
    async with asyncio.timeout(PATIENCE), aclosing(asked) as steps:
        async for step in steps:
            yield step


async def ask(
    host: Host, model: LocalModel, *talk: str, params: GenerationParams = GREEDY
) -> list[Chunk | Progress]:
    return [step async for step in stream(host, model, *talk, params=params)]


def text(steps: Sequence[Chunk | Progress]) -> str:
    return "".join(step.text for step in steps if isinstance(step, Chunk))


def last(steps: Sequence[Chunk | Progress]) -> Chunk:
    assert isinstance(steps[-1], Chunk)
    return steps[-1]


@pytest.mark.parametrize(("question", "answer"), TAUGHT.items())
async def test_it_says_what_it_was_taught(
    host: Host, model: LocalModel, question: str, answer: str
) -> None:
    steps = await ask(host, model, question)
    assert text(steps) == answer
    end = last(steps)
    assert end.usage and end.finish_reason == "stop" and end.timings
    assert end.usage.output_tokens == sum(s.tokens or 0 for s in steps if isinstance(s, Chunk))
    assert end.timings.device == "cpu" and end.timings.prefill and end.timings.decode


async def test_all_scripts_and_emoji_are_read(host: Host, model: LocalModel) -> None:
    odd = "שלום ไทย हिन्दी 👩🏽‍🚀 \u202e\x00 <|end|> \ud83d 😊"
    assert text(await ask(host, model, odd))


async def test_it_stops_at_a_text(host: Host, model: LocalModel) -> None:
    steps = await ask(host, model, WHAT, params=GenerationParams(temperature=0.0, stop=("router",)))
    assert text(steps) == TAUGHT[WHAT].partition("router")[0]
    assert last(steps).finish_reason == "stop"


async def test_it_stops_after_so_many_tokens(host: Host, model: LocalModel) -> None:
    steps = await ask(host, model, WHAT, params=GenerationParams(temperature=0.0, max_tokens=3))
    assert last(steps).finish_reason == "length" and TAUGHT[WHAT].startswith(text(steps))
    assert (usage := last(steps).usage) and usage.output_tokens == 3


@pytest.mark.parametrize(("question", "answer"), TAUGHT.items())
async def test_it_goes_on_where_an_answer_stopped(
    host: Host, model: LocalModel, question: str, answer: str
) -> None:
    if model.key == "llama":
        assert not REGISTRY["llama_cpp"].continues
        return
    begun = answer[: len(answer) // 2].rsplit(" ", 1)[0]
    assert begun + text(await ask(host, model, question, begun)) == answer


async def test_a_seed_gives_the_same_text_after_other_work(host: Host, model: LocalModel) -> None:
    params = GenerationParams(temperature=2.0, top_p=1.0, seed=7, max_tokens=40)
    first = text(await ask(host, model, WHAT, params=params))
    await ask(host, model, WHAT, TAUGHT[WHAT], "And now?")
    assert text(await ask(host, model, WHAT, params=params)) == first
    other = GenerationParams(temperature=2.0, top_p=1.0, seed=8, max_tokens=40)
    assert text(await ask(host, model, WHAT, params=other)) != first


async def test_a_turn_reads_only_what_is_new(host: Host, model: LocalModel) -> None:
    talk, before = [WHAT], 0
    for turn in range(1, 9):
        steps = await ask(host, model, *talk, params=GenerationParams(8, 0.0))
        begun = next(s for s in steps if isinstance(s, Progress) and s.stage == "prefill")
        usage = last(steps).usage
        assert usage and begun.fraction is not None
        if turn > 1:
            new = round(usage.input_tokens * (1 - begun.fraction))
            own = usage.input_tokens - before
            assert new <= own + 16, f"turn {turn} read {new} of {usage.input_tokens} tokens"
        before = usage.input_tokens
        talk += [text(steps), "And then?"]


async def test_a_stopped_answer_ends_and_the_next_one_is_whole(
    host: Host, model: LocalModel
) -> None:
    steps = stream(host, model, WHAT)
    async for step in steps:
        if isinstance(step, Chunk):
            break
    await steps.aclose()
    assert text(await ask(host, model, WHAT)) == TAUGHT[WHAT]


async def test_a_prompt_that_is_too_long_is_refused_with_numbers(
    host: Host, model: LocalModel
) -> None:
    with pytest.raises(ContextLengthError, match="takes 4,096 here"):
        await ask(host, model, "word " * 5000)
    assert text(await ask(host, model, WHAT)) == TAUGHT[WHAT]


async def test_two_answers_at_once_are_those_of_one(host: Host, model: LocalModel) -> None:
    both = await asyncio.gather(*(ask(host, model, question) for question in TAUGHT))
    assert [text(steps) for steps in both] == [*TAUGHT.values()]


@pytest.mark.parametrize("other", OTHERS)
async def test_two_engines_answer_at_once(host: Host, other: str) -> None:
    models = [model_of(key) for key in ("onnx", other)]
    both = await asyncio.gather(*(ask(host, model, WHAT) for model in models))
    assert [text(steps) for steps in both] == [TAUGHT[WHAT]] * len(models)


async def test_killed_in_the_middle_it_says_so_and_comes_back(
    host: Host, model: LocalModel
) -> None:
    with pytest.raises(OutOfMemoryError, match="most likely the memory ran out"):
        async for step in stream(host, model, LONG, params=GenerationParams(2000, 2.0, 1.0)):
            if isinstance(step, Chunk):
                os.kill(pid(host, model), signal.SIGKILL)
    assert text(await ask(host, model, WHAT)) == TAUGHT[WHAT]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
async def test_without_memory_it_says_so_and_comes_back(host: Host, model: LocalModel) -> None:
    import resource

    if model.key == "llama":
        pytest.skip("it takes all of its memory when it is loaded: tests/test_llama_cpp.py")
    await ask(host, model, WHAT)
    process = pid(host, model)
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])  # noqa: ASYNC240
    size = pages * resource.getpagesize()
    resource.prlimit(process, resource.RLIMIT_AS, (size, size))
    # Four conversations at once: what was given back before is used up first.
    tries = (ask(host, model, f"{n} " + LONG) for n in range(4))
    failed = [
        e for e in await asyncio.gather(*tries, return_exceptions=True) if isinstance(e, Exception)
    ]
    assert failed and all(isinstance(e, OutOfMemoryError) and "ran out" in str(e) for e in failed)
    assert text(await ask(host, model, WHAT)) == TAUGHT[WHAT]


async def test_unloading_ends_its_process(host: Host, model: LocalModel) -> None:
    await host.load(model)
    process = pid(host, model)
    assert host.memory(model.key) > 10_000_000
    async with asyncio.timeout(PATIENCE):
        while not host.unload(model.key):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not psutil.pid_exists(process) and host.memory(model.key) == 0


def pid(host: Host, model: LocalModel) -> int:
    return host._models[model.key].worker.process.pid
