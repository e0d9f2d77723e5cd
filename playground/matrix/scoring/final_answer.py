"""Which number of an answer is its final one.

An answer may state its result in several places. They are, the strongest first: a box of TeX; what
stands after a marker such as "Answer:"; the last number in bold; the last number. Steps of a
calculation, enumeration and what stands in parentheses do not count. Where places contradict each
other, the answer cannot be read, unless a stronger place holds the expected value.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from playground.matrix.texts import texts

from .cleaning import folded, folded_alike, plain, without_fences
from .numerals import Number, in_digits, in_words
from .usage import usage_of

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_BOLD = re.compile(
    r"(?<!\*)\*{2,}+([^*\n]{1,300}+)\*{2,}+|(?<!_)__([^_\n]{1,300}+)__|<b>([^<\n]{1,300}+)</b>"
)
_LINE_NUMBER = re.compile(r"^(\s*(?:\*\*)?)(\d{1,2})[.)](\*\*)?[ \t]+(?=\S)", re.MULTILINE)
_HEADING = re.compile(r"^\s*#{1,6}\s+[^\n]*$", re.MULTILINE)
_PARENTHESES = re.compile(r"\([^()\n]*\)|\[[^\[\]\n]*\]")
_SENTENCE = re.compile(r"(?<=[.!?؟])\s+|(?<=[。！？!?])|\n+")
_OPERATOR = r"(?:[+×÷*/·∙⋅]|(?<=\s)[-−–xX:](?=\s)|(?<=\d)[-−–xX:](?=\d))"
_CALCULATION = re.compile(rf"\d\s*(?:[^\W\d]+\s*){{0,2}}{_OPERATOR}\s*\d")
_TEX = (
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\times|\\cdot"), " × "),
    (re.compile(r"\\div"), " ÷ "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[,;:! ]|\\\$"), " "),
    (re.compile(r"\\[()\[\]]|\$(?=\D|$)"), " "),
)


@dataclass(frozen=True, slots=True)
class Place:
    """What one place says: a number, or why it has none."""

    number: Number | None
    several: bool = False
    """True if it holds different numbers, none of which is the result of the others."""
    alternatives: bool = False
    """True if it offers them: "5 or 6"."""
    others: tuple[Number, ...] = ()
    """Other numbers of the same sentence."""


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The number that is read as the answer, or why none is."""

    number: Number | None
    why: str = ""


def final_number(
    text: str,
    language: str,
    expected: Decimal,
    *,
    words: bool = True,
    given: frozenset[Decimal] = frozenset(),
) -> FinalAnswer:
    """The final number of an answer in `plain` text; with `words`, number words count too.

    `given` are the numbers of the question: beside another one they are what it was made of, as in
    "12, because 5 and 7 are 12" or "12 apples, with the 5 she got".

    The expected value never makes another number right; it only keeps an answer that holds it
    in a weaker place from being called wrong.
    """
    reader = _Reader(language, words, given)
    text = _prepared(text)
    places = _places(text, reader)
    stated = [place for place in places if place.number is not None or place.several]
    if not stated:
        return FinalAnswer(None, "No number can be read.")
    first = stated[0]
    if first.number is not None and expected in first.number.values:
        leading = reader.leading(text)
        if len(stated) == 1 and leading is not None and not _same(leading, first.number):
            return FinalAnswer(None, "It names two different numbers.")
        return FinalAnswer(first.number)
    if first.number is None or any(_holds(place, expected) for place in stated):
        return FinalAnswer(None, "It names several different numbers.")
    leading = reader.leading(text)
    if leading is not None and expected in leading.values:
        return FinalAnswer(None, "It names two different numbers.")
    return FinalAnswer(first.number)


def after_marker(text: str, language: str) -> str | None:
    """What stands after the last answer marker of a language, or of English; `None` without one."""
    after = _after_markers(text, language)
    return after[-1] if after else None


def _after_markers(text: str, language: str) -> list[str]:
    """What stands after each answer marker."""
    for code in dict.fromkeys((language, "en")):
        matches = list(_marker(code).finditer(folded_alike(text, code)))
        if matches:
            return [text[match.end() :] for match in matches]
    return []


