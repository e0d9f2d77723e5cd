"""Reading of uploaded files: a few at a time, deleted as soon as they are read."""

import asyncio
import logging
import os
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

from backends import BackendError, BadRequestError, Sentence
from playground.media.pictures import Picture, PictureLimits, check_size, read_picture_unless
from playground.threads import MEDIA

MAX_CONCURRENT_READS = 2
"""Visitors and programs whose files are read at the same time: decoding is CPU-bound."""
_SLOTS = threading.Semaphore(MAX_CONCURRENT_READS)
_LOG = logging.getLogger(__name__)
_USERS: Counter[Path] = Counter()
"""How many read a file now: Gradio stores the same one of two visitors at the same path."""

ReadPictures = Callable[[Path, str, threading.Event], Sequence[Picture]]
"""Reads the pictures of a file, given its name; the event is set on cancellation."""


def read_upload(
    path: Path, name: str, limits: PictureLimits, cancelled: threading.Event
) -> Sequence[Picture]:
    """Read the pictures of an uploaded file. Raises `BadRequestError`, `FileNotFoundError`."""
    check_size(path.stat().st_size, limits.file_bytes, name)  # before it is read into memory
    return read_picture_unless(cancelled.is_set, path.read_bytes(), name, limits)


class UploadReader:
    """Reads files of all visitors of one view, or of programs, from Gradio's upload folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def read(
        self, files: Mapping[Path, str], most: int, read_pictures: ReadPictures
    ) -> AsyncGenerator[str | Sequence[Picture] | BackendError, None]:
        """Read at most `most` of these files, by their names, and delete all of them afterwards.

        Files outside the folder are ignored: no page names one. Yields status texts at least once a
        second, since Gradio notices a closed tab only then; and for each file its pictures, or the
        error that kept it from being read.
        """
        files = {path: name for path, name in files.items() if self._is_in_folder(path)}
        with self._in_use(files.keys()) as cancelled:
            while not _SLOTS.acquire(blocking=False):
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
                # A thread cannot be stopped: the slot is free when it has ended.
                if work is None:
                    _SLOTS.release()
                else:
                    work.add_done_callback(lambda _: _SLOTS.release())

    def _is_in_folder(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)

    @contextmanager
    def _in_use(self, files: Collection[Path]) -> Generator[threading.Event, None, None]:
        """Keep files until the end, then delete those that no other visitor is using."""
        cancelled = threading.Event()
        _USERS.update(files)
        try:
            yield cancelled
        finally:
            cancelled.set()
            _USERS.subtract(files)
            for path in files:
                if _USERS[path] <= 0:
                    del _USERS[path]
                    with suppress(OSError):
                        path.unlink(missing_ok=True)


def _touch(files: Collection[Path]) -> None:
    """Renew the time stamps of waiting files: `ui.middleware` deletes untouched ones."""
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
            reading = Sentence("Reading {name}…", name=name)
            seconds = Sentence("{waited:seconds}", waited=waited) if waited else ""
            yield Sentence.chain(reading, seconds)
            await asyncio.wait({task}, timeout=1)
            waited += 1
    finally:
        task.cancel()  # has no effect if it is done
    yield _result(task, name)


def _result(task: asyncio.Future[Sequence[Picture]], name: str) -> Sequence[Picture] | BackendError:
    try:
        return task.result()
    except BackendError as error:
        return error
    except Exception:  # a bug of ours, not a faulty file
        _LOG.exception("a file that a visitor added could not be read")
        return BadRequestError(
            Sentence("“{name}” could not be read.", name=name), "Add it again, or another one."
        )
