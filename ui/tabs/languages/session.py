"""The Languages tab's state of an open page."""

from dataclasses import dataclass, field

from playground.matrix.live import LiveRun
from playground.matrix.run_file import RunFile

from .board import Board


@dataclass
class LanguagesSession:
    """What one page shows, and the run that it started."""

    opened: bool = False
    board: Board = field(default_factory=Board, repr=False)
    run: RunFile | None = field(default=None, repr=False)
    """What is shown: a file's run, or what came of the live one by now."""
    file: str = ""
    """The listed file that it was read from, or is written to."""
    view: str = "cells"
    """What of it is looked at: `cells`, `picture` or `tax`."""
    live: LiveRun | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether a run of this page is going on."""
        return self.live is not None and self.live.state == "running"

    def stop(self) -> None:
        """End the run of this page; what came stays."""
        if self.live:
            self.live.stop()
