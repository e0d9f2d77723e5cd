"""Local models in processes of their own: fed, stopped, crashed, killed, and gone with the page."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from backends import (
    BackendError,
    Chunk,
    GenerationParams,
    Message,
    MissingDependencyError,
    OutOfMemoryError,
    Progress,
    ServerError,
    Timings,
)
from backends._local import host as host_module
from backends._local.host import Host, LocalModel
from backends._local.messages import Lent
from backends._local.seam import Served
from backends._local.worker import MAX_ACTIVE
from tests.browser import PATIENCE

ENGINE = "tests.fake_engine"
HELLO = (Message.of("user", "Hello"),)
GREEDY = GenerationParams(temperature=0.0)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


@pytest.fixture
def model(tmp_path: Path):
    """Make a model that says a text."""

    def make(key: str = "fake", text: str = "one two three", **options: Any) -> LocalModel:
        feeds = tmp_path / f"{key}.feeds"
        feeds.touch()
        process = options.pop("process", "")
        options = {"text": text, "feeds": str(feeds), **options}
        return LocalModel(key, key.title(), ENGINE, options, process, lambda free: "None fits.")

    return make


def feeds(model: LocalModel) -> list[int]:
    return [int(line) for line in Path(model.options["feeds"]).read_text().split()]


async def said(host: Host, model: LocalModel, messages=HELLO, params=GREEDY) -> str:
    async with asyncio.timeout(PATIENCE):
        steps = [step async for step in host.stream(model, messages, params)]
    return "".join(step.text for step in steps if isinstance(step, Chunk))


def write(file: Path, text: str) -> None:
    """Write a file that a worker may be reading."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return False


async def test_it_says_its_text_whatever_a_library_prints(host: Host, model) -> None:
    assert await said(host, model(text="Ahoj 👋🏽 你好")) == "Ahoj 👋🏽 你好"


async def test_every_step_of_an_answer_is_told(host: Host, model) -> None:
    steps = [step async for step in host.stream(model(), HELLO, GREEDY)]
    assert [step.stage for step in steps if isinstance(step, Progress)] == [
        *("loading", "loading", "prefill")
    ]
    *_, last = steps
    assert isinstance(last, Chunk) and last.finish_reason == "stop" and last.usage
    assert last.usage.output_tokens == sum(isinstance(step, Chunk) for step in steps)


async def test_pictures_and_all_scripts_cross_the_pipe(host: Host, model) -> None:
    from backends import ImagePart, TextPart

    odd = TextPart("\u2028 \ud83d\ude00 \x00 " + "ß" * 100_000)
    both = (Message("user", (ImagePart(os.urandom(3_000_000), "image/png"), odd)),)
    with pytest.raises(BackendError, match="tokens long"):
        await said(host, model(), both)


async def test_a_stop_is_heard_within_one_feed(host: Host, model) -> None:
    slow = model(text="one " * 300, pause=0.01)
    async with asyncio.timeout(PATIENCE), aclosing(host.stream(slow, HELLO, GREEDY)) as steps:
        async for step in steps:
            if isinstance(step, Chunk):
                break
    state = host._models["fake"]
    at_stop = len(feeds(slow))
    await until(lambda: not state.jobs)
    assert len(feeds(slow)) <= at_stop + 5  # those of the moments in which the word was on its way
    ended = len(feeds(slow))
    assert await said(host, slow, params=GenerationParams(max_tokens=3, temperature=0.0))
    assert len(feeds(slow)) > ended


async def test_two_answers_of_one_model_take_turns(host: Host, model) -> None:
    slow = model(text="one two three four five six", pause=0.005)
    await host.load(slow)
    both = await asyncio.gather(said(host, slow), said(host, slow, (Message.of("user", "Hi"),)))
    assert both == ["one two three four five six"] * 2


async def test_a_next_turn_reads_only_what_is_new(host: Host, model) -> None:
    fake, talk = model(text="one two three"), list(HELLO)
    for turn in range(8):
        before = len(feeds(fake))
        answer = await said(host, fake, tuple(talk))
        prompt = feeds(fake)[before]
        if turn:
            assert prompt <= 16 + len("Go on.")
        talk += [Message.of("assistant", answer), Message.of("user", "Go on.")]


async def test_an_error_of_the_engine_is_the_answers_and_the_next_one_is_whole(
    host: Host, model
) -> None:
    broken = model(fail_at=2)
    with pytest.raises(RuntimeError, match="the engine broke"):
        await said(host, broken)
    assert host.loaded() == ("fake",)
    assert await said(host, broken, params=GenerationParams(max_tokens=1, temperature=0.0)) == "one"


