"""The 23 languages of Phi-3.5, with names, script and direction; and detection of them in a text.

`py3langid` detects, because of four libraries measured it names most short answers rightly, gives
probabilities, and is 5 MB of Python that needs only numpy (`python -m benchmarks.languages`).
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, Protocol, cast

from .threads import in_media_thread

Direction = Literal["ltr", "rtl"]
Script = Literal[
    "Arabic", "Cyrillic", "Han", "Hangul", "Hebrew", "Japanese", "Kana", "Latin", "Other", "Thai"
]
"""Unicode's names; `Japanese` is Han and Kana together, `Other` every script not listed."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language as the page names and shows it."""

    code: str
    """ISO 639-1: `no` for Norwegian, whether Bokmål or Nynorsk."""
    english_name: str
    own_name: str
    script: Script
    """The one it is written in here; `detect` knows Serbian in Latin letters too."""
    direction: Direction = "ltr"
    among_23: bool = True
    """True if Microsoft names it for Phi-3.5 (model card of Phi-3.5-mini-instruct)."""


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("ar", "Arabic", "العربية", "Arabic", "rtl"),
        Language("zh", "Chinese", "中文", "Han"),
        Language("cs", "Czech", "Čeština", "Latin"),
        Language("da", "Danish", "Dansk", "Latin"),
        Language("nl", "Dutch", "Nederlands", "Latin"),
        Language("en", "English", "English", "Latin"),
        Language("fi", "Finnish", "Suomi", "Latin"),
        Language("fr", "French", "Français", "Latin"),
        Language("de", "German", "Deutsch", "Latin"),
        Language("he", "Hebrew", "עברית", "Hebrew", "rtl"),
        Language("hu", "Hungarian", "Magyar", "Latin"),
        Language("it", "Italian", "Italiano", "Latin"),
        Language("ja", "Japanese", "日本語", "Japanese"),
        Language("ko", "Korean", "한국어", "Hangul"),
        Language("no", "Norwegian", "Norsk", "Latin"),
        Language("pl", "Polish", "Polski", "Latin"),
        Language("pt", "Portuguese", "Português", "Latin"),
        Language("ru", "Russian", "Русский", "Cyrillic"),
        Language("es", "Spanish", "Español", "Latin"),
        Language("sv", "Swedish", "Svenska", "Latin"),
        Language("th", "Thai", "ไทย", "Thai"),
        Language("tr", "Turkish", "Türkçe", "Latin"),
        Language("uk", "Ukrainian", "Українська", "Cyrillic"),
        Language("ro", "Romanian", "Română", "Latin", among_23=False),
        Language("sr", "Serbian", "Српски", "Cyrillic", among_23=False),
        Language("sk", "Slovak", "Slovenčina", "Latin", among_23=False),
    )
}
"""Languages by code: the 23 in the model card's order, then three that our readers write."""

_RANGES: dict[Script, str] = {
    "Arabic": "\u0620-\u064a\u066e-\u06d3\u06fa-\u06fc\u0750-\u077f\ufb50-\ufdfb\ufe70-\ufefc",
    "Cyrillic": "\u0400-\u0481\u048a-\u052f",
    "Han": "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "Hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "Hebrew": "\u05d0-\u05f2",
    "Kana": "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9d",
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff",
    "Thai": "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46",
}
_LETTER = re.compile(r"[^\W\d_]")
_LETTERS: dict[Script, re.Pattern[str]] = {
    script: re.compile(f"[{ranges}]") for script, ranges in _RANGES.items()
}
_UNSPACED = re.compile(f"[{_RANGES['Han']}{_RANGES['Kana']}{_RANGES['Thai']}]")

_LETTERS_PER_WORD: dict[Script, float] = {"Han": 1.5, "Kana": 2, "Hangul": 2.5, "Thai": 4}
"""About how many letters a word has, where it is not five: a Chinese answer that names three models
in Latin letters is still a Chinese answer."""

_CODE = re.compile(r"^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1|\Z)|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_ADDRESS = re.compile(r"(?:https?://|www\.)[!-~]+|[\w.+-]{1,64}@[\w.-]{1,255}")
_NOISE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\d_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…؟])\s+|\n+")

_MAX_READ = 10_000
"""Characters of a text that are read: more would not change the result."""
_MAX_CLASSIFIED = 2_000
"""Characters of prose that are classified, which takes one to five milliseconds."""
_MIN_LETTERS = 6
"""Below this a text in a script of many languages stays undecided."""
_MIN_SHARE = 0.65
"""Share of a text that its main script, or its main language, must have."""
_MIN_CONFIDENCE = 0.6
"""Share of the probability of all `LANGUAGES` that the best of them must have."""
_MIN_CONFIDENCE_OTHER = 0.8
"""The same share, for one sentence to count as another language than its text."""
_MIN_SUPPORTED_SHARE = 0.25
"""Share of all probability that must fall on `LANGUAGES`, or the text is in none of them."""


