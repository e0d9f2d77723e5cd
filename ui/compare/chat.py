"""Conversion of conversations to messages of `gr.Chatbot`: prompts, pictures, answers, numbers."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from playground.agent import AgentTrace, read_steps, steps_markdown
from playground.conversation import (
    AnswerRecord,
    Conversation,
    Turn,
)
from playground.media.pictures import Picture
from playground.numbers import describe_empty, describe_numbers, other_language

from ..texts import EN

_MISSING_PICTURE = "data:image/svg+xml;base64," + base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="90">'
    b'<rect width="119" height="89" fill="none" stroke="#999" stroke-dasharray="4 4"/></svg>'
).decode("ascii")
"""Shown in place of a picture that was lost with a reload."""


def to_chatbot(
    conversation: Conversation, side: int, *, steps: bool = False
) -> list[dict[str, Any]]:
    """Return one side's finished turns as messages of `gr.Chatbot`, with their numbers folded away.

    The last answer's numbers stand below the conversation, so they are not repeated here. With
    `steps`, the answer of an agent with tools is shown as its steps, the raw text folded away.
    """
    return [message for _, message in _messages(conversation, side, steps)]


def turn_of(
    conversation: Conversation, side: int, index: int, *, steps: bool = False
) -> int | None:
    """Return the index of the turn whose prompt a message of `to_chatbot` is, or `None`."""
    messages = _messages(conversation, side, steps)
    return messages[index][0] if 0 <= index < len(messages) else None


def _messages(
    conversation: Conversation, side: int, steps: bool
) -> list[tuple[int | None, dict[str, Any]]]:
    """Return the messages, each with the index of its turn if it is a prompt."""
    messages: list[tuple[int | None, dict[str, Any]]] = []
    for number, turn in enumerate(conversation.turns):
        if turn.pictures:
            messages.append(
                (None, {"role": "user", "content": _text_parts(_pictures_markdown(turn))})
            )
        messages.append((number, {"role": "user", "content": _text_parts(turn.prompt)}))
        if record := turn.answers[side]:
            if record.thinking:
                messages.append((None, _thinking_message(record)))
            if record.text:
                messages += [(None, message) for message in _answer_messages(record, steps)]
            if turn is not conversation.turns[-1]:
                messages.append((None, _numbers_message(record, turn)))
    return messages


def _answer_messages(record: AnswerRecord, steps: bool) -> Sequence[dict[str, Any]]:
    text = record.text
    trace = _agent_steps(text) if steps else None
    if trace is None:
        return [{"role": "assistant", "content": _text_parts(text)}]
    note = EN["not_run"]
    if record.state == "stopped" or record.finish_reason == "length":
        trace = replace(trace, repaired=False)  # its JSON is incomplete, not faulty
        note = f"{note} {EN['cut_off']}"
    return [
        {"role": "assistant", "content": _text_parts(f"{steps_markdown(trace)}\n\n*{note}*")},
        {
            "role": "assistant",
            "content": _text_parts(text),
            "metadata": {"title": EN["own_text"], "status": "done"},
        },
    ]


def cache_agent_steps(conversation: Conversation) -> None:
    """Parse agents' answers for `to_chatbot` with `steps`; repairing them may take seconds."""
    for record in [record for turn in conversation.turns for record in turn.answers if record]:
        _agent_steps(record.text)


@lru_cache(maxsize=512)
def _agent_steps(text: str) -> AgentTrace | None:
    """Parse an agent's answer; cached, since a conversation is converted often."""
    return read_steps(text)


def _text_parts(text: str) -> list[dict[str, str]]:
    # A bare string would lose its tabs and common indentation (inspect.cleandoc).
    return [{"type": "text", "text": text}]


def _pictures_markdown(turn: Turn) -> str:
    """Return a turn's thumbnails in Markdown; `conversation.js` recognises how they begin."""
    return "\n".join(
        f"![{_alt_text(picture)}]({thumbnail_url(picture)})" for picture in turn.pictures
    )


def _alt_text(picture: Picture) -> str:
    return "".join(c for c in picture.name if c not in "[]()!\\`*_<>")


def thumbnail_url(picture: Picture) -> str:
    """Return a picture's thumbnail as a `data:` URL, or an empty frame if it is lost."""
    return data_url(picture.thumbnail, "webp") if picture.available else _MISSING_PICTURE


def data_url(data: bytes, kind: str) -> str:
    """Return an image as a `data:` URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _thinking_message(record: AnswerRecord) -> dict[str, Any]:
    """Return what a model thought, folded away."""
    return {
        "role": "assistant",
        "content": _text_parts(record.thinking),
        "metadata": {
            "title": EN["thinking"],
            "duration": round(record.thinking_seconds, 1),
            "status": "done",
        },
    }


def _numbers_message(record: AnswerRecord, turn: Turn) -> dict[str, Any]:
    facts = (
        [*describe_numbers(record), other_language(record, turn)]
        if record.text
        else [record.error or describe_empty(record)]
    )
    title = " · ".join(filter(None, [record.model, *facts]))
    detail = record.error or f"{record.model} · {record.backend}"
    return {
        "role": "assistant",
        "content": _text_parts(detail),
        "metadata": {"title": title, "status": "done"},
    }
