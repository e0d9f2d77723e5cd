"""Languages: which ones there are, which one a text is in, and which one was asked for."""

from .adherence import Verdict, stays
from .detection import detect, language_of
from .scripts import WordCount, count_words, script_share
from .table import LANGUAGES, Direction, Language, Script

__all__ = [
    "LANGUAGES",
    "Direction",
    "Language",
    "Script",
    "Verdict",
    "WordCount",
    "count_words",
    "detect",
    "language_of",
    "script_share",
    "stays",
]
