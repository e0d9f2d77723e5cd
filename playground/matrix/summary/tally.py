"""Answers of one model, counted; and one model against another."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..run_file import Cell
from ..statistics import Interval, sentence, wilson


@dataclass(slots=True)
class Tally:
    """Answers of one model, counted."""

    right: int = 0
    wrong: int = 0
    unreadable: int = 0
    stayed: int = 0
    left: int = 0
    undecided: int = 0
    failed: int = 0
    """Not asked, as its connection failed."""
    seconds: float = 0.0
    timed: int = 0
    read: int = 0
    written: int = 0

    def add(self, cell: Cell) -> None:
        """Count one more."""
        if cell.error is not None or cell.outcome is None:
            self.failed += 1
            return
        self.right += cell.outcome == "right"
        self.wrong += cell.outcome == "wrong"
        self.unreadable += cell.outcome == "unreadable"
        self.stayed += cell.stayed == "stayed"
        self.left += cell.stayed == "left"
        self.undecided += cell.stayed == "undecided"
        if cell.seconds is not None:
            self.seconds += cell.seconds
            self.timed += 1
        self.read += cell.prompt_tokens or 0
        self.written += cell.answer_tokens or 0

    @property
    def n(self) -> int:
        """Answers that were given."""
        return self.right + self.wrong + self.unreadable

    @property
    def in_languages(self) -> int:
        """Those that had a language to be in."""
        return self.stayed + self.left + self.undecided

    @property
    def answers_in(self) -> bool:
        """Whether most of them are in their language."""
        return 2 * self.stayed > self.in_languages

    @property
    def share_right(self) -> Interval:
        """Share of right answers, with its interval."""
        return wilson(self.right, self.n)

    @property
    def share_stayed(self) -> Interval:
        """Share of answers in their language, with its interval."""
        return wilson(self.stayed, self.in_languages)


@dataclass(frozen=True, slots=True)
class Paired:
    """One model against another in one language, on the items that both answered."""

    language: str
    a: str
    b: str
    n: int
    a_only: int
    b_only: int
    p: float
    """Adjusted by Holm's method."""
    tests: int

    @property
    def words(self) -> str:
        """What it shows, in a sentence."""
        return sentence(
            self.n, self.a_only, self.b_only, a=self.a, b=self.b, p=self.p, tests=self.tests
        )


def total_of(tallies: Sequence[Tally]) -> Tally:
    """The answers of several tallies, counted together."""
    total = Tally()
    for one in tallies:
        for name in Tally.__slots__:
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return total
