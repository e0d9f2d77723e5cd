"""What all visitors of one page share: its limits, the backends' health, who may ask when."""

from collections import Counter
from dataclasses import dataclass, field

from backends import Backend, base_id

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

    def queue(self, backend: Backend) -> AdmissionQueue:
        """The one queue of a backend; servers under names share that of their kind."""
        return self._queues.setdefault(base_id(backend), AdmissionQueue(backend.max_concurrent))
