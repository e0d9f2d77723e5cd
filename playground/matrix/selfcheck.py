"""How often the scorer errs: it is run over the gold, whose judgement is known."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .gold_cases import GOLD, Case, cases, languages
from .items import Kind
from .scoring import Score, score
from .texts import path_of

LIMIT = 0.01
"""The share of errors above which the scorer is not to be used."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A case that the scorer judged otherwise than the gold."""

    case: Case
    score: Score

    def __str__(self) -> str:
        item = self.case.item
        return (
            f"{item.kind}/{item.language}: {self.score.outcome} instead of {self.case.outcome}"
            f" ({self.score.why or 'no remark'}): {self.case.text!r}"
        )


def checked_languages(folder: Path = GOLD) -> list[str]:
    """The languages that have both gold and a file of words."""
    return [code for code in languages(folder) if path_of(code).exists()]


def selfcheck(folder: Path = GOLD) -> list[Miss]:
    """All misses of the scorer over the gold in a folder."""
    return [miss for code in checked_languages(folder) for miss in misses_of(code, folder)]


def misses_of(language: str, folder: Path = GOLD) -> list[Miss]:
    """The misses in one language."""
    found: list[Miss] = []
    for case in cases(language, folder):
        given = score(case.item, case.text, finished=case.finished)
        if given.outcome != case.outcome:
            found.append(Miss(case, given))
    return found


def counts(folder: Path = GOLD) -> Mapping[tuple[Kind, str], int]:
    """How many cases there are, by kind and language."""
    return Counter(
        (case.item.kind, case.item.language)
        for code in checked_languages(folder)
        for case in cases(code, folder)
    )


def error_rate(folder: Path = GOLD) -> float:
    """The share of cases that the scorer judges otherwise; 0 where there are none."""
    total = sum(counts(folder).values())
    return len(selfcheck(folder)) / total if total else 0.0


def summary(folder: Path = GOLD) -> str:
    """The result in one English sentence."""
    total, missed = sum(counts(folder).values()), len(selfcheck(folder))
    rate = missed / total if total else 0.0
    several = len(checked_languages(folder))
    return f"The scorer errs in {missed} of {total} answers in {several} languages ({rate:.2%})."
