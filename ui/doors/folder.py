"""The folder that uploads lie in until they are read: this page's own, bounded and swept."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

UNCLAIMED = 45.0
"""Seconds that a file lies here untouched; `ui.tabs.vision.uploads` touches those that wait."""
UNFINISHED = 600.0
"""The same for a file that is still being sent: its first part may wait for the last one."""
_PREFIX = "phi-playground-"
SPARE = 200_000_000
"""Bytes of the disk that uploads leave free."""


@cache
def own_folder() -> Path:
    """A new folder for this process, in the one that `GRADIO_TEMP_DIR` names, else the system's.

    Gradio is told of it by that same variable, and would otherwise share one with other programs.
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
    """How much lies in a folder, and what of it nobody wants any more."""

    def __init__(self, path: Path, ceiling: int) -> None:
        self.path, self.ceiling = path, ceiling
        self._held = 0
        """Bytes, as of the last sweep, and what has come since."""

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may lie here."""
        if self._held + size > self.ceiling:
            return False
        try:
            return shutil.disk_usage(self.path).free - size > SPARE
        except OSError:
            return True  # the folder is made with the first file

    def grow(self, size: int) -> None:
        """So many bytes are on their way into it."""
        self._held += size

    def sweep(self) -> None:
        """Delete what nobody has touched for a while, and count the rest."""
        now, held = time.time(), 0
        for folder, _, names in os.walk(self.path, topdown=False):
            # Gradio writes what it is sent beside its folders, and moves it into one at the end:
            # the folder's own time is then that of the move.
            finished, moved = Path(folder) != self.path, 0.0
            with suppress(OSError):  # somebody else deleted it
                moved = Path(folder).stat().st_mtime if finished else 0.0
            patience = UNCLAIMED if finished else UNFINISHED
            for path in (Path(folder, name) for name in names):
                with suppress(OSError):  # somebody else deleted it
                    found = path.stat()
                    if now - max(found.st_mtime, moved) > patience:
                        path.unlink()
                    else:
                        held += found.st_size
            if finished:
                with suppress(OSError):  # not empty
                    os.rmdir(folder)
        self._held = held

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
