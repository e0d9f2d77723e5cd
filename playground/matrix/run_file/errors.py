"""What is wrong with a run file, for its reader."""

from pathlib import Path

from backends import Sentence

from ...errors import ReaderError


class RunFileError(ReaderError):
    """A run file cannot be read or written: one sentence that says why, and what to do."""


def cannot(what: str, path: Path, error: OSError) -> Sentence:
    """Why a file cannot be read or written, and what to do."""
    reason = error.strerror or str(error)
    if what == "read" and isinstance(error, FileNotFoundError):
        return Sentence("There is no file {path}: check its name.", path=str(path))
    code = "Cannot write {path} ({reason}): check the disk and the rights to the file."
    if what == "read":
        code = "Cannot read {path} ({reason}): check the disk and the rights to the file."
    return Sentence(code, path=str(path), reason=reason)
