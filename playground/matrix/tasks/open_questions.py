"""Tasks without one right answer: open questions, forms to keep to, polite letters, code."""

from random import Random

from ...languages.table import LANGUAGES
from ..texts import Texts
from .making import Made, Place, both, english_texts, fill, with_language

_FORMS = ((0, "bullets"), (1, "question"))
"""The forms that have topics; the second one is asked about the next topic."""


def stays(own: Texts, place: Place) -> Made | None:
    """An open question in the language."""
    english = english_texts().stays
    if own.stays is None or english is None:
        return None
    at = place.in_turn(len(english.questions))
    if at is None or at >= len(own.stays.questions):
        return None
    return Made(own.stays.questions[at], english.questions[at])


def told(own: Texts, place: Place) -> Made | None:
    """An open question in English, to be answered in the language."""
    english = english_texts()
    if english.told is None or english.stays is None:
        return None
    at = place.in_turn(len(english.stays.questions))
    if at is None:
        return None
    language = LANGUAGES[place.code].english_name
    prompt = fill(english.told.ask, question=english.stays.questions[at], language=language)
    return Made(prompt, prompt)


def form(own: Texts, place: Place) -> Made | None:
    """A form to keep to: bullet points, one word or a question."""
    english = english_texts().format
    if english is None:
        return None
    topics = len(english.topics)
    shuffled = Random(f"{place.seed}/format").sample(range(topics), topics)
    asked = [(form, (at + shift) % topics) for at in range(topics) for shift, form in _FORMS]
    asked.insert(1, ("one_word", 0))
    if place.index >= len(asked):
        return None
    form, at = asked[place.index]

    def write(of: Texts) -> str | None:
        if (table := of.format) is None or shuffled[at] >= len(table.topics):
            return None
        template = {
            "bullets": table.bullets,
            "one_word": table.one_word,
            "question": table.question,
        }[form]
        return fill(template, topic=table.topics[shuffled[at]])

    return both(own, write, form)


def polite(own: Texts, place: Place) -> Made | None:
    """A polite letter."""
    at = place.in_turn(len(own.polite.asks))
    if at is None:
        return None
    return Made(own.polite.asks[at], "Write a short letter to a stranger, in the polite form.")


def code(own: Texts, place: Place) -> Made | None:
    """A Python function with comments in the language."""
    english = english_texts().code
    if own.code is None or english is None:
        return None
    at = place.in_turn(len(english.asks))
    if at is None or at >= len(own.code.asks):
        return None
    return Made(own.code.asks[at], with_language(english.asks[at], place.code))
