"""What came out of a run, counted, with the words for it and where it comes from."""

from .provenance import command
from .summary import APART, OPEN, Summary
from .tally import Paired, Tally
from .words import (
    COUNT_RULE,
    LANGUAGE_RULE,
    PAIRED_RULE,
    TITLES,
    language_name,
    language_words,
    line,
    percent,
)

__all__ = [
    "APART",
    "COUNT_RULE",
    "LANGUAGE_RULE",
    "OPEN",
    "PAIRED_RULE",
    "TITLES",
    "Paired",
    "Summary",
    "Tally",
    "command",
    "language_name",
    "language_words",
    "line",
    "percent",
]
