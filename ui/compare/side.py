"""One side of a comparison: what it was asked last, and what is known of it."""

import asyncio
from dataclasses import dataclass

from playground.answer import AnswerSnapshot, Request
from playground.conversation import LETTERS


@dataclass
class Side:
    """The state of one side of an open page; its place in `Session.sides` gives its letter."""

    model: str = ""
    """Label of the model that answers, or answered last."""
    backend: str = ""
    """Label of its backend."""
    request: Request | None = None
    """Its last request, without its key."""
    snapshot: AnswerSnapshot | None = None
    """Its answer as it was last streamed to the page."""
    language: asyncio.Future[str | None] | None = None
    """The language of the beginning of an answer that grows, once there is enough of it."""
    shows_code: bool = False


def letter_of(side: int) -> str:
    """Return the letter that stands in ids and in the address: `a` to `d`."""
    return LETTERS[side].lower()
