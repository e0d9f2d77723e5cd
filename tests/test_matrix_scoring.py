"""The scorer over its gold, and the rules that need a word of their own."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from time import perf_counter

import pytest

from playground.languages import LANGUAGES
from playground.matrix.gold_cases import GOLD, cases, languages
from playground.matrix.items import KINDS, Expected, Item, Kind
from playground.matrix.scoring import Score, score
from playground.matrix.scoring.cleaning import plain
from playground.matrix.scoring.numerals import han_value, in_digits, in_words
from playground.matrix.scoring.separators import readings
from playground.matrix.selfcheck import LIMIT, misses_of
from playground.matrix.texts import path_of, texts


def ask(
    kind: Kind,
    text: str,
    expected: Expected = None,
    *,
    language: str = "en",
    finished: bool = True,
    prompt: str = "",
) -> Score:
    item = Item(kind, language, 0, prompt, "", expected, language)
    return score(item, text, finished=finished)


@pytest.fixture(params=sorted(LANGUAGES))
def language(request: pytest.FixtureRequest) -> str:
    code: str = request.param
    if not path_of(code).exists():
        pytest.skip(f"no file of words for {code} yet")
    if code not in languages():
        pytest.skip(f"no gold for {code} yet")
    return code


def test_gold(language: str) -> None:
    misses, total = misses_of(language), len(cases(language))
    assert len(misses) / total <= LIMIT, "\n".join(map(str, misses))


def test_no_two_languages_share_a_sentence() -> None:
    found: dict[str, str] = {}
    for code in languages():
        text = (GOLD / f"{code}.toml").read_text(encoding="utf-8")
        for sentence in set(re.findall(r'"([^"\n]{25,})"', text)):
            assert found.setdefault(sentence, code) == code, sentence


def test_gold_has_twelve_of_each_kind(language: str) -> None:
    found = Counter(case.item.kind for case in cases(language))
    kinds = [kind for kind in KINDS if kind != "polite" or texts(language).polite.formal]
    assert {kind: found[kind] for kind in kinds if found[kind] < 12} == {}


def test_gold_has_every_outcome(language: str) -> None:
    found = {(case.item.kind, case.outcome) for case in cases(language)}
    kinds = [kind for kind in KINDS if kind != "polite" or texts(language).polite.formal]
    outcomes = ("right", "wrong", "unreadable")
    missing = {(kind, outcome) for kind in kinds for outcome in outcomes} - found
    assert missing == set()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_never_right(kind: Kind) -> None:
    expected: dict[Kind, Expected] = {
        "date": "2026-11-29",
        "json": {"name": "Anna", "age": 27, "city": "Rome"},
        "yes_no": True,
        "copy": "The sentence.",
        "to_english": ("dog",),
        "from_english": ("dog",),
        "order": (10, 20, 30, 40, 50),
        "format": "bullets",
        "price": "12.5",
    }
    for text in ("", " \n", "\u200f"):
        found = ask(kind, text, expected.get(kind, 12))
        open_task = kind in ("stays", "told", "format", "polite", "code")
        assert found.outcome in (("wrong", "unreadable") if open_task else ("unreadable",))
        assert found.why
    assert ask(kind, "12", expected.get(kind, 12), finished=False).outcome == "unreadable"


@pytest.mark.parametrize("kind", ["stays", "told"])
def test_half_an_answer_has_a_language(kind: Kind) -> None:
    half = "People usually eat bread with butter and drink a cup of"
    kept = ask(kind, half, finished=False)
    assert (kept.outcome, kept.stayed, kept.why) == ("right", "stayed", "It was cut off.")
    left = ask(kind, "Die meisten Menschen essen morgens ein Brötchen mit", finished=False)
    assert (left.outcome, left.stayed) == ("wrong", "left")
    assert left.why == "It is in another language. It was cut off."
    assert ask(kind, "12", finished=False).outcome == "unreadable"


@pytest.mark.parametrize(
    ("number", "values"),
    [
        ("1234", ["1234"]),
        ("1.234", ["1.234", "1234"]),
        ("1,234", ["1.234", "1234"]),
        ("1.234,50", ["1234.50"]),
        ("1,234.50", ["1234.50"]),
        ("1 234,50", ["1234.50"]),
        ("1'234.50", ["1234.50"]),
        ("1’234", ["1234"]),
        ("1٬234٫50", ["1234.50"]),
        ("12٫5", ["12.5"]),
        ("1٬234", ["1234"]),
        ("1,234,567", ["1234567"]),
        ("0.125", ["0.125"]),
        ("12,5", ["12.5"]),
        ("12.34.56", []),
        ("12,15,23", []),
        ("-5", ["-5"]),
    ],
)
def test_readings(number: str, values: list[str]) -> None:
    assert sorted(readings(number)) == sorted(map(Decimal, values))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("٢٣", ["23"]),
        ("۲۳", ["23"]),
        ("๒๓", ["23"]),
        ("２３", ["23"]),
        ("२३", ["23"]),
        ("1 234,50 €", ["1 234,50"]),
        ("1\u202f234,50 €", ["1 234,50"]),
        ("12,15,23", ["12", "15", "23"]),
        ("5 - 3 = 2", ["5", "3", "2"]),
        ("it is -3", ["-3"]),
        ("Phi3", []),
        ("12 apples, 3 books", ["12", "3"]),
    ],
)
def test_digits_of_all_scripts(text: str, found: list[str]) -> None:
    assert [number.text for number in in_digits(plain(text), "en")] == found


@pytest.mark.parametrize(
    ("numeral", "value"),
    [
        ("十", 10), ("十二", 12), ("二十", 20), ("九十九", 99), ("三百五", 305), ("一千二百", 1200),
        ("两", 2), ("二三", 23), ("一万二千", 12_000), ("〇", 0), ("百", 100),
    ],
)  # fmt: skip
def test_chinese_numerals(numeral: str, value: int) -> None:
    assert han_value(numeral) == value


def test_number_words() -> None:
    def found(text: str) -> list[int]:
        return [int(min(number.values)) for number in in_words(plain(text), "en")]

    assert found("Twelve apples") == [12]
    assert found("twenty one or twenty-two") == [21, 22]
    assert found("one of the seven") == [7]
    assert found("One.") == [1]
    assert found("weighty") == []


def test_the_strongest_place_decides() -> None:
    assert ask("sum_one", "Answer: 12\nAnna had 5 and got 7.", 12).outcome == "right"
    assert ask("sum_one", "She has **12** apples, 5 and 7.", 12).outcome == "right"
    assert ask("sum_one", "So it is 12, from 5 and 7.", 12).outcome == "unreadable"
    assert ask("sum_one", r"Answer: 11, that is \boxed{12}", 12).outcome == "right"
    assert ask("sum_one", r"Answer: 12, that is \boxed{11}", 12).outcome == "unreadable"
    assert ask("sum_one", "12 apples.\n\nHere 5 + 8 = 13.", 12).outcome == "unreadable"
    assert ask("sum_one", "12. Because it is so.", 12).outcome == "right"


def test_an_ambiguous_price_is_decided_by_the_expected_one() -> None:
    assert ask("price", "1.234", "1234").outcome == "right"
    assert ask("price", "1.234", "1.234").outcome == "right"
    assert ask("price", "1.234", "1235").outcome == "wrong"
    assert ask("price", "1234", "1234").why == ""
    assert ask("price", "$1,234", "1234").why.startswith("The value is right, but")


def test_a_price_that_is_only_repeated_is_wrong() -> None:
    prompt = "The bill comes to $1,234.50. Write the price as a plain number."
    assert ask("price", "1234.5", "1234.50", prompt=prompt).outcome == "right"
    assert ask("price", "$1234.50", "1234.50", prompt=prompt).outcome == "right"
    assert ask("price", "1 234.50", "1234.50", prompt=prompt).outcome == "right"
    assert ask("price", "The bill comes to $1,234.50.", "1234.50", prompt=prompt).outcome == "wrong"
    assert ask("price", "The bill is $12.50.", "12.5", prompt="It is $12.50.").outcome == "right"


def test_numbers_of_the_question_are_no_results() -> None:
    prompt = "Anna has 5 apples and gets 7 more. How many are there now?"
    explained = "12 apples.\n\nShe had 5 and got 7."
    assert ask("sum_one", explained, 12, prompt=prompt).outcome == "right"
    assert ask("sum_one", explained, 12).outcome == "unreadable"
    assert ask("sum_one", "So 12, the 5 and the 7.", 12, prompt=prompt).outcome == "right"
    assert ask("sum_one", "She has 7 apples.", 12, prompt=prompt).outcome == "wrong"
    # What remains may be a number of the question: an intermediate result is never taken for it.
    prompt = "Anna has 9 apples, gets 3 more and gives 8 away. How many are left?"
    assert ask("sum_two", "Of 12 apples she keeps 4.", 4, prompt=prompt).outcome != "wrong"


def test_a_repeated_question_is_no_yes() -> None:
    prompt = "True that 17 is more than 9?"
    assert ask("yes_no", prompt, True, prompt=prompt).outcome == "unreadable"


def test_a_thai_year_is_accepted_and_remarked_upon() -> None:
    found = ask("date", "2569-11-29", "2026-11-29", language="th")
    assert (found.outcome, found.why) == ("right", "The year is that of the Buddhist calendar.")
    assert ask("date", "2569-11-29", "2026-11-29").outcome == "wrong"


def test_a_right_answer_may_be_in_another_language() -> None:
    item = Item("yes_no", "de", 0, "Ist 17 mehr als 9?", "", True, "de")
    if not path_of("de").exists():
        pytest.skip("no file of words for de yet")
    found = score(item, "Yes.\n\nSeventeen is more than nine, as everybody knows.", finished=True)
    assert (found.outcome, found.stayed) == ("right", "left")


def test_copying_compares_what_is_seen() -> None:
    sentence = "Zoë’s café: ½ price\u00a0!"
    assert ask("copy", "Zoe\u0308’s cafe\u0301: ½ price !", sentence).outcome == "right"
    assert ask("copy", "Zoë’s café: 1/2 price !", sentence).outcome == "wrong"
    assert ask("copy", "Zoë's café: ½ price !", sentence).outcome == "wrong"


def test_numbers_have_no_language() -> None:
    item = Item("sum_one", "en", 0, "", "", 12)
    assert score(item, "Es sind zusammen 12 Äpfel.", finished=True).stayed is None


def test_code_is_parsed_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = (
        f"```python\nopen({str(mark)!r}, 'w')\n"
        "def add(a, b):\n    # This adds two numbers and returns their sum.\n    return a + b\n```"
    )
    assert ask("code", text).outcome == "right"
    assert not mark.exists()


@pytest.mark.parametrize(
    "text", ["{" * 5000, "[" * 50_000, "(" * 5000, "*" * 20_000, "1." * 20_000]
)
def test_odd_texts_do_not_stop_it(text: str) -> None:
    for kind, expected in (("json", {"name": "A", "age": 27, "city": "B"}), ("sum_one", 12)):
        assert ask(kind, text, expected).outcome != "right"
    assert ask("code", text).outcome == "wrong"
    assert ask("order", text, (1, 2, 3, 4, 5)).outcome != "right"


@pytest.mark.parametrize(
    "text",
    ["1 234 " * 4000, "**" * 10_000, "yes " * 6000, "a=1 " * 5000, '"x" ' * 5000, "12. " * 6000],
)
@pytest.mark.parametrize("language_code", ["en", "th", "zh"])
def test_long_texts_are_read_in_no_time(text: str, language_code: str) -> None:
    if not path_of(language_code).exists():
        pytest.skip(f"no file of words for {language_code} yet")
    expected: dict[Kind, Expected] = {
        "sum_one": 12,
        "price": "12.5",
        "yes_no": True,
        "copy": "The sentence.",
        "to_english": ("dog",),
        "order": (10, 20, 30, 40, 50),
        "format": "question",
        "json": {"name": "Anna", "age": 27, "city": "Rome"},
        "code": None,
        "date": "2026-11-29",
    }
    for kind, value in expected.items():
        start = perf_counter()
        ask(kind, text, value, language=language_code)
        assert perf_counter() - start < 3, kind
