"""The words by which answers are read in a language, from the language's file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "languages"


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """What a language's file says about reading answers in it."""

    code: str
    locale: str
    answer_markers: tuple[str, ...]
    """Words that stand before a final answer."""
    yes: tuple[str, ...]
    no: tuple[str, ...]
    number_words: tuple[str, ...]
    """From 0 to 99, in order."""
    vocabulary: Mapping[str, tuple[str, ...]]
    """The words that are right for an English word, the usual one first."""
    formal: tuple[str, ...]
    """Regular expressions of forms that only the polite form has; none if nothing marks it."""
    informal: tuple[str, ...]
    """Regular expressions of forms that do not stand in a polite letter."""


def path_of(code: str) -> Path:
    """The file of a language, whether there is one or not."""
    return FOLDER / f"{code}.toml"


@cache
def words_of(code: str) -> LanguageWords:
    """The words of a language, by its code; `FileNotFoundError` if it has no file."""
    data = tomllib.loads(path_of(code).read_text(encoding="utf-8"))
    polite: dict[str, Any] = data.get("polite", {})
    vocabulary: dict[str, Any] = data.get("words", {})
    return LanguageWords(
        code=code,
        locale=data["locale"],
        answer_markers=_strings(data["answer_markers"]),
        yes=_strings(data["yes"]),
        no=_strings(data["no"]),
        number_words=_strings(data["number_words"]),
        vocabulary={english: _strings(accepted) for english, accepted in vocabulary.items()},
        formal=_strings(polite.get("formal", [])),
        informal=_strings(polite.get("informal", [])),
    )


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value))
