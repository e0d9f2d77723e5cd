"""The language files of the matrix: what they have in common, and what has to be their own."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from playground.languages import LANGUAGES, stays

FOLDER = Path(__file__).parents[1] / "playground" / "matrix" / "languages"
CODES = sorted(path.stem for path in FOLDER.glob("*.toml"))
OTHERS = [code for code in CODES if code != "en"]
SLOT = re.compile(r"\{(\w+)\}")
CLOSED = ("number_words", "words")
"""Lists of words: no sentences."""
LONGER = 25
"""Letters from which on a text is a sentence of its language, not a name or a few words."""
LONGER_DENSE = 10
"""The same in scripts that write a word in one to three letters."""
DENSE = ("Han", "Hangul", "Japanese", "Thai")


@cache
def tables(code: str) -> dict[str, Any]:
    """One language file."""
    return tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))


def texts(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, with the path to it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from texts(below, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for place, below in enumerate(value):
            yield from texts(below, f"{at}.{place}")
    else:
        assert isinstance(value, str), f"{at} is no text"
        yield at, value


def shape(value: Any) -> Any:
    """The keys of a value and the lengths of its lists."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in value.items()}
    if isinstance(value, list):
        return [shape(below) for below in value]
    return type(value).__name__


def common(code: str) -> dict[str, Any]:
    """The tables that every language has in the same shape: lists of synonyms are of any length."""
    return {
        key: dict.fromkeys(value, "") if key == "words" else without_also(value)
        for key, value in tables(code).items()
        if key not in ("polite", "told", "yes", "no")
    }


def without_also(value: Any) -> Any:
    """A table without what only some languages have in it."""
    if not isinstance(value, dict):
        return value
    return {key: below for key, below in value.items() if key != "also"}


def sentences(code: str) -> dict[str, str]:
    """The longer texts of a file by their paths, without slots."""
    least = LONGER_DENSE if LANGUAGES[code].script in DENSE else LONGER
    found: dict[str, str] = {}
    for key, value in tables(code).items():
        if key in CLOSED or key == "told":
            continue
        for at, text in texts(value, key):
            if at.startswith(("polite.formal", "polite.informal", "to_english.also")):
                continue
            bare = SLOT.sub("7", text)
            if sum(letter.isalpha() for letter in bare) >= least:
                found[at] = bare
    return found


def test_every_file_is_of_a_known_language() -> None:
    assert "en" in CODES
    assert set(CODES) <= set(LANGUAGES)


@pytest.mark.parametrize("code", OTHERS)
def test_all_files_have_the_keys_and_numbers_of_entries_of_english(code: str) -> None:
    assert "told" not in tables(code)  # asked in English only
    assert shape(common(code)) == shape(common("en"))


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_has_the_slots_of_the_english_one(code: str) -> None:
    english = {at: set(SLOT.findall(text)) for at, text in texts(common("en"))}
    for at, text in texts(common(code)):
        assert set(SLOT.findall(text)) == english[at], f"{at}: {text}"


@pytest.mark.parametrize("code", CODES)
def test_no_text_is_empty_or_has_space_around_it(code: str) -> None:
    for at, text in texts(tables(code)):
        assert text and text == text.strip() and "  " not in text, f"{at}: {text!r}"


@pytest.mark.parametrize("code", CODES)
def test_number_words_and_lists_name_nothing_twice(code: str) -> None:
    own = tables(code)
    assert len(own["number_words"]) == len(set(own["number_words"])) == 100
    for key in ("answer_markers", "names", "things"):
        assert len(own[key]) == len(set(own[key])), key
    assert len({city["name"] for city in own["cities"]}) == len(own["cities"])
    assert not {word.lower() for word in own["yes"]} & {word.lower() for word in own["no"]}


@pytest.mark.parametrize("code", CODES)
def test_every_word_is_one_word_of_the_vocabulary(code: str) -> None:
    usual = [accepted[0] for accepted in tables(code)["words"].values()]
    assert len(usual) == len(set(usual)), "two English words are the same"
    for accepted in tables(code)["words"].values():
        assert len(accepted) == len(set(accepted))
        assert not any("," in word or "، " in word or "、" in word for word in accepted)


@pytest.mark.parametrize("code", CODES)
def test_politeness_is_told_by_expressions_that_can_be_compiled(code: str) -> None:
    polite = tables(code).get("polite")
    if not polite:  # English has an empty table, for its comments
        return
    assert set(polite) == {"asks", "formal", "informal"}
    assert len(polite["asks"]) == 3
    assert polite["formal"] and polite["informal"]
    for expression in (*polite["formal"], *polite["informal"]):
        assert re.compile(expression).search("") is None, expression


@pytest.mark.parametrize("code", CODES)
def test_every_sentence_is_in_its_language(code: str) -> None:
    left = {at: text for at, text in sentences(code).items() if stays(text, code) == "left"}
    assert not left


def test_no_sentence_is_shared_by_two_languages() -> None:
    users: defaultdict[str, set[str]] = defaultdict(set)
    for code in CODES:
        for text in sentences(code).values():
            users[text.casefold()].add(code)
    assert not {text: codes for text, codes in users.items() if len(codes) > 1}
