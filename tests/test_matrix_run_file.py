"""Run files: written line by line, gone on with after any end, and not trusted when read."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backends import Sentence, ServerError
from playground.matrix.items import Item
from playground.matrix.report.answers import csv_text
from playground.matrix.run_file import (
    FORMAT,
    MAX_LINE,
    Header,
    RunFileError,
    RunModel,
    RunWriter,
    Settings,
    plain,
    read,
    tasks_hash,
)
from playground.matrix.run_file.lines import sentence
from tests.matrix_runs import cell, header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A run file with two cells."""
    path = tmp_path / "x.jsonl"
    with RunWriter(path, header()) as writer:
        writer.append(cell("sum_one/en/0"))
        writer.append(cell("sum_one/de/0", answer="zwei\u2028\n„2“ 😀"))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RunFileError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_what_was_written_is_read(file: Path) -> None:
    run = read(file)
    assert run.header == header()
    assert [one.item for one in run.cells] == ["sum_one/en/0", "sum_one/de/0"]
    assert run.cells[1].answer == "zwei\u2028\n„2“ 😀"
    assert run.cells[1].place == ("sum_one", "de", 0)
    assert run.header.models[0].title == "Pocket-3"


def test_every_line_is_whole_json_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.jsonl"
    with RunWriter(path, header()) as writer:
        for count in range(3):
            writer.append(cell(f"sum_one/en/{count}"))
            lines = path.read_bytes().split(b"\n")
            assert lines.pop() == b""
            assert len([json.loads(line) for line in lines]) == count + 2
    assert json.loads(lines[0])["format"] == FORMAT


@pytest.mark.parametrize(
    "expected",
    [None, True, False, 3, "1234.5", (1, 2), ("rot", "rote"), {"name": "Anna", "age": 27}],
)
def test_right_answers_keep_their_kind(tmp_path: Path, expected: object) -> None:
    path = tmp_path / "x.jsonl"
    with RunWriter(path, header()) as writer:
        writer.append(cell(expected=expected))
    [found] = read(path).cells
    assert found.expected == expected
    assert type(found.expected) is type(expected)


def test_going_on_keeps_what_is_there(file: Path) -> None:
    with RunWriter(file, header(id="another", date="later", parallel={"a": 4})) as writer:
        assert writer.header == header()
        assert [one.item for one in writer.cells] == ["sum_one/en/0", "sum_one/de/0"]
        writer.append(cell("sum_one/en/1"))
    assert len(read(file).cells) == 3


def test_the_later_of_two_answers_to_the_same_counts(file: Path) -> None:
    with RunWriter(file, header()) as writer:
        writer.append(cell("sum_one/en/0", error="gone", outcome=None))
        writer.append(cell("sum_one/en/0", answer="again"))
    first, _ = read(file).cells
    assert (first.answer, first.error) == ("again", None)


