"""A ZeroGPU Space: the real `spaces` package lends a GPU, a process is forked off and answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from backends import Chunk, Connection, GenerationParams, Message, Timings, Usage
from backends._local import gpu_seconds, zerogpu
from backends._local.gpu_seconds import FACTOR, LONGEST, SHORTEST, START, Pace
from backends._local.messages import Answer
from backends._local.zerogpu_worker import MODELS, Checkpoint, StopFlags
from backends._remote.gpu_quota import Quotas, parse_quota
from backends.zerogpu import ZeroGPU
from tests.browser import SLOWDOWN
from tests.zerogpu import DeviceApi, environment

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 900 * SLOWDOWN
ONNX_FIRST = "choose ONNX Runtime"

# ── What happens there ─────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each scene of `zerogpu_scenarios`, by its name."""
    file = tmp_path_factory.mktemp("played") / "scenes.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "tests.zerogpu_scenarios", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={name: value for name, value in os.environ.items() if not name.startswith("SPACE")},
    )
    lines = map(json.loads, file.read_text().splitlines())
    came = {line["scene"]: line["came"] for line in lines}
    assert "end" in came, done.stdout[-2000:] + done.stderr[-4000:]
    return came


def test_spaces_finds_the_function_when_the_page_starts(played) -> None:
    # `startup_report` of the package is sent only if a function was decorated.
    assert played["end"]["asked"][0][0] == "/startup-report"


def test_both_sides_share_one_call_and_alternate(played) -> None:
    scene = played["both_sides"]
    one, two = scene["sides"]
    assert scene["calls"] == 1
    for side in (one, two):
        assert "small language model" in side["text"].replace("*", "").lower()
        assert side["finish"] in ("stop", "length") and side["error"] is None
        assert [stage for stage, _ in side["progress"]] == ["queued", "prefill"]
    assert one["device"] == two["device"] is not None, "so their numbers are called shared"
    # A step of the one, a step of the other: neither is ever ahead by more than its last step.
    count = min(len(one["at"]), len(two["at"]))
    pairs = list(zip(one["at"][:count], two["at"][:count], strict=True))
    assert all(first < second for first, second in pairs)
    assert all(second < after for (_, second), (after, _) in pairwise(pairs))


def test_two_visitors_have_a_call_each(played) -> None:
    assert played["not_together"]["calls"] == 2
    assert all(side["text"] for side in played["not_together"]["sides"])


def test_who_is_announced_and_never_comes_keeps_nobody_waiting(played) -> None:
    assert played["one_never_comes"]["text"]


def test_one_after_the_other_in_one_call(played) -> None:
    scene = played["in_turn"]
    one, two = scene["sides"]
    assert scene["calls"] == 1
    assert one["at"][-1] < two["at"][0]
    assert ["queued", "for the other side"] in two["progress"]
    assert one["text"] == played["both_sides"]["sides"][0]["text"]


def test_a_side_that_fails_leaves_the_other_alone(played) -> None:
    failed, whole = played["one_fails"]
    assert failed["error"][0] == "ContextLengthError" and "tokens long" in failed["error"][1]
    assert whole["error"] is None and whole["text"]


def test_a_side_that_breaks_keeps_what_came_and_leaves_the_other_alone(played) -> None:
    broken, whole = played["one_breaks"]
    assert broken["error"][0] == "RuntimeError" and broken["text"].startswith("one")
    assert whole["error"] is None and whole["finish"]


def test_stop_of_one_side_stops_its_steps(played) -> None:
    scene = played["stop_of_one"]
    stopped, other = scene["sides"]
    assert stopped["text"] and stopped["finish"] is None
    assert other["finish"] == "stop" and len(other["text"].split()) == scene["words"]
    assert scene["in_all"] < scene["words"] / 2


def test_stop_of_all_ends_the_call(played) -> None:
    scene = played["stop_of_all"]
    assert scene["made"] < scene["words"] / 2
    assert scene["failed"] == "false"
    assert scene["after"]["text"] and scene["after"]["error"] is None


