"""What a number with marks between its digits can mean: "1.234,50", "1 234", "1٬234٫5"."""

import re
from decimal import Decimal

NUMBER = re.compile(
    r"""
    (?<![A-Za-z\d_.,])(?:(?<![)\]%\w])[-−](?=\d))?
    (?: \d{1,3}(?:[ ]\d{3})+(?!\d|[ ]?\d)(?:[.,٫]\d+)?   # groups set apart by spaces
      | \d+(?:[.,٫٬'’]\d+)*
    )
    """,
    re.VERBOSE,
)
"""A number in `plain` text; a sign belongs to it only if it is joined to it alone."""
_MARKS = re.compile(r"[.,٫٬'’ ]")
_DECIMAL_ONLY, _GROUPS_ONLY = "٫", "٬'’ "
PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
"""A number as programs write it."""


def readings(number: str) -> frozenset[Decimal]:
    """All values that a number may have in one usage or another; none if it is no number.

    A single full stop or comma before exactly three digits is a decimal mark in some languages and
    separates thousands in others, and small models mix both: such a number has two values, and
    the expected value decides. The other cases have one.
    """
    sign = -1 if number[:1] in "-−" else 1
    number = number.lstrip("-−")
    marks = _MARKS.findall(number)
    parts = _MARKS.split(number)
    if not marks:
        return frozenset({sign * Decimal(number)})
    grouped = _grouped(parts)
    decimal_mark = marks[-1]
    found: set[Decimal] = set()
    if len(set(marks)) == 1:
        if grouped and decimal_mark != _DECIMAL_ONLY:
            found.add(Decimal("".join(parts)))
        if len(marks) == 1 and decimal_mark not in _GROUPS_ONLY:
            found.add(Decimal(f"{parts[0]}.{parts[1]}"))
    elif len(set(marks[:-1])) == 1 and decimal_mark not in _GROUPS_ONLY and _grouped(parts[:-1]):
        found.add(Decimal(f"{''.join(parts[:-1])}.{parts[-1]}"))
    return frozenset(sign * value for value in found)


def _grouped(parts: list[str]) -> bool:
    """True if digits stand in groups of three."""
    return (
        1 <= len(parts[0]) <= 3 and (parts[0] != "0") and all(len(part) == 3 for part in parts[1:])
    )
