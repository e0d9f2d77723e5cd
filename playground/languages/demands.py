"""The language that a prompt asks for, in its own words: "in German", "auf Deutsch", "用德语"."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from .prose import without_code_and_quotes
from .scripts import LETTERS
from .table import LANGUAGES

MAX_EDGE = 1_000
"""Characters at the beginning and at the end of a prompt that are read: between them is what the
prompt is about."""


class Mention(NamedTuple):
    """A language that a text names as one to write in."""

    code: str
    demanded: bool
    """True if an answer in it is asked for; false if it may be: "What is tea called in Thai?"."""


def demanded(prompt: str) -> str | None:
    """The code of the language that a prompt asks its answer to be in; `None` without any.

    Understands requests in all of `LANGUAGES` for any of them. `None` too for several languages at
    once, and where a language is only spoken of. Takes a few milliseconds; reads its data first.
    """
    codes = {mention.code for mention in mentions(prompt) if mention.demanded}
    return codes.pop() if len(codes) == 1 else None


def mentions(prompt: str) -> tuple[Mention, ...]:
    """Every language that a prompt names as one to write in, in its order."""
    return tuple(_mentions(prompt))


@dataclass(frozen=True)
class _Patterns:
    """How one language names the others."""

    names: dict[str, re.Pattern[str]]
    phrase: re.Pattern[str]
    """A phrase such as "in German"; its only matched group is the name."""
    listed: re.Pattern[str]
    """One more name after a phrase: "and French"."""
    noun: re.Pattern[str] | None
    """What follows a phrase that names no language after all: "Switzerland"."""
    verbs: re.Pattern[str]
    question: re.Pattern[str]
    about: re.Pattern[str]
    alone: re.Pattern[str]
    """What may stand beside a phrase that is a clause of its own: "please"."""
    fold: bool
    in_place: bool
    """True if question words need not come first."""

    def code(self, name: str) -> str:
        return next(code for code, names in self.names.items() if names.fullmatch(name))


_SENTENCE = re.compile(r"[.!?…。！？؟\n]+")
_CLAUSE = re.compile(r"[,;()\[\]،、，；（）—–]|\s-\s")
_COLON = re.compile(r"[:：]")
_NOT = re.compile(
    r"(?:\b(?:not|don['’]?t|never|avoid|without|nicht|kein\w*|niet|geen|ikke|inte|pas|jamais|no|non"
    r"|não|nao|nunca|nu|nie|ne(?:odpov\w*|piš\w*|mluv\w*|použív\w*|hovor\w*)?|nikdy|ei|älä|nem|değil|не|ні|لا|ليس|לא|אל)\b|不要?|别|別|勿)"
    r"[^,;]{0,25}$"
)
_JOINED = (
    r"\s*(?:[,،、，/&+]\s*|\b(?:and|or|und|oder|en|of|og|eller|och|et|ou|y|e|o|și|sau|si|i|oraz|lub|a"
    r"|nebo|alebo|ja|tai|és|vagy|ve|veya|и|или|й|та|і|або|или)\s+|[和及与與或跟と]|\s*و|\s*ו"
    r"|(?:와|과|랑|하고)\s*|และ|กับ)+(?:\w{1,4}\s+|ال|ב|ה)?"
)


def _mentions(prompt: str) -> Iterator[Mention]:
    text = unicodedata.normalize("NFC", without_code_and_quotes(_edges(prompt))).casefold()
    sentences = [part.strip() for part in _SENTENCE.split(text)]
    sentences = [part for part in sentences if part]
    payload = False
    for n, sentence in enumerate(sentences):
        head, colon, rest = _partition(sentence)
        found = list(_in_sentence(head))
        if payload and not (n == len(sentences) - 1 and _asks_first(sentence)):
            found = [Mention(code, False) for code, _ in found]
        yield from found
        if any(mention.demanded for mention in found) and colon:
            return  # what follows is what the request is about
        if colon:
            inner = list(_in_sentence(rest))
            asks = any(each.verbs.search(head) for each in _all_for(head))
            yield from (Mention(code, sure and not asks) for code, sure in inner)
            payload = payload or asks


def _edges(prompt: str) -> str:
    if len(prompt) <= 2 * MAX_EDGE:
        return prompt
    return f"{prompt[:MAX_EDGE]}\n{prompt[-MAX_EDGE:]}"


def _partition(sentence: str) -> tuple[str, str, str]:
    match = _COLON.search(sentence)
    if not match:
        return sentence, "", ""
    return sentence[: match.start()], match[0], sentence[match.end() :]


def _asks_first(sentence: str) -> bool:
    return any(each.verbs.match(_folded(sentence, each.fold)) for each in _all_for(sentence))


def _in_sentence(sentence: str) -> Iterator[Mention]:
    seen: set[str] = set()
    for patterns in _all_for(sentence):
        for mention in _by(patterns, _folded(sentence, patterns.fold)):
            if mention.code not in seen or mention.demanded:
                seen.add(mention.code)
                yield mention


def _by(patterns: _Patterns, sentence: str) -> Iterator[Mention]:
    """The languages that a sentence names, read as one in the language of the patterns."""
    start = 0
    for match in patterns.phrase.finditer(sentence):
        before, start = sentence[start : match.start()], match.end()
        if patterns.noun and patterns.noun.match(sentence, match.end()):
            continue
        code = patterns.code(match[match.lastindex or 0])
        others = list(_listed(patterns, sentence, match.end()))
        if _NOT.search(before):
            if not before[-3:].strip() or _NOT.search(before[-12:]):
                continue
            yield Mention(code, False)
        elif others:
            yield from (Mention(each, False) for each in (code, *others))
        else:
            sure = _is_asked_for(patterns, sentence, match.start(), match.end())
            if sure is not None:
                yield Mention(code, sure)


def _listed(patterns: _Patterns, sentence: str, end: int) -> Iterator[str]:
    while match := patterns.listed.match(sentence, end):
        yield patterns.code(match[1])
        end = match.end()


def _is_asked_for(patterns: _Patterns, sentence: str, start: int, end: int) -> bool | None:
    """True if an answer is asked for in a phrase's language; `None` if the phrase is none."""
    marks = list(_CLAUSE.finditer(sentence))
    first = max((mark.end() for mark in marks if mark.end() <= start), default=0)
    last = min((mark.start() for mark in marks if mark.start() >= end), default=len(sentence))
    clause = sentence[first:last]
    if patterns.about.search(clause):
        return False
    rest = sentence[first:start] + sentence[end:last]
    if patterns.alone.fullmatch(rest):
        # A clause of its own; at the beginning it may be what a question is about.
        if first > 0 or last == len(sentence):
            return True
        clause = sentence
        if patterns.about.search(clause) or _is_question(patterns, sentence[last + 1 :]):
            return False
    if _is_question(patterns, clause):
        return False
    if patterns.verbs.search(clause) or (
        patterns.verbs.search(sentence) and not _is_question(patterns, sentence)
    ):
        return True
    at_end = not sentence[end:last].strip()
    return False if at_end or patterns.question.search(sentence) else None


