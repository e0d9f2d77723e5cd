"""English sentences that remember their values, so that a page can say them in any language."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Self, cast

from pydantic import PlainSerializer, PlainValidator

Number = Callable[[float, int], str]
"""Writes a number with so many decimals, with the marks of a language."""
_PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_WORD = re.compile(r"[^\W\d_]")
MAX_DEPTH = 4
"""Sentences within a sentence: an error, its message, its quotation."""


def english_number(value: float, decimals: int) -> str:
    """A number as English writes it: `1,234.5`."""
    return f"{value:,.{decimals}f}"


def _bytes(count: float, number: Number) -> str:
    if count < 1e9:
        return f"{number(count / 1e6, 0)} MB"
    return f"{number(count / 1e9, 0 if count >= 2e10 else 1)} GB"


def _duration(seconds: float, number: Number) -> str:
    if seconds < 1:
        return f"{number(seconds * 1000, 0)} ms"
    if seconds < 60:
        return f"{number(seconds, 2)} s"
    return f"{number(seconds // 60, 0)} min {number(seconds % 60 // 1, 0)} s"


KINDS: dict[str, Callable[[float, Number], str]] = {
    "bytes": _bytes,
    "duration": _duration,
    "seconds": lambda value, number: f"{number(value, 0)} s",
    "tenths": lambda value, number: number(value, 1),
    "percent": lambda value, number: f"{number(value * 100, 0)} %",
}
"""How a number is written after whose name it stands in braces, as in `{size:bytes}`; the page's
script (`say.js`) has the same. `{name:language}` is the English name of a language, and
`{name:date}` a day as ISO 8601 writes it."""


def names_in(text: str) -> set[str]:
    """The names in a text's braces."""
    return {place[1] for place in _PLACE.finditer(text)}


def fill(text: str, show: Callable[[object, str], str], values: Mapping[str, object]) -> str:
    """A text with each `{name}` or `{name:kind}` as `show(value, kind)` writes it."""
    return _PLACE.sub(
        lambda place: show(values[place[1]], place[2] or "") if place[1] in values else place[0],
        text,
    )


def _english_date(day: str) -> str:
    """A day as English writes it, `29 November 2026`; any other text as it is."""
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return day
    return f"{on.day} {on:%B %Y}"


def show_value(value: object, kind: str, number: Number = english_number) -> str:
    """A value of a sentence in words: a number with the marks of a language, a text as it is."""
    if kind == "date":
        return _english_date(str(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if kind in KINDS:
            return KINDS[kind](value, number)
        decimals = 0 if value == int(value) else len(repr(round(value, 6)).partition(".")[2])
        return number(value, decimals)
    return str(value)


class Sentence(str):
    """An English sentence, which knows what it was made of.

    Its `code` is what stays the same of it: `{label} has no address yet.` Translations are found by
    that. A value may be a sentence, too; any other text in it is a name, or somebody's own words,
    and the same in all languages.
    """

    __slots__ = ("code", "one", "values")
    code: str
    one: str
    values: Mapping[str, object]

    def __new__(cls, code: str, /, one: str = "", **values: object) -> Self:
        """`code` holds the names of `values` in braces; `one` is its form where `n` is 1."""
        form = one if one and values.get("n") == 1 else code
        self = super().__new__(cls, fill(form, show_value, values))
        self.code, self.one, self.values = code, one, values
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        return (self.code,), {"one": self.one, **self.values}

    @property
    def is_frame(self) -> bool:
        """Whether it has no words of its own, only places for others."""
        return not _WORD.search(_PLACE.sub("", self.code))

    def filled(self, text: str, show: "Callable[[object, str], str]") -> str:
        """Another text with its values in it; `show` is given each, and how it is to be written."""
        return fill(text, show, self.values)

    @staticmethod
    def show(value: object, kind: str, number: Number = english_number) -> str:
        """A value in words: a number with the marks of a language, a text as it is."""
        return show_value(value, kind, number)

    @classmethod
    def of(cls, text: str) -> "Sentence":
        """A text as a sentence: what is none yet stands for itself."""
        return text if isinstance(text, Sentence) else cls(text)

    @classmethod
    def chain(cls, *texts: str, between: str = " ") -> "Sentence":
        """Sentences one after the other, with a mark `between` them; empty ones are left out."""
        some = [cls.of(text) for text in texts if text]
        if len(some) == 1:
            return some[0]
        names = [f"s{n}" for n in range(len(some))]
        code = between.join(f"{{{name}}}" for name in names)
        return cls(code, **dict(zip(names, some, strict=True)))

    def renamed(self, was: str, now: str) -> "Sentence":
        """The same sentence of something that goes by another name."""
        values = {name: now if one == was else one for name, one in self.values.items()}
        return Sentence(self.code, one=self.one, **values)

    def dump(self) -> list[Any]:
        """Its code, values and form for one, for JSON."""
        used = {*names_in(self.code), "n"}
        values = {
            name: value.dump() if isinstance(value, Sentence) else value
            for name, value in self.values.items()
            if name in used and isinstance(value, (str, int, float))
        }
        return [self.code, values, self.one] if self.one else [self.code, values]

    @classmethod
    def load(cls, dumped: object, depth: int = 0) -> "Sentence":
        """The sentence that `dump` gave. Raises `ValueError` for anything else."""
        match dumped:
            case [str(code), dict(values), *rest] if depth < MAX_DEPTH and len(rest) < 2:
                named = {
                    name: cls.load(value, depth + 1) if isinstance(value, list) else value
                    for name, value in cast("dict[str, object]", values).items()
                    if name.isidentifier() and name != "one"
                }
                return cls(code, one="".join(map(str, rest)), **named)
            case _:
                raise ValueError("no sentence")


def _read(value: object) -> str:
    return value if isinstance(value, str) else Sentence.load(value)


def _written(value: str) -> object:
    return value.dump() if isinstance(value, Sentence) and value.values else str(value)


Said = Annotated[str, PlainValidator(_read), PlainSerializer(_written)]
"""A text of a record, which may be a `Sentence` and crosses a pipe or a page as one."""
