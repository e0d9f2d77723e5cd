"""The numbers in a text, in digits of any script, Chinese numerals or words."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from playground.matrix.texts import texts

from .cleaning import folded
from .separators import NUMBER, readings
from .usage import usage_of

_UNITS = {"十": 10, "百": 100, "千": 1000}
_TEN_THOUSANDS = "万萬만"
_HAN_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_HAN = re.compile(f"[{''.join(_HAN_DIGITS)}{''.join(_UNITS)}万萬]+")
_MYRIADS = re.compile(rf"(\d+(?:\.\d+)?)\s*[{_TEN_THOUSANDS}]\s*(\d{{1,4}}(?!\d))?")
"""Digits and ten thousands mixed: 1万2500."""
_SHORT = {"ja": 4, "th": 8, "zh": 4}
"""Characters up to which a text is hardly more than a number, where no spaces set words apart."""
_KOREAN_COUNTER = re.compile(r"\s?(?:개|명|권|자루|송이|장|단어)")
_WITHOUT_SPACES = ("ja", "th", "zh")
"""Languages that are written without spaces between words."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number in a text, and all it may mean."""

    text: str
    values: frozenset[Decimal]
    start: int
    end: int


def in_digits(text: str, language: str) -> list[Number]:
    """The numbers in `plain` text that are written in digits, in order."""
    found: list[Number] = []
    taken = -1
    if language in ("ja", "ko", "zh"):
        for match in _MYRIADS.finditer(text):
            value = Decimal(match[1]) * 10_000 + Decimal(match[2] or 0)
            found.append(Number(match[0].strip(), frozenset({value}), match.start(), match.end()))
    spans = [(number.start, number.end) for number in found]
    for match in NUMBER.finditer(text):
        if match.start() < taken or any(a <= match.start() < b for a, b in spans):
            continue
        values = readings(match[0])
        if values:
            found.append(Number(match[0], values, match.start(), match.end()))
            continue
        # Marks that make no number separate several: 12,15,23.
        for part in re.finditer(r"\d+", match[0]):
            start = match.start() + part.start()
            value = frozenset({Decimal(part[0])})
            found.append(Number(part[0], value, start, start + len(part[0])))
    return sorted(found, key=lambda number: number.start)


def in_words(text: str, language: str) -> list[Number]:
    """The numbers in `plain` text that are written in words or Chinese numerals, in order.

    Words for one are articles in many languages, "the two numbers" are no result, and a single
    syllable is much else in Korean: they count only if hardly anything else is there, or before a
    Korean counter.
    """
    found: list[Number] = []
    bare = text.strip()
    short = len(bare) <= _SHORT.get(language, 12) and len(bare.split()) <= 2
    if language in ("ja", "zh"):
        for match in _HAN.finditer(text):
            value = han_value(match[0])
            if value is not None and (short or value > 2):
                number = Number(match[0], frozenset({Decimal(value)}), match.start(), match.end())
                found.append(number)
    pattern, values = _number_words(language)
    lowered = folded(text, language)
    for match in pattern.finditer(lowered):
        value = values[_joined(match[0])]
        if any(number.start <= match.start() < number.end for number in found):
            continue
        vague = 0 < value <= 2 or (language == "ko" and len(match[0]) == 1)
        if vague and not short and not _KOREAN_COUNTER.match(lowered, match.end()):
            continue
        found.append(Number(match[0], frozenset({Decimal(value)}), match.start(), match.end()))
    return sorted(found, key=lambda number: number.start)


def han_value(numeral: str) -> int | None:
    """The value of a Chinese numeral, 二十三 or 二三 alike; `None` if it is none."""
    if not any(character in _UNITS or character in "万萬" for character in numeral):
        return int("".join(str(_HAN_DIGITS[character]) for character in numeral))
    total = section = digit = 0
    for character in numeral:
        if character in "万萬":
            total += (section + digit or 1) * 10_000
            section = digit = 0
        elif character in _UNITS:
            section += (digit or 1) * _UNITS[character]
            digit = 0
        elif digit:
            return None
        else:
            digit = _HAN_DIGITS[character]
    return total + section + digit


@cache
def _number_words(language: str) -> tuple[re.Pattern[str], dict[str, int]]:
    """A pattern for the number words of a language, in `folded` text, and their values."""
    values: dict[str, int] = {}
    for value, word in enumerate(texts(language).number_words):
        values.setdefault(_joined(folded(word, language)), value)
    for word, value in usage_of(language).numbers.items():
        values.setdefault(_joined(folded(word, language)), value)
    longest_first = sorted(values, key=len, reverse=True)
    words = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)
    if language in _WITHOUT_SPACES:
        # สามารถ (can), ห้าม (forbidden) and เก้าอี้ (chair) begin like numbers.
        return re.compile(rf"(?:{words})(?!ารถ|ม|อี้)"), values
    if language == "ko":  # a particle or a counter may follow
        return re.compile(rf"(?<!\w)(?:{words})(?=개|명|권|자루|송이|장|입니다|이다|\W|$)"), values
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)"), values


def _joined(words: str) -> str:
    """Number words with one space where a space or a hyphen stands."""
    return re.sub(r"[\s\-\u2010\u2011\u05be]+", " ", words)
