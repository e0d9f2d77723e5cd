"""The backend board: what every backend says of itself, checked together, shared for a minute."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from backends import REGISTRY, Backend, Connection, Offer, Status

from .keyring import Keyring
from .limits import Limits

logger = logging.getLogger(__name__)

FRESH = 60.0
"""Seconds for which a result is shared between visitors."""
BOUND = 2.0
"""Seconds that one backend's check may take."""
AGAIN = 2.0
"""Seconds after which a check that a visitor asks for is made anew."""


_NEAREST_FIRST = ("local", "server", "hosted")


def backends_for(limits: Limits) -> list[Backend]:
    """The backends that may be used here, those nearest to this page first."""
    allowed = [backend for backend in REGISTRY.values() if limits.allows(backend)]
    return sorted(allowed, key=lambda backend: _NEAREST_FIRST.index(backend.kind))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a backend said when it was last asked."""

    backend: Backend
    status: Status
    offers: tuple[Offer, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class _Check:
    task: asyncio.Task[Checked]
    since: float

    def older_than(self, seconds: float) -> bool:
        return time.monotonic() - self.since > seconds


class Board:
    """Asks backends how they are, each at most once at a time, and remembers what they said.

    What was said to a connection that a visitor typed is that visitor's alone. Backends in this
    process are asked every time: it costs a look at the disk.
    """

    def __init__(self) -> None:
        self._shared: dict[str, _Check] = {}

    async def look(
        self, backend: Backend, keyring: Keyring | None = None, *, anew: bool = False
    ) -> Checked:
        """How a backend is: as of the last minute, or `anew`."""
        connection = keyring.connection(backend.id) if keyring else None
        if backend.kind == "local":
            return await _check(backend, None)
        checks = cast("dict[str, _Check]", keyring.checks) if keyring and connection else None
        checks = self._shared if checks is None else checks
        last = checks.get(backend.id)
        if last is None or last.older_than(AGAIN if anew else FRESH):
            task = asyncio.ensure_future(_check(backend, connection, probe=anew))
            last = checks[backend.id] = _Check(task, time.monotonic())
        return await asyncio.shield(last.task)

    async def look_at_all(
        self,
        limits: Limits,
        keyring: Keyring | None = None,
        *,
        anew: bool = False,
        within: float | None = None,
    ) -> list[Checked]:
        """Every backend that may be used here, asked together; `within` seconds, or all of them.

        Those that take longer are left out; their answers are there at the next look.
        """
        looks = [
            asyncio.ensure_future(self.look(backend, keyring, anew=anew))
            for backend in backends_for(limits)
        ]
        await asyncio.wait(looks, timeout=within)
        return [look.result() for look in looks if look.done()]

    def forget(self, backend: Backend, keyring: Keyring | None = None) -> None:
        """A backend has failed somebody: the next look asks it again."""
        self._shared.pop(backend.id, None)
        if keyring:
            keyring.checks.pop(backend.id, None)


async def _check(
    backend: Backend, connection: Connection | None, *, probe: bool = False
) -> Checked:
    """Ask for status and models at the same time, bounded; try models out first if asked to."""
    status, offers = Status("unreachable", "", "slow"), cast("Sequence[Offer]", ())
    try:
        if probe:  # bounds itself: somebody asked for it, and waits
            await backend.probe(connection)
        async with asyncio.timeout(BOUND):
            status, offers = await asyncio.gather(
                backend.status(connection), backend.models(connection)
            )
    except TimeoutError:
        sentence = f"{backend.label} did not answer within {BOUND:.0f} s. Check it again later."
        status = Status("unreachable", sentence, "slow")
    except Exception:
        # Ours, not the visitor's: it surfaces in the log, and the other backends are shown.
        logger.exception("checking %s failed", backend.id)
        status = Status("unreachable", "Its check broke inside Phi Playground.", "internal")
    return Checked(backend, status, tuple(offers), datetime.now(UTC))


BOARD = Board()
"""The one board of this server."""
