"""Detection of the language that a text is written in.

`py3langid` detects, because of four libraries measured it names most short answers rightly, gives
probabilities, and is 5 MB of Python that needs only numpy (`python -m benchmarks.languages`). Its
probabilities are weighed with two facts that decide short texts: the commonest words of a language,
and the letters that its alphabet lacks. Chinese and Japanese are told apart by their letters alone.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Protocol, cast

from ..threads import in_media_thread
from .prose import letter_count, running_text, without_names, without_quotes
from .scripts import LETTERS, LETTERS_PER_WORD, count_letters
from .table import ALPHABETS, LANGUAGES, Language, Script

MIN_LETTERS = 6
"""Below this a text in a script of many languages stays undecided."""
MIN_SHARE = 0.65
"""Share of a text that its main script, or its main language, must have."""
MIN_CONFIDENCE = 0.6
"""Share of the probability of all `LANGUAGES` that the best of them must have."""
MIN_SUPPORTED_SHARE = 0.25
"""Share of all probability that must fall on `LANGUAGES`, or the text is in none of them."""
FOREIGN = 0.1
"""Share of probability below which a sentence is not in a language."""
FOREIGN_LETTERS = 12
"""Letters that a sentence must have to be called one in another language."""

_COMMON_WORD = 3.0
"""A factor of probability for a common word of a language."""
_MOST_COMMON_WORDS = 5
_FOREIGN_LETTER = 0.15
"""A factor of probability for a word with a letter that the language lacks."""
_MOST_FOREIGN_LETTERS = 3

_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…؟])\s+|(?<=[。！？])|\n+")


def detect(text: str) -> Language | None:
    """The language `text` is written in, or `None`: undecided.

    Undecided are texts that are too short, in several languages, or in none of `LANGUAGES`. Code,
    addresses, quotations and names do not count. Takes any string and a few milliseconds at most,
    but for the first call, which loads the library (about a second): keep it off the event loop.
    """
    prose = without_quotes(running_text(text))
    script = main_script(prose)
    match script:
        case "Han" | "Japanese":
            code = chinese_or_japanese(prose)
            return LANGUAGES[code] if code else None
        case "Hangul" | "Hebrew" | "Thai":
            return next(each for each in LANGUAGES.values() if each.script == script)
        case "Arabic" | "Cyrillic" | "Latin":
            return _detect_by_model(prose, script)
        case _:
            return None


async def language_of(text: str) -> str | None:
    """The code of the language of a text, found in a thread; `None` if undecided."""
    language = await in_media_thread(detect, text)
    return language.code if language else None


# ── Scripts ────────────────────────────────────────────────────────────────────────────────────


def word_shares(prose: str) -> dict[Script, float]:
    """The share of words in each script, names apart; `Japanese` is Han and Kana together."""
    words: dict[Script, float] = {
        script: letters / LETTERS_PER_WORD.get(script, 5)
        for script, letters in count_letters(without_names(prose) or prose).items()
    }
    words["Japanese"] = words.pop("Kana") + words.pop("Han")
    total = sum(words.values())
    return {script: share / total for script, share in words.items()} if total else {}


def main_script(prose: str) -> Script | None:
    """The script of most words, `Japanese` for Chinese too; `None` if none has enough of them."""
    shares = word_shares(prose)
    script = max(shares, key=lambda each: shares[each], default=None)
    return script if script and shares[script] > MIN_SHARE else None


_KANA_SHARE = 0.08
"""Share of kana above which a text is Japanese; Chinese prose may name a little of it."""
_CHINESE_ONLY = frozenset("你您妳她们們这這吗嗎呢吧啊很让讓哪谁么麼怎啦喔咱跟")
"""Common Chinese words that Japanese does not write."""
_CHINESE_WORDS = re.compile(
    "是的|不是|的是|[我他她]的|[我他她也都就正]是|我[不在想要]|他在|知道|(?<![友良])好的|也不"
    "|[今明昨]天|星期|可以|[没沒]有|不[会會]|[等由相当屬属]于|等於|因[为為]|如果|但是|而且|喜歡"
    "|時候|答案是|是[一二三四五六七八九十百]|是.{1,12}的|里的|已經|[對对]不起"
)
"""Common Chinese words that are no part of Japanese ones."""


def chinese_or_japanese(prose: str) -> str | None:
    """`zh` or `ja` for a text in Chinese letters; `None` if they may be either's."""
    kana = len(LETTERS["Kana"].findall(prose))
    han = LETTERS["Han"].findall(prose)
    chinese = sum(letter in _CHINESE_ONLY or _is_simplified(letter) for letter in han)
    japanese = sum(map(_is_shinjitai, han))
    if kana:
        small = kana < _KANA_SHARE * (kana + len(han))
        return "zh" if chinese > kana + japanese or (small and not japanese and chinese) else "ja"
    if chinese or japanese:
        return "zh" if chinese >= japanese else "ja"
    return "zh" if _CHINESE_WORDS.search(prose) else None


@cache
def _is_simplified(letter: str) -> bool:
    """True for a letter that simplified Chinese has and Japanese has not."""
    return _in(letter, "gb2312") and not _in(letter, "shift_jis")


@cache
def _is_shinjitai(letter: str) -> bool:
    """True for a letter that Japanese has, and neither simplified nor traditional Chinese."""
    return _in(letter, "shift_jis") and not _in(letter, "gb2312") and not _in(letter, "big5")


