"""Says a sentence in a language, with numbers and plurals; `say.js` does the same in the page."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache, partial
from html import escape
from json import dumps
from typing import Literal

from backends import Sentence
from playground.languages import LANGUAGES

from .translation import Translation, read_translations

TRANSLATIONS: Mapping[str, Translation] = read_translations()
"""The translations in the order of the list, by code of `playground.languages`."""

_MARKS = {"zh": {", ": "，", ": ": "：", "; ": "；", ".": "。"}, "ar": {", ": "، ", "; ": "؛ "}}
"""Where they are not those of English."""
_PLACE_OR_MARK = re.compile(r"\{[^}]*\}|[,:;] |\.")


def say(code: str, values: Mapping[str, object] | None = None, locale: str = "en") -> str:
    """Return a sentence in the language of a page; in English where it has no translation.

    `code` is its English with `values` by name in braces, or a `Sentence`, which has both;
    `locale` is a code of `TRANSLATIONS`, or `en`.
    """
    sentence = Sentence.of(code) if values is None else Sentence.load([code, dict(values)])
    translation = TRANSLATIONS.get(locale)
    text = translation.sentences.get(sentence.code) if translation else None
    if isinstance(text, Mapping):
        text = text[_plural(locale, sentence.values["n"])]
    if text is None and not (translation and sentence.is_frame):
        return str(sentence)
    return sentence.filled(text or _with_marks(locale, sentence.code), partial(_show, locale))


def _with_marks(locale: str, frame: str) -> str:
    """Return a frame, which has no words to translate, with the marks of a language."""
    marks = _MARKS.get(locale, {})
    return _PLACE_OR_MARK.sub(lambda found: marks.get(found[0], found[0]), frame)


def told(text: str) -> str:
    """Return a sentence as HTML: English, until the page's script says it in another language."""
    return f'<span data-say="{code_of(text)}">{escape(text)}</span>' if text else ""


def told_as(attribute: Literal["aria-label", "title"], text: str) -> str:
    """Return an attribute of an element, which the page's script says as it does `told`."""
    data = {"aria-label": "label", "title": "title"}[attribute]
    return f' {attribute}="{escape(text)}" data-say-{data}="{code_of(text)}"'


def code_of(text: str) -> str:
    """Return a sentence's code and values for `data-say`, `data-say-title` or `data-say-label`."""
    return escape(dumps(Sentence.of(text).dump(), ensure_ascii=False, separators=(",", ":")))


def _show(locale: str, value: object, kind: str) -> str:
    if isinstance(value, Sentence):
        return say(value, locale=locale)
    if kind == "language":
        return _language(locale, str(value))
    if kind == "date":
        return _date(locale, str(value))
    return Sentence.show(value, kind, partial(_number, locale))


def _number(locale: str, value: float, decimals: int) -> str:
    from babel.numbers import format_decimal  # not before somebody reads another language

    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(value, pattern, locale=locale)


def _plural(locale: str, number: object) -> str:
    from babel import Locale

    return Locale.parse(locale).plural_form(number if isinstance(number, (int, float)) else 0)


def _date(locale: str, day: str) -> str:
    from babel.dates import format_date

    try:
        return format_date(date.fromisoformat(day), "long", locale=locale)
    except ValueError:  # somebody else's file says something else
        return day


@cache
def _language(locale: str, english_name: str) -> str:
    """Return what a language is called in another one; as it is if it is none of ours."""
    from babel import Locale

    code = next((code for code, one in LANGUAGES.items() if one.english_name == english_name), "")
    return Locale.parse(locale).languages.get(code, english_name)
