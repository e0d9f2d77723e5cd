"""A run: in balanced order, gone on with, asked again where only the connection failed."""

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from backends import (
    REGISTRY,
    AuthenticationError,
    Backend,
    BackendConnectionError,
    BackendTimeoutError,
    Chunk,
    Connection,
    ContentFilterError,
    GenerationParams,
    Health,
    Message,
    Offer,
    Progress,
    RateLimitError,
    ServerError,
    Status,
    Usage,
    known_model,
)
from playground.matrix import __main__ as command_line
from playground.matrix import runner
from playground.matrix.models import ModelError, find_models
from playground.matrix.plan import Cost, Plan, Speed, duration, rounded
from playground.matrix.run_file import RunFileError, read
from playground.matrix.runner import RunStopped, Step, run
from tests.browser import PATIENCE
from tests.fakes import Scripted, last, said
from tests.matrix_runs import plan, score
from tests.stub import Reply, Stub, delta, sse, usage

ROOT = Path(__file__).parent.parent
STREAM = {"content-type": "text/event-stream"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses take no time; they are kept to be looked at."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(runner, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(runner, "LONGEST_PAUSE", 0.0)
    return taken


class Answering(Scripted):
    """Answers with the last word of a prompt, after the failures it was given."""

    label = "Answering"

    def __init__(self, *failures: BaseException, log: list[str] | None = None) -> None:
        super().__init__()
        self.failures, self.log = list(failures), log if log is not None else []
        self.most = 0
        self.params: list[GenerationParams] = []

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        self.asked.append(tuple(messages))
        self.params.append(params)
        self.log.append(f"{self.id} {messages[-1].text}")
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(0)
            if self.failures:
                raise self.failures.pop(0)
            yield said(messages[-1].text.split()[-1])
            yield last(7, 1)
        finally:
            self.open -= 1


class Other(Answering):
    id = "other"


class Server(Answering):
    id, kind = "server", "server"


class Hosted(Answering):
    id, kind = "hosted", "hosted"


async def test_every_item_is_asked_of_every_model_greedily(tmp_path: Path) -> None:
    path, backend, other = tmp_path / "x.jsonl", Answering(), Other()
    assert await run(plan(backend, other), path, score=score) == 0
    found = read(path)
    assert len(found.cells) == 16
    assert {one.side for one in found.cells} == {"a", "b"}
    assert {(one.temperature, one.max_tokens, one.seed) for one in backend.params} == {
        (0.0, 200, 1)
    }
    [one] = [one for one in found.cells if one.key == ("sum_one/de/1", "a")]
    assert one.prompt == "sum_one de 1?"
    assert (one.answer, one.expected, one.outcome, one.found) == ("1?", 1, "right", "1?")
    assert (one.prompt_tokens, one.answer_tokens, one.finish) == (7, 1, "stop")
    assert one.seconds is not None and one.first_token is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", one.at)


async def test_the_header_says_who_was_asked_and_where(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    await run(plan(Server(), Other()), path, score=score)
    header = read(path).header
    assert [(one.side, one.backend, one.model) for one in header.models] == [
        ("a", "server", "fake"),
        ("b", "other", "fake"),
    ]
    assert header.parallel == {"a": 4, "b": 1}
    assert header.versions["python"]
    assert header.versions["playground"].startswith("0.")
    assert header.machine.cores and header.machine.memory
    assert len(header.tasks_hash) == 64


async def test_models_of_one_machine_take_turns_by_block(tmp_path: Path) -> None:
    log: list[str] = []
    await run(plan(Answering(log=log), Other(log=log)), tmp_path / "x.jsonl", score=score)
    turns = [who for who, _ in itertools.groupby(line.split()[0] for line in log)]
    assert turns == ["scripted", "other"] * 4
    assert [line.split(" ", 1)[1] for line in log[:4]] == ["stays en 0?", "stays de 0?"] * 2
    assert [line.split(" ", 1)[1] for line in log[4:6]] == ["sum_one en 0?", "sum_one de 0?"]


async def test_one_at_a_time_here_and_several_of_a_server(tmp_path: Path) -> None:
    for number, (backend, parallel, most) in enumerate(
        ((Answering(), None, 1), (Server(), None, 2), (Server(), 1, 1), (Answering(), 2, 2))
    ):
        path = tmp_path / f"{number}.jsonl"
        await run(plan(backend, parallel=parallel), path, score=score)
        assert backend.most == most


async def test_a_service_does_not_wait_for_this_machine(tmp_path: Path) -> None:
    class Slow(Answering):
        async def stream(self, *asked: object) -> AsyncGenerator[Chunk | Progress, None]:
            await hosted_asked.wait()
            async for step in super().stream(*asked):  # pyright: ignore
                yield step

    class Fast(Hosted):
        async def stream(self, *asked: object) -> AsyncGenerator[Chunk | Progress, None]:
            hosted_asked.set()
            async for step in super().stream(*asked):  # pyright: ignore
                yield step

    hosted_asked = asyncio.Event()
    async with asyncio.timeout(10):
        await run(plan(Slow(), Fast()), tmp_path / "x.jsonl", score=score)


async def test_the_same_run_again_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    await run(plan(Answering()), path, score=score)
    before, again, steps = path.read_bytes(), Answering(), list[Step]()
    await run(plan(again), path, steps.append, score=score)
    assert again.asked == []
    assert path.read_bytes() == before
    assert [(one.done, one.total, one.left.answers) for one in steps] == [(8, 8, 0)]


async def test_another_run_does_not_write_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    await run(plan(Answering()), path, score=score)
    with pytest.raises(RunFileError, match="its number of items"):
        await run(plan(Answering(), count=3), path, score=score)
    with pytest.raises(RunFileError, match="its models"):
        await run(plan(Other()), path, score=score)


@pytest.mark.parametrize(
    "error",
    [
        BackendConnectionError("Gone."),
        BackendTimeoutError("Late."),
        RateLimitError("Too many.", retry_after=9),
        ServerError("Broken."),
    ],
)
async def test_a_failed_connection_is_tried_again(tmp_path: Path, error: Exception) -> None:
    path, backend = tmp_path / "x.jsonl", Answering(error, error)
    assert await run(plan(backend), path, score=score) == 0
    assert len(backend.asked) == 10
    assert all(one.error is None for one in read(path).cells)


async def test_after_three_tries_it_is_recorded_and_a_later_run_asks_again(tmp_path: Path) -> None:
    path, backend = tmp_path / "x.jsonl", Answering(*[ServerError("Broken.", "Wait.")] * 3)
    assert await run(plan(backend), path, score=score) == 1
    [failed] = [one for one in read(path).cells if one.error]
    assert (failed.error, failed.outcome, failed.item) == ("Broken. Wait.", None, "stays/en/0")
    again, steps = Answering(), list[Step]()
    assert await run(plan(again), path, steps.append, score=score) == 0
    assert [messages[-1].text for messages in again.asked] == ["stays en 0?"]
    assert steps[0].done == 7
    assert not [one for one in read(path).cells if one.error]
    assert len(read(path).cells) == 8


async def test_a_server_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    path, backend = tmp_path / "x.jsonl", Answering(*[BackendConnectionError("Gone.")] * 99)
    with pytest.raises(RunStopped, match=r"5 times in a row: Gone\. .*goes on"):
        await run(plan(backend), path, score=score)
    assert len([one for one in read(path).cells if one.error]) == 5


async def test_a_refused_key_ends_the_run_at_once(tmp_path: Path) -> None:
    path, backend = tmp_path / "x.jsonl", Answering(AuthenticationError("Wrong key.", "Type it."))
    with pytest.raises(RunStopped, match=r"Fake A cannot be asked: Wrong key\. Type it\."):
        await run(plan(backend), path, score=score)
    assert read(path).cells == ()
    assert len(backend.asked) == 1


async def test_a_fault_of_this_program_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="broke inside"):
        await run(plan(Answering(ValueError("x"))), tmp_path / "x.jsonl", score=score)


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    path, backend = tmp_path / "x.jsonl", Answering(ContentFilterError("Filtered."))
    assert await run(plan(backend), path, score=score) == 0
    first = read(path).cells[0]
    assert (first.finish, first.outcome, first.error) == ("content_filter", "unreadable", None)
    assert len(backend.asked) == 8


async def test_an_answer_that_was_cut_off_is_told_so(tmp_path: Path) -> None:
    class Endless(Answering):
        async def stream(self, *asked: object) -> AsyncGenerator[Chunk | Progress, None]:
            yield said("and so on \ud800")
            yield Chunk(finish_reason="length", usage=Usage(1, 1))

    path = tmp_path / "x.jsonl"
    await run(plan(Endless()), path, score=score)
    assert {(one.outcome, one.finish) for one in read(path).cells} == {("unreadable", "length")}


async def test_cancelling_leaves_a_file_that_is_gone_on_with(tmp_path: Path) -> None:
    path, reached = tmp_path / "x.jsonl", asyncio.Event()

    def progress(step: Step) -> None:
        if step.done == 3:
            reached.set()

    class Slow(Answering):
        async def stream(self, *asked: object) -> AsyncGenerator[Chunk | Progress, None]:
            if len(self.asked) == 3:
                yield said("half an ans")
                await asyncio.Event().wait()
            async for step in super().stream(*asked):  # pyright: ignore
                yield step

    backend = Slow()
    task = asyncio.create_task(run(plan(backend), path, progress, score=score))
    await reached.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.open == 0
    assert len(read(path).cells) == 3
    again = Answering()
    await run(plan(again), path, score=score)
    assert len(again.asked) == 5
    assert len(read(path).cells) == 8


async def test_progress_counts_down(tmp_path: Path) -> None:
    steps: list[Step] = []
    await run(plan(Answering()), tmp_path / "x.jsonl", steps.append, score=score)
    assert [one.done for one in steps] == list(range(9))
    assert [one.left.answers for one in steps] == list(range(8, -1, -1))
    assert steps[0].seconds_left is None
    assert all(one.seconds_left is not None for one in steps[1:])
    assert steps[-1].seconds_left == 0
    assert steps[-1].left.tokens == 0


async def test_what_a_run_costs() -> None:
    asked = plan(Answering(), Other())
    cost = await asked.cost()
    assert cost.answers == 16
    assert cost.tokens > 8 * 150 + 8 * 60
    left = await asked.cost(frozenset({("stays/en/0", "a")}))
    assert left.answers == 15
    assert left.tokens < cost.tokens
    assert (await plan(Answering(), max_tokens=10).cost()).tokens < 8 * 20
    assert str(Cost(552, 21_043, 10_200)) == (
        "552 answers, about 21,000 tokens, about 2 h 50 min here"
    )
    assert str(Cost(1, 9)) == "1 answer, about 9 tokens"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (89, "89 s"),
        (600, "10 min"),
        (3599, "1 h"),
        (10_200, "2 h 50 min"),
        (86_400, "24 h"),
    ],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_estimates_have_two_digits() -> None:
    assert [rounded(number) for number in (0, 7, 42, 123, 21_043, 1_250_000)] == [
        *(0, 7, 42, 120, 21_000),
        1_200_000,
    ]


