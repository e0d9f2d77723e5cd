"""The answer of an agent with tools, shown as its steps."""

from dataclasses import replace
from functools import lru_cache

from playground.agent import AgentTrace, read_steps, steps_markdown
from playground.conversation import AnswerRecord, Conversation

from ...compare.transcript.answers import folded_text
from ...texts import EN


def steps_of(record: AnswerRecord) -> tuple[str, str]:
    """Return an answer's Markdown, and HTML to stand below it: the raw text of an agent's."""
    trace = _agent_steps(record.text)
    if trace is None:
        return record.text, ""
    note = EN["not_run"]
    if record.state == "stopped" or record.finish_reason == "length":
        trace = replace(trace, repaired=False)  # its JSON is incomplete, not faulty
        note = f"{note} {EN['cut_off']}"
    return f"{steps_markdown(trace)}\n\n*{note}*", folded_text(EN["own_text"], record.text)


def cache_agent_steps(conversation: Conversation) -> None:
    """Parse agents' answers for `steps_of`; repairing them may take seconds."""
    for record in [record for turn in conversation.turns for record in turn.answers if record]:
        _agent_steps(record.text)


@lru_cache(maxsize=512)
def _agent_steps(text: str) -> AgentTrace | None:
    """Parse an agent's answer; cached, since a conversation is drawn often."""
    return read_steps(text)
