"""One answer on its way from another process to whoever asked for it."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress

from .._core.types import Chunk, Progress
from .messages import Lent

Item = Chunk | Progress | Lent | Exception | None
"""What comes of an answer: steps, the error that ended it, `None` at its end."""

_numbers = itertools.count(1)


class Job:
    """One answer: filled on any thread, read on the event loop that made it."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.items: asyncio.Queue[Item] = asyncio.Queue()
        self.ended = False
        self._loop = asyncio.get_running_loop()

    def put(self, *items: Item) -> None:
        """Hand over steps, the error that ended the answer, or `None` at its end."""
        self.ended = self.ended or any(
            item is None or isinstance(item, Exception) for item in items
        )
        with suppress(RuntimeError):  # its loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take, items)

    def _take(self, items: Sequence[Item]) -> None:
        for item in items:
            self.items.put_nowait(item)
