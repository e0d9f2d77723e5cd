"""The commands of `python app.py`: real processes, with pipes and on a terminal."""

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from playground.commands.__main__ import COMMANDS, main
from playground.commands.choices import MAX_MODELS
from playground.conversation import MAX_SIDES
from playground.limits import LOCAL
from tests.hub import Hub
from tests.pages import free_port
from tests.stub import Reply, Stub, delta, sse
from tests.terminal import ROOT, environment, run, run_on_terminal
from ui.compare.form import from_browser

LESSON = "What is a small language model?"
posix = pytest.mark.skipif(os.name != "posix", reason="terminals are made otherwise on Windows")


# ── Help ───────────────────────────────────────────────────────────────────────────────────────


def test_help_loads_no_page_no_engine_and_no_backend() -> None:
    program = (
        "import sys\n"
        "from playground.commands.__main__ import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'gradio', 'torch', 'backends', 'rich', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for word in ("--models", "--image", "--out", "exit codes", "130", "--rounds", "Ctrl+C stops"):
        assert word in done.stdout


def test_as_many_models_are_asked_as_a_comparison_has_sides() -> None:
    assert MAX_MODELS == MAX_SIDES


def test_the_pages_own_help_names_the_commands() -> None:
    told = run("--help").out
    assert "--port" in told
    assert all(f"  {name}" in told and command.HELP in told for name, command in COMMANDS.items())


# ── Bad input: nothing is asked ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "  "], "There is no prompt yet."),
        (["ask", "x" * 100_001], "at most 100,000 fit here"),
        (["ask", "Hi", "--models", "pocket/pocket3.5"], "Did you mean pocket/pocket-3.5"),
        (["ask", "Hi", "--models", "pocket-3.5"], "Did you mean pocket/pocket-3.5"),
        (["ask", "Hi", "--models", "nowhere/phi"], "write backend/model"),
        (["ask", "Hi", "--temperature", "9"], "Temperature must be between 0 and 2"),
        (["ask", "Hi", "--image", "nowhere.png"], "Cannot read nowhere.png"),
        (["ask", "Hi", "--image", "README.md"], "README.md"),
        (["ask", "Hi", "--out", "README.md"], "is there already"),
        (["ask", "Hi", "--out", "nowhere/run.json"], "There is no folder nowhere"),
        (["download", "pocket/none"], "has no model “none”"),
        (["race", "Hi", "--models", "pocket/none"], "has no model “none”"),
    ],
)
def test_what_cannot_be_asked_is_said_and_ends_with_2(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert said in told.err and not told.out
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "Hi", "--models", "a/b,c/d,e/f,g/h,i/j"],
        ["ask", "Hi", "--models", "a/b,a/b"],
        ["ask", "Hi", "--max-tokens", "-1"],
        ["race", "--rounds", "0"],
    ],
)
def test_what_the_parser_refuses_ends_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"caf\xe9 au lait", "not UTF-8 (byte 4"),
        (b"", "There is no prompt yet."),
        ("ж".encode() * 300_000, "at most 100,000 fit here"),
        (b"x\xe2\x82" * 1, "not UTF-8"),
    ],
)
def test_stdin_that_is_no_prompt(
    given: bytes,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["ask", "-"]) == 2
    assert said in capsys.readouterr().err


def test_started_without_a_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["ask", "-"]) == 2
    assert "There is no stdin" in capsys.readouterr().err


