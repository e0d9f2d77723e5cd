"""What is asked in a cell: one task with one right answer, in one language."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "stays",  # an open question: the answer is in the language of the question
    "told",  # the same in English, "answer in …": the answer is in that language
    "sum_one",  # word problem of one step: an integer
    "sum_two",  # word problem of two steps: an integer
    "price",  # a price as it is written there, to a plain number: a decimal as a string, "1234.5"
    "date",  # a long local date to ISO 8601: "2026-11-29"
    "json",  # a sentence to an object of three keys: {"name": …, "age": …, "city": …}
    "yes_no",  # a fact about numbers: true or false
    "count",  # how many words a list has: an integer
    "copy",  # a sentence to be repeated exactly: the sentence
    "to_english",  # a word of a closed vocabulary: the accepted English words
    "from_english",  # the other way: the accepted words
    "order",  # numbers to be sorted: the integers in order
    "format",  # a form to keep to: "bullets" (exactly three), "one_word" or "question"
    "digits",  # a number in words, 0 to 99, to digits: an integer
    "polite",  # a letter in the polite form, where the language marks one: nothing
    "code",  # a Python function with comments in the language: nothing
    "choice",  # a question of others with four choices: the letter
    "math",  # a word problem of others: an integer
]
OF_OTHERS: tuple[Kind, ...] = ("choice", "math")
"""Kinds of the sets of others, which are asked on request: see `playground.matrix.sets`."""
PROMPTS = ("greet", "explain", "list", "letter", "story", "recipe", "advice")
"""The page's own prompts, by their names in the language files."""
SHIPPED = "prompts"
"""What a run's header says in place of kinds: the page's prompts, all of them."""
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in OF_OTHERS)
"""The kinds of our own tasks."""

Expected = int | str | bool | None | tuple[int, ...] | tuple[str, ...] | Mapping[str, str | int]
"""The right answer, of the type that stands beside its kind; several strings are all accepted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One task in one language."""

    kind: Kind
    language: str
    """Code of the language that is tested."""
    index: int
    """The place among the items of its kind: the same item in every language."""
    prompt: str
    """What is asked, in the language; for `told` in English."""
    english: str
    """The same prompt in English, for readers."""
    expected: Expected = None
    answer_language: str | None = None
    """Code of the language that the answer is to be in; `None` where it has none (numbers)."""

    @property
    def id(self) -> str:
        """The item's name in run files: `sum_one/de/3`."""
        return f"{self.kind}/{self.language}/{self.index}"
