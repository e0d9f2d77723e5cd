"""Writing a run file: a whole line at a time, by one process at a time."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from backends import Sentence

from .comparison import differences
from .errors import RunFileError, cannot
from .lines import Cell, Header
from .reading import content_of, is_half_header, parsed


class RunWriter:
    """A run file that is open for writing, by one process at a time; closes as a context."""

    def __init__(self, path: Path, header: Header) -> None:
        """Begin a file, or go on with the one that is there if it was asked for the same.

        Raises `RunFileError`: another run, another program's file, one that another process writes.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise RunFileError(cannot("write", path, error)) from error
        try:
            _lock(self._file, path)
            content = content_of(path) if path.stat().st_size else b""
            self.header, self.cells = self._begin(header, content)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, cell: Cell) -> None:
        """Write one whole line, and give it to the system at once."""
        self._write(cell)

    def _begin(self, header: Header, content: bytes) -> tuple[Header, tuple[Cell, ...]]:
        if not content or is_half_header(content):
            self._file.truncate(0)
            self._write(header)
            return header, ()
        found, cells, end = parsed(self.path, content)
        if different := differences(found, header):
            raise RunFileError(
                f"{self.path} holds another run, which differs in {' and in '.join(different)}: "
                "go on with the same settings, or write to another file with --out."
            )
        self._file.truncate(end)
        if not content[:end].endswith(b"\n"):
            self._put(b"\n")
        return found, cells

    def _write(self, line: Header | Cell) -> None:
        self._put(line.model_dump_json().encode() + b"\n")

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise RunFileError(cannot("write", self.path, error)) from error


def _lock(file: BinaryIO, path: Path) -> None:
    """Let no second process write into a file. The lock ends with the process, in any way."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # A byte far behind the end: what is locked cannot be read by others there.
            file.seek(2**40)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RunFileError(
            Sentence(
                "{path} is being written by another run: wait for it, or write to another file.",
                path=str(path),
            )
        ) from error
    except OSError:  # a file system without locks
        return
    finally:
        file.seek(0, os.SEEK_END)
