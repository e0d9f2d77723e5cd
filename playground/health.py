"""The health of every backend: checked together, shared by all visitors for a minute."""

import asyncio
import logging
import time
from asyncio import sleep
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from backends import (
    REGISTRY,
    Backend,
    BadRequestError,
    Connection,
    Health,
    Sentence,
    Status,
    base_id,
)

from .keyring import Keyring
from .limits import LOCAL, Limits

logger = logging.getLogger(__name__)

CACHE_TTL = 60.0
"""Seconds for which a result is shared between visitors."""
SERVER_TTL = 5.0
"""The same for a server on a page that is not public: other programs start it, end it, and delete
its models, and it is asked at no cost."""
CHECK_TIMEOUT = 2.0
"""Seconds that one backend's check may take."""
MIN_INTERVAL = 1.0
"""Seconds between two checks of a backend, however often they are asked for."""
PROBE_INTERVAL = 3600.0
"""The same for trying its models out where this page's owner pays for it."""
MAX_TYPED_CHECKS = 30
"""Checks of a backend in a minute with keys and addresses that visitors typed, all together: a page
is no place to try keys out."""

_NEAREST_FIRST = ("local", "server", "hosted")


def backends_for(limits: Limits, keyring: Keyring | None = None) -> list[Backend]:
    """The backends that may be used here: those nearest to this page first, then by name.

    Those whose packages are missing come last among their like. The servers that a visitor added
    stand behind the backend that they are more of.
    """

    def place(one: Backend) -> tuple[int, bool, str, str]:
        original = REGISTRY.get(base_id(one), one)
        missing = bool(one.missing_packages())
        named = one.label.lower() if original is not one else ""
        return _NEAREST_FIRST.index(one.kind), missing, original.label.lower(), named

    every = [*REGISTRY.values(), *(keyring.servers if keyring else ())]
    return sorted((one for one in every if limits.allows(one)), key=place)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendHealth(Health):
    """The health of one backend as it was last checked."""

    backend: Backend
    checked_at: datetime


@dataclass(slots=True)
class _Check:
    """One check of a backend through one connection: under way, or done."""

    connection: Connection | None
    task: asyncio.Task[BackendHealth]
    since: float
    invalid: bool = False
    """The backend has failed somebody since, or has changed."""
    before: BackendHealth | None = None
    """The result of the check before it, through the same connection."""

    @property
    def result(self) -> BackendHealth | None:
        """Its result; while it is under way, the one before."""
        done = self.task.done() and not self.task.cancelled()
        return self.task.result() if done else self.before

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.since


