"""Kinds whose answer is a number: sums, counts, prices and words in digits; numbers in order."""

import re
from decimal import Decimal

from playground.matrix.items import Item

from .cleaning import plain, without_emphasis, without_fences
from .final_answer import after_marker, final_number
from .numerals import in_digits, in_words
from .result import Score, differs, right, unreadable, wrong
from .separators import PLAIN

_STEPS = r"(?:[^→⇒]*:)?(?:[^\d→⇒]*\d+[^\d→⇒]*[→⇒]){2,}[^\d→⇒]*\d+[^\d→⇒]*"
"""Numbers with arrows from one to the next."""


def whole_number(item: Item, text: str) -> Score:
    """Score an answer that is a whole number, in digits or in words."""
    expected = _decimal(item)
    asked = in_digits(plain(item.prompt), item.language)
    given = frozenset(value for number in asked for value in number.values)
    found = final_number(plain(text), item.language, expected, given=given)
    if found.number is None:
        return unreadable(found.why)
    if expected in found.number.values:
        return right(found.number.text)
    return differs(found.number.text, item.expected)


def price(item: Item, text: str) -> Score:
    """Score a price: its value decides, whatever marks of local usage it is written with.

    Such marks are remarked upon; but the number just as it stands in the question is wrong, if it
    is none that programs could read: nothing was done then.
    """
    expected = _decimal(item)
    found = final_number(_with_marks(text, item), item.language, expected, words=False)
    if found.number is None:
        return unreadable(found.why)
    number = found.number.text
    if expected not in found.number.values:
        return differs(number, item.expected)
    if PLAIN.fullmatch(number) and Decimal(number) == expected:
        return right(number)
    asked = in_digits(_with_marks(item.prompt, item), item.language)
    if number in [each.text for each in asked]:
        return wrong(number, "The price is repeated as it was, not written as a plain number.")
    return right(number, "The value is right, but it is not written as a plain number.")


def digits(item: Item, text: str) -> Score:
    """Score a number that was to be written in digits, of any script: words are wrong."""
    expected = _decimal(item)
    clean = plain(text)
    found = final_number(clean, item.language, expected, words=False)
    if found.number is not None:
        if expected in found.number.values:
            return right(found.number.text)
        return differs(found.number.text, item.expected)
    words = in_words(clean, item.language)
    if words and not in_digits(clean, item.language):
        return wrong(words[-1].text, "The number is in words, digits were asked for.")
    return unreadable(found.why)


def order(item: Item, text: str) -> Score:
    """Score numbers that were to be put in order: the last sequence of as many counts."""
    if not isinstance(item.expected, tuple):
        raise TypeError(f"{item.id} expects no numbers")
    expected = tuple(Decimal(number) for number in item.expected)
    clean = without_fences(plain(text))
    marked = after_marker(clean, item.language)
    runs = _runs(marked, item.language, len(expected)) if marked else []
    runs = runs or _runs(clean, item.language, len(expected))
    full = [run for run in runs if len(run) == len(expected)]
    if full:
        last = full[-1]
        if last == expected:
            return right(_joined(last))
        if expected in full:
            return unreadable("It gives the numbers in two different orders.", _joined(last))
        return wrong(_joined(last), "The numbers are not in that order.")
    if not runs:
        return unreadable("No numbers can be read.")
    longest = max(runs, key=len)
    return wrong(
        _joined(longest), "Numbers: {n}, not {asked}.", n=len(longest), asked=len(expected)
    )


def _with_marks(text: str, item: Item) -> str:
    """A text whose prices are written as they are read everywhere: not 49:50 kr, nor EUR49.50."""
    clean = re.sub(r"(?<=[A-Za-z])(?=\d)", " ", plain(text))
    if item.language == "sv":
        clean = re.sub(r"(\d):(\d\d)(?!\d)", r"\1,\2", clean)
    return clean


def _decimal(item: Item) -> Decimal:
    if isinstance(item.expected, bool) or not isinstance(item.expected, int | str):
        raise TypeError(f"{item.id} expects no number")
    return Decimal(item.expected)


def _joined(run: tuple[Decimal, ...]) -> str:
    return ", ".join(map(str, run))


def _runs(text: str, language: str, length: int) -> list[tuple[Decimal, ...]]:
    """Sequences of numbers: those of a line, or one from each of several lines in a row."""
    runs: list[tuple[Decimal, ...]] = []
    column: list[Decimal] = []
    for line in without_emphasis(text).splitlines():
        # "1. 12" in a list is one number with its place before it.
        line = re.sub(r"^\s*(?:[-•*]\s+|\d{1,2}[.)]\s+(?=\d))", "", line)
        if len(re.findall("[→⇒]", line)) > 1 and re.fullmatch(_STEPS, line):
            line = re.sub("[→⇒]", ",", line)
        pieces = re.split(r"(?<=[^\d\s])[.:]\s|[。：:]|(?<=\d)\.\s+(?=\D)|[→⇒]", line)
        for piece in pieces:
            numbers = _integers(piece, language)
            if len(numbers) == 1 and len(pieces) == 1:
                column.append(numbers[0])
                continue
            if numbers:
                if len(column) > 1:
                    runs.append(tuple(column))
                column = []
                runs.append(tuple(numbers))
    if len(column) > 1 or (column and not runs):
        runs.append(tuple(column))
    # Twice as many in one go are the numbers as they were given and then in order.
    return [
        part
        for run in runs
        for part in ((run[:length], run[length:]) if len(run) == 2 * length else (run,))
    ]


def _integers(text: str, language: str) -> list[Decimal]:
    """The numbers of two digits or more; "the 5 numbers" are none of those to be sorted."""
    found = [Decimal(number) for number in re.findall(r"\d\d+", text)]
    return found or [min(number.values) for number in in_words(text, language)]
