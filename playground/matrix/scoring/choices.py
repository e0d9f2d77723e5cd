"""Answers to the sets of others, scored as their authors do: the letter, the last number."""

import re
from decimal import Decimal

from playground.matrix.items import Item

from .cleaning import plain, without_emphasis, without_fences
from .final_answer import after_marker
from .numerals import in_digits
from .result import Score, differs, right, unreadable

_CYRILLIC = str.maketrans("АВС", "ABC")
"""Letters that look like the Latin ones, which a Russian answer may hold."""
_LETTER = re.compile(r"(?<![\w'’])([ABCD])(?![\w'’])")
_FIRST = re.compile(r"^[\s\W_]*([A-D])(?=\s*(?:$|\n|[^\w\s'’]))")


def choice(item: Item, text: str) -> Score:
    """Score a letter: after the answer marker, or that the answer begins with, or the only one."""
    clean = without_emphasis(without_fences(plain(text))).translate(_CYRILLIC)
    marked = after_marker(clean, item.language)
    letters = list(dict.fromkeys(_LETTER.findall(clean)))
    first = _FIRST.match(marked or "") or _FIRST.match(clean)
    if first is None and len(letters) != 1:
        return unreadable("It names several letters." if letters else "There is no letter in it.")
    found = first[1] if first else letters[0]
    if found == item.expected:
        return right(found)
    return differs(found, item.expected)


def last_number(item: Item, text: str) -> Score:
    """Score the last number of an answer, in whatever marks of local usage."""
    numbers = in_digits(plain(text), item.language)
    if not numbers:
        return unreadable("No number can be read.")
    last = numbers[-1]
    if Decimal(str(item.expected)) in last.values:
        return right(last.text)
    return differs(last.text, item.expected)
