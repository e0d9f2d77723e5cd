"""The gold: answers as models write them, and how each is to be judged.

Each language has a file `gold/<code>.toml` with sentences of its own. They are frames: `{n}` and
the like stand for values. Forms that belong to no language (`**12**`, `\\boxed{12}`, code blocks)
are in `gold/any.toml` and are asked in every language besides. Keys, in each table of a kind:

- `right`, `wrong`, `unreadable`: answers that end, by how they are to be judged;
- `cut`: answers that were cut off, which are unreadable whatever they hold; of open questions those
  that are empty, as half an answer has a language.

A file may end with tables of `answers`: whole ones, to items of their own.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .items import Item, Kind
from .scoring import Outcome

GOLD = Path(__file__).parent / "gold"
_OUTCOMES: tuple[tuple[str, Outcome, bool], ...] = (
    ("right", "right", True),
    ("wrong", "wrong", True),
    ("unreadable", "unreadable", True),
    ("cut", "unreadable", False),
)
_NUMBERS: tuple[Kind, ...] = (
    *("sum_one", "sum_two", "price", "date", "json", "count", "order", "digits"),
)
"""Kinds whose answers have no language."""
_SUMS = ((7, 5), (9, 8), (10, 6))
_TWO_STEPS = ((9, 6, 5), (8, 7, 4))
_COUNTS = (4, 6, 7)
_ORDERED, _GIVEN = (12, 25, 38, 47, 90), (47, 12, 90, 25, 38)
_DATE, _OTHER_DATE = "2026-11-29", "2026-11-28"
_NATIVE_DIGITS = {"ar": "٠١٢٣٤٥٦٧٨٩", "th": "๐๑๒๓๔๕๖๗๘๙"}
_FULL_WIDTH = "０１２３４５６７８９"

Frames = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to one item, and how it is to be judged."""

    item: Item
    text: str
    finished: bool
    outcome: Outcome


def languages(folder: Path = GOLD) -> list[str]:
    """The codes of the languages that have gold."""
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem != "any")


def cases(language: str, folder: Path = GOLD) -> list[Case]:
    """All cases of a language, those of `any.toml` filled with its words included."""
    gold = _read(folder / f"{language}.toml")
    everywhere = _read(folder / "any.toml")
    return [
        *_numbers(language, gold, everywhere),
        *_others(language, gold, everywhere),
        *_answers(language, gold),
    ]