# ── ask, with pipes ────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
def test_two_answers_as_plain_text_and_the_file_that_the_page_reads(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    asked = ["ask", "-", "--temperature", "0", "--out", str(out)]
    done = run(*asked, given=b"\xef\xbb\xbf" + "你知道长沙吗？\n".encode(), FORCE_COLOR="1")
    assert done.code == 0 and not done.err, done
    assert "\x1b" not in done.out
    first, text, second, other, numbers, *_ = done.out.split("\n\n")
    assert (first, second) == (
        "A: Pocket-3 (Pocket (built in))",
        "B: Pocket-3.5 (Pocket (built in))",
    )
    assert text.startswith("我听过“长沙”这个名字") and other.startswith("我听过“长沙”这个名字")
    assert [line[:2] for line in numbers.splitlines()] == ["A:", "B:"]
    assert all("tokens/s" in line and "Chinese" in line for line in numbers.splitlines())
    kept = from_browser(out.read_text("utf-8"), LOCAL)
    assert [turn.prompt.strip() for turn in kept.turns] == ["你知道长沙吗？"]
    assert [one.text if one else "" for one in kept.turns[0].answers] == [text, other]


@pytest.mark.engine
def test_one_answer_is_the_text_alone_or_json() -> None:
    asked = ["ask", LESSON, "--models", "pocket/pocket-3.5", "--temperature", "0"]
    plain = run(*asked)
    assert plain.code == 0 and plain.out.startswith("A **small language model**"), plain
    told = run(*asked, "--json", "--max-tokens", "5")
    [answer] = json.loads(told.out)["turns"][0]["answers"]
    assert told.code == 0
    assert answer["finish_reason"] == "length" and answer["output_tokens"] == 5
    assert plain.out.startswith(answer["text"])


@pytest.mark.engine
def test_a_picture_is_seen() -> None:
    picture = next((ROOT / "playground" / "examples").rglob("*.png"))
    done = run("ask", "What colours do you see?", "--image", str(picture), "--temperature", "0")
    assert done.code == 0 and len(done.out) > 10, done


@pytest.mark.engine
def test_a_model_that_cannot_answer_leaves_the_other_alone() -> None:
    gone = f"http://127.0.0.1:{free_port()}/v1"
    names = "openai_compatible/phi,pocket/pocket-3"
    done = run("ask", LESSON, "--models", names, OPENAI_COMPATIBLE_BASE_URL=gone)
    assert done.code == 1
    assert "A: phi (OpenAI-compatible server)\n\n(no answer)" in done.out
    assert "A small language model is" in done.out
    assert done.err.startswith("A, phi: ") and "Traceback" not in done.err


@pytest.mark.engine
async def test_a_wrong_key_is_said_and_never_shown(stub: Stub) -> None:
    wrong = Reply.of({"error": {"message": "Incorrect API key provided: sk-secret"}}, 401)
    stub.on("/v1/models", wrong)
    stub.on("/v1/chat/completions", wrong)
    asked = ["ask", "Hi", "--models", "openai_compatible/phi"]
    given = {
        "OPENAI_COMPATIBLE_BASE_URL": f"{stub.url}/v1",
        "OPENAI_COMPATIBLE_API_KEY": "sk-secret",
    }
    done = await asyncio.to_thread(run, *asked, **given)
    assert done.code == 1 and not done.out
    assert "key" in done.err and "sk-secret" not in done.err and "Traceback" not in done.err


@pytest.mark.engine
@posix
@pytest.mark.parametrize("command", ["models", "ask"])
def test_nobody_reads_on(command: str, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    asked = {"models": ["models"], "ask": ["ask", LESSON, "--out", str(out)]}[command]
    process = subprocess.Popen(
        [sys.executable, "app.py", *asked],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()  # as `head` does once it has its lines
    told = process.stderr.read().decode()
    assert process.wait(120) == 1 and not told, told
    if command == "ask":
        assert json.loads(out.read_text("utf-8"))["turns"][0]["prompt"] == LESSON


# ── ask, on a terminal ─────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
@posix
async def test_side_by_side_where_it_is_wide_enough() -> None:
    heads = ["A: Pocket-3 (Pocket", "B: Pocket-3.5 (Pocket"]
    wide = await run_on_terminal("ask", "你知道长沙吗？", "--temperature", "0", columns=100)
    assert wide.code == 0
    last = wide.out[wide.out.rindex(heads[0]) :].splitlines()
    assert all(head in last[0] for head in heads)
    # A Chinese character takes two cells: both columns begin where their headings do.
    starts = [cells(line[: line.index("我", 1)]) for line in last if line.count("我听过") == 2]
    assert starts == [cells(last[0][: last[0].index("B:")])]
    narrow = await run_on_terminal("ask", LESSON, "--temperature", "0", columns=60)
    assert narrow.code == 0
    last = narrow.out[narrow.out.rindex(heads[0]) :]
    assert heads[1] not in last.splitlines()[0]
    assert last.index("A small language model is") < last.index(heads[1])


def cells(text: str) -> int:
    """Cells that a text takes in a terminal, for the scripts that are tested here."""
    return sum(2 if "\u2e80" <= char <= "\uffef" else 1 for char in text)


@pytest.mark.engine
@posix
async def test_what_is_written_from_right_to_left_has_its_lines_for_itself() -> None:
    asked = ["ask", "ما هو نموذج اللغة الصغير؟", "--temperature", "0"]
    done = await run_on_terminal(*asked, columns=120)
    assert done.code == 0
    last = done.out[done.out.rindex("A: Pocket-3 (") :]
    assert "نموذج اللغة الصغير" in last and "B: Pocket-3.5" not in last.splitlines()[0]


@pytest.mark.engine
@posix
async def test_ctrl_c_keeps_what_came(stub: Stub, tmp_path: Path) -> None:
    never = asyncio.Event()
    stub.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
    words = sse(delta("Once "), delta("upon "), delta("a time"), done=False)
    stub.on("/v1/chat/completions", Reply((words, never)))
    out = tmp_path / "run.json"
    done = await run_on_terminal(
        *("ask", "Tell me.", "--models", "openai_compatible/phi", "--out", str(out)),
        interrupt=lambda drawn: "a time" in drawn,
        OPENAI_COMPATIBLE_BASE_URL=f"{stub.url}/v1",
    )
    assert done.code == 130
    assert "Once upon a time" in done.out[done.out.rindex("A: phi") :]
    assert "Stopped." in done.out and "Traceback" not in done.out
    [answer] = json.loads(out.read_text("utf-8"))["turns"][0]["answers"]
    assert (answer["text"], answer["state"]) == ("Once upon a time", "stopped")
    await stub.until_open(0)


# ── models, download, race ─────────────────────────────────────────────────────────────────────


@pytest.mark.engine
def test_models_in_lines_and_as_json() -> None:
    lines = run("models", "pocket").out.splitlines()
    assert "pocket/pocket-3.5\tready\t\t\tPocket-3.5" in lines
    assert all(line.startswith("pocket/") and line.count("\t") == 4 for line in lines)
    told = {one["name"]: one for one in json.loads(run("models", "--json").out)}
    mini = told["onnx_genai/microsoft/Phi-3.5-mini-instruct-onnx"]
    assert mini["state"] == "not installed" and mini["download_bytes"] > 1e9
    assert told["pocket/pocket-vision"]["pictures"] and not mini["pictures"]


@pytest.mark.engine
@posix
async def test_models_in_a_table() -> None:
    done = await run_on_terminal("models", "phi-3.5-mini", "--ready", columns=80)
    assert done.code == 0
    done = await run_on_terminal("models", "phi-3.5-mini", columns=80)
    assert "ONNX Runtime:" in done.out and "2.8 GB" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def _hub() -> Hub:
    from tests.test_onnx_genai import PHI

    files = {
        f"{PHI.folder}/{name}": data
        for name, data in {
            "genai_config.json": b"{}",
            "model.onnx": b"x" * 100,
            "model.onnx.data": b"y" * 30_000_000,
            "tokenizer.json": b"{}",
            "tokenizer_config.json": b"{}",
        }.items()
    }
    return Hub(PHI.repository, files)


def _is_begun(cache: Path) -> bool:
    """Whether a part of a file is on the disk: sent is not yet written, 10 MB at a time."""
    return any(part.stat().st_size for part in cache.rglob("*.incomplete"))


@pytest.mark.engine
@posix
async def test_a_download_is_stopped_and_goes_on(tmp_path: Path) -> None:
    hub = _hub()
    hub.hold_at = 15_000_000
    here = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
    }
    name = f"onnx_genai/{hub.repo}"
    try:
        stopped = await run_on_terminal(
            "download", name, interrupt=lambda drawn: _is_begun(tmp_path), **here
        )
        assert stopped.code == 130, stopped.out
        assert "the same command goes on from there" in stopped.out
        assert "Traceback" not in stopped.out
        hub.hold_at = None
        hub.go_on.set()
        before = len(hub.asked)
        done = await asyncio.to_thread(run, "download", name, **here)
        assert done.code == 0 and "is here. To ask it: python app.py ask" in done.out, done
        ranges = [asked for file, asked in hub.asked[before:] if file.endswith(".onnx.data")]
        assert ranges and ranges[0] and ranges[0] != "bytes=0-", "it went on in the middle"
    finally:
        hub.close()


@pytest.mark.engine
def test_a_download_that_is_none_and_one_without_a_network(tmp_path: Path) -> None:
    done = run("download", "pocket/pocket-3")
    assert done.code == 0 and "is here already" in done.out
    done = run("download", "ollama/phi3.5", OLLAMA_HOST=f"127.0.0.1:{free_port()}")
    assert done.code == 1 and "cannot be downloaded" in done.err
    gone = f"http://127.0.0.1:{free_port()}"
    here = {"HF_ENDPOINT": gone, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = run("download", "onnx_genai/phi-3.5-mini", **here)
    assert done.code == 1 and "Fetching Phi-3.5-mini from" in done.err
    assert "Traceback" not in done.err


@pytest.mark.engine
def test_a_race_turns_the_order_round_and_drops_the_warm_up() -> None:
    asked = ["race", LESSON, "--rounds", "3", "--max-tokens", "12"]
    told = json.loads(run(*asked, "--json").out)
    a, b = "pocket/pocket-3", "pocket/pocket-3.5"
    assert [(lap["round"], lap["model"]) for lap in told["laps"]] == [
        *((1, a), (1, b), (2, b), (2, a), (3, a), (3, b)),
    ]
    assert {lap["tokens"] for lap in told["laps"]} == {12}
    assert told["machine"]["cores"] == os.cpu_count()
    done = run(*asked)
    assert done.code == 0
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in done.out.splitlines())}
    assert rows["rounds"] == ["3", "3"] and rows["tokens"] == ["12", "12"]
    assert "never at the same time" in done.out and "Machine: " in done.out


@pytest.mark.engine
def test_a_race_with_somebody_who_is_not_there() -> None:
    gone = f"http://127.0.0.1:{free_port()}/v1"
    names = "openai_compatible/phi,pocket/pocket-3"
    done = run("race", "--models", names, OPENAI_COMPATIBLE_BASE_URL=gone)
    assert done.code == 1 and not done.out
    assert "openai_compatible/phi cannot be asked" in done.err
