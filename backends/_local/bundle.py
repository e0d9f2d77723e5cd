"""Steps of an answer, gathered for a moment before they leave the process that makes them."""

import time

from .._core.types import Chunk, Progress
from .seam import Step

BUNDLE = 0.005
"""Seconds for which the steps of an answer are gathered before they cross the pipe."""


class Bundle:
    """What is new of an answer and has not been sent."""

    def __init__(self) -> None:
        self.news: list[Chunk | Progress] = []
        self._sent = 0.0
        self._begun = False
        """Whether some of its text has been sent."""

    def add(self, step: Step, began: float, active: int) -> bool:
        """Add a step that began at a time; whether to send now, while so many answers are made."""
        if step is not None:
            self.news.append(step)
        # A step that takes as long as this one did would come too late to send it after that.
        now = time.monotonic()
        first = not self._begun and isinstance(step, Chunk)
        return first or now - self._sent + (now - began) * active >= BUNDLE

    def take(self) -> list[Chunk | Progress]:
        """What is to be sent; it counts as sent."""
        taken, self.news = self.news, []
        if taken:
            self._begun = self._begun or isinstance(taken[-1], Chunk)
            self._sent = time.monotonic()
        return taken
