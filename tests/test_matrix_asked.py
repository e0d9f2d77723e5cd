"""What a run asks besides tasks: one prompt, prompts of one's own, sets of others."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from backends import BackendConnectionError, DatasetFiles
from playground.commands.failure import Failure
from playground.matrix import __main__ as command_line
from playground.matrix.commands import asked
from playground.matrix.commands.asked import WhatIsAsked, what_is_asked
from playground.matrix.header import header
from playground.matrix.items import Item
from playground.matrix.plan import Plan
from playground.matrix.run_file import RunFile, read
from playground.matrix.scoring import score
from playground.matrix.sets import SETS, SetError, items_of
from playground.matrix.summary import Summary
from tests.fakes import Scripted
from tests.matrix_runs import plan


def parsed(*arguments: str) -> WhatIsAsked:
    told = ["run", "--models", "pocket/pocket-3", "--out", "x.jsonl", *arguments]
    return what_is_asked(command_line.parser().parse_args(told))


def command_of(found: WhatIsAsked) -> list[str]:
    """What the report says repeats the run."""
    [model] = plan(Scripted()).models
    made = Plan((model,), found.items, found.kinds, found.languages, 12, source=found.source)
    return shlex.split(Summary(RunFile(header(made), ())).command())


def test_the_help_names_what_there_is() -> None:
    assert tuple(SETS) == asked.SETS


def test_one_of_the_pages_prompts() -> None:
    found = parsed("--prompt", "greet", "--languages", "de,fr")
    assert [item.id for item in found.items] == ["stays/fr/0", "stays/de/0"]
    command = command_of(found)
    at = command.index("--prompt")
    assert command[at - 2 : at + 2] == ["--languages", "fr,de", "--prompt", "greet"]


def test_one_prompt_in_english_answered_in_each_language() -> None:
    found = parsed("--prompt", "greet", "--answer-in", "--languages", "de,en")
    assert [(item.id, item.answer_language) for item in found.items] == [
        ("told/en/0", "en"),
        ("told/de/0", "de"),
    ]
    assert found.items[1].prompt.endswith("Answer in German.")
    assert "--answer-in" in command_of(found)


def test_prompts_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own prompts.csv"
    file.write_bytes("\ufeffde;Was ist das?\r\nEnglish;What is that?\r\n".encode())
    found = parsed("--prompts", str(file))
    assert [(item.id, item.prompt) for item in found.items] == [
        ("stays/de/0", "Was ist das?"),
        ("stays/en/0", "What is that?"),
    ]
    assert str(file) in command_of(found)
    told = parsed("--prompts", str(file), "--answer-in", "--languages", "ja")
    assert [item.prompt for item in told.items] == ["What is that? Answer in Japanese."]
    file.write_text("de,Was ist das?\nxx,What?\nfr,\n", "utf-8")
    with pytest.raises(Failure, match="mend 2 lines of"):
        parsed("--prompts", str(file))
    assert len(capsys.readouterr().err.splitlines()) == 2
    file.write_bytes("de,Frühstück".encode("latin-1"))
    with pytest.raises(Failure, match="UTF-8"):
        parsed("--prompts", str(file))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prompt", "greet", "--set", "mgsm"), "runs of their own"),
        (("--tasks", "copy", "--prompt", "greet"), "runs of their own"),
        (("--answer-in",), "--answer-in is about one prompt"),
        (("--prompts", "nowhere.csv"), "no file nowhere.csv"),
        (("--set", "mgsm", "--languages", "da"), "has none of these languages"),
        (("--set", "mgsm"), "say --yes"),
    ],
)
def test_what_cannot_be_asked(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    with pytest.raises(Failure, match=said):
        parsed(*arguments)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder in the layout of the three sets, with questions made up for it."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    for code, name in (("de", "deu_Latn"), ("en", "eng_Latn")):
        rows = [
            {
                "link": f"https://example.org/{page}",
                "question_number": 1,
                "flores_passage": f"{code} passage {page}",
                "question": f"{code} question {page}?",
                **{f"mc_answer{choice}": f"{code} choice {choice}" for choice in range(1, 5)},
                "correct_answer_num": str(page % 4 + 1),
            }
            for page in range(6)
        ]
        if code == "de":
            rows.reverse()  # the order of a file's lines says nothing
        write(f"data/{name}.jsonl", "\n".join(map(json.dumps, rows)))
        write(f"mgsm_{code}.tsv", "".join(f"{code} problem {n}\t1,00{n}\n" for n in range(6)))
        lines = [{"question": f"{code} task {n}", "answer": str(n)} for n in range(6)]
        write(f"{code}/test/mgsm_{code}_test.jsonl", "\n".join(map(json.dumps, lines)))
    return tmp_path


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_set_asks_the_same_in_every_language(name: str, hub: Path) -> None:
    made = list(items_of(SETS[name], hub, ["de", "en"], 4, 1))
    assert [item.id for item in made[:3]] == [
        f"{SETS[name].kind}/{code}/{index}" for index, code in ((0, "de"), (0, "en"), (1, "de"))
    ]
    assert len(made) == 8
    for german, english in zip(made[::2], made[1::2], strict=True):
        assert german.expected == english.expected
        assert german.english == english.prompt
        assert german.prompt.startswith("de ")
    assert made == list(items_of(SETS[name], hub, ["de", "en"], 4, 1))
    assert made != list(items_of(SETS[name], hub, ["de", "en"], 4, 2))


def test_a_set_says_its_licence_first_and_stands_in_the_report(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = parsed("--set", "belebele", "--set-folder", str(hub), "--languages", "de,en")
    told = capsys.readouterr().err
    assert "CC BY-SA 4.0" in told and "facebook/belebele" in told and "arXiv:2308.16884" in told
    assert found.kinds == ("set:belebele",)
    assert found.source is not None and found.source.licence == "CC BY-SA 4.0"
    assert "--set belebele" in " ".join(command_of(found))


def test_a_set_is_fetched_once_the_licence_was_agreed_to(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[object] = []

    async def fetch(repository: str, revision: str, files: Sequence[str]) -> DatasetFiles:
        asked_for.append((repository, revision, tuple(files)))
        return DatasetFiles(hub, "a" * 40)

    monkeypatch.setattr("backends.fetch_dataset", fetch)
    found = parsed("--set", "mgsm", "--yes", "--languages", "de")
    assert asked_for == [("juletxara/mgsm", SETS["mgsm"].revision, ("mgsm_de.tsv",))]
    assert found.source is not None and found.source.revision == "a" * 40
    assert found.max_tokens == 500

    async def unreachable(*_: object) -> DatasetFiles:
        raise BackendConnectionError("The Hub cannot be reached.")

    monkeypatch.setattr("backends.fetch_dataset", unreachable)
    with pytest.raises(Failure, match="cannot be reached"):
        parsed("--set", "mgsm", "--yes")


def test_a_file_in_another_form_is_said_so(hub: Path) -> None:
    (hub / "mgsm_de.tsv").write_text("no tab here\n", "utf-8")
    with pytest.raises(SetError, match="not in the form of mgsm"):
        list(items_of(SETS["mgsm"], hub, ["de"], 1, 1))
    (hub / "data/deu_Latn.jsonl").write_text('{"question": "?"}\n', "utf-8")
    with pytest.raises(SetError, match="not in the form of belebele"):
        list(items_of(SETS["belebele"], hub, ["de"], 1, 1))
    with pytest.raises(SetError, match="no file"):
        list(items_of(SETS["mgsm"], hub, ["fr"], 1, 1))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("B", "right"),
        ("(B)", "right"),
        ("**B.** because", "right"),
        ("B) the second", "right"),
        ("Answer: B", "right"),
        ("The right choice is B.", "right"),
        ("Ｂ", "right"),
        ("В", "right"),  # Cyrillic
        ("A", "wrong"),
        ("C. The third, not B.", "wrong"),
        ("A or B", "unreadable"),
        ("A man went home.", "wrong|unreadable"),
        ("I do not know.", "unreadable"),
        ("", "unreadable"),
    ],
)
def test_a_letter_is_chosen(text: str, outcome: str) -> None:
    found = score(Item("choice", "en", 0, "", "", "B"), text, finished=True)
    assert found.outcome in outcome.split("|"), found


def test_the_last_number_counts() -> None:
    item = Item("math", "de", 0, "", "", 1250)
    for text in ("1250", "Erst 7, dann 1.250 €.", "= 1 250", "1,250"):
        assert score(item, text, finished=True).outcome == "right"
    assert score(item, "1250, nicht 7", finished=True).outcome == "wrong"
    assert score(item, "Keine Ahnung", finished=True).outcome == "unreadable"
    assert score(item, "1250", finished=False).outcome == "unreadable"


@pytest.mark.engine
def test_a_set_is_asked_of_a_model(hub: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    told = ["run", "--models", "pocket/pocket-3", "--set", "belebele", "--set-folder", str(hub)]
    told += ["--languages", "en", "--items", "2", "--max-tokens", "5", "--out", str(path)]
    assert command_line.main(told) == 0
    found = read(path)
    assert found.header.source is not None and found.header.source.name == "belebele"
    assert [cell.item for cell in found.cells] == ["choice/en/0", "choice/en/1"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "benchmax is not pinned here: only the beginning of its latest commit is known, c123"),
        (["--set-revision", "c123442"], "--set-revision is a whole commit"),
    ],
)
def test_a_set_that_is_not_pinned_asks_for_its_commit(more: list[str], sentence: str) -> None:
    with pytest.raises(Failure, match=re.escape(sentence)):
        parsed("--set", "benchmax", "--languages", "de", "--yes", *more)


def test_a_set_is_fetched_at_a_commit_that_was_named(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "c123442" + "0" * 33

    async def fetch(repository: str, revision: str, files: Sequence[str]) -> DatasetFiles:
        return DatasetFiles(hub, revision)

    monkeypatch.setattr("backends.fetch_dataset", fetch)
    found = parsed("--set", "mgsm", "--yes", "--languages", "de", "--set-revision", commit)
    assert found.source is not None and found.source.revision == commit
    assert f"--set-revision {commit}" in " ".join(command_of(found))