async def test_an_engine_that_crashes_takes_nobody_along(host: Host, model, caplog) -> None:
    broken, other = model("broken", crash_at=2, signal="SIGSEGV"), model("other", pause=0.01)
    beside = asyncio.create_task(said(host, other))
    with pytest.raises(ServerError, match="Broken crashed while it answered"):
        await said(host, broken)
    assert await beside == "one two three"
    assert "-11" in caplog.text
    with pytest.raises(ServerError):  # it is loaded anew
        await said(host, broken)


async def test_what_the_system_kills_is_said_to_be_out_of_memory(host: Host, model) -> None:
    with pytest.raises(OutOfMemoryError, match="most likely the memory ran out"):
        await said(host, model(crash_at=1, signal="SIGKILL"))


async def test_an_engine_that_does_not_hear_is_ended(
    host: Host, model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "PATIENCE", 0.1)
    deaf = model(hang_at=1)
    async with asyncio.timeout(PATIENCE), aclosing(host.stream(deaf, HELLO, GREEDY)) as steps:
        async for step in steps:
            if isinstance(step, Chunk):
                await until(lambda: len(feeds(deaf)) == 2)  # the one in which it hangs
                break
    pid = host._models["fake"].worker.process.pid
    await until(lambda: not alive(pid) and not host.loaded())


async def test_a_load_that_nobody_waits_for_is_given_up(host: Host, model) -> None:
    task = asyncio.create_task(said(host, model(load_hangs=True)))
    await until(lambda: host.loaded())
    pid = host._models["fake"].worker.process.pid
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: not alive(pid))
    assert host.loaded() == ()


async def test_a_model_that_cannot_be_loaded_says_why(host: Host, model) -> None:
    with pytest.raises(MissingDependencyError, match="There is no such model") as caught:
        await said(host, model(missing=True))
    assert caught.value.hint == "Choose another one." and host.loaded() == ()


async def test_a_library_that_does_not_load_is_said(host: Host, model) -> None:
    with pytest.raises(MissingDependencyError, match=r"libomp\.so\.5 does not load here") as caught:
        await said(host, model(library="libomp.so.5"))
    assert "Ollama" in caught.value.hint and host.loaded() == ()


async def test_a_processor_that_is_too_old_is_said(host: Host, model) -> None:
    with pytest.raises(MissingDependencyError, match="needs a newer processor"):
        await said(host, model(load_crashes="SIGILL"))
    assert host.loaded() == ()


