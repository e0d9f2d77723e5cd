"""Admission: so many answers at once per backend, the others in line."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from backends import RateLimitError

LONGEST = 64
"""More than so many do not wait: they are told so at once."""


class Line:
    """Who may start at one backend: so many at once, the others in the order they came."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[tuple[asyncio.Future[None], Callable[[int], None]]] = deque()

    @asynccontextmanager
    async def place(self, tell: Callable[[int], None]) -> AsyncGenerator[None, None]:
        """Hold one of the places. `tell(n)` is called while waiting, n-th in line (from 1)."""
        if self._places > 0:
            self._places -= 1
        else:
            await self._wait(tell)
        try:
            yield
        finally:
            self._leave()

    def _check(self) -> None:
        if len(self._waiting) >= LONGEST:
            raise RateLimitError(
                "Too many people are asking at this moment.", "Try again in a minute."
            )

    async def _wait(self, tell: Callable[[int], None]) -> None:
        self._check()
        turn = (asyncio.get_running_loop().create_future(), tell)
        self._waiting.append(turn)
        tell(len(self._waiting))
        try:
            await turn[0]
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._tell_all()
            else:  # the place was handed over in the very moment of leaving
                self._leave()
            raise

    def _leave(self) -> None:
        if self._waiting:
            self._waiting.popleft()[0].set_result(None)
            self._tell_all()
        else:
            self._places += 1

    def _tell_all(self) -> None:
        for n, (_, tell) in enumerate(self._waiting, 1):
            tell(n)
