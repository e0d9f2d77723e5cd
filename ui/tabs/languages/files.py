"""Run files that the page can open: those that come with it, and those that were begun here."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playground.limits import Limits
from playground.matrix.live import read_named
from playground.matrix.run_file import Header, RunFile, RunFileError

from ...texts import EN

TOP = Path(__file__).parents[3]
RECORDINGS, RUNS = TOP / "recordings", TOP / "runs"
MOST = 50
"""Files that are listed, the newest first."""


NONE = ""
"""The value of the list if nothing of it is open."""


def listed(limits: Limits) -> list[tuple[str, str]]:
    """Label and value of each run file: recordings, then what was begun here, the newest first.

    On a public page there are recordings alone: other visitors' runs are their own.
    """
    found = [(EN["lang_files"], NONE)]
    found += [(path.stem, f"recordings/{path.name}") for path in _files(RECORDINGS)]
    if not limits.public:
        found += [(f"runs/{path.stem}", f"runs/{path.name}") for path in _files(RUNS)[:MOST]]
    return found


def first() -> str | None:
    """The run file that is shown first; `None` if none comes with this page."""
    return next((value for _, value in listed(Limits(public=True)) if value != NONE), None)


def read_listed(name: str, limits: Limits) -> RunFile:
    """Read one of the files that are listed. Raises `RunFileError`."""
    if name == NONE or name not in {value for _, value in listed(limits)}:
        raise RunFileError("That file is not there any more: choose another one.")
    folder, file = name.split("/", 1)
    return read_named((RUNS if folder == "runs" else RECORDINGS) / file, name)


@contextmanager
def place_for(head: Header, limits: Limits) -> Iterator[Path]:
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