def test_a_visitor_who_has_left_costs_nothing(played) -> None:
    assert played["a_visitor_leaves_in_line"]["made"] <= 1


def test_a_process_that_dies_is_said_and_the_next_one_answers(played) -> None:
    for side in played["the_worker_dies"]["sides"]:
        assert side["text"] and side["error"][0] == "ServerError"
        assert "What came is kept." in side["error"][1]
    assert played["the_worker_dies"]["after"]["error"] is None


def test_too_long_an_answer_for_its_time_keeps_what_came(played) -> None:
    for side in played["time_is_up"]:
        assert side["text"] and side["error"][0] == "BackendTimeoutError"
        assert "GPU time" in side["error"][1] and "What came is kept." in side["error"][1]


def test_without_quota_the_ways_out_come_in_order(played) -> None:
    for side in played["no_quota"]:
        kind, said = side["error"]
        assert kind == "RateLimitError" and side["reason"] == "gpu_quota"
        ways = [said.index(way) for way in (ONNX_FIRST, "Signing in", "duplicate of this Space")]
        assert ways == sorted(ways)


def test_other_refusals_are_told_apart(played) -> None:
    (illegal,), (busy,) = played["too_long_for_anybody"], played["no_gpu_is_free"]
    assert illegal["error"][0] == "BadRequestError" and "fewer tokens" in illegal["error"][1]
    assert busy["error"][0] == "RateLimitError" and "No GPU was free" in busy["error"][1]
    assert busy["reason"] is None


def test_a_model_with_eyes_is_loaded_when_it_is_asked(played) -> None:
    scene = played["a_picture"]
    assert not scene["loaded_before"] and scene["loaded"]
    for side in scene["sides"]:
        assert "red" in side["text"].lower() and side["error"] is None
    # A process that is older than the question reads the files itself; a new one need not.
    loads = [[stage for stage, _ in side["progress"]].count("loading") for side in scene["sides"]]
    assert loads[0] == 2 and loads[2] == 0


def test_calls_give_their_numbers_back(played) -> None:
    assert "end" in played, "it waits until every number is free"


def test_what_a_call_asks_for_is_in_seconds_of_its_answers(played) -> None:
    asked = [params for path, params in played["end"]["asked"] if path == "/schedule"]
    assert all(SHORTEST <= int(one["durationSeconds"]) <= LONGEST + START for one in asked)


# ── With PyTorch as `spaces` changes it ────────────────────────────────────────────────────────

PRETENDED = """
import asyncio
import gradio, spaces
from backends.zerogpu import ZeroGPU
from backends import GenerationParams, Message
from backends._local.zerogpu_worker import MODELS
gpu = ZeroGPU()
gpu.start()
print("devices", sorted({one.device for one in MODELS.loaded.values()}))
with gradio.Blocks() as page:
    gradio.HTML("")
page.launch(prevent_thread_lock=True, quiet=True)
async def ask():
    try:
        async for step in gpu.stream("microsoft/Phi-3.5-mini-instruct",
                                     (Message.of("user", "Hi"),), GenerationParams()):
            print("step", step)
    except Exception as error:
        print("error", type(error).__name__, error)
asyncio.run(ask())
from tests.zerogpu import end
end()
"""


def test_the_models_go_to_the_gpu_that_spaces_pretends(tmp_path: Path) -> None:
    """All but the GPU itself: put there at import, packed at the launch, and a call that forks.

    There it fails here, for want of a GPU: with a sentence.
    """
    api = DeviceApi()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PRETENDED],
            cwd=ROOT,
            env=os.environ | environment(api.url, tmp_path),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    finally:
        api.close()
    said = done.stdout
    assert "devices ['cuda:0']" in said, said[-2000:] + done.stderr[-2000:]
    assert list((tmp_path / "tensors").iterdir()), "their weights were packed"
    assert [path for path, _ in api.asked][:2] == ["/startup-report", "/schedule"]
    assert "error ServerError The GPU failed. Ask again; the log says more." in said


