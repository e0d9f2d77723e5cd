"""How far a run is, said while it goes on."""

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runner import Step

_ENOUGH = 10
"""Answers after which the speed of a run is known."""


class Teller:
    """Says how far a run is: on a terminal in one line that changes, else every half minute."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._last = 0.0
        self._seen = 0

    def tell(self, step: "Step") -> None:
        """Tell of a step, if it is time to."""
        if step.cell is None:
            earlier = f"{step.done:,} of {step.total:,} are there already; " if step.done else ""
            self._say(f"{earlier}{step.left} to go.\n")
            return
        if step.cell.error:
            self._say(f"{step.cell.item} could not be asked: {step.cell.error}\n")
        self._seen += 1
        if self._seen == _ENOUGH and step.left.answers > _ENOUGH:
            self._say(f"At this speed: {step.left}.\n")
        now = time.monotonic()
        last = step.left.answers == 0
        if now - self._last < (0.2 if self.live else 30.0) and not last:
            return
        self._last = now
        self._say(_line(step), live=True)
        if last and self.live:
            sys.stderr.write("\n")

    def _say(self, text: str, live: bool = False) -> None:
        if self.live:
            sys.stderr.write(f"\r\x1b[K{text}")
        else:
            sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()


def _line(step: "Step") -> str:
    from ..plan import duration

    left = "" if step.seconds_left is None else f", about {duration(step.seconds_left)} left"
    return f"{step.done:,} of {step.total:,} answers{left if step.left.answers else ''}"