def _read(path: Path) -> Frames:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _numbers(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    for a, b in _SUMS:
        values = _values(language, n=a + b, a=a, b=b, x=a + b + 1)
        item = Item("sum_one", language, 0, f"{a} … {b} …?", "", a + b)
        yield from _filled(item, (gold["sum"], everywhere["sum"]), values)
    for a, b, c in _TWO_STEPS:
        n = a + b - c
        values = _values(language, n=n, a=a, b=b, c=c, s=a + b, x=n + 2)
        item = Item("sum_two", language, 0, f"{a} … {b} … {c} …?", "", n)
        yield from _filled(item, (gold["sum"], gold["sum_two"], everywhere["sum_two"]), values)
    for kind in ("sum_one", "sum_two", "count"):
        yield from _filled(Item(kind, language, 1, "", "", 12), (gold["twelve"],), {})
    for n in _COUNTS:
        item = Item("count", language, 0, "", "", n)
        values = _values(language, n=n, x=n + 1)
        yield from _filled(item, (gold["count"], everywhere["count"]), values)
    price = gold["price"]
    values = {key: price[key] for key in ("plain", "local", "other")}
    item = Item("price", language, 0, price["local"], "", price["value"])
    yield from _filled(item, (price, everywhere["price"]), values)
    words = gold["digits"]
    values = _values(language, n=words["number"], x=words["number"] + 10)
    values |= {"w": words["words"]}
    item = Item("digits", language, 0, "", "", words["number"])
    yield from _filled(item, (words, everywhere["digits"]), values)
    values = {
        "o": _list(_ORDERED),
        "g": _list(_GIVEN),
        "r": _list(reversed(_ORDERED)),
        "first": str(_ORDERED[0]),
        "last": str(_ORDERED[-1]),
        "lines": "\n".join(map(str, _ORDERED)),
        "points": "\n".join(f"- {number}" for number in _ORDERED),
        "places": "\n".join(f"{at}. {number}" for at, number in enumerate(_ORDERED, 1)),
    }
    item = Item("order", language, 0, "", "", _ORDERED)
    yield from _filled(item, (gold["order"], everywhere["order"]), values)


def _others(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    values = {"i": _DATE, "x": _OTHER_DATE, "l": gold["date"]["long"]}
    item = Item("date", language, 0, "", "", _DATE)
    yield from _filled(item, (gold["date"], everywhere["date"]), values)
    yield from _json(language, gold["json"], everywhere["json"])
    for expected, outcomes in ((True, ("right", "wrong")), (False, ("wrong", "right"))):
        for table in (gold["yes_no"], everywhere["yes_no"]):
            frames = {
                outcomes[0]: table.get("yes", []),
                outcomes[1]: table.get("no", []),
                "unreadable": table.get("unreadable", []),
                "cut": table.get("cut", []),
            }
            values = {"yes": gold["yes_no"]["yes"][0], "no": gold["yes_no"]["no"][0]}
            item = Item("yes_no", language, 0, "", "", expected, language)
            yield from _filled(item, (frames,), values)
    sentence = gold["copy"]["sentence"]
    values = {"s": sentence, "first": sentence[: len(sentence) // 2].rstrip()}
    item = Item("copy", language, 0, "", "", sentence, language)
    yield from _filled(item, (gold["copy"], everywhere["copy"]), values)
    yield from _words(language, gold, everywhere)
    yield from _forms(language, gold["format"], everywhere["format"])
    yield from _open(language, gold, everywhere)
    yield from _code(language, gold, everywhere)


def _json(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    name, city = gold["name"], gold["city"]
    expected: dict[str, str | int] = {"name": name, "age": 27, "city": city}
    values = {
        "j": json.dumps(expected, ensure_ascii=False),
        "escaped": json.dumps(expected),
        "indented": json.dumps(expected, ensure_ascii=False, indent=2),
        "string": json.dumps(expected | {"age": "27"}, ensure_ascii=False),
        "older": json.dumps(expected | {"age": 28}, ensure_ascii=False),
        "more": json.dumps(expected | {"country": ""}, ensure_ascii=False),
        "fewer": json.dumps({"name": name, "age": 27}, ensure_ascii=False),
        "python": str(expected),
        "name": name,
        "city": city,
    }
    item = Item("json", language, 0, "", "", expected)
    yield from _filled(item, (gold, everywhere), values)


def _words(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    local, other = gold["word"]["dog"], gold["word"]["cat"]
    values = {"w": local, "o": other}
    item = Item("to_english", language, 0, f"“{local}”?", "", ("dog",), "en")
    yield from _filled(item, (gold["to_english"], everywhere["to_english"]), values)
    item = Item("from_english", language, 0, "“dog”?", "", (local,), language)
    yield from _filled(item, (gold["from_english"], everywhere["from_english"]), values)


def _forms(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    points: list[str] = gold["points"]
    values = {key: gold[key] for key in ("intro", "word", "phrase", "question", "second")}
    values |= {f"p{at}": point for at, point in enumerate(points, 1)}
    for form in ("bullets", "one_word", "question"):
        item = Item("format", language, 0, "", "", form, language)
        yield from _filled(item, (everywhere[form],), values)


def _open(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    own: list[str] = gold["stays"]["right"]
    foreign = [text for code, text in everywhere["stays"]["texts"].items() if code != language]
    kinds: tuple[Kind, ...] = ("stays", "told")
    for kind in kinds:
        item = Item(kind, language, 0, "", "", None, language)
        yield from _filled(item, (gold["stays"], everywhere["stays"], {"wrong": foreign}), {})
        yield Case(item, own[0], False, "right")
        yield Case(item, own[1][: len(own[1]) * 3 // 4], False, "right")
        yield Case(item, foreign[0], False, "wrong")
        yield Case(item, foreign[-1][: len(foreign[-1]) * 3 // 4], False, "wrong")
        yield Case(item, f"**{own[0]}**\n\n- {own[1]}\n- {own[-1]}", True, "right")
    if "polite" in gold:
        item = Item("polite", language, 0, "", "", None, language)
        yield from _filled(item, (gold["polite"], everywhere["polite"]), {})


def _code(language: str, gold: Frames, everywhere: Frames) -> Iterator[Case]:
    item = Item("code", language, 0, "", "", None, language)
    foreign = everywhere["code"]["english" if language != "en" else "german"]
    values = {
        "c1": gold["code"]["comments"][0],
        "c2": gold["code"]["comments"][1],
        "f1": foreign[0],
        "f2": foreign[1],
    }
    yield from _filled(item, (gold["code"], everywhere["code"]), values)


def _answers(language: str, gold: Frames) -> Iterator[Case]:
    for table in gold.get("answers", []):
        kind: Kind = table["kind"]
        expected: Any = table.get("expected")
        if isinstance(expected, list):
            expected = tuple(cast("list[str]", expected))
        answered = "en" if kind == "to_english" else None if kind in _NUMBERS else language
        item = Item(kind, language, 0, table.get("prompt", ""), "", expected, answered)
        yield from _filled(item, (table,), {})


def _filled(item: Item, tables: Iterable[Frames], values: Mapping[str, str]) -> Iterator[Case]:
    for table in tables:
        for key, outcome, finished in _OUTCOMES:
            for frame in table.get(key, []):
                text = frame
                for name, value in values.items():
                    text = text.replace(f"{{{name}}}", value)
                yield Case(item, text, finished, outcome)


def _values(language: str, **numbers: int) -> dict[str, str]:
    """Numbers as text; `{N}` and `{F}` are `n` in the language's digits and in full width."""
    values = {name: str(number) for name, number in numbers.items()}
    native = _NATIVE_DIGITS.get(language, "0123456789")
    values["N"] = "".join(native[int(digit)] for digit in values["n"])
    values["F"] = "".join(_FULL_WIDTH[int(digit)] for digit in values["n"])
    return values


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
