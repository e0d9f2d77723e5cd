"""NVIDIA's old address for Phi-3-vision: pictures as HTML in the text, and room for few."""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .._core.backend import Backend
from .._core.catalog import ModelSpec
from .._core.errors import BackendError
from .._core.types import ImagePart, Message, Part
from .._remote.image_fit import QUALITY, Fitted, count_pictures, fit, in_words, with_pictures
from .._snippets.python_source import Expression, Pictures, comment, literal, opening, quoted
from ..openai_compatible import Request

URL = "https://ai.api.nvidia.com/v1/vlm/microsoft/phi-3-vision-128k-instruct"
"""langchain-nvidia, `_statics.py`, commit 6046644; NVIDIA's own samples for this model."""
MOST = 180_000
"""Characters of base64 that the pictures of a request must stay under, all together.

NVIDIA's samples say `assert len(image_b64) < 180_000`, its reference "if the size of an image is
more than 180KB" (docs.api.nvidia.com, llama-3.1-nemotron-nano-vl-8b-v1), and for another model
"when the payload exceeds 200KB" (nemotron-nano-12b-v2-vl): so it is the request that counts.
"""
TAKEN = frozenset({"image/png", "image/jpeg"})
"""What NVIDIA takes: "images can be PNG, JPG or JPEG", says the same reference."""
MODEL = "phi-3-vision"
"""The one model of the catalog that is asked in this way."""

_TAG = re.compile("<(?=img)", re.IGNORECASE)


def request(body: dict[str, Any], messages: Sequence[Message]) -> Request:
    """What is asked at the old address; `body` is what the usual one is told of the settings.

    It names no model, and takes no `stream_options` ("vlm endpoints do not accept standard
    stream_options", langchain-nvidia). Raises `BackendError`.
    """
    fitted = fitted_in(messages)
    sent = with_pictures(messages, [one.part for one in fitted])
    return Request(
        body["model"],
        _body(body, [{"role": one.role, "content": _content(one.parts)} for one in sent]),
        URL,
        {"accept": "text/event-stream"},
        count_pictures(messages),
        in_words(fitted, "NVIDIA", MOST),
    )


def fitted_in(messages: Sequence[Message]) -> tuple[Fitted, ...]:
    """The pictures of all the turns as NVIDIA takes them. Raises `BackendError`."""
    return fit([image for one in messages for image in one.images], MOST, TAKEN, "NVIDIA")


def _body(body: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    left = {name: value for name, value in body.items() if name not in ("model", "messages")}
    return {"messages": messages, **left, "stream": True}


def _content(parts: Sequence[Part]) -> str:
    """A message's content: its texts, and its pictures in their places."""
    return "".join(
        _img(part) if isinstance(part, ImagePart) else plain(part.text) for part in parts
    )


def plain(text: str) -> str:
    """A text in which nothing is a picture: `<img` becomes `< img`."""
    return _TAG.sub("< ", text)


def _img(image: ImagePart) -> str:
    data = base64.b64encode(image.data).decode("ascii")
    return f'<img src="data:{image.media_type};base64,{data}" />'


# ── The program ────────────────────────────────────────────────────────────────────────────────


def program(
    backend: Backend,
    spec: ModelSpec,
    body: dict[str, Any],
    messages: Sequence[Message],
    *,
    variable: str,
    warning: str,
) -> str:
    """The same request in Python, with its standard library and, to scale pictures, Pillow.

    The `openai` package always names a model, which this address does not take. `variable` is the
    environment variable with the key, `warning` says that the model was switched off.
    """
    notes: list[str] = []
    try:
        fitted = fitted_in(messages)
    except BackendError as error:
        notes = [f"Careful: {error}"]
        fitted = tuple(Fitted(image) for one in messages for image in one.images)
    names, left = Pictures(), iter(fitted)
    told = [
        {"role": one.role, "content": _expression(_pieces(one.parts, names, left))}
        for one in messages
    ]
    scaled = [one for one in fitted if one.before]
    return "\n".join(
        [
            *opening(
                backend,
                spec.label,
                warning=warning,
                key=variable,
                notes=notes,
                install="pip install pillow" if scaled else "",
            ),
            *(["import base64"] if fitted else []),
            *(["import io"] if scaled else []),
            "import json",
            "import os",
            *(["from pathlib import Path"] if len(scaled) < len(fitted) else []),
            "from urllib.request import Request, urlopen",
            *(["", "from PIL import Image, ImageOps"] if scaled else []),
            "",
            *(["", *names.saving, *_IMG] if fitted else []),
            *(_JPEG if scaled else []),
            f"body = {literal(_body(body, told), 0, 7)}",
            "request = Request(",
            f"    {quoted(URL)},",
            "    json.dumps(body).encode(),",
            "    {",
            f'        "Authorization": "Bearer " + os.environ[{quoted(variable)}],',
            '        "Accept": "text/event-stream",',
            '        "Content-Type": "application/json",',
            "    },",
            ")",
            *_PRINTING,
        ]
    )


_IMG = (
    "def img(data, kind):",
    "    text = base64.b64encode(data).decode()",
    "    return f'<img src=\"data:{kind};base64,{text}\" />'",
    "",
    "",
)
_JPEG = (
    *comment(f"NVIDIA takes pictures of fewer than {MOST:,} characters in all."),
    "def jpeg(name, size):",
    "    picture = ImageOps.exif_transpose(Image.open(name))",
    "    if picture.has_transparency_data:",
    '        white = Image.new("RGBA", picture.size, "white")',
    '        picture = Image.alpha_composite(white, picture.convert("RGBA"))',
    '    picture = picture.convert("RGB").resize(size, reducing_gap=2.0)',
    "    file = io.BytesIO()",
    f'    picture.save(file, "JPEG", quality={QUALITY})',
    "    return file.getvalue()",
    "",
    "",
)
_PRINTING = (
    "with urlopen(request) as stream:",
    "    for line in stream:",
    '        if line.startswith(b"data: {"):',
    '            for choice in json.loads(line[6:]).get("choices", []):',
    '                text = choice["delta"].get("content") or ""',
    '                print(text, end="", flush=True)',
    "print()",
    "",
)


def _pieces(parts: Sequence[Part], names: Pictures, fitted: Iterator[Fitted]) -> list[str]:
    """A message's content in order: texts, and calls that make pictures of files."""
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, ImagePart):
            one = next(fitted)
            original = base64.b64encode(part.data).decode("ascii")
            name = quoted(names.name(original, part.media_type.rpartition("/")[2]))
            made = f"jpeg({name}, {one.after})" if one.before else f"Path({name}).read_bytes()"
            pieces.append(Expression(f"img({made}, {quoted(one.part.media_type)})"))
        elif part.text:
            pieces.append(plain(part.text))
    return pieces


def _expression(pieces: list[str]) -> str:
    """Texts and calls as one text: itself where it is one, else a sum with a line for each."""
    if not any(isinstance(piece, Expression) for piece in pieces):
        return "".join(pieces)
    lines = f"\n{' ' * 16}+ ".join(literal(piece, 16, 2) for piece in pieces)
    return Expression(f"(\n{' ' * 16}{lines}\n{' ' * 12})")
