"""Pictures made small enough for a wire that limits them."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._core.errors import BadRequestError
from .._core.types import ImagePart, Message

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 85
"""Of a JPEG: below it, letters in a picture begin to blur."""
_LEAST = 112
"""Pixels of the longer side below which little can be seen: a third of what Phi-3-vision's eye
takes in at once."""
_CLOSE = 0.97
"""How near to the largest size that fits a size is good enough: each try costs an encoding."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""That are opened: each decoder more is one more that could be led astray."""
_TOLD = 4
"""Pictures that are named when it is said what was done to them."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture as it is sent, and what was done to it."""

    part: ImagePart
    before: tuple[int, int] | None = None
    """Width and height before, in pixels; `None` if it is sent as it came."""
    after: tuple[int, int] | None = None
    """Width and height of the JPEG that is sent instead; the same as before if only recoded."""


def count_pictures(messages: Iterable[Message]) -> int:
    """How many pictures there are in all the turns together."""
    return sum(len(message.images) for message in messages)


def base64_length(size: int) -> int:
    """Characters that so many bytes take in base64."""
    return (size + 2) // 3 * 4


def fit(
    parts: Sequence[ImagePart], most: int, taken: frozenset[str], label: str
) -> tuple[Fitted, ...]:
    """The pictures of one request, made smaller only where and as far as needed.

    Together they take fewer than `most` characters of base64. Small ones stay as they are; the
    others share what is left equally. `taken` are the media types that the wire takes: others
    become JPEGs in any case. `label` is whose limit it is. Raises `BadRequestError` for a picture
    that cannot be read, or for more pictures than can be seen in so little room. Takes some tenths
    of a second for each large picture: not for an event loop.
    """
    fitted = [Fitted(part) if part.media_type in taken else _recoded(part) for part in parts]
    rest = most - 1
    waiting = sorted(range(len(parts)), key=lambda n: len(fitted[n].part.data))
    while waiting:
        length = base64_length(len(fitted[waiting[0]].part.data))
        if length > rest // len(waiting):
            break
        rest -= length
        del waiting[0]
    for n in waiting:
        fitted[n] = _smaller(parts[n], rest // len(waiting) // 4 * 3, label, len(parts))
    return tuple(fitted)


def _recoded(part: ImagePart) -> Fitted:
    """A picture as a JPEG of the same size."""
    image = _opened(part)
    return Fitted(ImagePart(jpeg(image, image.size), "image/jpeg"), image.size, image.size)


def _smaller(part: ImagePart, most: int, label: str, pictures: int) -> Fitted:
    """A picture as a JPEG of at most so many bytes, as large as that allows."""
    image = _opened(part)
    longest = max(image.size)
    least = min(_LEAST, longest)
    found: Fitted | None = None
    low, high, scale = 0.0, 1.0, 1.0
    while low < high * _CLOSE and longest * high >= least:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        tried = jpeg(image, size)
        if len(tried) <= most:
            found = Fitted(ImagePart(tried, "image/jpeg"), image.size, size)
            low = scale
            if scale == high or len(tried) >= most * _CLOSE**2:
                break
        else:
            high = scale
        # Bytes go with the area; a guess from them finds the size sooner than halving does.
        guess = scale * (most / len(tried)) ** 0.5 * 0.99
        scale = guess if low < guess < high else (low + high) / 2
    if not found or longest * low < least:
        raise BadRequestError(
            f"{pictures} pictures are too many for {label}: each would be too small to see.",
            "Send fewer pictures or frames, or clear the conversation: earlier ones are sent "
            "again.",
            reason="too_many_pictures",
            pictures=pictures,
        )
    return found


def jpeg(image: "Image", size: tuple[int, int]) -> bytes:
    """A picture at a size, as the bytes of a JPEG."""
    scaled = image if size == image.size else image.resize(size, reducing_gap=2.0)
    file = io.BytesIO()
    scaled.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _opened(part: ImagePart) -> "Image":
    """A picture upright and without transparency, as a JPEG holds it."""
    from PIL import Image, ImageOps

    try:
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(part.data), formats=_FORMATS))
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return upright.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequestError(
            "A picture in this conversation cannot be read.",
            "Save it as PNG or JPEG and add it again.",
            reason="unreadable_picture",
        ) from error


def with_pictures(
    messages: Sequence[Message], pictures: Sequence[ImagePart]
) -> tuple[Message, ...]:
    """The same messages with other pictures in the places of theirs."""
    left = iter(pictures)
    return tuple(
        replace(
            message,
            parts=tuple(next(left) if isinstance(p, ImagePart) else p for p in message.parts),
        )
        for message in messages
    )


def in_words(fitted: Sequence[Fitted], label: str, most: int) -> tuple[str, ...]:
    """What was done to which pictures and why, as a sentence for the reader; none if nothing."""
    told = [
        f"{'the picture' if len(fitted) == 1 else f'picture {n}'} "
        + (
            f"at {one.after[0]} × {one.after[1]} pixels instead of {one.before[0]} × "
            f"{one.before[1]}"
            if one.after != one.before
            else "as a JPEG"
        )
        for n, one in enumerate(fitted, 1)
        if one.before and one.after
    ]
    if not told:
        return ()
    more = [f"{len(told) - _TOLD} more"] if len(told) > _TOLD else []
    *first, last = told[:_TOLD] + more
    seen = " and ".join(filter(None, (", ".join(first), last)))
    return (
        f"{label} takes PNG and JPEG pictures of {most * 3 // 4000} kB in all, so it sees {seen}.",
    )
