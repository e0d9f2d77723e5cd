"""Languages: which ones there are, which one a text is in, and which one was asked for."""

from .adherence import Verdict, stays
from .demands import Mention, demanded, mentions
from .detection import detect, language_of
from .expectation import NOTHING_EXPECTED, Expectation, expect
from .scripts import WordCount, count_words, script_share
from .table import LANGUAGES, Direction, Language, Script

__all__ = [
    "LANGUAGES",
    "NOTHING_EXPECTED",
    "Direction",
    "Expectation",
    "Language",
    "Mention",
    "Script",
    "Verdict",
    "WordCount",
    "count_words",
    "demanded",
    "detect",
    "expect",
    "language_of",
    "mentions",
    "script_share",
    "stays",
]
