"""What k right answers of n items can show: intervals, paired tests, and a sentence about them.

Items are asked of both sides alike, so that sides are compared pair by pair; answers of one model
to one item, asked several times, are not independent and must be counted as one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb, sqrt

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution: limits of a two-sided 95 % interval."""
ALPHA = 0.05
"""A difference is called one if chance alone would show it more rarely than this."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share, and the limits of its 95 % interval."""

    share: float
    low: float
    high: float


def wilson(right: int, n: int) -> Interval:
    """Wilson's score interval of `right` among `n`; from 0 to 1 where nothing was asked."""
    if not 0 <= right <= n:
        raise ValueError(f"{right} of {n}")
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share = right / n
    square = Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    # At the ends the limit is the share itself, which rounding would miss by a hair.
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == n else centre + half
    return Interval(share, low, high)


def mcnemar(a_only: int, b_only: int) -> float:
    """The two-sided p of McNemar's exact test, from the items that one side alone had right.

    If the sides were equally good, each such item would be either's with probability one half.
    """
    if a_only < 0 or b_only < 0:
        raise ValueError(f"{a_only} and {b_only}")
    n = a_only + b_only
    tail = sum(comb(n, k) for k in range(min(a_only, b_only) + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values as Holm adjusts them for being several, in the order they came in."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def macro(counts: Iterable[tuple[int, int]]) -> Interval:
    """The plain mean of several shares `(right, n)`, each counting alike, with its interval.

    Method: the distances of each share to its Wilson limits are combined as independent errors are,
    by the root of their squares (the method of variance estimates recovery); the interval needs no
    resampling, stays between 0 and 1 and is not empty where all shares are 0 or 1. It says how far
    other items of the same kind could move the mean; languages are taken as they are, not as a
    sample of all languages. Shares of no items are left out.
    """
    parts = [wilson(right, n) for right, n in counts if n]
    if not parts:
        return Interval(0.0, 0.0, 1.0)
    size = len(parts)
    mean = sum(part.share for part in parts) / size
    below = sqrt(sum((part.share - part.low) ** 2 for part in parts)) / size
    above = sqrt(sum((part.high - part.share) ** 2 for part in parts)) / size
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))


def sentence(
    n: int,
    a_only: int,
    b_only: int,
    *,
    a: str = "A",
    b: str = "B",
    p: float | None = None,
    tests: int = 1,
) -> str:
    """What a comparison of two sides on the same `n` items shows, in English.

    `a_only` and `b_only` count the items that one side alone had right. `p` is the p value if it
    was adjusted; `tests` says for how many tests it was.
    """
    if n < 0 or a_only < 0 or b_only < 0 or a_only + b_only > n:
        raise ValueError(f"{a_only} and {b_only} of {n}")
    if n == 0:
        return "Nothing was asked of both."
    value = mcnemar(a_only, b_only) if p is None else p
    items = "1 item" if n == 1 else f"{n} items"
    if value >= ALPHA or a_only == b_only:
        return f"No difference that {items} could show."
    better, worse = (a, b) if a_only > b_only else (b, a)
    most, least = max(a_only, b_only), min(a_only, b_only)
    among = f", adjusted for {tests} tests" if tests > 1 else ""
    return (
        f"{better} is better: of {items} it alone had {most} right, {worse} alone {least}"
        f" ({_p(value)}{among})."
    )


def _p(value: float) -> str:
    if value < 0.001:
        return "p < 0.001"
    return f"p = {value:.2g}"