class HealthMonitor:
    """Checks backends, each at most once at a time, and keeps the results.

    The result for a connection that a visitor typed is that visitor's alone. Backends in this
    process are checked every time: it costs a look at the disk. Others are checked at most once in
    `MIN_INTERVAL` seconds and, through typed connections, `MAX_TYPED_CHECKS` times a minute.
    """

    def __init__(self, limits: Limits = LOCAL) -> None:
        self.limits = limits
        self._shared: dict[str, _Check] = {}
        self._own: WeakKeyDictionary[Keyring, dict[str, _Check]] = WeakKeyDictionary()
        self._typed: dict[str, deque[float]] = defaultdict(deque)
        self._probed: dict[str, float] = {}

    async def check(
        self, backend: Backend, keyring: Keyring | None = None, *, refresh: bool = False
    ) -> BackendHealth:
        """The health of a backend, at most `CACHE_TTL` (or `SERVER_TTL`) seconds old.

        With `refresh` it is checked now, after its models were tried out; what that costs on this
        page's own keys is paid from the limits' budget.
        """
        while True:
            connection = self._connection(backend, keyring)
            checks = self._checks(keyring, connection)
            last = checks.get(backend.id)
            if last is None or last.connection != connection:
                probe = refresh and self._may_probe(backend, connection)
                last = checks[backend.id] = self._begin(backend, connection, probe)
            elif last.task.done() and backend.kind == "local":
                last = checks[backend.id] = self._begin(backend, connection, False, last.result)
            elif last.task.done() and (refresh or last.invalid or last.age > self._ttl(backend)):
                if last.age < MIN_INTERVAL:
                    await sleep(MIN_INTERVAL - last.age)
                    continue
                probe = refresh and self._may_probe(backend, connection)
                last = checks[backend.id] = self._begin(backend, connection, probe, last.result)
            health = await asyncio.shield(last.task)
            if connection == self._connection(backend, keyring):
                return health
            refresh = False  # meanwhile another address was typed: that is the one that counts

    async def check_all(
        self,
        keyring: Keyring | None = None,
        *,
        refresh: frozenset[str] = frozenset(),
        within: float | None = None,
    ) -> list[BackendHealth]:
        """The health of every backend that may be used here; those in `refresh`, by id, anew.

        Those that take longer than `within` seconds are as they were before; without a check that
        ended before they are left out, and there the next time.
        """
        checks = {
            asyncio.ensure_future(
                self.check(backend, keyring, refresh=backend.id in refresh)
            ): self.last(backend, keyring)
            for backend in backends_for(self.limits, keyring)
        }
        await asyncio.wait(checks, timeout=within)
        known = (check.result() if check.done() else last for check, last in checks.items())
        return [health for health in known if health]

    def last(self, backend: Backend, keyring: Keyring | None = None) -> BackendHealth | None:
        """The result of the last check that ended; `None` before the first."""
        check = self._checks(keyring, self._connection(backend, keyring)).get(backend.id)
        return check.result if check else None

    def invalidate(self, backend: Backend, keyring: Keyring | None = None) -> None:
        """Have a backend checked again the next time: it has failed somebody, or has changed."""
        last = self._checks(keyring, self._connection(backend, keyring)).get(backend.id)
        if last is not None:
            last.invalid = True

    def forget(self) -> None:
        """Forget every result: nothing was ever checked."""
        self._shared.clear()
        self._own.clear()

    def offered_elsewhere(self, model: str, than: str, keyring: Keyring | None = None) -> bool:
        """Whether another backend than the one with the id `than` has a model of this name."""
        every = backends_for(self.limits, keyring)
        others = (self.last(backend, keyring) for backend in every if backend.id != than)
        return any(offer.model == model for one in others if one for offer in one.offers)

    async def check_offered(self, backend: Backend, model: str, keyring: Keyring) -> None:
        """Raise `BadRequestError` if strangers would ask for any model on the key of this page."""
        connection = keyring.connection(backend.id)
        own = bool(connection and connection.typed)
        if not self.limits.public or backend.kind == "local" or own:
            return
        health = await self.check(backend, keyring)
        if model not in [offer.model for offer in health.offers]:
            raise BadRequestError(
                "This page offers only the models in its list.",
                "Choose one of them, or type a key of your own on the Models tab.",
            )

    def _ttl(self, backend: Backend) -> float:
        """For how many seconds a result about a backend holds."""
        changes = backend.kind == "server" and not self.limits.public
        return min(SERVER_TTL, CACHE_TTL) if changes else CACHE_TTL

    def _may_probe(self, backend: Backend, connection: Connection | None) -> bool:
        """Whether models may be tried out now: where the owner pays, seldom and from the budget."""
        budget = self.limits.budget
        if (connection and connection.typed) or budget is None:
            return True
        now = time.monotonic()
        if now - self._probed.get(backend.id, -PROBE_INTERVAL) < PROBE_INTERVAL:
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
        before: BackendHealth | None = None,
    ) -> _Check:
        """Begin a check, unless too many visitors try their own keys and addresses."""
        now = time.monotonic()
        if connection and connection.typed and backend.kind != "local":  # no key is tried there
            times = self._typed[base_id(backend)]
            while times and now - times[0] > 60:
                times.popleft()
            if len(times) >= MAX_TYPED_CHECKS:
                return _Check(connection, asyncio.ensure_future(_too_many(backend)), now, True)
            times.append(now)
        check = asyncio.ensure_future(_check(backend, connection, probe))
        return _Check(connection, check, now, before=before)

    def _checks(self, keyring: Keyring | None, connection: Connection | None) -> dict[str, _Check]:
        """The checks by backend id: the visitor's own if the connection is theirs."""
        if keyring is None or connection is None or not connection.typed:
            return self._shared
        return self._own.setdefault(keyring, {})

    def _connection(self, backend: Backend, keyring: Keyring | None) -> Connection | None:
        """The connection of a visitor; of anybody on this page, if none is named."""
        return (keyring or Keyring(self.limits.public)).connection(backend.id)


async def _too_many(backend: Backend) -> BackendHealth:
    sentence = Sentence(
        "{label} is being checked too often at this moment. Try again in a minute.",
        label=backend.label,
    )
    return _health(backend, Health(Status("unreachable", sentence, "busy")))


async def _check(backend: Backend, connection: Connection | None, probe: bool) -> BackendHealth:
    """Check a backend within `CHECK_TIMEOUT`; with `probe`, try its models out first."""
    try:
        await backend.load(connection)  # that is this machine's time, not the backend's
        if probe:  # somebody asked for it, and waits
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_TIMEOUT):
                    await backend.probe(connection)
        async with asyncio.timeout(CHECK_TIMEOUT):
            return _health(backend, await backend.check(connection))
    except TimeoutError:
        sentence = Sentence(
            "{label} did not answer within {limit:seconds}. Check it again.",
            label=backend.label,
            limit=CHECK_TIMEOUT,
        )
        return _health(backend, Health(Status("unreachable", sentence, "slow")))
    except Exception:
        # Ours, not the visitor's: it surfaces in the log, and the other backends are shown.
        logger.exception("checking %s failed", backend.id)
        sentence = "Phi Playground could not check it; the log says why."
        return _health(backend, Health(Status("unreachable", sentence, "internal")))


def _health(backend: Backend, health: Health) -> BackendHealth:
    return BackendHealth(
        status=health.status,
        offers=tuple(health.offers),
        backend=backend,
        checked_at=datetime.now(UTC),
    )
