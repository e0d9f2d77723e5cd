"""One word of a closed vocabulary, translated."""

import re
from functools import cache

from playground.matrix.items import Item
from playground.matrix.texts import texts

from .cleaning import (
    POLITE_ENDINGS,
    folded,
    plain,
    quotations,
    unquoted,
    without_emphasis,
    without_fences,
)
from .final_answer import after_marker, bold_parts
from .result import Score, right, unreadable, wrong
from .usage import usage_of

_WITHOUT_SPACES = ("ja", "ko", "th", "zh")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]")
_NOTES = re.compile(r"\([^()\n]*\)|\[[^\[\]\n]*\]")
_ENDING = re.compile(r"-?[a-zà-ž]{1,2}")
"""That of another gender: negro/a."""
_MARKS = re.compile(r"^[^\w]+|[^\w\u0e00-\u0e7f]+$")


def word(item: Item, text: str) -> Score:
    """Score one word: without regard to case, article, marks, and a note in parentheses.

    An answer of a word or two is compared as it is. From a longer one, the word in bold, after the
    marker or last in quotation marks is taken; without these, the word of the vocabulary that
    stands in it, if there is only one.
    """
    target = "en" if item.kind == "to_english" else item.language
    if not isinstance(item.expected, tuple):
        raise TypeError(f"{item.id} expects no words")
    accepted = {_bare(str(each), target) for each in item.expected}
    clean = without_fences(plain(text)).strip()
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    if not lines:
        return unreadable("The answer is empty.")
    asked = _asked(item)
    first = _bare(_NOTES.sub(" ", lines[0]), target)
    if first in accepted:
        return right(first)
    head, mark, rest = first.partition(",")
    if mark and _bare(head, target) in accepted and not _named(rest, target) - accepted:
        return right(head)  # "Hund, ein Haustier"
    for taken in _taken(clean, item.language):
        bare = _bare(_NOTES.sub(" ", taken), target)
        if bare in accepted:
            return right(bare)
        if bare and not {bare, _bare(taken, item.language)} & asked and _short(bare):
            return _other(bare, target, accepted)
    if len(lines) == 1 and _short(first):
        return _other(first, target, accepted)
    named = _named(clean, target) - (asked - accepted)
    if not named:
        return unreadable("No word of the vocabulary can be read.", clean)
    if named <= accepted:
        return right(", ".join(sorted(named)))
    if named & accepted:
        return unreadable("It names several words.", ", ".join(sorted(named)))
    return wrong(", ".join(sorted(named)), "It is another word.")


def _other(found: str, target: str, accepted: set[str]) -> Score:
    for mark in (_alternatives(target), "[,;、،]"):
        parts = {_bare(part, target) for part in re.split(mark, found)}
        parts -= {part for part in parts - accepted if _ENDING.fullmatch(part)}
        others = parts - accepted
        if not others:  # "older sister or younger sister"
            return right(found)
        # After a comma something else may be said, which is no other answer.
        if parts & accepted:
            if mark == "[,;、،]" and not others & _vocabulary(target):
                return right(found)
            if others:
                return unreadable("It names several words.", found)
    return wrong(found, "It is another word.")


@cache
def _alternatives(target: str) -> str:
    """What stands between two words of which neither is the answer."""
    words = [folded(plain(each), target) for each in usage_of(target).either]
    joint = "|".join(re.escape(each) for each in [*words, "or"] if len(each) > 1 or each.isascii())
    if target not in ("ja", "th", "zh"):
        return rf"\s(?:{joint})\s|/"
    return rf"{joint}|或|/"


def _taken(text: str, language: str) -> list[str]:
    """What an answer sets apart as its word, the strongest first."""
    marked = after_marker(text, language)
    after = [line for line in (marked or "").splitlines() if line.strip()]
    bold, quoted = bold_parts(text), quotations(text)
    sides = [side for line in text.splitlines() for side in re.split(r"\s[-–—=→]\s", line)]
    after_colon = [line.rpartition(":")[2] for line in text.splitlines() if ":" in line]
    equal = sides if len(sides) > 1 else []
    taken = [*after[:1], *reversed(bold), *reversed(quoted), *after_colon, *reversed(equal)]
    return [without_emphasis(each) for each in taken]


def _asked(item: Item) -> set[str]:
    """The words that the prompt itself holds: they may be repeated."""
    source = item.language if item.kind == "to_english" else "en"
    found: set[str] = set()
    for each in quotations(plain(item.prompt)):
        found |= {_bare(each, source), _bare(each, item.language)}
    found |= _named(plain(item.prompt), source)
    return found


def _short(found: str) -> bool:
    """True if a text is a word or two; by its length where spaces do not set words apart."""
    if _UNSPACED.search(found):
        return len(found) <= 8
    return 0 < len(found.split()) <= 3


def _named(text: str, language: str) -> set[str]:
    """The words of the vocabulary that stand in a text."""
    text = folded(without_emphasis(text), language)
    found: set[str] = set()
    for vocabulary_word in _vocabulary(language):
        pattern = re.escape(vocabulary_word)
        if language not in _WITHOUT_SPACES:
            pattern = rf"(?<!\w)(?:{_prefixes(language)})?{pattern}(?!\w)"
        if re.search(pattern, text):
            found.add(vocabulary_word)
    return {each for each in found if not any(each != other and each in other for other in found)}


@cache
def _vocabulary(language: str) -> frozenset[str]:
    words = texts(language).words.values()
    return frozenset(_bare(each, language) for accepted in words for each in accepted)


@cache
def _prefixes(language: str) -> str:
    """Articles that are written together with the word."""
    joined = [each[:-1] for each in usage_of(language).articles if each.endswith("-")]
    return "|".join(re.escape(folded(each, language)) for each in joined)


def _bare(text: str, language: str) -> str:
    """A word without case, article, marks, emphasis and the ending of a polite sentence."""
    text = folded(unquoted(without_emphasis(plain(text)).strip()), language)
    text = _MARKS.sub("", unquoted(_MARKS.sub("", text)))
    if language in _WITHOUT_SPACES:
        text = POLITE_ENDINGS.sub("", text) or text
    for article in usage_of(language).articles:
        begin = folded(article.rstrip("-"), language) + ("" if article.endswith("-") else " ")
        if text.startswith(begin) and len(text) > len(begin) + 1:
            return text[len(begin) :].strip()
    return text