def _is_question(patterns: _Patterns, clause: str) -> bool:
    return not patterns.in_place and bool(patterns.question.match(clause.lstrip(" ¿¡\"'-")))


# ── The data ───────────────────────────────────────────────────────────────────────────────────


def _all_for(text: str) -> list[_Patterns]:
    """The patterns of the languages whose script is in a text."""
    return [each for script, all_of_it in _data().items() if LETTERS[script].search(text)
            for each in all_of_it]  # fmt: skip


@cache
def _data() -> dict[Any, list[_Patterns]]:
    text = files(__name__.rpartition(".")[0]).joinpath("demands.toml").read_text(encoding="utf-8")
    tables: dict[str, Any] = tomllib.loads(text)
    order = tables.pop("order").split()
    data: dict[Any, list[_Patterns]] = {}
    for language, table in tables.items():
        script = LANGUAGES[language].script
        data.setdefault("Han" if script == "Japanese" else script, []).append(
            _patterns(language, table, order)
        )
        if language == "sr":
            data.setdefault("Latin", []).append(_patterns(language, _in_latin(table), order))
    return data


def _patterns(language: str, table: dict[str, Any], order: list[str]) -> _Patterns:
    fold, unspaced = bool(table.get("fold")), bool(table.get("unspaced"))
    names: list[str] = table["names"].split()
    stems = {code: _folded(name, fold) for code, name in zip(order, names, strict=True)}
    nouns = (
        dict(zip(order, table.get("nouns", "").split(), strict=True)) if "nouns" in table else {}
    )
    extra: dict[str, str] = table.get("extra", {})
    if language == "en":  # names as the languages call themselves: "in Deutsch"
        for code, stem in stems.items():
            stems[code] = f"{stem}|{re.escape(LANGUAGES[code].own_name.casefold())}"
    all_stems, all_nouns = "|".join(stems.values()), "|".join(nouns.values())
    phrases: list[str] = [
        phrase.replace("{n}", f"({all_nouns})").replace("{}", f"({all_stems})")
        for phrase in table["phrases"]
    ]
    phrases += [f"({name})" for name in extra.values()]
    noun = None
    if table.get("adjective"):
        noun = re.compile(rf"\s+(?!(?:{table['after']})(?!\w))\w")
    elif "not_after" in table:
        noun = re.compile(rf"\s+(?:{table['not_after']})")
    return _Patterns(
        names={
            code: re.compile("|".join(each[code] for each in (stems, nouns, extra) if code in each))
            for code in order
        },
        # In Arabic and Hebrew, "and" is written together with the next word.
        phrase=_words("|".join(phrases), unspaced, before="[وו]?"),
        listed=re.compile(f"{_JOINED}({all_stems})" + ("" if unspaced else r"[^\W\d_]{0,3}(?!\w)")),
        noun=noun,
        verbs=_words(table["verbs"], unspaced),
        question=_words(table["questions"], unspaced),
        about=_words(table["about"], unspaced),
        alone=re.compile(_alone(table["verbs"], unspaced)),
        fold=fold,
        in_place=unspaced,
    )


