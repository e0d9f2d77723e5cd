"""What drives real servers, driven itself: processes, checks against a stub, and the table."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from backends import REGISTRY, Connection
from benchmarks.served import free_port
from tests.servers import report
from tests.servers.__main__ import drive
from tests.servers.checks import CHECKS, Case, Differs, NotRun, Outcome, Served, outcome, same
from tests.servers.found import Ollama
from tests.servers.models import Model
from tests.servers.process import DidNotStart, running
from tests.servers.programs import PINS, PROGRAMS
from tests.servers.report import Row
from tests.stub import Reply, Stub, delta, sse, usage

CHAT, MODELS = "/v1/chat/completions", "/v1/models"
STREAM = {"content-type": "text/event-stream"}
ONE, TWO = (Model(name, Path(), 4096) for name in ("one", "two"))


def case(stub: Stub) -> Case:
    """Two models at a stub."""
    server = REGISTRY["openai_compatible"]
    return Case([Served(one, server, one.name, Connection(stub.url)) for one in (ONE, TWO)])


# Processes

SERVE = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


async def test_a_process_ends_with_all_that_it_started(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-c", SERVE, str(port)]
    async with running(command, os.environ, f"http://127.0.0.1:{port}", log):
        child = psutil.Process(int(log.read_text().split()[0]))
        server = child.parent()
        assert server and child.is_running()
    assert not server.is_running()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_one_that_ends_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise ValueError('no such model')"]
    with pytest.raises(DidNotStart, match="ended with 1: ValueError: no such model"):
        async with running(command, os.environ, "http://127.0.0.1:1", tmp_path / "log"):
            pass


async def test_an_ollama_that_nobody_names_is_told_as_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    row = await drive(Ollama())
    assert (row.failure, row.version, row.outcomes) == ("OLLAMA_HOST names none", "", {})


# Checks


@pytest.mark.parametrize(
    ("raised", "came"),
    [
        (NotRun("why"), Outcome("not run", "why")),
        (Differs("how"), Outcome("differs", "how")),
        (TimeoutError(), Outcome("differs", "it had not ended after 400 s")),
    ],
)
async def test_what_came_of_a_check(raised: Exception, came: Outcome) -> None:
    async def check(case: Case) -> str:
        raise raised

    assert await outcome(check, Case([])) == came


def test_where_two_texts_part() -> None:
    same("a b c", "a b c", "x")
    same("anything", None, "x")
    with pytest.raises(Differs, match="x: “d” instead of “c” at 4"):
        same("a b d", "a b c", "x")
    with pytest.raises(Differs, match="x: “” instead of “ c” at 3"):
        same("a b", "a b c", "x")
    with pytest.raises(Differs, match="nothing came"):
        same("", None, "x")


async def test_a_server_that_answers_to_everything(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"data": [{"id": "one", "max_model_len": 4096}]}))
    stub.on(CHAT, Reply((sse(delta("Yes."), delta("", "stop"), usage(3, 2)),), headers=STREAM))
    came = {title: await outcome(check, case(stub)) for title, check in CHECKS.items()}
    verdicts = {title: one.verdict for title, one in came.items()}
    assert came["list, health"] == Outcome("differs", "two is not in its list")
    assert "answers under any name" in came["an unknown model"].detail
    assert "says that it read 3 tokens" in came["a prompt beyond the context"].detail
    assert came["seed"] == Outcome("differs", "two seeds gave one text")
    assert verdicts["two models side by side"] == verdicts["usage, and who counted"] == "ok"
    assert verdicts["Pocket's words, streamed"] == "differs", "in one piece"
    assert verdicts["50 answers at once"] == verdicts["stop in mid-stream"] == "not run"
    assert verdicts["a picture for a model that reads none"] == "differs"


async def test_a_server_that_refuses_everything(stub: Stub) -> None:
    error = {"error": {"message": "The model `phi-0` does not exist.", "code": "model_not_found"}}
    stub.on(CHAT, Reply.of(error, 404))
    came = await outcome(CHECKS["an unknown model"], case(stub))
    assert came.verdict == "ok" and "does not exist" in came.detail
    assert (await outcome(CHECKS["four scripts"], case(stub))).verdict == "differs"


# The table


def test_each_file_of_pins_is_that_of_a_server() -> None:
    keys = {program.key for program in PROGRAMS}
    assert {path.stem for path in PINS.glob("*.txt")} <= keys and len(keys) == len(PROGRAMS)


def test_a_row_is_kept_until_its_server_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_KEPT", tmp_path / "servers.json")
    monkeypatch.setattr(report, "_SHOWN", tmp_path / "servers.md")
    facts = ("1.0", "2026-11-29", "a processor")
    ran = Row("a", "Server A", *facts, outcomes={"list": Outcome("differs", "how")})
    report.keep([ran, Row("b", "Server B", *facts, failure="no compiler")])
    rows = report.keep([Row("b", "Server B", *facts, outcomes={"list": Outcome("not run", "why")})])
    assert rows[0] == ran and [row.key for row in rows] == ["a", "b"]
    shown = (tmp_path / "servers.md").read_text("utf-8")
    assert "| list | differs | – |" in shown and "- list: not run: why" in shown
    assert "no compiler" not in shown
