"""Making an item: where it stands among all, what is drawn for it, and how a template is filled."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from ...languages.table import LANGUAGES
from ..items import Expected, Kind
from ..texts import Texts, texts

_FULL_WIDTH_ENDS = tuple("。？！")
"""After these no space is written."""
_LIST_SEPARATORS = {"zh": "、", "ja": "、", "ar": "، "}
_SLOT = re.compile(r"\{(\w+)\}(\.?)")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Made:
    """What is asked, and the right answer."""

    prompt: str
    english: str
    expected: Expected = None


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an item among all: what its numbers, names and things are drawn by.

    No draw looks at the language, so that all languages have the same.
    """

    kind: Kind
    code: str
    index: int
    seed: int

    def random(self) -> Random:
        """The item's own numbers."""
        return Random(f"{self.seed}/{self.kind}/{self.index}")

    def in_turn(self, count: int) -> int | None:
        """The place in a list of `count` that is asked now; `None` once all were asked."""
        if self.index >= count:
            return None
        return Random(f"{self.seed}/{self.kind}").sample(range(count), count)[self.index]


Make = Callable[[Texts, Place], "Made | None"]
"""Makes an item of a language's texts; `None` if the language has none at that place."""


def english_texts() -> Texts:
    """The English file: whose words and questions are numbered, and what readers are shown."""
    return texts("en")


def both(own: Texts, write: Callable[[Texts], str | None], right: Expected) -> Made | None:
    """The prompt in its language and in English; `None` if the language has none."""
    prompt = write(own)
    return None if prompt is None else Made(prompt, write(english_texts()) or "", right)


def entry(many: Sequence[_T], place: int) -> _T:
    """An entry by any number: lists of the same length give the same place in every language."""
    return many[place % len(many)]


def fill(template: str, **slots: object) -> str:
    """A template with its slots filled; a full stop is not written twice."""
    return _SLOT.sub(lambda found: _slot(found, slots), template)


def joined(sentence: str, ask: str) -> str:
    """A sentence and what is asked about it, with a space where the language has one."""
    return sentence + ask if sentence.endswith(_FULL_WIDTH_ENDS) else f"{sentence} {ask}"


def listed(words: Sequence[str], code: str) -> str:
    """A list as the language writes it."""
    return _LIST_SEPARATORS.get(code, ", ").join(words)


def with_language(english: str, code: str) -> str:
    """An English sentence whose last “English” is replaced by the name of a language."""
    before, found, after = english.rpartition("English")
    return f"{before}{LANGUAGES[code].english_name}{after}" if found else english


def _slot(found: re.Match[str], slots: Mapping[str, object]) -> str:
    written = str(slots.get(found[1], found[0]))
    return written if written.endswith(".") else written + found[2]
