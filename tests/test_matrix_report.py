"""Reports of a run: what they count, what they say, and that nothing in a file breaks them."""

import asyncio
import csv
import io
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backends import MODELS
from playground.matrix import __main__ as command_line
from playground.matrix import selfcheck
from playground.matrix.report import csv_text, expected_text, html, markdown, write_csv
from playground.matrix.run_file import Cell, RunFile, RunModel, RunWriter
from playground.matrix.summary import Summary, command
from playground.matrix.tokens import TokensError, find_spec, token_table, token_taxes
from tests.matrix_runs import cell, header

HOSTILE = "<script>alert(1)</script>|`*[x](javascript:1)\x1b[31m\x07\u202e\n# head"


def stays(language: str, side: str, index: int, stayed: str | None) -> Cell:
    outcome = "right" if stayed == "stayed" else "wrong"
    return cell(f"stays/{language}/{index}", side, expected=None, outcome=outcome, stayed=stayed)


def run(*cells: Cell, **changed: object) -> RunFile:
    return RunFile(header(**changed), cells)


@pytest.fixture
def balanced() -> RunFile:
    """Two models, two languages: A stays in English alone, B in both and is better at sums."""
    cells: list[Cell] = []
    for index in range(3):
        for language in ("en", "de"):
            for side in ("a", "b"):
                left = side == "a" and language == "de" and index > 0
                cells.append(stays(language, side, index, "left" if left else "stayed"))
    for index in range(12):
        for language in ("en", "de"):
            cells.append(cell(f"sum_one/{language}/{index}", "a", outcome="wrong"))
            right = language == "de" or index < 2
            outcome = "right" if right else "unreadable"
            cells.append(cell(f"sum_one/{language}/{index}", "b", outcome=outcome))
    return run(*cells)


def test_the_first_sentence_is_computed(balanced: RunFile) -> None:
    summary = Summary(balanced)
    assert summary.headline() == (
        "Asked in 2 languages: Pocket-3 answered in 1 of them, Pocket-3.5 in 2."
    )
    assert summary.answers_in("a") == ["en"]
    assert markdown(balanced).startswith(f"# {summary.headline()}")


@pytest.mark.parametrize(
    ("told", "answered"),
    [
        (["stayed", "stayed", "left"], True),
        (["stayed", "left"], False),  # half is not most
        (["stayed", "undecided"], False),
        (["stayed", "stayed", "undecided"], True),
        (["left", "left", "left"], False),
        ([None], False),
    ],
)
def test_most_open_answers_have_to_stay(told: list[str | None], answered: bool) -> None:
    cells = [stays("de", "a", index, stayed) for index, stayed in enumerate(told)]
    assert (Summary(run(*cells)).answers_in("a") == ["de"]) is answered


def test_one_language_and_one_model() -> None:
    both = [stays("de", "a", 0, "stayed"), stays("de", "b", 0, "left")]
    assert Summary(run(*both)).headline() == "Asked in German: Pocket-3 answered in German."
    neither = [stays("de", "a", 0, "left"), stays("de", "b", 0, "left")]
    assert Summary(run(*neither)).headline() == "Asked in German: neither answered in German."
    alone = run(stays("de", "a", 0, "stayed"), models=header().models[:1])
    assert "One against the other" not in markdown(alone)


def test_without_open_questions_it_says_what_was_right() -> None:
    cells = (cell("sum_one/en/0"), cell("sum_one/de/0", outcome="wrong"))
    assert Summary(run(*cells)).headline() == "Asked in 2 languages: Pocket-3 had 1 of 2 right."
    assert Summary(run()).headline() == "Asked in 0 languages: nothing was answered."
    assert markdown(run())
    assert html(run())


def test_told_alone_is_called_so() -> None:
    cells = [cell(f"told/{code}/0", "a", expected=None, stayed="stayed") for code in ("de", "fr")]
    assert Summary(run(*cells)).headline().startswith("Asked in English to answer in 2 languages")


def test_unreadable_answers_are_not_right_and_counted_apart(balanced: RunFile) -> None:
    tally = Summary(balanced).tally("b", ["sum_one"], ["en"])
    assert (tally.right, tally.wrong, tally.unreadable, tally.n) == (2, 0, 10, 12)
    assert "2/12 (5–45 %), 10 unreadable" in markdown(balanced)
    assert "12/12 (76–100 %)" in markdown(balanced)


def test_the_mean_is_that_of_the_languages(balanced: RunFile) -> None:
    [row] = [one for one in markdown(balanced).splitlines() if "Mean of 2 languages" in one][:1]
    assert "| 0 % (0–17 %), n = 24 " in row
    assert "| 58 % (" in row  # of 2/12 and 12/12


def test_what_was_not_asked_is_in_no_number() -> None:
    cells = (cell("sum_one/en/0"), cell("sum_one/en/1", error="Gone.", outcome=None))
    tally = Summary(run(*cells)).tally("a")
    assert (tally.n, tally.failed) == (1, 1)
    assert "Could not be asked for: 1" in markdown(run(*cells))


