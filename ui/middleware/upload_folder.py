"""The folder that holds uploads until they are read: the process's own, bounded and swept."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

UNCLAIMED_TTL = 45.0
"""Seconds until an untouched file is deleted; `ui.upload_reader` touches waiting ones."""
PARTIAL_TTL = 600.0
"""The same for a file that is still being received: its first part may wait for the last one."""
_PREFIX = "phi-playground-"
MIN_FREE_DISK = 200_000_000
"""Bytes of the disk that uploads must leave free."""


@cache
def own_folder() -> Path:
    """Create a folder for this process inside `GRADIO_TEMP_DIR`, else in the system's.

    That variable is then set to the new folder, so that Gradio does not share one with other
    programs.
    """
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    except OSError:  # nothing can be written there
        made = tempfile.mkdtemp(prefix=_PREFIX)
    folder = Path(made).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


class UploadFolder:
    """A folder of uploads with a limit of bytes, whose unclaimed files are deleted."""

    def __init__(self, path: Path, ceiling: int) -> None:
        self.path, self.ceiling = path, ceiling
        self._held = 0
        """Bytes, as of the last sweep, and what has come since."""

    def has_room(self, size: int) -> bool:
        """True if `size` more bytes may be stored here."""
        if self._held + size > self.ceiling:
            return False
        try:
            return shutil.disk_usage(self.path).free - size > MIN_FREE_DISK
        except OSError:
            return True  # the folder is made with the first file

    def grow(self, size: int) -> None:
        """Count `size` more bytes that are being written into it."""
        self._held += size

    def sweep(self) -> None:
        """Delete files that have not been touched for a while, and count the bytes of the rest."""
        now, held = time.time(), 0
        for folder, _, names in os.walk(self.path, topdown=False):
            # Gradio writes what it is sent beside its folders, and moves it into one at the end:
            # the folder's own time is then that of the move.
            finished, moved = Path(folder) != self.path, 0.0
            with suppress(OSError):  # somebody else deleted it
                moved = Path(folder).stat().st_mtime if finished else 0.0
            patience = UNCLAIMED_TTL if finished else PARTIAL_TTL
            for path in (Path(folder, name) for name in names):
                with suppress(OSError):  # somebody else deleted it
                    found = path.stat()
                    if now - max(found.st_mtime, moved) > patience:
                        path.unlink()
                    else:
                        held += found.st_size
            # Gradio makes a folder and then moves a file into it: an empty one may just be new.
            if finished and now - moved > patience:
                with suppress(OSError):  # not empty
                    os.rmdir(folder)
        self._held = held

    def remove(self) -> None:
        """Delete the folder and its content."""
        shutil.rmtree(self.path, ignore_errors=True)
