"""Admission: so many answers at once per backend, the others in line, visitor by visitor."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

from backends import RateLimitError, Sentence

LONGEST = 600
"""More than so many do not wait: they are told so at once. It is three hundred students, with two
sides each."""

Tell = Callable[[int], None]
_Place = tuple[asyncio.Future[None], Tell]


class AdmissionQueue:
    """Who may start at one backend: so many answers at once.

    A place that becomes free goes to the visitor who holds the fewest, in turns: one who asks a
    hundred times keeps nobody else waiting longer than one who asks once.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[str] = Counter()
        """Places by visitor."""
        self._waiting: OrderedDict[str, deque[_Place]] = OrderedDict()
        """Those in line by visitor; whose turn comes next stands first."""

    @asynccontextmanager
    async def place(
        self, tell: Tell, visitor: str = "", most: int | None = None
    ) -> AsyncGenerator[None, None]:
        """Hold one of the places. `tell(n)` is called while waiting, n-th in line (from 1).

        Raises `RateLimitError` if the line is full, or `most` of this visitor stand in it already.
        """
        if self._free > 0:
            self._free -= 1
            self._held[visitor] += 1
        else:
            await self._wait(tell, visitor, most)
        try:
            yield
        finally:
            self._leave(visitor)

    async def _wait(self, tell: Tell, visitor: str, most: int | None) -> None:
        if most is not None and len(self._waiting.get(visitor, ())) >= most:
            raise RateLimitError(
                Sentence("You have {n} answers waiting in line here already.", n=most),
                "Wait for one of them, or stop it.",
            )
        if sum(map(len, self._waiting.values())) >= LONGEST:
            raise RateLimitError(
                "Too many people are asking at this moment.", "Try again in a minute."
            )
        place = (asyncio.get_running_loop().create_future(), tell)
        self._waiting.setdefault(visitor, deque()).append(place)
        self._tell_all()
        try:
            await place[0]
        except asyncio.CancelledError:
            if place[0].done() and not place[0].cancelled():
                self._leave(visitor)  # the place was handed over in the very moment of leaving
            else:
                self._step_out(visitor, place)
            raise

    def _leave(self, visitor: str) -> None:
        """Give a place back: to who is next in line, if anybody is."""
        self._held[visitor] -= 1
        if not self._held[visitor]:
            del self._held[visitor]
        following = self._next()
        if following is None:
            self._free += 1
            return
        visitor, place = following
        self._held[visitor] += 1
        place[0].set_result(None)
        self._tell_all()

    def _next(self) -> tuple[str, _Place] | None:
        """Take the next one out of the line: of who holds the fewest places, the longest waiting.

        Who was stopped while waiting may still stand there, until its task runs.
        """
        while self._waiting:
            visitor = min(self._waiting, key=lambda one: self._held[one])
            place = self._waiting[visitor][0]
            self._step_out(visitor, place)
            if visitor in self._waiting:
                self._waiting.move_to_end(visitor)
            if not place[0].done():
                return visitor, place
        return None

    def _step_out(self, visitor: str, place: _Place) -> None:
        line = self._waiting.get(visitor)
        if line and place in line:
            line.remove(place)
            if not line:
                del self._waiting[visitor]
            self._tell_all()

    def _tell_all(self) -> None:
        for n, (_, tell) in enumerate(self._in_order(), 1):
            tell(n)

    def _in_order(self) -> Iterator[_Place]:
        """Those in line as they would come next, if every place were free in turn."""
        held: dict[int, list[deque[_Place]]] = {}
        for visitor, line in self._waiting.items():
            held.setdefault(self._held[visitor], []).append(deque(line))
        came: list[deque[_Place]] = []
        places = min(held, default=0)
        while came or held:
            # Who holds as many from the start stands before who was given one in the last turn.
            turn, came = held.pop(places, []) + came, []
            for line in turn:
                yield line.popleft()
                if line:
                    came.append(line)
            places = places + 1 if came else min(held, default=0)
