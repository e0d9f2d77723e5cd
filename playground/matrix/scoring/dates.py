"""A date that was to be written as YYYY-MM-DD."""

import re

from playground.matrix.items import Item

from .cleaning import plain
from .result import Score, differs, right, unreadable, wrong

_ISO = re.compile(r"(?<![\d-])(\d{4})[-‐‑–−](\d{2})[-‐‑–−](\d{2})(?!\d|[-‐‑–−]\d)")
_BUDDHIST = 543
"""Years by which the Thai calendar is ahead."""


def date(item: Item, text: str) -> Score:
    """Score a date: right in ISO 8601 wherever it stands, wrong in any other form.

    In Thai the year may be that of the Buddhist calendar, which is remarked upon.
    """
    clean = plain(text)
    found = list(dict.fromkeys("-".join(match.groups()) for match in _ISO.finditer(clean)))
    if len(found) > 1:
        return unreadable("It names two different dates.", ", ".join(found))
    if found:
        if found[0] == item.expected:
            return right(found[0])
        if item.language == "th" and _western(found[0]) == item.expected:
            return right(found[0], "The year is that of the Buddhist calendar.")
        return differs(found[0], item.expected)
    if re.search(r"\d", clean):
        return wrong(clean, "The date is not in the form YYYY-MM-DD.")
    return unreadable("No date can be read.")


def _western(found: str) -> str:
    return f"{int(found[:4]) - _BUDDHIST:04d}{found[4:]}"
