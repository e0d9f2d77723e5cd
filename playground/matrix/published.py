"""Scores by language that Microsoft published: what others can be compared with, by ranks alone."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from backends import Sentence

_FILE = Path(__file__).parent / "published.toml"


class Published(BaseModel):
    """The scores, and where they stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    address: str
    models: Mapping[str, str]
    """What each model is called, by what its keys in the catalog begin with."""
    benchmarks: Mapping[str, Mapping[str, tuple[float, ...]]]
    """By benchmark and language: the score of each of the models, in percent."""

    def model_of(self, key: str) -> str | None:
        """The one of the models that a key of the catalog is a build of."""
        return next((model for model in self.models if key.startswith(model)), None)

    def place(self, model: str, language: str) -> "Place | None":
        """Where a model's score in a language stands among its scores in the others.

        Of the benchmarks that have the language, the one with the most languages counts. `None` if
        nothing was published.
        """
        column = tuple(self.models).index(model)
        having = [(name, scores) for name, scores in self.benchmarks.items() if language in scores]
        if not having:
            return None
        name, scores = max(having, key=lambda one: len(one[1]))
        own = scores[language][column]
        better = sum(others[column] > own for others in scores.values())
        return Place(name, own, better + 1, len(scores))


@dataclass(frozen=True, slots=True)
class Place:
    """One score among those of the same model and benchmark in other languages."""

    benchmark: str
    score: float
    rank: int
    """1 for the language that the model is best in."""
    among: int

    @property
    def words(self) -> Sentence:
        """It in words: `Multilingual MMLU 62.4 %, rank 3 of 9`."""
        return Sentence(
            "{benchmark} {score} %, rank {rank} of {among}",
            benchmark=self.benchmark,
            score=self.score,
            rank=self.rank,
            among=self.among,
        )


@cache
def published() -> Published:
    """The scores of the file."""
    return Published.model_validate(tomllib.loads(_FILE.read_text("utf-8")))