async def test_room_is_made_by_unloading_who_was_used_least_recently(
    host: Host, model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = tmp_path / "free"
    free.write_text("100")
    one, two = model("one"), model("two")
    await said(host, one)
    await said(host, two)
    unload, gone = host.unload, []

    def unloading(key: str) -> bool:
        gone.append(key)
        write(free, "200")
        return unload(key)

    monkeypatch.setattr(host, "unload", unloading)
    assert await said(host, model("new", need=150, free=str(free))) == "one two three"
    assert gone == ["one"] and set(host.loaded()) == {"two", "new"}


async def test_what_cannot_fit_is_refused_with_numbers(host: Host, model, tmp_path: Path) -> None:
    free = tmp_path / "free"
    free.write_text("1000000000")
    with pytest.raises(OutOfMemoryError, match=r"needs 2\.0 GB of memory; 1\.0 GB is free") as no:
        await said(host, model(need=2_000_000_000, free=str(free)))
    assert no.value.hint == "None fits."


async def test_unloading_gives_the_memory_back(host: Host, model) -> None:
    large = model(bytes=200_000_000)
    await said(host, large)
    assert host.memory("fake") > 200_000_000
    pid = host._models["fake"].worker.process.pid
    assert host.unload("fake") and not alive(pid)
    assert host.memory("fake") == 0 and not host.unload("fake")


async def test_models_may_share_a_process(host: Host, model) -> None:
    one, two = model("one", process="gpu"), model("two", "four five", process="gpu")
    both = await asyncio.gather(said(host, one), said(host, two))
    assert both == ["one two three", "four five"]
    assert host._models["one"].worker is host._models["two"].worker
    assert host.unload("one") and await said(host, two) == "four five"


async def test_while_one_model_loads_another_in_its_process_goes_on(
    host: Host, model, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    one = model("one", process="gpu")
    slow = model("slow", process="gpu", load_until=str(go_on))
    await host.load(one)
    asked = asyncio.create_task(said(host, slow))
    await until(lambda: host._models.get("slow") and host._models["slow"].loading)
    assert await said(host, one) == "one two three"
    assert not host._models["slow"].loaded
    go_on.touch()
    assert await asked == "one two three"


async def test_a_load_in_a_shared_process_is_given_up_too(
    host: Host, model, tmp_path: Path
) -> None:
    one = model("one", process="gpu")
    slow = model("slow", process="gpu", load_until=str(tmp_path / "never"))
    await host.load(one)
    asked = asyncio.create_task(said(host, slow))
    await until(lambda: host._models.get("slow") and host._models["slow"].loading)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert host.loaded() == ("one",)
    assert await said(host, one) == "one two three"
    (tmp_path / "never").touch()
    assert await said(host, slow) == "one two three"


async def test_two_loads_that_fit_only_one_by_one_wait_for_each_other(
    host: Host, model, tmp_path: Path
) -> None:
    free, go_on = tmp_path / "free", tmp_path / "go on"
    free.write_text("100")
    first = model("first", need=80, free=str(free), load_until=str(go_on))
    second = model("second", need=70, free=str(free))
    asked = asyncio.create_task(said(host, first))
    await until(lambda: host._models.get("first") and host._models["first"].loading)
    stages: list[Progress] = []
    async with asyncio.timeout(PATIENCE):
        async for step in host.stream(second, HELLO, GREEDY):
            if isinstance(step, Progress):
                stages.append(step)
            if stages[-1:] == [Progress("queued", detail="waiting for another model to load")]:
                go_on.touch()  # now it has its memory, of which enough is left
    assert await asked == "one two three"
    assert [step.stage for step in stages][:3] == ["loading", "queued", "loading"]
    assert set(host.loaded()) == {"first", "second"}


async def test_an_answer_tells_how_long_it_waited(host: Host, model) -> None:
    async def timings(model: LocalModel) -> list[Timings]:
        steps = [step async for step in host.stream(model, HELLO, GREEDY)]
        return [step.timings for step in steps if isinstance(step, Chunk) and step.timings]

    cold, warm = await timings(model()), await timings(model())
    assert all(one.load and one.load > 0 for one in cold)
    assert all(one.load is None and one.queued is not None and one.queued >= 0 for one in warm)


async def test_more_answers_than_a_model_gives_at_once_wait_in_line(host: Host, model) -> None:
    slow = model(text="one " * 100, pause=0.01)
    await host.load(slow)
    busy = [host.stream(slow, HELLO, GREEDY) for _ in range(MAX_ACTIVE)]
    for steps in busy:
        await first_text(steps)
    third, fourth = host.stream(slow, HELLO, GREEDY), host.stream(slow, HELLO, GREEDY)
    assert await anext(third) == Progress("queued", detail="number 1 in line")
    assert await anext(fourth) == Progress("queued", detail="number 2 in line")
    await third.aclose()
    assert await anext(fourth) == Progress("queued", detail="number 1 in line")
    await busy[0].aclose()
    await first_text(fourth)
    for steps in (*busy, fourth):
        await steps.aclose()


async def first_text(steps) -> None:
    async with asyncio.timeout(PATIENCE):
        async for step in steps:
            if isinstance(step, Chunk):
                return


async def test_a_second_answer_waits_while_memory_is_short(
    host: Host, model, tmp_path: Path
) -> None:
    free = tmp_path / "free"
    free.write_text("10")
    slow = model(text="one " * 100, pause=0.01, per_answer=10, free=str(free))
    await host.load(slow)
    first, second = host.stream(slow, HELLO, GREEDY), host.stream(slow, HELLO, GREEDY)
    await first_text(first)
    assert await anext(second) == Progress("queued", detail="number 1 in line")
    write(free, "20")
    await first_text(second)
    await first.aclose()
    await second.aclose()


async def test_a_server_is_lent_and_kept_until_it_is_given_back(host: Host, model) -> None:
    server = model(serves=2)
    steps = host.lend(server)
    async with asyncio.timeout(PATIENCE):
        *loading, lent = [await anext(steps) for _ in range(3)]
    assert [step.stage for step in loading if isinstance(step, Progress)] == ["loading"] * 2
    assert isinstance(lent, Lent) and lent.load and lent.queued >= 0
    assert lent.served == Served("http://127.0.0.1:1/v1", "a key", "cpu", ("<|end|>",))
    assert "a key" not in repr(lent)
    assert not host.unload("fake")
    await steps.aclose()
    await until(lambda: host.unload("fake"))


async def test_a_server_is_lent_to_as_many_as_it_takes(host: Host, model) -> None:
    server = model(serves=2)
    await host.load(server)
    first, second, third = (host.lend(server) for _ in range(3))
    for steps in (first, second):
        lent = await anext(steps)
        assert isinstance(lent, Lent) and lent.load is None
    assert await anext(third) == Progress("queued", detail="number 1 in line")
    await first.aclose()
    async with asyncio.timeout(PATIENCE):
        assert isinstance(await anext(third), Lent)
    for steps in (second, third):
        await steps.aclose()


async def test_who_borrowed_a_server_hears_of_its_end(host: Host, model) -> None:
    steps = host.lend(model(serves=2))
    async for step in steps:
        if isinstance(step, Lent):
            os.kill(host._models["fake"].worker.process.pid, signal.SIGKILL)
            break
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(OutOfMemoryError, match="most likely the memory ran out"):
            await anext(steps)
    assert host.loaded() == ()


async def test_a_load_that_nobody_borrows_any_more_is_given_up(host: Host, model) -> None:
    steps = host.lend(model(serves=2, load_hangs=True))
    assert isinstance(await anext(steps), Progress)
    pid = host._models["fake"].worker.process.pid
    await steps.aclose()
    await until(lambda: not alive(pid))
    assert host.loaded() == ()


async def test_a_server_is_not_fed_and_an_engine_is_not_lent(host: Host, model) -> None:
    with pytest.raises(RuntimeError, match="Server is asked at its server"):
        await said(host, model("server", serves=2))
    with pytest.raises(RuntimeError, match="Fake is no server"):
        async for _ in host.lend(model()):
            pass


async def test_a_spare_worker_is_taken(host: Host, model) -> None:
    await host.warm()
    assert host._spare is not None
    pid = host._spare.process.pid
    await said(host, model())
    assert host._models["fake"].worker.process.pid == pid and host._spare is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_no_worker_outlives_the_page(tmp_path: Path, end: signal.Signals) -> None:
    program = (
        "import asyncio, sys, time\n"
        "from backends import GenerationParams, Message\n"
        "from backends._local.host import HOST, LocalModel\n"
        "options = {'text': 'one', 'feeds': sys.argv[1]}\n"
        f"model = LocalModel('m', 'M', {ENGINE!r}, options)\n"
        "asyncio.run(HOST.load(model))\n"
        "asyncio.run(HOST.warm())\n"
        "workers = (HOST._models['m'].worker, HOST._spare)\n"
        "print(*(worker.process.pid for worker in workers), flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).parents[1]
    page = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path / "feeds")),
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert page.stdout is not None
    workers = [int(pid) for pid in (await page.stdout.readline()).split()]
    assert len(workers) == 2 and all(map(alive, workers))
    page.send_signal(end)
    await page.wait()
    await until(lambda: not any(map(alive, workers)))


def test_the_page_imports_no_engine() -> None:
    """Not even while every built-in model answers, and the backends say what is here."""
    program = (
        "import asyncio, sys\n"
        "import ui.page\n"
        "from backends import REGISTRY, GenerationParams, Message\n"
        "async def answer(model):\n"
        "    hello, params = [Message.of('user', 'Hello')], GenerationParams(max_tokens=2)\n"
        "    return [step async for step in REGISTRY['pocket'].stream(model, hello, params)]\n"
        "async def everything():\n"
        "    for name in ('pocket', 'onnx_genai', 'openvino', 'transformers'):\n"
        "        await REGISTRY[name].check()\n"
        "    for model in ('pocket-3', 'pocket-vision', 'pocket-moe'):\n"
        "        assert (await answer(model))[-1]\n"
        "asyncio.run(everything())\n"
        "engines = {'torch', 'transformers', 'onnxruntime', 'onnxruntime_genai', 'openvino'}\n"
        "assert not engines & sys.modules.keys(), engines & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[1], check=True)


async def test_what_is_in_memory_is_told_by_backend(host: Host, model) -> None:
    await host.load(model("fake:one", bytes=100_000_000))
    await host.load(model("other:two"))
    ((label, size),) = host.in_memory("fake")
    assert label == "Fake:One" and size > 100_000_000
    assert host.in_memory("nobody") == []
