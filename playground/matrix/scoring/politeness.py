"""A letter that was to be polite."""

import re
import unicodedata

from playground.matrix.items import Item
from playground.matrix.texts import texts

from .cleaning import without_unseen
from .letters import letter_of
from .result import Score, right, unreadable, wrong


def polite(item: Item, text: str) -> Score:
    """Score a letter that was to be polite: polite forms and no familiar ones.

    Which those are is in the language's file; a letter without either cannot be judged. What is
    said about the letter is no part of it.
    """
    forms = texts(item.language).polite
    letter = letter_of(unicodedata.normalize("NFC", without_unseen(text)), item.language)
    informal = _first(forms.informal, letter)
    if informal:
        return wrong(informal, "It has a familiar form.")
    formal = _first(forms.formal, letter)
    return right(formal) if formal else unreadable("It has neither polite nor familiar forms.")


def _first(patterns: tuple[str, ...], text: str) -> str:
    for pattern in patterns:
        match = re.search(pattern, text)
        if match:
            return match[0]
    return ""
