"""Open answers: whether they are in the language, and refusals."""

from backends import Sentence
from playground.languages import Verdict
from playground.matrix.items import Item

from .cleaning import folded, plain, without_emphasis
from .final_answer import split_sentences
from .result import Score, right, unreadable, wrong
from .usage import usage_of

_LONGEST_REFUSAL = 30
"""Words, or a third as many characters, above which a text that begins with regret says more."""


def in_language(item: Item, text: str, stayed: Verdict, *, finished: bool = True) -> Score:
    """Score an open answer by its language alone; a refusal is wrong, in whatever language.

    That it was cut off is remarked upon.
    """
    cut = "" if finished else "It was cut off."
    if is_refusal(text, item.answer_language or item.language):
        return wrong(text, _remarks("It is a refusal.", cut))
    match stayed:
        case "stayed":
            return right(text, cut)
        case "left":
            return wrong(text, _remarks("It is in another language.", cut))
        case "undecided":
            return unreadable(_remarks("Its language is undecided.", cut), text)


def _remarks(*each: str) -> str:
    return Sentence.chain(*each)


def is_refusal(text: str, language: str) -> bool:
    """True if a text is short and begins with one of the phrases by which one refuses."""
    clean = without_emphasis(plain(text)).strip()
    size = len(clean.split()) if language not in ("ja", "th", "zh") else len(clean) / 3
    if size > _LONGEST_REFUSAL or len(split_sentences(clean)) > 3:
        return False
    return any(
        folded(clean, code).startswith(folded(phrase, code))
        for code in (language, "en")
        for phrase in usage_of(code).refusals
    )