def split_sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part for part in _SENTENCE.split(text) if part and part.strip()]


def bold_parts(text: str) -> list[str]:
    """What stands in bold and is no label, in order."""
    found: list[str] = []
    for match in _BOLD.finditer(text):
        inside = next(group for group in match.groups() if group is not None)
        label = inside.rstrip().endswith((":", "：")) or re.match(r"\s*[:：]", text[match.end() :])
        if not label:
            found.append(inside.strip())
    return found


@cache
def _marker(language: str) -> re.Pattern[str]:
    """An answer marker and its colon.

    Without a colon a marker of one word counts only before a number or something marked; one of
    several words, such as "The answer is", needs none.
    """
    markers = [folded_alike(plain(marker), language) for marker in texts(language).answer_markers]
    markers.sort(key=len, reverse=True)
    patterns = [re.escape(marker).replace(r"\ ", r"\s+") for marker in markers]
    single = "|".join(patterns)
    several = "|".join(
        pattern for marker, pattern in zip(markers, patterns, strict=True) if " " in marker
    )
    colon = r"[*_\s]*(?:[:：=]|(?=[-−]?\d|\*\*|\$|\\|[\"“„«「]))"
    if language in ("ja", "ko", "th", "zh"):
        return re.compile(rf"(?:{single})(?:[*_\s]*[은는は是คือ]+|{colon})")
    free = rf"(?:{several})\b[*_\s]*[:：=]?|" if several else ""
    return re.compile(rf"(?<![^\W\d_])(?:{free}(?:{single}){colon})")


