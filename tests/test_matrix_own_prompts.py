"""Prompts of one's own: what is read of files as people save them, and what is said of the rest."""

import pytest

from playground.matrix.own_prompts import MAX_PROMPT, language_code, parse


@pytest.mark.parametrize(
    "text",
    [
        "de,Was ist das?\nen,What is that?",
        "de;Was ist das?\r\nen;What is that?\r\n",
        "de\tWas ist das?\nen\tWhat is that?\n\n",
        "\ufeffGerman,Was ist das?\nEnglish,What is that?",
        'Deutsch,"Was ist das?"\nenglish,"What is that?"',
        "language;prompt\nde;Was ist das?;;\nen;What is that?;;",
        "de-AT , Was ist das? \nEN , What is that? ",
    ],
)
def test_forms_in_which_people_save_it(text: str) -> None:
    found = parse(text)
    assert found.problems == ()
    assert found.rows == {"de": "Was ist das?", "en": "What is that?"}


def test_a_prompt_may_hold_commas_and_lines() -> None:
    found = parse('en,One, two; three\nfr;4\nde,"Erste Zeile,\nzweite Zeile"\nja,りんご、パン')
    assert found.rows["en"] == "One, two; three"
    assert found.rows["de"] == "Erste Zeile,\nzweite Zeile"
    assert found.rows["ja"] == "りんご、パン"
    assert found.rows["fr"] == "4" and found.problems == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("klingon,nuqneH", "“klingon” is no language"),
        ("de", "no tab, comma or semicolon"),
        ("de,", "prompt in German is empty"),
        ("en,again", "already"),
        (f"fr,{'x' * (MAX_PROMPT + 1)}", "more than 8,000 characters"),
        (f"fr,{'x' * 200_000}", "Line 2"),
        ("\x00\x1b[31m,x", "is no language"),
    ],
)
def test_a_bad_line_is_said_in_one_sentence(line: str, said: str) -> None:
    found = parse(f"en,Hello\n{line}\nde,Hallo")
    assert found.rows["en"] == "Hello"
    [problem] = found.problems
    assert problem.startswith("Line 2: ") and said in problem
    assert "\n" not in problem and len(problem) < 300


def test_commas_within_a_prompt_of_many_lines_part_nothing() -> None:
    poem = "Roses, red\nviolets, blue\nsugar, sweet"
    assert parse(f'en\t"{poem}"').rows == {"en": poem}


def test_nothing_is_nothing() -> None:
    for text in ("", "\n \n", "\ufeff", "language,prompt\n"):
        assert parse(text).rows == {} and parse(text).problems == ()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("日本語", "ja"), ("Slovenčina", "sk"), ("norwegian", "no"), ("nb", "no"), ("pt_BR", "pt"),
        ("zh-Hans", "zh"), ("e", None), ("", None), ("den", None),
    ],
)  # fmt: skip
def test_languages_by_any_of_their_names(name: str, code: str | None) -> None:
    assert language_code(name) == code
