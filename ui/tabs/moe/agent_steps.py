"""The answer of an agent with tools, shown as its steps."""

from functools import lru_cache

from playground.agent import AgentTrace, read_steps, steps_markdown
from playground.conversation import AnswerRecord, Conversation

from ...compare.transcript.answers import folded_text
from ...texts import told

_NOT_RUN = "The model wrote all of this itself, its tools' answers too: nothing was run."
_REPAIRED = "The JSON of this answer had faults; it was read all the same."
_OWN_TEXT = "What the model wrote, word for word"


def steps_of(record: AnswerRecord) -> tuple[str, str]:
    """Return an answer's Markdown, and HTML to stand below it: the raw text of an agent's."""
    trace = _agent_steps(record.text)
    if trace is None:
        return record.text, ""
    notes = [told(_REPAIRED)] if trace.repaired else []
    notes.append(told(_NOT_RUN))
    if record.state == "stopped" or record.finish_reason == "length":
        # Its JSON is incomplete, not faulty.
        notes = [told(_NOT_RUN), told("It ends where it was cut off.")]
    note = f"<p><em>{' '.join(notes)}</em></p>"
    return steps_markdown(trace), note + folded_text(_OWN_TEXT, record.text)


def cache_agent_steps(conversation: Conversation) -> None:
    """Parse agents' answers for `steps_of`; repairing them may take seconds."""
    for record in [record for turn in conversation.turns for record in turn.answers if record]:
        _agent_steps(record.text)


@lru_cache(maxsize=512)
def _agent_steps(text: str) -> AgentTrace | None:
    """Parse an agent's answer; cached, since a conversation is drawn often."""
    return read_steps(text)