@pytest.mark.parametrize("cut", [1, 2, 20, 40, 80])
def test_half_a_line_at_the_end_is_skipped_and_cut_off(file: Path, cut: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    kept = 2 if cut == 1 else 1  # without its line end a line is whole all the same
    assert len(read(file).cells) == kept
    with RunWriter(file, header()) as writer:
        assert len(writer.cells) == kept
        writer.append(cell("sum_one/en/1"))
    assert [one.item for one in read(file).cells][-1] == "sum_one/en/1"
    assert len(read(file).cells) == kept + 1
    for line in file.read_bytes().splitlines():
        json.loads(line)


def test_half_a_character_at_the_end_is_cut_off_too(file: Path) -> None:
    file.write_bytes(file.read_bytes() + '{"item":"sum_one/en/1","answer":"ж'.encode()[:-1])
    assert len(read(file).cells) == 2
    with RunWriter(file, header()):
        pass
    assert file.read_bytes().endswith(b"}\n")


def test_every_cut_of_a_file_can_be_gone_on_with(tmp_path: Path, file: Path) -> None:
    whole = file.read_bytes()
    first = whole.index(b"\n")
    for end in [0, 1, 10, 30, first - 1, first, first + 1, *range(first + 2, len(whole), 7)]:
        path = tmp_path / f"{end}.jsonl"
        path.write_bytes(whole[:end])
        with RunWriter(path, header()) as writer:
            writer.append(cell("sum_one/en/9"))
        assert [one.item for one in read(path).cells][-1] == "sum_one/en/9"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 2}, "its seed (1 there, 2 here)"),
        ({"items": 3}, "its number of items"),
        ({"languages": ("en",)}, "its languages (en, de there, en here)"),
        ({"kinds": ("stays",)}, "its tasks"),
        ({"settings": Settings(max_tokens=9)}, "its settings"),
        ({"models": (RunModel(side="a", backend="ollama", model="phi3"),)}, "ollama/phi3 here"),
        ({"tasks_hash": "1" * 64}, "the wording of its tasks"),
        ({"versions": {"onnxruntime": "1.32"}}, "onnxruntime 1.31.1 there, 1.32 here"),
    ],
)
def test_another_run_is_not_gone_on_with(file: Path, changed: dict[str, object], said: str) -> None:
    before = file.read_bytes()
    with pytest.raises(RunFileError) as caught:
        RunWriter(file, header(**changed))
    assert said in str(caught.value)
    assert "--out" in str(caught.value)
    assert file.read_bytes() == before


def test_another_commit_of_the_playground_is_the_same_run(file: Path) -> None:
    versions = {"playground": "0.3.0", "python": "3.12.0", "onnxruntime": "1.31.1"}
    with RunWriter(file, header(versions=versions)) as writer:
        assert len(writer.cells) == 2


@pytest.mark.parametrize("content", [b"precious", b"a,b\n1,2\n", b"{}\n", b"[]", b"{"])
def test_a_foreign_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    if content != b"{":  # which is how a header begins
        with pytest.raises(RunFileError):
            RunWriter(path, header())
        assert path.read_bytes() == content


def test_two_processes_do_not_write_into_one_file(file: Path) -> None:
    with RunWriter(file, header()), pytest.raises(RunFileError, match="by another run"):
        RunWriter(file, header())
    with RunWriter(file, header()) as writer:
        assert len(writer.cells) == 2


def test_the_lock_of_a_killed_process_is_gone(file: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.matrix_runs import header\n"
        "from playground.matrix.run_file import RunWriter\n"
        "file = RunWriter(Path(sys.argv[1]), header()); print('open', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"open\n"
    with pytest.raises(RunFileError, match="by another run"):
        RunWriter(file, header())
    process.kill()
    process.wait()
    process.stdout.close()
    with RunWriter(file, header()) as writer:
        assert len(writer.cells) == 2


def test_files_of_others_are_refused_in_a_sentence(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "y.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    assert "There is no file" in refusal(path)
    assert "folder" in refusal(tmp_path)
    for content, said in (
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"hello\n", "not a run file"),
        (b"[1, 2]\n", "not a run file"),
        (b'{"format": "other", "version": 1}\n', "not a run file"),
        (b"{" * 100_000, "not a run file"),
        (b"[" * 100_000, "not a run file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8"),
        (b"\x7fELF\2\1\1\0\0\0\0", "binary"),
        (file.read_text("utf-8").encode("utf-16"), "UTF-16"),
        (file.read_text("utf-8").encode("utf-16-le"), "UTF-16"),
        (lines[0].replace(b'"version":1', b'"version":2'), "newer Phi Playground"),
        (lines[0].replace(b'"seed":1', b'"seed":"x"'), "damaged header"),
        (lines[0].replace(b'"models":[', b'"models":[7,'), "damaged header"),
        (lines[0] + b"7\n" + lines[1], "Line 2"),
        (lines[0] + b"{}\n" + lines[1], "Line 2"),
        (lines[0] + lines[1] + b"half a li\n" + lines[2], "Line 3"),
        (lines[0] + lines[1].replace(b"sum_one/en/0", b"sum_one-en"), "Line 2"),
        (lines[0] + lines[1].replace(b'"seconds":1.5', b'"seconds":NaN'), "Line 2"),
        (lines[0] + lines[1].replace(b'"seconds":1.5', b'"seconds":-1'), "Line 2"),
        (lines[0] + b'{"item":"a/b/1","answer":"' + b"x" * MAX_LINE + b'"}\n', "Line 2"),
        (lines[0] + '{"item": "é"}\n'.encode("latin-1") + lines[1], "not UTF-8"),
    ):
        path.write_bytes(content)
        assert said in refusal(path), content[:60]


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read(file).cells) == 2