def test_models_are_compared_on_the_same_items(balanced: RunFile) -> None:
    english, german = sorted(Summary(balanced).paired(), key=lambda one: one.language)[::-1]
    assert (english.language, english.n, english.a_only, english.b_only) == ("en", 12, 0, 2)
    assert english.p == 0.5
    assert english.words == "No difference that 12 items could show."
    assert (german.a_only, german.b_only) == (0, 12)
    assert german.p == pytest.approx(2 * 2 * 0.5**12)  # adjusted for two tests
    assert german.words.startswith("Pocket-3.5 is better")


def test_items_that_one_side_lacks_are_not_compared() -> None:
    cells = (
        cell("sum_one/en/0", "a"),
        cell("sum_one/en/1", "b"),
        cell("sum_one/en/2", "a"),
        cell("sum_one/en/2", "b", error="Gone.", outcome=None),
    )
    assert Summary(run(*cells)).paired() == []


def test_open_and_polite_answers_are_not_among_the_right_ones() -> None:
    cells = (
        stays("de", "a", 0, "stayed"),
        cell("polite/de/0", expected=None),
        cell("sum_one/de/0", outcome="wrong"),
    )
    summary = Summary(run(*cells))
    assert summary.checked == ("sum_one",)
    assert "| Polite letter (polite)" in markdown(run(*cells))


def test_the_worst_language_comes_first(balanced: RunFile) -> None:
    cells = [stays("fr", "a", 0, "left"), stays("fr", "b", 0, "left"), *balanced.cells]
    assert Summary(run(*cells)).languages[0] == "fr"


def test_the_command_repeats_the_run() -> None:
    words = shlex.split(command(header(parallel={"a": 4, "b": 4})))
    assert words[:4] == ["python", "-m", "playground.matrix", "run"]
    for name, value in (
        ("--models", "pocket/pocket-3,pocket/pocket-3.5"),
        ("--languages", "en,de"),
        ("--tasks", "stays,sum_one"),
        ("--items", "2"),
        ("--seed", "1"),
        ("--parallel", "4"),
    ):
        assert words[words.index(name) + 1] == value
    assert "--parallel" not in command(header(parallel={"a": 4, "b": 1}))


def test_a_name_in_the_command_is_one_word() -> None:
    model = RunModel(side="a", backend="x", model="m; rm -rf ~ $(id)")
    words = shlex.split(command(header(models=(model,))))
    assert words[words.index("--models") + 1] == "x/m; rm -rf ~ $(id)"


def test_how_to_cite(balanced: RunFile) -> None:
    said = Summary(balanced).citation()
    for part in ("0.2.0", "20261129-120000-abcdef", "2026-11-29", "Pocket-3", "2 languages"):
        assert part in said
    assert said in html(balanced)


@pytest.fixture
def hostile() -> RunFile:
    model = RunModel(side="a", backend=HOSTILE, model=HOSTILE, label=HOSTILE)
    cells = (
        cell(f"{HOSTILE}/{HOSTILE}/0".replace("</", "<")),
        cell(
            "sum_one/ar/0",
            prompt=HOSTILE,
            answer=HOSTILE,
            why=HOSTILE,
            found=HOSTILE,
            expected=HOSTILE,
        ),
        cell("sum_one/ar/1", "z", error=HOSTILE),
    )
    versions = {HOSTILE: HOSTILE}
    return run(*cells, models=(model,), versions=versions, id=HOSTILE, date=HOSTILE)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


def test_a_page_escapes_whatever_stands_in_a_file(hostile: RunFile) -> None:
    page = html(hostile)
    found = tags(page)
    assert not {"script", "img", "iframe", "a", "link"} & {tag for tag, _ in found}
    assert not [name for _, attrs in found for name in attrs if name.startswith("on")]
    assert "\x1b" not in page and "\x07" not in page
    assert "&lt;script&gt;" in page


def test_markdown_escapes_it_too_and_keeps_its_lines(hostile: RunFile) -> None:
    text = markdown(hostile)
    assert "\x1b" not in text
    assert not re.search(r"^# head", text, re.MULTILINE)
    body = text.replace(command(hostile.header), "")
    assert not re.search(r"(?<!\\)<script", body)
    for one in body.splitlines():
        if one.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", one)) in (3, 9)


def test_a_page_stands_alone(balanced: RunFile) -> None:
    page = html(balanced)
    assert not re.search(r"https?:|src=|url\(|@import", page)
    found = tags(page)
    assert ("html", {"lang": "en"}) in found
    assert "@media print" in page
    assert command(balanced.header) in page.replace("&#x27;", "'")