def test_speed_is_that_of_what_was_written() -> None:
    speed = Speed(1000)
    assert speed.seconds_left is None
    speed.add(100, 10)
    assert speed.seconds_left == pytest.approx(90)
    speed.add(900, 50)
    assert speed.seconds_left == 0


async def test_models_are_found_by_id_and_by_key() -> None:
    a, b = await find_models(["pocket/pocket-3", "pocket/pocket-3.5"])
    assert (a.side, a.label, b.side, b.label) == ("a", "Pocket-3", "b", "Pocket-3.5")
    for name, said_ in (
        ("pocket-3", "write backend/model"),
        ("nowhere/phi", "write backend/model"),
        ("pocket/", "write backend/model"),
        ("pocket/phi", "has no model “phi”: choose one of pocket-3"),
        ("transformers/phi-4", "cannot be asked"),
    ):
        with pytest.raises(ModelError, match=re.escape(said_)):
            await find_models([name])


async def test_the_revision_that_a_backend_tells_is_in_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Telling(Answering):
        id = "telling"

        async def check(self, connection: Connection | None = None) -> Health:
            ready = Status("ready", "Ready.")
            return Health(ready, [Offer("fake", known_model("fake"), ready, revision="1a2b3c")])

    monkeypatch.setitem(REGISTRY, "telling", Telling())
    [asked] = await find_models(["telling/fake"])
    assert asked.revision == "1a2b3c"
    await run(Plan((asked,), (), (), (), 1), tmp_path / "x.jsonl", score=score)
    assert read(tmp_path / "x.jsonl").header.models[0].revision == "1a2b3c"


