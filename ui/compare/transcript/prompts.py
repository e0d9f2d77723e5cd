"""A prompt as the fields of a row: its text and its pictures."""

import base64
from typing import Any

from playground.conversation import Turn
from playground.media.pictures import Picture

_MISSING_PICTURE = "data:image/svg+xml;base64," + base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="90">'
    b'<rect width="119" height="89" fill="none" stroke="#999" stroke-dasharray="4 4"/></svg>'
).decode("ascii")
"""Shown in place of a picture that was lost with a reload."""


def prompt_fields(turn: Turn) -> dict[str, Any]:
    """Return the fields of a turn's prompt."""
    return {
        "prompt": turn.prompt,
        "lang": turn.language or "",
        "pictures": [{"src": thumbnail_url(one), "name": one.name} for one in turn.pictures],
    }


def thumbnail_url(picture: Picture) -> str:
    """Return a picture's thumbnail as a `data:` URL, or an empty frame if it is lost."""
    return data_url(picture.thumbnail, "webp") if picture.available else _MISSING_PICTURE


def data_url(data: bytes, kind: str) -> str:
    """Return an image as a `data:` URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
