"""Run files that can be opened by name: those that come with the program, and those begun here."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..limits import Limits
from .live import read_named
from .run_file import Header, RunFile, RunFileError

TOP = Path(__file__).parents[2]
RECORDINGS, RUNS = TOP / "recordings", TOP / "runs"
MOST = 50
"""Runs that are listed, the newest first."""


def recordings() -> list[str]:
    """The names of the recordings, the newest first: `recordings/pocket.jsonl`."""
    return [f"recordings/{path.name}" for path in _files(RECORDINGS)]


def runs(limits: Limits) -> list[str]:
    """The names of the runs that were begun here: `runs/….jsonl`.

    On a public page there are none: other visitors' runs are their own.
    """
    return [] if limits.public else [f"runs/{path.name}" for path in _files(RUNS)[:MOST]]


def read_listed(name: str, limits: Limits) -> RunFile:
    """Read one of them. Raises `RunFileError`."""
    if name not in {*recordings(), *runs(limits)}:
        raise RunFileError("That file is not there any more: choose another one.")
    return read_named(path_of(name), name)


def path_of(name: str) -> Path:
    """Where a listed file is."""
    folder, file = name.split("/", 1)
    return (RUNS if folder == "runs" else RECORDINGS) / file


def may_go_on(name: str, limits: Limits) -> bool:
    """Whether a listed file is a run that may be gone on with: one that was begun here."""
    return not limits.public and name.startswith("runs/")


@contextmanager
def place_for(head: Header, limits: Limits) -> Generator[Path]:
    """Where a run writes its answers: a file that stays, but on a public page.

    What a visitor of a public page asked is kept nowhere but on that page.
    """
    if not limits.public:
        yield RUNS / f"{head.id}.jsonl"
        return
    with tempfile.TemporaryDirectory(prefix="phi-playground-run-") as folder:
        yield Path(folder) / "run.jsonl"


def _files(folder: Path) -> list[Path]:
    dated: list[tuple[float, Path]] = []
    with suppress(OSError):
        for path in folder.glob("*.jsonl"):
            with suppress(OSError):
                dated.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(dated, reverse=True)]
