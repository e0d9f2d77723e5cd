"""What a score is, and what one rule hands on to the next."""

from dataclasses import dataclass
from typing import Literal

from backends import Sentence
from playground.languages import Verdict

Outcome = Literal["right", "wrong", "unreadable"]


@dataclass(frozen=True, slots=True)
class Score:
    """How one answer was judged."""

    outcome: Outcome
    found: str
    """What was read as the answer, for readers; empty if nothing was."""
    why: str = ""
    """One short sentence if the answer is wrong or unreadable, or right with a remark."""
    stayed: Verdict | None = None
    """Whether the answer is in the language it was to be in; `None` where that was not asked."""


def right(found: str, remark: str = "") -> Score:
    """A score for what is right."""
    return Score("right", _short(found), remark)


def wrong(found: str, why: str, /, **values: object) -> Score:
    """A score for what can be read and is not what was asked; `values` are those in `why`."""
    return Score("wrong", _short(found), Sentence(why, "", **values) if values else why)


def differs(found: str, expected: object) -> Score:
    """A score for a value that is another one than was expected."""
    why = "{found} is not {expected}."
    return wrong(found, why, found=_short(found), expected=str(expected))


def unreadable(why: str, found: str = "") -> Score:
    """A score for what nobody could tell right from wrong."""
    return Score("unreadable", _short(found), why)


def _short(found: str, limit: int = 200) -> str:
    found = found.strip()
    return found if len(found) <= limit else found[: limit - 1] + "…"
