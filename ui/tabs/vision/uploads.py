"""Files that visitors add: read a few at a time, and deleted as soon as they are read."""

import asyncio
import logging
import os
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

from backends import BackendError, BadRequestError
from playground.media.pictures import Picture
from playground.threads import MEDIA

MAX_CONCURRENT_READS = 2
"""Visitors whose files are read at the same time: decoding keeps a processor busy."""
_LOG = logging.getLogger(__name__)

ReadPictures = Callable[[Path, str, threading.Event], Sequence[Picture]]
"""Makes pictures of a file, given its name; the event is set when nobody waits for them."""


class UploadReader:
    """The files of all visitors of one view, in the folder that Gradio puts them into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        # Who adds the same file as another visitor has it at the same path (Gradio's).
        self._users: Counter[Path] = Counter()
        self._slots = threading.Semaphore(MAX_CONCURRENT_READS)

    async def read(
        self, files: Mapping[Path, str], most: int, read_pictures: ReadPictures
    ) -> AsyncGenerator[str | Sequence[Picture] | BackendError, None]:
        """Read at most so many files, by their names, and delete all of them in the end.

        A file elsewhere is left alone: no page names one. Yields what it waits for, in words, at
        least once a second: only then does Gradio notice a closed tab. For each file it yields its
        pictures, or why there are none.
        """
        files = {path: name for path, name in files.items() if self._is_in_folder(path)}
        with self._in_use(files.keys()) as cancelled:
            while not self._slots.acquire(blocking=False):
                yield "Waiting for other visitors’ pictures…"
                _touch(files)
                await asyncio.sleep(1)
            work: Future[Sequence[Picture]] | None = None
            try:
                for path, name in list(files.items())[:most]:
                    work = MEDIA.submit(read_pictures, path, name, cancelled)
                    async with aclosing(_read_one(work, name)) as steps:
                        async for step in steps:
                            _touch(files)
                            yield step
            finally:
                # Who leaves stops no thread: the place is free when that has ended.
                if work is None:
                    self._slots.release()
                else:
                    work.add_done_callback(lambda _: self._slots.release())

    def _is_in_folder(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)

    @contextmanager
    def _in_use(self, files: Collection[Path]) -> Generator[threading.Event, None, None]:
        """Keep files until the end, then delete those that nobody else needs."""
        cancelled = threading.Event()
        self._users.update(files)
        try:
            yield cancelled
        finally:
            cancelled.set()
            self._users.subtract(files)
            for path in files:
                if self._users[path] <= 0:
                    del self._users[path]
                    with suppress(OSError):
                        path.unlink(missing_ok=True)


def _touch(files: Collection[Path]) -> None:
    """Somebody still wants these files: those that nobody touches are deleted (`ui.middleware`)."""
    for path in files:
        with suppress(OSError):
            os.utime(path)


async def _read_one(
    work: Future[Sequence[Picture]], name: str
) -> AsyncGenerator[str | Sequence[Picture] | BackendError, None]:
    task = asyncio.wrap_future(work)
    waited = 0
    try:
        while not task.done():
            yield f"Reading {name}…" + (f" {waited} s" if waited else "")
            await asyncio.wait({task}, timeout=1)
            waited += 1
    finally:
        task.cancel()  # does nothing to one that is done
    yield _result(task, name)


def _result(task: asyncio.Future[Sequence[Picture]], name: str) -> Sequence[Picture] | BackendError:
    try:
        return task.result()
    except BackendError as error:
        return error
    except Exception:  # what no decoder foresaw is ours to mend
        _LOG.exception("a file that a visitor added could not be read")
        return BadRequestError(f"“{name}” could not be read.", "Add it again, or another one.")