def test_at_most_as_many_as_a_backend_takes() -> None:
    class Narrow(Server):
        max_concurrent = 2

    asked: Plan = plan(Narrow(), parallel=9)
    assert asked.at_once(asked.models[0]) == 2
    assert isinstance(asked.models[0].backend, Backend)


def command(*told: str) -> list[str]:
    return [sys.executable, "-m", "playground.matrix", "run", *told]


async def lines_of(process: asyncio.subprocess.Process, path: Path, count: int) -> None:
    """Wait until a process has written so many lines to a file."""
    async with asyncio.timeout(PATIENCE):
        while lines_in(path) < count:
            assert process.returncode is None
            await asyncio.sleep(0.005)


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def test_a_killed_run_goes_on(tmp_path: Path, stub: Stub) -> None:
    path, silent = tmp_path / "x.jsonl", asyncio.Event()
    told = command(
        *("--models", "openai_compatible/one", "--languages", "en", "--tasks", "sum_one"),
        *("--items", "8", "--parallel", "1", "--out", str(path)),
    )
    environment = {**os.environ, "OPENAI_COMPATIBLE_BASE_URL": stub.url}
    answer = Reply((sse(delta("12", "stop"), usage(9, 1)),), headers=STREAM)
    stub.on("/v1/models", Reply.of({"data": [{"id": "one"}]}))
    stub.on("/v1/chat/completions", *[answer] * 4, Reply((silent,), headers=STREAM))
    process = await asyncio.create_subprocess_exec(*told, cwd=ROOT, env=environment)
    await lines_of(process, path, 5)
    process.kill()
    await process.wait()
    kept = read(path).cells
    assert len(kept) == 4
    stub.on("/v1/chat/completions", answer)
    process = await asyncio.create_subprocess_exec(
        *told, cwd=ROOT, env=environment, stderr=subprocess.PIPE
    )
    _, said_ = await process.communicate()
    assert process.returncode == 0
    assert "4 of 8 are there already" in said_.decode()
    assert read(path).cells[:4] == kept
    assert len(read(path).cells) == 8


