"""Requests that are made in one go: the sides of a comparison, for a backend that joins them."""

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The requests of one comparison; only they may be answered together."""

    sizes: Counter[str] = field(default_factory=Counter[str])
    """How many of them go to each backend, by its id."""
    in_turn: bool = False
    """Whether they are to be answered one after the other."""


BATCH: ContextVar[Batch | None] = ContextVar("batch", default=None)
"""The one that the current request belongs to; set by whoever asks, read by `Backend.stream`."""
