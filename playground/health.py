"""The backend board: what every backend says of itself, checked together, shared for a minute."""

import asyncio
import logging
import time
from asyncio import sleep
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from weakref import WeakKeyDictionary

from backends import REGISTRY, Backend, BadRequestError, Connection, Offer, Status

from .budget import Budget
from .keyring import Keyring
from .limits import Limits

logger = logging.getLogger(__name__)

FRESH = 60.0
"""Seconds for which a result is shared between visitors."""
BOUND = 2.0
"""Seconds that one backend's check may take."""
AGAIN = 1.0
"""Seconds between two checks of a backend, however often they are asked for."""
PROBE_AGAIN = 3600.0
"""The same for trying its models out where this page's owner pays for it."""
MOST_TYPED = 30
"""Checks of a backend in a minute with keys and addresses that visitors typed, all together: a page
is no place to try keys out."""


_NEAREST_FIRST = ("local", "server", "hosted")


def backends_for(limits: Limits) -> list[Backend]:
    """The backends that may be used here: those nearest to this page first, then by name."""
    allowed = [backend for backend in REGISTRY.values() if limits.allows(backend)]
    return sorted(allowed, key=lambda one: (_NEAREST_FIRST.index(one.kind), one.label.lower()))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a backend said when it was last asked."""

    backend: Backend
    status: Status
    offers: tuple[Offer, ...]
    at: datetime


@dataclass(slots=True)
class _Check:
    """One backend being asked, through one connection."""

    connection: Connection | None
    task: asyncio.Task[Checked]
    since: float
    doubted: bool = False
    """It has failed somebody since."""
    before: Checked | None = None
    """What it said the time before, through the same connection."""

    @property
    def said(self) -> Checked | None:
        """What it said last; nobody forgets it while it is asked again."""
        done = self.task.done() and not self.task.cancelled()
        return self.task.result() if done else self.before

    @property
    def age(self) -> float:
        return time.monotonic() - self.since


class Board:
    """Asks backends how they are, each at most once at a time, and remembers what they said.

    What was said to a connection that a visitor typed is that visitor's alone. Backends in this
    process are asked every time: it costs a look at the disk. Nobody can make it ask more often
    than once in `AGAIN` seconds, or, through typed connections, `MOST_TYPED` times a minute.
    """

    def __init__(self) -> None:
        self._shared: dict[str, _Check] = {}
        self._own: WeakKeyDictionary[Keyring, dict[str, _Check]] = WeakKeyDictionary()
        self._typed: dict[str, deque[float]] = defaultdict(deque)
        self._probed: dict[str, float] = {}

    async def look(
        self,
        backend: Backend,
        keyring: Keyring | None = None,
        *,
        anew: bool = False,
        budget: Budget | None = None,
    ) -> Checked:
        """How a backend is: as of the last minute, or `anew`, after trying its models out.

        On this page's own keys that is paid from `budget`, if there is one.
        """
        while True:
            connection = _connection(backend, keyring)
            checks = self._checks(keyring, connection)
            last = checks.get(backend.id)
            if last is None or last.connection != connection:
                probe = anew and self._may_probe(backend, connection, budget)
                last = checks[backend.id] = self._begin(backend, connection, probe)
            elif last.task.done() and backend.kind == "local":
                last = checks[backend.id] = self._begin(backend, connection, False, last.said)
            elif last.task.done() and (anew or last.doubted or last.age > FRESH):
                if last.age < AGAIN:
                    await sleep(AGAIN - last.age)
                    continue
                probe = anew and self._may_probe(backend, connection, budget)
                last = checks[backend.id] = self._begin(backend, connection, probe, last.said)
            checked = await asyncio.shield(last.task)
            if connection == _connection(backend, keyring):
                return checked
            anew = False  # meanwhile another address was typed: that is the one that counts

    def _may_probe(
        self, backend: Backend, connection: Connection | None, budget: Budget | None
    ) -> bool:
        """Whether models may be tried out now: where the owner pays, seldom and from the budget."""
        if connection is not None or budget is None:
            return True
        now = time.monotonic()
        if now - self._probed.get(backend.id, -PROBE_AGAIN) < PROBE_AGAIN:
            return False
        if not budget.spend(backend.probe_requests):
            return False
        self._probed[backend.id] = now
        return True

    def _begin(
        self,
        backend: Backend,
        connection: Connection | None,
        probe: bool,
        before: Checked | None = None,
    ) -> _Check:
        """Ask a backend, unless too many visitors try their own keys and addresses on it."""
        now = time.monotonic()
        if connection is not None:
            times = self._typed[backend.id]
            while times and now - times[0] > 60:
                times.popleft()
            if len(times) >= MOST_TYPED:
                return _Check(connection, asyncio.ensure_future(_too_many(backend)), now, True)
            times.append(now)
        asked = asyncio.ensure_future(_check(backend, connection, probe))
        return _Check(connection, asked, now, before=before)

    def last(self, backend: Backend, keyring: Keyring | None = None) -> Checked | None:
        """What a backend said when it was last asked; `None` if it has said nothing yet."""
        check = self._checks(keyring, _connection(backend, keyring)).get(backend.id)
        return check.said if check else None

    def offered(self, model: str, besides: str) -> bool:
        """Whether another backend than `besides` has a model of this name."""
        told = (self.last(backend) for key, backend in REGISTRY.items() if key != besides)
        return any(offer.model == model for one in told if one for offer in one.offers)

    async def look_at_all(
        self,
        limits: Limits,
        keyring: Keyring | None = None,
        *,
        anew: frozenset[str] = frozenset(),
        within: float | None = None,
    ) -> list[Checked]:
        """Every backend that may be used here, asked together; those in `anew` by id anew.

        Those that take longer than `within` seconds are left out; their answers are there at the
        next look.
        """
        looks = [
            asyncio.ensure_future(
                self.look(backend, keyring, anew=backend.id in anew, budget=limits.budget)
            )
            for backend in backends_for(limits)
        ]
        await asyncio.wait(looks, timeout=within)
        return [look.result() for look in looks if look.done()]

    def doubt(self, backend: Backend, keyring: Keyring | None = None) -> None:
        """A backend has failed somebody, or has changed: the next look asks it again."""
        last = self._checks(keyring, _connection(backend, keyring)).get(backend.id)
        if last is not None:
            last.doubted = True

    def _checks(self, keyring: Keyring | None, connection: Connection | None) -> dict[str, _Check]:
        """Where results through a connection are kept."""
        if keyring is None or connection is None:
            return self._shared
        return self._own.setdefault(keyring, {})


def _connection(backend: Backend, keyring: Keyring | None) -> Connection | None:
    return keyring.connection(backend.id) if keyring else None


async def _too_many(backend: Backend) -> Checked:
    sentence = f"{backend.label} is being checked too often at this moment. Try again in a minute."
    return Checked(backend, Status("unreachable", sentence, "busy"), (), datetime.now(UTC))


async def _check(backend: Backend, connection: Connection | None, probe: bool = False) -> Checked:
    """Ask for status and models at the same time, bounded; try models out first if asked to."""
    status, offers = Status("unreachable", "", "slow"), cast("Sequence[Offer]", ())
    try:
        await backend.load(connection)  # that is this machine's time, not the backend's
        if probe:  # somebody asked for it, and waits
            with suppress(TimeoutError):
                async with asyncio.timeout(BOUND):
                    await backend.probe(connection)
        async with asyncio.timeout(BOUND):
            status, offers = await backend.check(connection)
    except TimeoutError:
        sentence = f"{backend.label} did not answer within {BOUND:.0f} s. Check it again."
        status = Status("unreachable", sentence, "slow")
    except Exception:
        # Ours, not the visitor's: it surfaces in the log, and the other backends are shown.
        logger.exception("checking %s failed", backend.id)
        status = Status(
            "unreachable", "Phi Playground could not check it; the log says why.", "internal"
        )
    return Checked(backend, status, tuple(offers), datetime.now(UTC))


async def check_offered(
    limits: Limits, backend: Backend, model: str, keyring: Keyring, board: "Board"
) -> None:
    """Raise `BadRequestError` if strangers would ask for any model on the key of this page."""
    connection = keyring.connection(backend.id)
    if not limits.public or backend.kind == "local" or (connection and connection.api_key):
        return
    if model not in [offer.model for offer in (await board.look(backend, keyring)).offers]:
        raise BadRequestError(
            "This page offers only the models in its list.",
            "Choose one of them, or type a key of your own on the Models tab.",
        )


BOARD = Board()
"""The one board of this server."""
