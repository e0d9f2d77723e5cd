"""Intervals and tests against values that were computed by other means."""

from fractions import Fraction
from itertools import product

import pytest

from playground.matrix.statistics import holm, macro, mcnemar, sentence, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (9, 12, 0.468, 0.911),
        (0, 12, 0.0, 0.2425),
        (12, 12, 0.7575, 1.0),
        (25, 50, 0.3664, 0.6336),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson(right: int, n: int, low: float, high: float) -> None:
    found = wilson(right, n)
    assert found.share == pytest.approx(right / n)
    assert found.low == pytest.approx(low, abs=5e-4)
    assert found.high == pytest.approx(high, abs=5e-4)


def test_wilson_limits_solve_the_equation_they_stand_for() -> None:
    for n in (1, 7, 50):
        for right in range(1, n):
            for limit in (wilson(right, n).low, wilson(right, n).high):
                z = (right / n - limit) / (limit * (1 - limit) / n) ** 0.5
                assert abs(z) == pytest.approx(1.959964, abs=1e-5)


def test_nothing_asked_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert (macro([]).low, macro([(0, 0)]).high) == (0.0, 1.0)


def test_more_right_than_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_mcnemar_is_what_counting_all_outcomes_gives() -> None:
    for n in range(1, 11):
        sums = [sum(each) for each in product((0, 1), repeat=n)]
        for a_only in range(n + 1):
            far = abs(2 * a_only - n)
            share = Fraction(sum(abs(2 * each - n) >= far for each in sums), len(sums))
            assert mcnemar(a_only, n - a_only) == pytest.approx(float(share))


@pytest.mark.parametrize(
    ("a_only", "b_only", "p"),
    [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (1, 9, 0.021484375), (10, 2, 0.03857421875)],
)
def test_mcnemar(a_only: int, b_only: int, p: float) -> None:
    assert mcnemar(a_only, b_only) == pytest.approx(p)
    assert mcnemar(b_only, a_only) == pytest.approx(p)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_macro_weighs_languages_alike() -> None:
    found = macro([(12, 12), (0, 50)])
    assert found.share == pytest.approx(0.5)
    # (1 - 0.75750) and (0.07135 - 0), each halved
    assert found.low == pytest.approx(0.5 - 0.24250 / 2, abs=1e-4)
    assert found.high == pytest.approx(0.5 + 0.07135 / 2, abs=1e-4)


def test_macro_of_one_is_its_own_interval() -> None:
    one, alone = macro([(9, 12)]), wilson(9, 12)
    assert (one.low, one.high) == pytest.approx((alone.low, alone.high))


def test_macro_narrows_with_languages() -> None:
    few, many = macro([(6, 12)] * 2), macro([(6, 12)] * 23)
    assert many.high - many.low < (few.high - few.low) / 3
    assert 0 <= macro([(0, 3)] * 4).low < macro([(0, 3)] * 4).high <= 1


def test_sentences() -> None:
    assert sentence(12, 3, 2) == "No difference that 12 items could show."
    assert sentence(12, 0, 0) == "No difference that 12 items could show."
    assert sentence(1, 1, 0) == "No difference that 1 item could show."
    assert sentence(0, 0, 0) == "Nothing was asked of both."
    assert sentence(50, 1, 9, a="Phi-3", b="Phi-3.5") == (
        "Phi-3.5 is better: of 50 items it alone had 9 right, Phi-3 alone 1 (p = 0.021)."
    )
    assert sentence(50, 20, 0) == (
        "A is better: of 50 items it alone had 20 right, B alone 0 (p < 0.001)."
    )
    assert sentence(50, 9, 1, p=0.2, tests=23) == "No difference that 50 items could show."
    assert sentence(50, 20, 1, p=0.012, tests=23).endswith("(p = 0.012, adjusted for 23 tests).")
    with pytest.raises(ValueError, match="4 and 4 of 5"):
        sentence(5, 4, 4)
