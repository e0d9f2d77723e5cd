"""Comparisons as files: JSON for programs, Markdown for people."""

import json
import platform
import re
from collections.abc import Sequence
from typing import Any, cast

from backends import Sentence

from . import VERSION
from .close_markdown import close_markdown
from .conversation import LETTERS, AnswerRecord, Conversation, Turn
from .numbers import describe_numbers, describe_params
from .text import strip_controls

FORMAT = "phi-playground/comparison"
FORMAT_VERSION = 2
"""Version 1 had no name, and its sides were left and right."""
_ROUNDED = ("queued", "load", "prefill", "decode", "total", "first_token", "thinking_seconds")
"""Durations, which are no more exact than a millisecond."""
_OPENING = re.compile("[<`~]")


def to_json(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as JSON, for programs.

    Of each answer stand there the backend, the model and the settings that were really sent, and
    what it thought apart from its text.
    """
    told = conversation.model_dump(mode="json")
    for turn in told["turns"]:
        for record in (*turn["answers"], *(one for kept in turn["versions"] for one in kept)):
            _round(record)
            _in_english(record)
    versions = {"phi-playground": VERSION, "python": platform.python_version()}
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "made_with": versions}
    return json.dumps({**head, **_object(_cleaned(told))}, indent=2, ensure_ascii=False)


def _in_english(record: dict[str, Any] | None) -> None:
    """Have an answer's notes and warnings stand there as plain texts."""
    for name in ("notes", "warnings"):
        if record is not None:
            remarks = cast("list[object]", record[name])
            record[name] = [
                one if isinstance(one, str) else str(Sentence.load(one)) for one in remarks
            ]


def _round(record: dict[str, Any] | None) -> None:
    for name, value in (record or {}).items():
        if isinstance(value, float) and record is not None:
            if name in _ROUNDED:
                record[name] = round(value, 3)
            elif name.startswith("tokens_per_second"):
                record[name] = round(value, 1)


def to_markdown(conversation: Conversation) -> str:
    """A comparison with its settings and numbers as Markdown, for people.

    Texts stand as they are, without control characters, and what they leave open is closed.
    """
    lines = ["# Phi Playground: a comparison", ""]
    if conversation.system.strip():
        lines += [_text(f"**System prompt:** {conversation.system.strip()}"), ""]
    told = any(record and record.params for turn in conversation.turns for record in turn.answers)
    if (settings := describe_params(conversation.params)) and not told:
        lines += [f"**Settings:** {_line(settings)}", ""]
    for turn in conversation.turns:
        lines += ["## Prompt", "", _text(turn.prompt), "", *_pictures_in_markdown(turn)]
        for letter, record in zip(LETTERS, turn.answers, strict=False):
            if record:
                lines += _side_in_markdown(letter, record)
    return "\n".join(lines).rstrip() + "\n"


def _pictures_in_markdown(turn: Turn) -> Sequence[str]:
    if not turn.pictures:
        return []
    names = [f"{_line(one.name)} ({one.width:,} × {one.height:,})" for one in turn.pictures]
    return [*(f"{n}. {name}" for n, name in enumerate(names, 1)), ""]


def _side_in_markdown(letter: str, record: AnswerRecord) -> Sequence[str]:
    body = [_text(record.text), ""] if record.text else []
    error = [_quote(record.error), ""] if record.error else []
    warnings = [line for warning in record.warnings for line in (_quote(warning), "")]
    numbers = _line(" · ".join((*describe_numbers(record), *record.notes)))
    heading = f"### {letter}: {_line(record.model)} ({_line(record.backend)})"
    own = record.system
    system = ["_Its own system prompt:_", "", _quote(own), ""] if own else []
    thought = ["_It thought:_", "", _quote(record.thinking), ""] if record.thinking else []
    sent = _sent(record)
    told = [line for fact in (sent, numbers) if fact for line in (f"_{fact}_", "")]
    return [heading, "", *system, *thought, *body, *error, *warnings, *told]


def _sent(record: AnswerRecord) -> str:
    """What was asked, when and how: `ollama/phi3.5, 2026-11-29T10:00:00+00:00, temperature 0`."""
    if not record.model_id:
        return ""
    settings = describe_params(record.params) if record.params else ""
    facts = (f"{record.backend_id}/{record.model_id}", record.asked_at, settings)
    return _line(" · ".join(fact for fact in facts if fact))


def _text(text: str) -> str:
    return close_markdown(_clean(text))


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in _text(text).split("\n"))


def _line(text: str) -> str:
    """A name or a note, in one line that opens nothing."""
    return _OPENING.sub(r"\\\g<0>", " ".join(_clean(text).split()))


def _clean(text: str) -> str:
    return strip_controls(text)


def _object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value)


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
