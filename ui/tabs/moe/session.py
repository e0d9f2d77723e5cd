"""The MoE tab's state of an open page."""

from dataclasses import dataclass, field

from playground.conversation import MAX_SIDES, AnswerRecord, Conversation
from playground.threads import in_media_thread

from ...compare.session import Session
from .agent_steps import cache_agent_steps, steps_of
from .figure import SentTokens, full_figure


@dataclass
class MoeSession(Session):
    """A session with the state of its routing figures."""

    sent_tokens: list[SentTokens] = field(default_factory=lambda: [(0, 0)] * MAX_SIDES)
    """By side, the part of its routing that the page has been sent."""
    last_figures: list[str] = field(default_factory=lambda: [""] * MAX_SIDES)
    """The value that each side's figure was last sent."""

    _full_figures: dict[int, tuple[tuple[int, int, str], str]] = field(
        default_factory=dict, repr=False
    )
    """Each side's last full figure, by routing key, length and model."""

    def text_and_extra(self, record: AnswerRecord) -> tuple[str, str]:
        """Return an agent's answer as its steps, and what it wrote folded away below them."""
        return steps_of(record)

    async def prerender_answer(self, record: AnswerRecord) -> None:
        """Parse an agent's steps in a thread."""
        await in_media_thread(steps_of, record)

    async def prerender(self, conversation: Conversation) -> None:
        """Parse the agents' steps and make the figures of the last turn, in a thread."""
        await in_media_thread(cache_agent_steps, conversation)
        for side, record in enumerate(conversation.last.answers if conversation.last else ()):
            if record and record.routing:
                await in_media_thread(self.cached_figure, side, record)

    def cached_figure(self, side: int, record: AnswerRecord) -> str:
        """Return the full figure of a finished answer; made again only if it has changed."""
        if not (routing := record.routing):
            return ""
        key = (routing.key, len(routing), record.model)
        cached = self._full_figures.get(side)
        if cached is None or cached[0] != key:
            cached = self._full_figures[side] = (key, full_figure(routing, record.model))
        return cached[1]

    def reset(self) -> None:
        """Clear the conversation and its figures."""
        super().reset()
        self.sent_tokens, self.last_figures = [(0, 0)] * MAX_SIDES, [""] * MAX_SIDES
        self._full_figures.clear()