def test_a_verdict_keeps_its_values(tmp_path: Path) -> None:
    """So that a page says it in any language; whoever reads a table reads English."""
    why = Sentence("{found} is not {expected}.", found="3", expected="22")
    error = ServerError(Sentence("{label} is busy.", label="Lab"), "Wait.")
    path = tmp_path / "x.jsonl"
    with RunWriter(path, header()) as writer:
        writer.append(cell(outcome="wrong", why=why))
        writer.append(cell(side="b", error=str(error)))
    run = read(path)
    told, failed = run.cells
    assert isinstance(told.why, Sentence) and told.why.values == why.values
    assert failed.error == "Lab is busy. Wait." and isinstance(failed.error, Sentence)
    assert "3 is not 22.," in csv_text(run)


def test_the_longest_sentence_that_is_written_is_read(tmp_path: Path) -> None:
    """In whatever script: a server's own words may be long."""
    path, said = tmp_path / "x.jsonl", Sentence("It said {words}", words="坏" * 5000)
    with RunWriter(path, header()) as writer:
        writer.append(cell(error=sentence(said)))
    (told,) = read(path).cells
    assert told.error == said[:4000]


@pytest.mark.parametrize("why", [5, ["{a}" * 2000, {"a": "x" * 2000}], ["{a}"], [1, {}]])
def test_a_sentence_that_is_none_is_refused(file: Path, why: object) -> None:
    line = json.loads(cell().model_dump_json()) | {"why": why}
    with file.open("a", encoding="utf-8") as end:
        end.write(json.dumps(line) + "\n")
    assert "line 4" in refusal(file).lower()


def test_unknown_fields_are_dropped(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"side":"a"', b'"side":"a","more":[1]'))
    assert len(read(file).cells) == 2


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="no rights to take away")
def test_a_file_that_may_not_be_read(file: Path) -> None:
    file.chmod(0)
    assert "Cannot read" in refusal(file)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(RunFileError, match="Cannot write"):
        RunWriter(tmp_path / "a" / "x.jsonl", header())


def test_two_thousand_cells_open_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with RunWriter(path, header()) as writer:
        for count in range(2000):
            writer.append(cell(f"sum_one/en/{count}", answer="Слово " * 100))
    began = time.perf_counter()
    assert len(read(path).cells) == 2000
    assert time.perf_counter() - began < 1


def test_the_hash_says_whether_the_tasks_are_the_same() -> None:
    one = Item("json", "en", 0, "x", "x", {"name": "A", "age": 1})
    same = Item("json", "en", 0, "x", "other", {"age": 1, "name": "A"})
    other = Item("json", "en", 0, "x", "x", {"name": "A", "age": 2})
    assert tasks_hash([one]) == tasks_hash([same]) != tasks_hash([other])
    assert tasks_hash([one, other]) != tasks_hash([other, one])
    assert plain((1, 2)) == [1, 2]


def test_a_header_names_its_format_first() -> None:
    assert header().model_dump_json().startswith('{"format":"phi-playground-matrix","version":1')
    assert Header.model_validate_json(header().model_dump_json()) == header()
