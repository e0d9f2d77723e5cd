"""Whether an answer is right: by rules alone, without a model or a network.

Every answer is right, wrong or unreadable. It is unreadable, and counted as such, if it was cut
off, if it gives several answers, or if none can be found in it; so a model is never called wrong
for what the rules could not read. Where only the language is asked about (`stays`, `told`), an
answer that was cut off is judged by the language of what there is. An empty answer or a refusal is

- wrong where the task is open (`stays`, `told`, `format`, `polite`, `code`): nothing was done;
- unreadable where a value is asked, if no value can be read: there is none to be wrong. A refusal
  that names a value is judged by it.

Value and language are two facts: a right value in English is right, and `stayed` says `left`.
"""

from collections.abc import Callable

from playground.languages import Verdict, stays
from playground.matrix.items import Item, Kind

from .choices import choice, last_number
from .cleaning import quotations
from .code import code
from .dates import date
from .forms import form
from .numbers import digits, order, price, whole_number
from .objects import json_object
from .open_answers import in_language, is_refusal
from .politeness import polite
from .result import Outcome, Score, unreadable, wrong
from .sentence import copy
from .vocabulary import word
from .yes_no import yes_no

__all__ = ["Outcome", "Score", "score"]

_VALUES: dict[Kind, Callable[[Item, str], Score]] = {
    "sum_one": whole_number,
    "sum_two": whole_number,
    "price": price,
    "date": date,
    "json": json_object,
    "yes_no": yes_no,
    "count": whole_number,
    "copy": copy,
    "to_english": word,
    "from_english": word,
    "order": order,
    "digits": digits,
    "choice": choice,
    "math": last_number,
}
_OPEN: dict[Kind, Callable[[Item, str], Score]] = {"format": form, "polite": polite, "code": code}
_LANGUAGE_ALONE: tuple[Kind, ...] = ("stays", "told")
"""Kinds whose answers are judged by their language: half an answer has one, too."""
_DEMANDED: tuple[Kind, ...] = ("told", "from_english", "code")
"""Kinds whose prompt names the language of the answer."""


def score(item: Item, text: str, *, finished: bool) -> Score:
    """Judge one answer; `finished` is false if it was cut off before its end.

    `text` is what the model wrote as its answer, without its reasoning. Takes some milliseconds.
    """
    stayed = _stayed(item, text)
    if not finished and (item.kind not in _LANGUAGE_ALONE or not text.strip()):
        result = unreadable("The answer was cut off.", text)
    elif item.kind in _VALUES:
        result = _VALUES[item.kind](item, text)
    elif not text.strip():
        result = wrong("", "The answer is empty.")
    elif item.kind in _OPEN:
        result = _open(item, text, stayed)
    else:
        result = in_language(item, text, stayed or "undecided", finished=finished)
    return Score(result.outcome, result.found, result.why, result.stayed or stayed)


def _open(item: Item, text: str, stayed: Verdict | None) -> Score:
    if is_refusal(text, item.answer_language or item.language):
        # A polite letter may well begin with regret.
        refused = item.kind != "polite" or "\n" not in text.strip()
        judged = _OPEN[item.kind](item, text)
        if refused and judged.outcome != "right":
            return wrong(text, "It is a refusal.")
        return judged
    if item.kind == "polite" and stayed == "left":
        return wrong(text, "It is in another language.")
    return _OPEN[item.kind](item, text)


def _stayed(item: Item, text: str) -> Verdict | None:
    if item.answer_language is None:
        return None
    # A quotation may be the whole answer; without one, another language is another language.
    demanded = item.kind in _DEMANDED and bool(quotations(text))
    return stays(text, item.answer_language, demanded=demanded)