def _words(pattern: str, unspaced: bool, before: str = "") -> re.Pattern[str]:
    """A pattern that matches whole words, where words are divided by spaces."""
    return re.compile(pattern if unspaced else rf"(?<!\w){before}(?:{pattern})(?!\w)")


_AND = "and|und|en|og|och|et|y|e|si|i|a|ja|és|ve|и|і"


def _alone(verbs: str, unspaced: bool) -> str:
    if unspaced:
        return rf"[\W_]*(?:{verbs})?[\W_]*"
    return rf"[\W_]*(?:(?:{_AND})[\W_]+)?(?:(?:{verbs})(?!\w)[\W_]*)*"


def _folded(text: str, fold: bool) -> str:
    """The text without accents and vowel signs, as people write it in haste, if `fold`."""
    if not fold:
        return text
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c)))


_CYRILLIC = "абвгдђежзијклмнопрстћуфхцчшљњџ"
_LATIN = [
    "a",
    "b",
    "v",
    "g",
    "d",
    "đ",
    "e",
    "ž",
    "z",
    "i",
    "j",
    "k",
    "l",
    "m",
    "n",
    "o",
    "p",
    "r",
    "s",
    "t",
    "ć",
    "u",
    "f",
    "h",
    "c",
    "č",
    "š",
    "lj",
    "nj",
    "dž",
]
_SERBIAN = str.maketrans(dict(zip(_CYRILLIC, _LATIN, strict=True)))


def _in_latin(table: dict[str, Any]) -> dict[str, Any]:
    """The patterns of Serbian in its other alphabet."""
    return {
        key: [each.translate(_SERBIAN) for each in value]
        if key == "phrases"
        else value.translate(_SERBIAN)
        if isinstance(value, str)
        else value
        for key, value in table.items()
    }
