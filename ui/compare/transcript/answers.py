"""An answer as the fields of a cell: while it grows, and once it has ended."""

from html import escape
from typing import Any

from playground.answer import AnswerSnapshot
from playground.conversation import AnswerRecord, Turn

from ...markdown.directions import direction
from ...texts import told
from ..numbers import all_numbers, final_line, length_in_words, live_line, thought


def growing_fields(snapshot: AnswerSnapshot, model: str, backend: str) -> dict[str, Any]:
    """Return the fields of an answer that is not written down yet."""
    clock = snapshot.clock
    fields: dict[str, Any] = {
        "state": "streaming" if snapshot.ended else snapshot.state,
        "name": model,
        "place": backend,
        "dir": direction(snapshot.text) or "ltr",
    }
    if snapshot.thinking:
        ended = bool(snapshot.text) or snapshot.ended
        fields["thought"] = thought(
            clock.thinking_tokens, clock.thinking, clock.token_source, ended=ended
        ).dump()
    return fields


def waiting_fields(model: str, backend: str) -> dict[str, Any]:
    """Return the fields of an answer before anything has come; what an earlier one had goes."""
    return {
        "state": "waiting",
        "name": model,
        "place": backend,
        "line": live_line(AnswerSnapshot()),
        "pace": "",
        "more": "",
        "words": None,
        "lang": "",
        "dir": "ltr",
        "thought": None,
        "version": None,
        "cut": False,
    }


def ended_fields(record: AnswerRecord, turn: Turn, side: int) -> dict[str, Any]:
    """Return the fields of a finished answer."""
    versions = turn.versions_of(side)
    index = next((n for n, one in enumerate(versions) if one is record), 0)
    return {
        "state": record.state,
        "name": record.model,
        "place": record.backend,
        "line": final_line(record, turn),
        "pace": "",
        "more": all_numbers(record),
        "words": (record.failure or length_in_words(record.text)).dump(),
        "lang": record.language or "",
        "dir": direction(record.text) or "ltr",
        "thought": thought(
            record.thinking_tokens, record.thinking_seconds, record.token_source, ended=True
        ).dump()
        if record.thinking
        else None,
        "version": [index + 1, len(versions)] if len(versions) > 1 else None,
        "cut": record.may_go_on,
    }


def folded_text(title: str, text: str) -> str:
    """Return a text as it was written, folded away under a title, as HTML."""
    return (
        f'<details class="own-text"><summary>{told(title)}</summary>'
        f'<pre dir="auto">{escape(text)}</pre></details>'
    )
