"""What the MoE tab keeps of an open page beside what every tab keeps."""

from dataclasses import dataclass, field

from ...compare.session import Session
from .figure import Sent


@dataclass
class MoeSession(Session):
    """A session that knows what the page has been sent of the routing pictures."""

    sent: list[Sent] = field(default_factory=lambda: [(0, 0), (0, 0)])
    """What the page has been sent of each side's routing."""
    figures: list[str] = field(default_factory=lambda: ["", ""])
    """What it was sent last."""

    def forget(self) -> None:
        """Forget the conversation and its pictures."""
        super().forget()
        self.sent, self.figures = [(0, 0), (0, 0)], ["", ""]
