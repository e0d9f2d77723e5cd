"""Tasks about words: translated one by one, or repeated exactly."""

from ..texts import Texts
from .making import Made, Place, english_texts, fill, with_language


def copy(own: Texts, place: Place) -> Made | None:
    """A sentence, to be repeated exactly."""
    english = english_texts().copy_
    if own.copy_ is None or english is None:
        return None
    at = place.in_turn(len(english.sentences))
    if at is None or at >= len(own.copy_.sentences):
        return None
    sentence = own.copy_.sentences[at]
    asked = fill(own.copy_.ask, sentence=sentence)
    return Made(asked, fill(english.ask, sentence=sentence), sentence)


def to_english(own: Texts, place: Place) -> Made | None:
    """A word, to be translated to English."""
    english = english_texts()
    key = _word(place)
    if key is None or own.to_english is None or english.to_english is None:
        return None
    if place.code == "en" or key not in own.words:  # English to English is no task
        return None
    word = own.words[key][0]
    asked = fill(own.to_english.ask, word=word)
    right = (*english.words[key], *own.to_english.also.get(key, ()))
    return Made(asked, fill(english.to_english.ask, word=word), right)


def from_english(own: Texts, place: Place) -> Made | None:
    """An English word, to be translated."""
    english = english_texts().from_english
    key = _word(place)
    if key is None or own.from_english is None or english is None:
        return None
    if place.code == "en" or key not in own.words:
        return None
    ask = with_language(english.ask, place.code)
    return Made(fill(own.from_english.ask, word=key), fill(ask, word=key), own.words[key])


def _word(place: Place) -> str | None:
    """The English word that is asked now."""
    words = tuple(english_texts().words)
    at = place.in_turn(len(words))
    return None if at is None else words[at]
