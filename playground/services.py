"""What all visitors of one page share: its limits, the backends' health, who may ask when."""

from collections import Counter
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from backends import Backend, Connection, base_id

from .admission import AdmissionQueue
from .downloads import Downloads
from .health import HealthMonitor
from .limits import LOCAL, Limits


@dataclass(eq=False)
class Services:
    """Made once for a page, in `ui.page.build`, and passed to whatever needs a part of it."""

    limits: Limits = LOCAL
    health: HealthMonitor = field(init=False)
    runs: int = 0
    """Comparisons that are being watched at this moment."""
    matrices: Counter[str] = field(default_factory=Counter[str])
    """Runs of the matrix that are going on, by their visitor's address."""
    preparing: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Backend and model of those that are being loaded because somebody types."""
    downloads: Downloads = field(default_factory=Downloads)
    """Models that are being fetched."""

    def __post_init__(self) -> None:
        self.health = HealthMonitor(self.limits)
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
        kind = base_id(backend)
        if connection and connection.public and connection.base_url:
            new = AdmissionQueue(self.limits.places or backend.max_concurrent)
            return self._own_queues.setdefault((kind, visitor), new)
        return self._queues.setdefault(kind, AdmissionQueue(backend.max_concurrent))