# ── Its parts ──────────────────────────────────────────────────────────────────────────────────


def asked(text: str = "Hello", tokens: int | None = 100) -> Answer:
    return Answer(1, "m", (Message.of("user", text),), GenerationParams(max_tokens=tokens), 0.0)


def last_chunk(seconds: float, tokens: int = 101) -> Chunk:
    timings = Timings(prefill=0.1, decode=seconds)
    return Chunk(usage=Usage(10, tokens), timings=timings, finish_reason="stop")


def test_the_time_asked_for_follows_tokens_sides_and_what_was_measured() -> None:
    pace = Pace()
    one = pace.seconds([asked(tokens=200)])
    assert pace.seconds([asked(tokens=400)]) == pytest.approx(2 * one, rel=0.05)
    assert pace.seconds([asked(tokens=200)] * 2) == pytest.approx(2 * one)
    for _ in range(30):
        pace.note(last_chunk(seconds=2.0))
    measured = pace.seconds([asked(tokens=600)])
    assert measured == pytest.approx(gpu_seconds.MARGIN * 600 * 0.02, rel=0.05)
    pace.note(Chunk("a chunk without usage"))
    assert pace.seconds([asked(tokens=600)]) == measured


def test_it_stays_within_what_everybody_has_and_what_is_left() -> None:
    pace = Pace()
    assert pace.seconds([asked(tokens=1)]) == SHORTEST
    most = pace.seconds([asked(tokens=4096)] * 4)
    assert most == LONGEST and (most + START) * FACTOR <= 120
    assert (pace.seconds([asked(tokens=4096)], left=60) + START) * FACTOR <= 60
    assert pace.seconds([asked(tokens=4096)], left=1) == SHORTEST


def test_flags_are_the_calls_own() -> None:
    flags = StopFlags()
    one, two = flags.take(), flags.take()
    flags.stop(one, 1)
    assert flags.is_stopped(one, 1)
    assert not flags.is_stopped(one, 0) and not flags.is_stopped(two, 1)
    flags.give_back(one)
    numbers = [flags.take() for _ in range(StopFlags.CALLS - 1)]
    assert one in numbers and not flags.is_stopped(one, 1)
    with pytest.raises(IndexError):
        flags.take()


