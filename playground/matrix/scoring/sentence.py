"""A sentence that was to be repeated exactly."""

import re
import unicodedata

from playground.matrix.items import Item

from .cleaning import fenced, unquoted, without_unseen
from .result import Score, right, unreadable, wrong

_SPACES = re.compile(r"[ \u00a0\u2009\u202f]+")
_BLOCKQUOTE = re.compile(r"^>[ ]?", re.MULTILINE)
_EMPHASIS = re.compile(r"\s*(\*{1,3})(?=\S)(.+?)(?<=\S)\1\s*", re.DOTALL)


def copy(item: Item, text: str) -> Score:
    """Score a sentence that was to be repeated: letter by letter (NFC), quoted, bold or not.

    Kinds of spaces are alike, since nobody sees a difference; more than the sentence is wrong,
    since nothing else was asked for.
    """
    if not isinstance(item.expected, str):
        raise TypeError(f"{item.id} expects no sentence")
    expected, answer = _seen(item.expected), _seen(text)
    blocks = fenced(answer)
    if len(blocks) == 1 and answer.startswith(("```", "~~~")) and answer.endswith(("```", "~~~")):
        answer = blocks[0].strip()
    if answer.startswith(">") and not expected.startswith(">"):
        answer = _BLOCKQUOTE.sub("", answer).strip()
    if not answer:
        return unreadable("The answer is empty.")
    emphasised = _EMPHASIS.fullmatch(answer)
    inside = emphasised[2] if emphasised else answer
    if expected in (answer, inside, unquoted(answer), unquoted(inside)):
        return right(answer)
    if expected in answer:
        return wrong(answer, "There is more than the sentence.")
    if _letters(expected) == _letters(answer):
        return wrong(answer, "Accents, marks, spaces or capitals differ.")
    return wrong(answer, "It is not the same sentence.")


def _seen(text: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFC", without_unseen(text))).strip()


def _letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if character.isalnum())