class _Reader:
    """Reads the numbers of one language, and of English where there are none."""

    def __init__(self, language: str, words: bool, given: frozenset[Decimal]) -> None:
        self.language = language
        self._words = words
        self._given = given
        either = [folded(plain(word), language) for word in usage_of(language).either]
        joint = "|".join(map(re.escape, sorted({*either, "or"}, key=len, reverse=True)))
        if language not in ("ja", "ko", "th", "zh"):
            joint = rf"(?<!\w)(?:{joint})(?!\w)"
        self._either = re.compile(rf"[^\d.!?。]{{0,20}}?(?:{joint}|/|–|—|~)[^\d.!?。]{{0,4}}$")

    def numbers(self, text: str) -> list[Number]:
        """The numbers of a text: in digits, or if there are none, in words."""
        return in_digits(text, self.language) or self.worded(text)

    def worded(self, text: str) -> list[Number]:
        """The numbers of a text in words."""
        if not self._words:
            return []
        return in_words(text, self.language) or in_words(text, "en")

    def one(self, text: str) -> Place:
        """The one number that a short text states."""
        part = _reduced(text, self.numbers)
        numbers = self.numbers(part)
        if not numbers:
            return Place(None)
        if all(_same(number, numbers[0]) for number in numbers):
            return Place(numbers[-1])
        others = tuple(numbers)
        return Place(None, True, self._alternatives(part, numbers), others)

    def last(self, text: str) -> Place:
        """The last number of the last sentence that has one."""
        sentences = split_sentences(text)
        # Who asks back may name other numbers: "Another one, with 20 apples?"
        stated = [one for one in sentences if not _is_question(one) and self.numbers(one)]
        for sentence in reversed(stated or sentences):
            part = _reduced(sentence, self.numbers)
            numbers = self.numbers(part)
            if not numbers:
                continue
            others = (*numbers[:-1], *self.worded(sentence))
            alternatives = self._alternatives(part, numbers)
            if alternatives or _ends_in_calculation(part, numbers):
                return Place(None, True, alternatives, others)
            results = [number for number in numbers if not number.values & self._given]
            if results and all(_same(number, results[0]) for number in results):
                return Place(results[-1], others=tuple(numbers))
            return Place(numbers[-1], others=others)
        return Place(None)

    def is_given(self, number: Number) -> bool:
        """True if the question holds the number."""
        return bool(number.values & self._given)

    def leading(self, text: str) -> Number | None:
        """The number that a text begins with, if its first line is hardly more."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            return None
        first = split_sentences(lines[0])[0]
        if len(first.split()) > 3 or len(first) > 25 or "=" in first or ":" in first:
            return None
        numbers = in_digits(first, self.language)
        return numbers[0] if len(numbers) == 1 and numbers[0].start <= 3 else None

    def _alternatives(self, text: str, numbers: Sequence[Number]) -> bool:
        """True if the last two numbers of a sentence are alternatives: "5 or 6"."""
        if len(numbers) < 2 or _same(numbers[-2], numbers[-1]):
            return False
        between = folded(text[numbers[-2].end : numbers[-1].start], self.language)
        return self._either.match(between) is not None


def _places(text: str, reader: _Reader) -> list[Place]:
    """What the places of an answer say, the strongest first."""
    boxes = [match[1] for match in _BOXED.finditer(text)]
    text = _BOXED.sub(r" \1 ", text)
    bold = [place for place in map(reader.one, bold_parts(text)) if place.number or place.several]
    last = reader.last(_without_bold(text))
    leading = reader.leading(text)
    if leading and last.number and reader.is_given(last.number) and not reader.is_given(leading):
        last = Place(leading, others=(last.number, *last.others))
    elif last.number and reader.is_given(last.number):
        # "14 apples. That is 6 more": what the question holds is hardly the answer.
        last = Place(last.number, others=(*last.others, *reader.numbers(text)))
    after = _after_markers(text, reader.language)
    marked = [_marked(part, reader) for part in after[-1:]]
    # Only so that an answer is not called wrong that goes on with another question and its answer.
    earlier = [_marked(part, reader) for part in after[:-1]]
    return [*map(reader.one, boxes[-1:]), *marked, *bold[-1:], last, *earlier]


def _marked(text: str, reader: _Reader) -> Place:
    """What is said after an answer marker: the first sentence with a number.

    An explanation may begin there, too: a sentence with several numbers says nothing if others
    follow it.
    """
    sentences = split_sentences(text)
    for index, sentence in enumerate(sentences):
        for part in reversed(bold_parts(sentence)):
            place = reader.one(part)
            if place.number:
                return place
        place = reader.one(_without_bold(sentence))
        if place.several and not place.alternatives and index + 1 < len(sentences):
            return Place(None)
        if place.number or place.several:
            return place
    return Place(None)


def _without_bold(text: str) -> str:
    return _BOLD.sub(lambda match: next(each for each in match.groups() if each is not None), text)


def _prepared(text: str) -> str:
    """A text without fences, headings, the numbers of enumerated lines and the commands of TeX."""
    text = without_fences(text)
    for pattern, replacement in _TEX:
        text = pattern.sub(replacement, text)
    without_headings = _HEADING.sub("", text)
    if re.search(r"\d", without_headings):
        text = without_headings
    expected = 1

    def enumerated(match: re.Match[str]) -> str:
        # "12. Because …" begins with an answer, not with the twelfth line of a list.
        nonlocal expected
        number = int(match[2])
        if number not in (1, expected):
            return match[0]
        expected = number + 1
        return match[1]

    return _LINE_NUMBER.sub(enumerated, text)


def _reduced(sentence: str, numbers: Callable[[str], list[Number]]) -> str:
    """A sentence without parentheses, and of an equation only the side that is its result."""
    bare = _PARENTHESES.sub(" ", sentence)
    if numbers(bare):
        sentence = bare
    sides = [side for side in re.split(r"[=＝≈]", sentence) if numbers(side)]
    if len(sides) < 2:
        return sentence
    results = [side for side in sides if not _CALCULATION.search(side)]
    return results[-1] if results else sentence


def _ends_in_calculation(text: str, numbers: Sequence[Number]) -> bool:
    """True if the last number of a sentence is part of a calculation without a result."""
    if len(numbers) < 2:
        return False
    return _CALCULATION.search(text, max(0, numbers[-2].end - 1)) is not None


def _is_question(sentence: str) -> bool:
    return sentence.rstrip(" \t\"'*_”»」").endswith(("?", "؟"))


def _same(one: Number, other: Number) -> bool:
    return bool(one.values & other.values)


def _holds(place: Place, expected: Decimal) -> bool:
    numbers = [*place.others, *([place.number] if place.number else [])]
    return any(expected in number.values for number in numbers)