class Refusal(Exception):
    """As `gradio.Error`, which `spaces` raises, shows itself."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title, self.message = title, message


@pytest.mark.parametrize(
    ("title", "message", "said"),
    [
        (
            "ZeroGPU quota exceeded",
            "Space app has reached its GPU limit.",
            "Not enough",
        ),
        ("ZeroGPU quota exceeded", "No GPU was available after 60s. Retry.", "No GPU was free"),
        ("ZeroGPU queue timeout", "No GPU was available after 60s", "No GPU was free"),
        ("ZeroGPU client error", "No GPU was available", "No GPU was free"),
        ("ZeroGPU client error", "Expired ZeroGPU proxy token", "Reload the page"),
        ("ZeroGPU illegal duration", "The requested GPU duration (200s)", "more GPU time than"),
        ("ZeroGPU worker error", "GPU task aborted", "taken away"),
        ("ZeroGPU worker error", "OutOfMemoryError", "memory ran out"),
        ("ZeroGPU worker error", "AssertionError", "The GPU failed"),
    ],
)
def test_every_refusal_of_the_package_has_a_sentence(title: str, message: str, said: str) -> None:
    assert said in str(zerogpu._error_of(Refusal(title, message), began=False))


# ── What a visitor has left ────────────────────────────────────────────────────────────────────


@pytest.fixture
def hub() -> Iterator[Any]:
    """Hugging Face, as far as it is asked for a quota."""

    class Handler(BaseHTTPRequestHandler):
        tokens: ClassVar[list[str | None]]
        status, told = 200, {"base": 300, "current": 200, "resetsAt": None, "overquotaUsed": 0}

        def do_GET(self) -> None:
            Handler.tokens.append(self.headers.get("Authorization"))
            body = json.dumps(Handler.told).encode()
            self.send_response(Handler.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    Handler.tokens = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_port}/"  # type: ignore[attr-defined]
    yield Handler
    server.shutdown()
    server.server_close()


async def test_the_quota_is_read_with_the_visitors_token_and_kept_for_a_moment(hub) -> None:
    quotas = Quotas(hub.url)
    quota = await quotas.of("hf_one")
    assert quota is not None and (quota.base, quota.left) == (300, 200)
    assert await quotas.of("hf_one") is quota and len(hub.tokens) == 1
    quotas.forget("hf_one")
    await quotas.of("hf_one")
    await quotas.of("hf_two")
    assert hub.tokens[1:] == ["Bearer hf_one", "Bearer hf_two"]


@pytest.mark.parametrize("status", [401, 500])
async def test_a_quota_that_cannot_be_read_is_not_known(hub, status: int) -> None:
    hub.status = status
    assert await Quotas(hub.url).of("hf_bad") is None
    assert await Quotas("http://127.0.0.1:1/").of("hf_bad") is None


@pytest.mark.parametrize("told", [None, [], {}, {"base": "x", "current": 1}, {"base": 1}])
def test_what_is_no_quota_is_none(told: object) -> None:
    assert parse_quota(told) is None


@pytest.fixture
def gpu(hub, monkeypatch) -> ZeroGPU:
    """The backend on a Space, with two of its models; no process is ever forked."""
    backend = ZeroGPU()
    backend._quotas = Quotas(hub.url)
    backend._calls = zerogpu.Calls(zerogpu.answer_sides)
    here = {f"microsoft/Phi-3{name}-instruct": Checkpoint("Phi", Path()) for name in MINIS}
    monkeypatch.setattr(MODELS, "checkpoints", here)
    monkeypatch.setattr(type(backend), "requires", ())
    return backend


MINIS = ("-mini-128k", ".5-mini")
VISITOR = Connection(api_key="hf_one")


async def test_what_is_left_is_told_before_the_press(gpu: ZeroGPU, hub) -> None:
    signed_out = (await gpu.check()).status
    assert signed_out.ready and "2 minutes a day" in signed_out.message
    assert hub.tokens == []
    signed_in = (await gpu.check(VISITOR)).status
    assert signed_in.ready and "3 min 20 s of 5 min left today" in signed_in.message


async def test_when_it_is_gone_nothing_is_asked_and_the_ways_out_are_told(gpu, hub) -> None:
    hub.told = {"base": 300, "current": 0, "resetsAt": "2026-11-30T07:05:00.000Z"}
    health = await gpu.check(VISITOR)
    assert not health.status.ready and not any(offer.status.ready for offer in health.offers)
    assert "back at 07:05 UTC" in health.status.message and ONNX_FIRST in health.status.message
    asked = gpu.stream("microsoft/Phi-3.5-mini-instruct", [Message.of("user", "Hi")],
                       GenerationParams(), VISITOR)  # fmt: skip
    with pytest.raises(Exception, match="used up") as caught:
        await anext(asked)
    assert caught.value.values["reason"] == "gpu_quota"


async def test_models_whose_files_are_missing_are_not_offered_as_ready(gpu: ZeroGPU) -> None:
    offers = (await gpu.check()).offers
    assert [offer.status.ready for offer in offers] == [True, True, False]
    assert offers[-1].spec.key == "phi-3.5-vision"


async def test_before_it_was_started_it_says_so(gpu: ZeroGPU) -> None:
    gpu._calls = None
    assert "preload_from_hub" in (await gpu.check()).status.message


def test_it_is_on_the_list_only_on_such_a_space() -> None:
    look = "from backends import REGISTRY; print('zerogpu' in REGISTRY)"
    for told, listed in (("true", "True"), ("", "False")):
        done = subprocess.run(
            [sys.executable, "-c", look],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env=os.environ | {"SPACES_ZERO_GPU": told},
        )  # fmt: skip
        assert done.stdout.strip() == listed
