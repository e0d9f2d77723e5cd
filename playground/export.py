"""Comparisons as files: JSON for programs, Markdown for people."""

from collections.abc import Sequence

from .conversation import SIDES, AnswerRecord, Conversation, Turn
from .numbers import describe_numbers, describe_params


def to_json(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as JSON, for programs."""
    return conversation.model_dump_json(indent=2)


def to_markdown(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as Markdown, for people."""
    lines = ["# Phi Playground: a comparison", ""]
    if conversation.system.strip():
        lines += [f"**System prompt:** {conversation.system.strip()}", ""]
    if settings := describe_params(conversation.params):
        lines += [f"**Settings:** {settings}", ""]
    for turn in conversation.turns:
        lines += ["## Prompt", "", turn.prompt, "", *_pictures_in_markdown(turn)]
        for side, record in zip(SIDES, turn.answers, strict=True):
            if record:
                lines += _side_in_markdown(side, record)
    return "\n".join(lines).rstrip() + "\n"


def _pictures_in_markdown(turn: Turn) -> Sequence[str]:
    if not turn.pictures:
        return []
    names = [f"{one.name} ({one.width:,} × {one.height:,})" for one in turn.pictures]
    return [*(f"{n}. {name}" for n, name in enumerate(names, 1)), ""]


def _side_in_markdown(side: str, record: AnswerRecord) -> Sequence[str]:
    body = [record.text, ""] if record.text else []
    error = [f"> {record.error}", ""] if record.error else []
    warnings = [line for warning in record.warnings for line in (f"> {warning}", "")]
    numbers = " · ".join((*describe_numbers(record), *record.notes))
    heading = f"### {side.capitalize()}: {record.model} ({record.backend})"
    return [heading, "", *body, *error, *warnings] + ([f"_{numbers}_", ""] if numbers else [])
