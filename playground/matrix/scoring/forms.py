"""A form to keep to: three bullet points, one word, one question."""

import re

from playground.matrix.items import Item

from .cleaning import POLITE_ENDINGS, plain, unquoted, without_emphasis, without_fences
from .result import Score, right, wrong
from .usage import usage_of

_BULLET = re.compile(
    r"^\s*(?:[-–—*•・●▪◦‣+](?!\*)|\d{1,2}(?:[.)](?=\s)|、))\s*\S|^\s*[-*•]\s*\*\*\S"
)
_RULE = re.compile(r"\s*(?:[-*_–—]\s*){3,}")
"""A line across the page."""
_END = re.compile(r"[.!](?:\s+|[\"”»]\s*)(\S)|[。…]\s*(\S)")
"""The end of a sentence and what follows: a small letter follows abbreviations, too."""
_DECORATION = re.compile(r"[^\w\s'’\-\u0e00-\u0e7f\u05f3\u05f4]+")
_JAPANESE_IN_KANA = re.compile(r"[\u30a0-\u30ff]{2,8}")
_LONGEST = {"zh": 4, "ja": 5, "th": 10}
"""Characters of one word where no spaces stand between words."""


def form(item: Item, text: str) -> Score:
    """Score a form by what was asked: `bullets`, `one_word` or `question`."""
    clean = without_fences(plain(text)).strip()
    if not clean:
        return wrong("", "The answer is empty.")
    match item.expected:
        case "bullets":
            return _bullets(clean)
        case "one_word":
            return _one_word(clean, item.language)
        case "question":
            return _question(clean, item.language)
        case _:
            raise ValueError(f"{item.id} expects no form that is known")


def _bullets(text: str) -> Score:
    """Exactly three lines that begin with a bullet or a number; a line before them is no harm."""
    lines = [line for line in text.splitlines() if _RULE.fullmatch(line) is None]
    count = sum(_BULLET.match(line) is not None for line in lines)
    found = f"{count} bullet point{'' if count == 1 else 's'}"
    return right(found) if count == 3 else wrong(found, "Bullet points: {n}, not 3.", n=count)


def _one_word(text: str, language: str) -> Score:
    """One word, in whatever marks; a short one where words are not set apart by spaces."""
    bare = _DECORATION.sub(" ", without_emphasis(unquoted(text))).strip()
    if language in _LONGEST or language == "ko":
        bare = POLITE_ENDINGS.sub("", bare).strip()
    if not bare:
        return wrong(text, "There is no word in it.")
    if len(bare.split()) > 1:
        return wrong(text, "It is more than one word.")
    longest = _LONGEST.get(language)
    if longest is None or bare.isascii() or len(bare) <= longest:
        return right(bare)
    if language == "ja" and _JAPANESE_IN_KANA.fullmatch(bare):
        return right(bare)
    return wrong(text, "It is more than one word.")


def _question(text: str, language: str) -> Score:
    """One question and nothing else; its mark may be missing where usage lets it be."""
    bare = unquoted(without_emphasis(re.sub(r"^\s*(?:[-*•]|1[.)])\s+", "", text)).strip())
    marks = len(re.findall(r"[?؟]+", bare))
    if len([line for line in bare.splitlines() if line.strip()]) > 1:
        return wrong(text, "There is more than one question.")
    if marks > 1:
        return wrong(text, "It is more than one question.")
    if marks and re.search(r"[?؟][\s\"”’»」』)]*$", bare) is None:
        return wrong(text, "Something follows the question.")
    if any(not (match[1] or "A").islower() for match in _END.finditer(bare)):
        return wrong(text, "There is more than the question.")
    if marks:
        return right(text)
    questions = map(plain, usage_of(language).questions)
    if any(word in bare for word in questions):
        return right(text, "It is a question without a question mark.")
    return wrong(text, "There is no question mark.")
