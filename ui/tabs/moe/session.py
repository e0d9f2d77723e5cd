"""What the MoE tab keeps of an open page beside what every tab keeps."""

from dataclasses import dataclass, field

from playground.conversation import AnswerRecord, Conversation
from playground.threads import in_media_thread

from ...compare.chat import read_ahead
from ...compare.session import Session
from .figure import Sent, shows


@dataclass
class MoeSession(Session):
    """A session that knows what the page has been sent of the routing pictures."""

    sent: list[Sent] = field(default_factory=lambda: [(0, 0), (0, 0)])
    """What the page has been sent of each side's routing."""
    figures: list[str] = field(default_factory=lambda: ["", ""])
    """What it was sent last."""

    _whole: dict[int, tuple[tuple[int, int, str], str]] = field(default_factory=dict, repr=False)
    """Each side's last whole picture, by the routing, its length and the model."""

    async def draw_ahead(self, conversation: Conversation) -> None:
        """Read the agents' steps and draw the routings of the last turn, in a thread."""
        await in_media_thread(read_ahead, conversation)
        for side, record in enumerate(conversation.last.answers if conversation.last else ()):
            if record and record.routing:
                await in_media_thread(self.whole, side, record)

    def whole(self, side: int, record: AnswerRecord) -> str:
        """The whole picture of an answer that has ended, drawn anew only if it is another one."""
        if not (routing := record.routing):
            return ""
        key = (routing.key, len(routing), record.model)
        known = self._whole.get(side)
        if known is None or known[0] != key:
            known = self._whole[side] = (key, shows(routing, record.model))
        return known[1]

    def forget(self) -> None:
        """Forget the conversation and its pictures."""
        super().forget()
        self.sent, self.figures = [(0, 0), (0, 0)], ["", ""]
        self._whole.clear()
