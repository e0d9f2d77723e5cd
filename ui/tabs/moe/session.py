"""What the MoE tab keeps of an open page beside what every tab keeps."""

from dataclasses import dataclass, field

from playground.conversation import AnswerRecord, Conversation
from playground.threads import in_media_thread

from ...compare.chat import cache_agent_steps
from ...compare.session import Session
from .figure import SentTokens, full_figure


@dataclass
class MoeSession(Session):
    """A session that knows what the page has been sent of the routing pictures."""

    sent_tokens: list[SentTokens] = field(default_factory=lambda: [(0, 0), (0, 0)])
    """What the page has been sent of each side's routing."""
    last_figures: list[str] = field(default_factory=lambda: ["", ""])
    """What it was sent last."""

    _full_figures: dict[int, tuple[tuple[int, int, str], str]] = field(
        default_factory=dict, repr=False
    )
    """Each side's last whole picture, by the routing, its length and the model."""

    async def prerender(self, conversation: Conversation) -> None:
        """Read the agents' steps and draw the routings of the last turn, in a thread."""
        await in_media_thread(cache_agent_steps, conversation)
        for side, record in enumerate(conversation.last.answers if conversation.last else ()):
            if record and record.routing:
                await in_media_thread(self.cached_figure, side, record)

    def cached_figure(self, side: int, record: AnswerRecord) -> str:
        """The whole picture of an answer that has ended, drawn anew only if it is another one."""
        if not (routing := record.routing):
            return ""
        key = (routing.key, len(routing), record.model)
        cached = self._full_figures.get(side)
        if cached is None or cached[0] != key:
            cached = self._full_figures[side] = (key, full_figure(routing, record.model))
        return cached[1]

    def reset(self) -> None:
        """Forget the conversation and its pictures."""
        super().reset()
        self.sent_tokens, self.last_figures = [(0, 0), (0, 0)], ["", ""]
        self._full_figures.clear()