@pytest.mark.engine
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is no signal that can be sent there")
async def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    # So many answers that it cannot be through before the signal comes.
    told = command("--models", "pocket/pocket-3,pocket/pocket-3.5", "--out", str(path))
    process = await asyncio.create_subprocess_exec(
        *told,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A program in a shell's background inherits that it ignores Ctrl+C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    await lines_of(process, path, 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said_ = await process.communicate()
    assert process.returncode == 130
    assert "the same command goes on from there" in said_.decode()
    assert "Traceback" not in said_.decode()
    assert len(read(path).cells) >= 2


@pytest.mark.parametrize(
    ("arguments", "code", "said_"),
    [
        ([], 2, ""),
        (["run"], 2, "--models"),
        (["run", "--models", "a/b", "--items", "0", "--out", "x"], 2, "1 to 100000"),
        (["run", "--models", "a/b,a/b", "--out", "x"], 2, "named twice"),
        (["run", "--models", "a/b", "--languages", "xx", "--out", "x"], 1, "no language “xx”"),
        (["run", "--models", "a/b", "--tasks", "x", "--out", "x"], 1, "no task “x”"),
        (["run", "--models", "a/b", "--tasks", "prompts,copy", "--out", "x"], 1, "of their own"),
        (["run", "--models", "a/b", "--languages", "en", "--out", "x"], 1, "backend/model"),
        (["report", "nothing.jsonl"], 1, "There is no file nothing.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], code: int, said_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        got = command_line.main(arguments)
    except SystemExit as end:
        got = end.code
    assert got == code
    told = capsys.readouterr().err
    assert said_ in told
    assert "Traceback" not in told
    if code == 1:
        assert len(told.strip().splitlines()) == 1


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from playground.matrix import __main__ as m\n"
        "heavy = {'backends', 'numpy', 'babel', 'gradio', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
