"""What all visitors of one page share: its limits, the backends' health, who may ask when."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakSet, WeakValueDictionary

from backends import Backend, Connection, base_id

from .admission import AdmissionQueue
from .downloads import Downloads
from .health import HealthMonitor
from .in_flight import InFlight
from .limits import LOCAL, Limits

Phase = Literal["starting", "ready", "stopping"]
"""Whether the page may be visited: what `/healthz` says."""
_LOOK = 0.05
"""Seconds between two looks at what is still going on, when the page ends."""


@dataclass(eq=False)
class Services:
    """Made once for a page, in `ui.page.build`, and passed to whatever needs a part of it."""

    limits: Limits = LOCAL
    health: HealthMonitor = field(init=False)
    in_flight: InFlight = field(init=False)
    phase: Phase = "starting"
    loop: asyncio.AbstractEventLoop | None = None
    """On which answers are made, once the page is served."""
    runs: int = 0
    """Comparisons that are being watched at this moment."""
    unfinished: WeakSet[object] = field(default_factory=WeakSet[object])
    """Comparisons that have been shown to their end, which the page has not written down yet."""
    matrices: Counter[str] = field(default_factory=Counter[str])
    """Runs of the matrix that are going on, by their visitor's address."""
    preparing: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Backend and model of those that are being loaded because somebody types."""
    downloads: Downloads = field(default_factory=Downloads)
    """Models that are being fetched."""

    def __post_init__(self) -> None:
        self.health = HealthMonitor(self.limits)
        self.in_flight = InFlight(self.health)
        self._queues: dict[str, AdmissionQueue] = {}
        self._own_queues: WeakValueDictionary[tuple[str, str], AdmissionQueue] = (
            WeakValueDictionary()
        )
        """Those in which somebody stands, by backend and visitor."""

    def queue(
        self, backend: Backend, connection: Connection | None = None, visitor: str = ""
    ) -> AdmissionQueue:
        """The one queue of a backend; servers under names share that of their kind.

        On a public page, visitors who ask servers of their own have one each: how long such a
        server takes is in its owner's hand.
        """
        kind, places = base_id(backend), backend.max_concurrent
        if connection and connection.public and connection.base_url:
            new = AdmissionQueue(self.limits.places or places)
            return self._own_queues.setdefault((kind, visitor), new)
        if backend.kind == "server":
            places = self.limits.server_answers or places
        return self._queues.setdefault(kind, AdmissionQueue(places))

    async def drain(self, patience: float, telling: float) -> None:
        """Let no answer begin any more; wait until all have ended, or end them, and it is shown.

        Answers have `patience` seconds to end by themselves. Those that have not are ended with a
        `RestartingError`, and pages have `telling` seconds to show and keep what came.
        """
        self.phase, self.in_flight.closing = "stopping", True
        await self._until_quiet(patience)
        self.in_flight.cut_off()
        await self._until_quiet(telling)

    def drain_from_outside(self, patience: float, telling: float) -> None:
        """The same from another thread than the page's; returns when it is done."""
        if self.loop is not None and self.loop.is_running():
            drained = asyncio.run_coroutine_threadsafe(self.drain(patience, telling), self.loop)
            with suppress(TimeoutError):  # the page itself hangs
                drained.result(patience + telling + 1)

    async def _until_quiet(self, seconds: float) -> None:
        for _ in range(round(seconds / _LOOK)):
            if self._quiet:
                return
            await asyncio.sleep(_LOOK)

    @property
    def _quiet(self) -> bool:
        return self.in_flight.idle and not self.runs and not self.unfinished