def detect(text: str) -> Language | None:
    """The language `text` is written in, or `None`: undecided.

    Undecided are texts that are too short, in several languages, or in none of `LANGUAGES`. Code
    and addresses do not count. Takes any string and a few milliseconds at most, but for the first
    call, which loads the library (about a second): keep it off the event loop.
    """
    prose = _prose(text)
    script = _main_script(prose)
    match script:
        case "Han" | "Hangul" | "Hebrew" | "Japanese" | "Thai":
            return next(each for each in LANGUAGES.values() if each.script == script)
        case "Arabic" | "Cyrillic" | "Latin":
            return _detect_by_model(prose, script)
        case _:
            return None


async def language_of(text: str) -> str | None:
    """The code of the language of a text, found in a thread; `None` if undecided."""
    language = await in_media_thread(detect, text)
    return language.code if language else None


def script_share(text: str, script: Script) -> float:
    """The share of the letters of `text` that belong to `script`, 0 to 1; 0 without letters."""
    parts: tuple[Script, ...] = ("Han", "Kana") if script == "Japanese" else (script,)
    counts = _count_letters(text)
    total = sum(counts.values())
    return sum(counts[part] for part in parts) / total if total else 0.0


class WordCount(NamedTuple):
    """The length of a text, in the unit that its readers use."""

    number: int
    unit: Literal["words", "characters"]


def count_words(text: str) -> WordCount:
    """Words, as spaces divide them; or, for scripts that use none, characters.

    As word processors do it: every Chinese, Japanese or Thai letter counts one, and so does every
    word in another script. The unit says which of the two are more.
    """
    characters = len(_UNSPACED.findall(text))
    words = sum(any(map(str.isalnum, word)) for word in _UNSPACED.sub(" ", text).split())
    return WordCount(characters + words, "characters" if characters > words else "words")


def _prose(text: str) -> str:
    """The beginning of `text` without code, addresses, digits and control characters."""
    for pattern in (_CODE, _ADDRESS):
        text = pattern.sub("\n", text[:_MAX_READ])
    lines = (_NOISE.sub(" ", line).strip() for line in text.splitlines())
    return unicodedata.normalize("NFC", "\n".join(filter(None, lines))[:_MAX_CLASSIFIED])


def _count_letters(text: str) -> dict[Script, int]:
    counts: dict[Script, int] = {
        script: len(pattern.findall(text)) for script, pattern in _LETTERS.items()
    }
    counts["Other"] = max(0, len(_LETTER.findall(text)) - sum(counts.values()))
    return counts


def _main_script(prose: str) -> Script | None:
    """The script of most words; `None` if none has enough of them."""
    words: dict[Script, float] = {
        script: letters / _LETTERS_PER_WORD.get(script, 5)
        for script, letters in _count_letters(prose).items()
    }
    kana, han = words.pop("Kana"), words.pop("Han")
    # Japanese prose is half kana; Chinese prose may quote a little of it.
    words["Japanese" if kana > 0.2 * (kana + han) else "Han"] = kana + han
    script = max(words, key=lambda each: words[each])
    return script if words[script] > _MIN_SHARE * sum(words.values()) else None


class _Identifier(Protocol):
    def rank(self, text: str) -> list[tuple[str, float]]: ...


@cache
def _identifier() -> _Identifier:
    # Imported here: its model takes about a second to load.
    from py3langid.langid import (  # pyright: ignore[reportMissingTypeStubs]
        MODEL_FILE,
        LanguageIdentifier,
    )

    # It keeps all its languages, so that a text can turn out to be in none of `LANGUAGES`.
    return cast(_Identifier, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))  # pyright: ignore[reportUnknownMemberType]


def _detect_by_model(prose: str, script: Script) -> Language | None:
    if len(_LETTERS[script].findall(prose)) < _MIN_LETTERS:
        return None
    language, confidence = _most_likely(prose)
    if (
        language is None
        or confidence < _MIN_CONFIDENCE
        or _is_mixed(_SENTENCE_END.split(prose), language)
    ):
        return None
    return language


def _most_likely(prose: str) -> tuple[Language | None, float]:
    """The likeliest of `LANGUAGES`, `None` if it is in another one, and its share among them."""
    supported = dict.fromkeys(LANGUAGES, 0.0)
    for label, probability in _identifier().rank(prose):
        code = "no" if label == "nn" else label
        if code in supported:
            supported[code] += probability
    total = sum(supported.values())
    code = max(supported, key=lambda each: supported[each])
    return (
        (LANGUAGES[code], supported[code] / total) if total >= _MIN_SUPPORTED_SHARE else (None, 0.0)
    )


def _is_mixed(sentences: Iterable[str], language: Language) -> bool:
    """True if sentences in another language, surely so, are too large a part of the text."""
    total = other = 0
    for sentence in sentences:
        total += len(sentence)
        guess, confidence = _most_likely(sentence)
        if guess not in (None, language) and confidence > _MIN_CONFIDENCE_OTHER:
            other += len(sentence)
    return other > (1 - _MIN_SHARE) * total
