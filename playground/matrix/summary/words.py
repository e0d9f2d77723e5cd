"""The words of a summary: kinds, rules, languages and shares."""

from collections.abc import Mapping, Sequence

from backends import Sentence

from ...languages.table import LANGUAGES
from ...text import strip_controls
from ..statistics import Interval

TITLES: Mapping[str, str] = {
    "stays": "Open question in the language",
    "told": "Open question in English, “answer in …”",
    "sum_one": "Word problem of one step",
    "sum_two": "Word problem of two steps",
    "price": "Local price to a plain number",
    "date": "Local date to ISO 8601",
    "json": "Sentence to JSON",
    "yes_no": "Yes or no, about numbers",
    "count": "Words of a list, counted",
    "copy": "Sentence, repeated exactly",
    "to_english": "Word to English",
    "from_english": "Word from English",
    "order": "Numbers, sorted",
    "format": "A form, kept to",
    "digits": "Number in words to digits",
    "polite": "Polite letter",
    "code": "Code with comments in the language",
    "choice": "Question with four choices",
    "math": "Word problem of others",
}
LANGUAGE_RULE = (
    "A model answered in a language if more than half of its answers to the open questions there "
    "are in that language; an answer whose language cannot be decided is not. One that was cut off "
    "counts by what there is of it."
)
COUNT_RULE = (
    "k/n: right answers of all that were given, with Wilson's 95 % interval. Unreadable answers "
    "(cut off, ambiguous, in no form that could be read) are not right, and are counted beside. "
    "What could not be asked for is in no number. In the mean each language counts alike."
)
PAIRED_RULE = (
    "A difference is one on the same items: McNemar's exact test on those that one model alone had "
    "right, adjusted for the number of languages by Holm's method, at 5 %."
)


def line(text: str) -> str:
    """A text of a run file in one line, without what a terminal would take for a command."""
    return " ".join(strip_controls(text).split())


def language_name(code: str) -> str:
    """The English name of a language; its code if it is not in the table."""
    known = LANGUAGES.get(code)
    return known.english_name if known else line(code)


def language_words(code: str) -> Sentence:
    """The name of a language, as a sentence that is said in any."""
    return Sentence("{language:language}", language=language_name(code))


def percent(interval: Interval) -> str:
    """The limits of an interval: `47–91 %`."""
    return f"{100 * interval.low:.0f}–{100 * interval.high:.0f} %"


def listing(names: Sequence[str]) -> Sentence:
    """Names in a sentence: `A, B and C`."""
    if len(names) == 1:
        return Sentence("{name}", name=names[0])
    first = Sentence.chain(*names[:-1], between=", ")
    return Sentence("{a} and {b}", a=first, b=names[-1])
