"""The scripts of a text: its letters and its length, as readers of each script count them."""

import re
from typing import Literal, NamedTuple

from .table import Script

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
LETTERS: dict[Script, re.Pattern[str]] = {
    script: re.compile(f"[{ranges}]") for script, ranges in _RANGES.items()
}
_UNSPACED = re.compile(f"[{_RANGES['Han']}{_RANGES['Kana']}{_RANGES['Thai']}]")

LETTERS_PER_WORD: dict[Script, float] = {"Han": 1.5, "Kana": 2, "Hangul": 2.5, "Thai": 4}
"""About how many letters a word has, where it is not five: a Chinese answer that names three models
in Latin letters is still a Chinese answer."""


def count_letters(text: str) -> dict[Script, int]:
    counts: dict[Script, int] = {
        script: len(pattern.findall(text)) for script, pattern in LETTERS.items()
    }
    counts["Other"] = max(0, len(_LETTER.findall(text)) - sum(counts.values()))
    return counts


def script_share(text: str, script: Script) -> float:
    """The share of the letters of `text` that belong to `script`, 0 to 1; 0 without letters."""
    parts: tuple[Script, ...] = ("Han", "Kana") if script == "Japanese" else (script,)
    counts = count_letters(text)
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