def _in(letter: str, charset: str) -> bool:
    # The national standards list the letters of each country's texts.
    try:
        letter.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


# ── Probabilities ──────────────────────────────────────────────────────────────────────────────


class _Identifier(Protocol):
    def rank(self, text: str) -> list[tuple[str, float]]: ...


@cache
def identifier() -> _Identifier:
    """The library's model of 140 languages."""
    # Imported here: its model takes about a second to load.
    from py3langid.langid import (  # pyright: ignore[reportMissingTypeStubs]
        MODEL_FILE,
        LanguageIdentifier,
    )

    # It keeps all its languages, so that a text can turn out to be in none of `LANGUAGES`.
    return cast(_Identifier, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))  # pyright: ignore[reportUnknownMemberType]


_SAME = {"nn": "no", "nb": "no"}
_LATIN_SERBIAN = {"hr": "sr", "bs": "sr"}
"""Serbian in Latin letters, as the library calls it where it calls it otherwise."""


@dataclass(frozen=True)
class Likelihood:
    """How likely a text is in each of `LANGUAGES`."""

    shares: Mapping[str, float]
    """Probability by code; their sum is 1."""
    supported: float
    """The share of probability, among all languages of the library, that falls on `LANGUAGES`."""

    @property
    def best(self) -> str:
        return max(self.shares, key=lambda code: self.shares[code])


@lru_cache(maxsize=256)
def likelihood(prose: str, *, latin_serbian: bool = False) -> Likelihood:
    """How likely prose in one script is in each language.

    With `latin_serbian`, what the library calls Croatian or Bosnian counts as Serbian. Cached, as
    two questions are asked of one answer.
    """
    same = _SAME | (_LATIN_SERBIAN if latin_serbian else {})
    shares = dict.fromkeys(LANGUAGES, 1e-4)
    other = 0.0
    for label, probability in identifier().rank(prose):
        code = same.get(label, label)
        if code in shares:
            shares[code] += probability
        else:
            other += probability
    common, lacking = Counter[str](), Counter[str]()
    for word in {word.casefold() for word in _WORD.findall(prose)}:
        its_languages, not_its = _evidence(word)
        common.update(its_languages)
        lacking.update(not_its)
    weighed = {
        code: share
        * _COMMON_WORD ** min(common[code], _MOST_COMMON_WORDS)
        * _FOREIGN_LETTER ** min(lacking[code], _MOST_FOREIGN_LETTERS)
        for code, share in shares.items()
    }
    supported = sum(shares.values()) / (sum(shares.values()) + other)
    total = sum(weighed.values())
    return Likelihood({code: share / total for code, share in weighed.items()}, supported)


@lru_cache(maxsize=8192)
def _evidence(word: str) -> tuple[frozenset[str], frozenset[str]]:
    """The languages that a word is common in, and those that lack one of its letters."""
    return (
        frozenset(code for code, words in _common_words().items() if word in words),
        frozenset(code for code in ALPHABETS if not _alphabet(code).issuperset(word)),
    )


@cache
def _common_words() -> dict[str, frozenset[str]]:
    text = (
        files(__name__.rpartition(".")[0]).joinpath("common_words.toml").read_text(encoding="utf-8")
    )
    return {code: frozenset(words.split()) for code, words in tomllib.loads(text).items()}


@cache
def _alphabet(code: str) -> frozenset[str]:
    """The letters of a language that shares its script with others, in lower case."""
    is_cyrillic = LANGUAGES[code].script == "Cyrillic" and code != "sr"
    return frozenset(ALPHABETS[code] + ("" if is_cyrillic else _LATIN))


_LATIN = "abcdefghijklmnopqrstuvwxyz"


# ── Texts in one language ──────────────────────────────────────────────────────────────────────


def only(prose: str, script: Script) -> str:
    """Prose without the words in other scripts."""
    if script == "Latin":
        return prose
    return re.sub(r"[^\W\d_]*[A-Za-z][^\W\d_]*", " ", prose)


def sentences(prose: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part for part in _SENTENCE_END.split(prose) if part and not part.isspace()]


def _detect_by_model(prose: str, script: Script) -> Language | None:
    prose = only(prose, script)
    if len(LETTERS[script].findall(prose)) < MIN_LETTERS:
        return None
    code = _likeliest(prose)
    if code is None or _is_mixed(prose, code):
        return None
    return LANGUAGES[code]


def _likeliest(prose: str) -> str | None:
    """The language of a text in one script, with and without its names; `None` if unsure."""
    named = _sure(likelihood(prose))
    rest = without_names(prose)
    if letter_count(rest) < MIN_LETTERS:
        return None if len(prose.split()) > 2 else named
    unnamed = _sure(likelihood(rest)) if rest != prose else named
    if named and unnamed and named != unnamed:
        return None
    return named or unnamed


def _sure(found: Likelihood) -> str | None:
    best = found.best
    known = found.supported >= MIN_SUPPORTED_SHARE
    return best if known and found.shares[best] >= MIN_CONFIDENCE else None


def _is_mixed(prose: str, code: str) -> bool:
    """True if sentences in another language are too large a part of the text."""
    parts = sentences(prose)
    total = sum(map(letter_count, parts))
    other = sum(
        letter_count(part)
        for part in parts
        if letter_count(part) >= FOREIGN_LETTERS and likelihood(part).shares[code] < FOREIGN
    )
    return other > (1 - MIN_SHARE) * total
