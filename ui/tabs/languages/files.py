"""The list of run files that the page can open."""

from pathlib import PurePosixPath

from playground.limits import Limits
from playground.matrix.shelf import recordings, runs

from ...texts import say

NONE = ""
"""The value of the list if nothing of it is open."""


def listed(limits: Limits, locale: str = "en") -> list[tuple[str, str]]:
    """Label and value of each run file: recordings, then what was begun here, the newest first."""
    found = [(say("Open a run", locale=locale), NONE)]
    found += [(PurePosixPath(name).stem, name) for name in recordings()]
    return found + [(name.removesuffix(".jsonl"), name) for name in runs(limits)]


def first() -> str | None:
    """The run file that is shown first; `None` if none comes with this page."""
    return next(iter(recordings()), None)
