"""Comparisons as files: JSON for programs, Markdown for people."""

import json
import re
from collections.abc import Sequence
from typing import cast

from .close_markdown import close_markdown
from .conversation import SIDES, AnswerRecord, Conversation, Turn
from .numbers import describe_numbers, describe_params
from .text import strip_controls

_NOT_TOLD = {"turns": {"__all__": {"answers": {"__all__": {"thinking"}}}}}
"""What a model thought is for the page."""
_OPENING = re.compile("[<`~]")


def to_json(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as JSON, for programs."""
    told = conversation.model_dump(mode="json", exclude=_NOT_TOLD)
    return json.dumps(_cleaned(told), indent=2, ensure_ascii=False)


def to_markdown(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as Markdown, for people.

    Texts stand as they are, without control characters, and what they leave open is closed.
    """
    lines = ["# Phi Playground: a comparison", ""]
    if conversation.system.strip():
        lines += [_text(f"**System prompt:** {conversation.system.strip()}"), ""]
    if settings := describe_params(conversation.params):
        lines += [f"**Settings:** {_line(settings)}", ""]
    for turn in conversation.turns:
        lines += ["## Prompt", "", _text(turn.prompt), "", *_pictures_in_markdown(turn)]
        for side, record in zip(SIDES, turn.answers, strict=True):
            if record:
                lines += _side_in_markdown(side, record)
    return "\n".join(lines).rstrip() + "\n"


def _pictures_in_markdown(turn: Turn) -> Sequence[str]:
    if not turn.pictures:
        return []
    names = [f"{_line(one.name)} ({one.width:,} × {one.height:,})" for one in turn.pictures]
    return [*(f"{n}. {name}" for n, name in enumerate(names, 1)), ""]


def _side_in_markdown(side: str, record: AnswerRecord) -> Sequence[str]:
    body = [_text(record.text), ""] if record.text else []
    error = [_quote(record.error), ""] if record.error else []
    warnings = [line for warning in record.warnings for line in (_quote(warning), "")]
    numbers = _line(" · ".join((*describe_numbers(record), *record.notes)))
    heading = f"### {side.capitalize()}: {_line(record.model)} ({_line(record.backend)})"
    return [heading, "", *body, *error, *warnings] + ([f"_{numbers}_", ""] if numbers else [])


def _text(text: str) -> str:
    return close_markdown(_clean(text))


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in _text(text).split("\n"))


def _line(text: str) -> str:
    """A name or a note, in one line that opens nothing."""
    return _OPENING.sub(r"\\\g<0>", " ".join(_clean(text).split()))


def _clean(text: str) -> str:
    return strip_controls(text)


def _cleaned(value: object) -> object:
    """A value of JSON with all its texts cleaned."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: _cleaned(field) for name, field in fields.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in cast("list[object]", value)]
    return value