def test_texts_have_language_and_direction() -> None:
    cells = (
        cell("stays/ar/0", prompt="ما هو؟", answer="نعم", expected=None, stayed="stayed"),
        cell("stays/ar/1", prompt="ما هو؟", answer="Yes", expected=None, stayed="left"),
        cell("told/ar/0", prompt="What?", answer="نعم", expected=None, stayed="stayed"),
    )
    found = [attrs for tag, attrs in tags(html(run(*cells))) if tag == "td" and "dir" in attrs]
    marks = [(one.get("lang"), one["dir"]) for one in found]
    arabic, english, unknown = ("ar", "rtl"), ("en", "ltr"), ("", "auto")
    expected = (None, "auto")
    assert marks == [
        *(arabic, expected, arabic),
        *(arabic, expected, unknown),
        *(english, expected, arabic),
    ]


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-3", "'-3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\n=1"),
        ("\x00=1", "'=1"),
        ("\ufeff=1", "'\ufeff=1"),
        (" =1", "' =1"),
        ("a=1", "a=1"),
        ("zwei\nZeilen, „ja“", "zwei\nZeilen, „ja“"),
    ],
)
def test_no_cell_of_a_table_is_a_formula(answer: str, written: str) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(run(cell(answer=answer))), newline="")))
    assert rows[0]["answer"] == written


def test_a_table_has_every_answer(balanced: RunFile, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_csv(balanced, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(balanced.cells)
    assert rows[0]["kind"] == "stays"
    assert rows[0]["model"] == "Pocket-3"
    assert {row["outcome"] for row in rows} == {"right", "wrong", "unreadable"}


@pytest.mark.parametrize(
    ("item", "expected", "text"),
    [
        ("sum_one/en/0", 3, "3"),
        ("yes_no/en/0", True, "yes"),
        ("yes_no/en/0", False, "no"),
        ("order/en/0", (1, 2), "1, 2"),
        ("to_english/de/0", ("red", "ruddy"), "red | ruddy"),
        ("json/en/0", {"age": 27}, '{"age": 27}'),
        ("stays/en/0", None, ""),
    ],
)
def test_a_right_answer_as_text(item: str, expected: object, text: str) -> None:
    assert expected_text(cell(item, expected=expected)) == text


def test_the_command_writes_both_files(
    balanced: RunFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    with RunWriter(path, balanced.header) as writer:
        for one in balanced.cells:
            writer.append(one)
    table, page = tmp_path / "x.csv", tmp_path / "x.html"
    assert command_line.main(["report", str(path), "--csv", str(table), "--html", str(page)]) == 0
    assert capsys.readouterr().out.startswith("# Asked in 2 languages")
    assert table.stat().st_size and page.read_text("utf-8").endswith("</html>\n")
    nowhere = str(tmp_path / "no" / "x.csv")
    assert command_line.main(["report", str(path), "--csv", nowhere]) == 1
    assert "Cannot write" in capsys.readouterr().err


async def test_a_language_costs_in_times_of_english() -> None:
    [english] = [tax for tax in await token_taxes(MODELS["pocket-3.5"]) if tax.language == "en"]
    assert (english.relative, english.lowest, english.highest) == (1, 1, 1)
    assert english.tokens > 50
    assert "Pocket-3.5" in await token_table("pocket/pocket-3.5")


def test_a_tokenizer_from_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("PHI_MODELS_DIR", raising=False)
    with pytest.raises(TokensError, match="is not on this machine: fetch that file alone"):
        asyncio.run(token_table("phi-3.5-mini"))
    repository = tmp_path / "models--microsoft--Phi-3.5-mini-instruct"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    pocket = Path("backends/pocket/models/pocket-3.5/tokenizer.json")
    if not pocket.is_file():
        pocket = next(Path("backends/pocket/models/pocket-3.5").rglob("tokenizer.json"))
    (snapshot / "tokenizer.json").write_bytes(pocket.read_bytes())
    assert "Phi-3.5-mini" in asyncio.run(token_table("phi-3.5-mini"))
    (repository / "refs" / "main").write_text("def")
    other = repository / "snapshots" / "def"
    other.mkdir()
    (other / "tokenizer.json").write_text("no tokenizer")
    with pytest.raises(TokensError, match="cannot be read"):
        asyncio.run(token_table("phi-3.5-mini"))


def test_models_whose_tokens_cannot_be_counted() -> None:
    assert find_spec("Phi-3.5-mini").key == "phi-3.5-mini"
    assert find_spec("microsoft/phi-4").key == "phi-4"
    for name in ("", "phi", "gpt"):
        with pytest.raises(TokensError, match="choose from"):
            find_spec(name)
    with pytest.raises(TokensError, match="of its own kind"):
        asyncio.run(token_table("phi-3-small-8k"))


@pytest.mark.parametrize(("rate", "code"), [(0.0, 0), (0.02, 1)])
def test_selfcheck_fails_where_the_scorer_errs(
    rate: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selfcheck, "selfcheck", lambda: ["a miss"])
    monkeypatch.setattr(selfcheck, "summary", lambda: "It errs.")
    monkeypatch.setattr(selfcheck, "error_rate", lambda: rate)
    assert command_line.main(["selfcheck"]) == code
    assert capsys.readouterr().out == "a miss\nIt errs.\n"
