"""A JSON object of three keys."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

from playground.matrix.items import Item
from playground.matrix.texts import texts

from .cleaning import fenced, folded, plain, without_unseen
from .result import Score, right, unreadable, wrong


def json_object(item: Item, text: str) -> Score:
    """Score a JSON object, fenced or not: the keys exactly, the values without regard to form.

    A city may be inflected as it was. Words around the object do not matter; two different objects
    cannot be read. What is no JSON is wrong if the values are there, and cannot be read if they are
    not.
    """
    if not isinstance(item.expected, Mapping):
        raise TypeError(f"{item.id} expects no object")
    expected = item.expected
    text = without_unseen(text)
    found = _objects("\n".join(fenced(text))) or _objects(text)
    if not found:
        if "{" in text:
            return wrong(text[text.index("{") :], "It is not valid JSON.")
        if str(expected["age"]) in plain(text):
            return wrong(text, "There is no JSON object in it.")
        return unreadable("There is no JSON object in it.")
    shown = json.dumps(found[-1], ensure_ascii=False)
    if any(each != found[0] for each in found):
        return unreadable("It gives two different objects.", shown)
    if set(found[0]) != set(expected):
        return wrong(shown, "The keys are not {keys}.", keys=", ".join(expected))
    remark = ""
    for key, value in expected.items():
        if _equal(found[0][key], value, item.language):
            continue
        inflected = _inflected(str(value), item.language) if key == "city" else None
        if inflected is None or not _equal(found[0][key], inflected, item.language):
            return wrong(shown, "The value of {key} is not {value}.", key=key, value=str(value))
        remark = "The city is inflected as it is in the sentence."
    return right(shown, remark)


def _inflected(city: str, language: str) -> str | None:
    """A city as it stands in the sentence, without a preposition: Praze, Berliinissä."""
    places = (one.place for one in texts(language).cities if one.name == city)
    return next((place.split(" ", 1)[-1] for place in places), None)


def _objects(text: str) -> list[dict[str, Any]]:
    """The objects in a text, those inside of others left out."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            end = start + 1
        else:
            found.append(cast("dict[str, Any]", value))
        start = text.find("{", end)
    return found


def _equal(found: object, expected: str | int, language: str) -> bool:
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return False
    if isinstance(expected, int):
        if isinstance(found, str):
            number = plain(found).strip()
            return number.isascii() and number.isdigit() and int(number) == expected
        return found == expected
    return _name(str(found), language) == _name(expected, language)


def _name(text: str, language: str) -> str:
    return folded(unicodedata.normalize("NFKC", text).strip(), language)
