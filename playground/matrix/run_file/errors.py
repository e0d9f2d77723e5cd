"""What is wrong with a run file, for its reader."""

from pathlib import Path

from ...errors import ReaderError


class RunFileError(ReaderError):
    """A run file cannot be read or written: one sentence that says why, and what to do."""


def cannot(what: str, path: Path, error: OSError) -> str:
    """Why a file cannot be read or written, and what to do."""
    reason = error.strerror or str(error)
    if what == "read" and isinstance(error, FileNotFoundError):
        return f"There is no file {path}: check its name."
    return f"Cannot {what} {path} ({reason}): check the disk and the rights to the file."
