"""Pictures that a visitor adds: read safely, turned upright, and made small enough for a model."""

import hashlib
import importlib
import math
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from backends import BadRequestError, ImagePart, Said, Sentence

from ..text import strip_controls, valid_unicode
from .filetypes import GIF, HEAD_BYTES, PICTURES, VIDEOS, FileType, detect_type
from .sanitize import (
    DamagedFileError,
    StrippedFile,
    UnsupportedFileError,
    exif_orientation,
    strip_metadata,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_FILE_NAME = 120
"""Characters of a picture's name."""
THUMBNAIL_SIDE = 192
MAX_SIDE = 16_384
"""Pixels of a side that is kept: JPEG ends at 65,535, and browsers well before."""
MAX_PNG_BYTES = 6_000_000
"""A PNG larger than this becomes a JPEG."""
JPEG_QUALITY = 93
"""Of JPEGs, without chroma subsampling: letters in screenshots keep their edges."""

_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LOSSY = frozenset(("jpeg", "avif", "heif"))
_OPTIONAL = frozenset(("webp", "avif"))
"""Kinds that Pillow may have been built without."""
_FRAME_COUNT_IN_DECODER = frozenset(("webp", "avif"))
"""Kinds whose frames only their decoder counts."""
_DECODERS = {
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heif": ("pi_heif", "HeifImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
}


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Limits of the files that a visitor adds; the defaults are for a page on one's own machine."""

    file_bytes: int = 25_000_000
    pixels: int = 50_000_000
    """Of a picture as it comes, or of a frame of a video: what is decoded into memory."""
    kept_pixels: int = 4_000_000
    """Of a picture as it is used. Phi-3.5-vision sees 1.8 million: 16 crops of 336 x 336."""
    frames: int = 32
    """The most frames that are taken from one video."""
    video_bytes: int = 200_000_000
    video_seconds: float = 3600.0


class Picture(BaseModel):
    """One picture, upright and without metadata, or what is left of it after a reload."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(max_length=MAX_FILE_NAME)
    """Its file name, or that of its clip with a time: `photo.heic`, `clip.mp4 at 0:03.2`."""
    media_type: Literal["image/png", "image/jpeg"]
    width: int = Field(ge=1, le=MAX_SIDE)
    """In pixels, upright; so is `height`."""
    height: int = Field(ge=1, le=MAX_SIDE)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of `data`, in hexadecimal digits: the picture's name in caches."""
    notes: tuple[Annotated[Said, Field(max_length=400)], ...] = Field(default=(), max_length=20)
    """Remarks for its owner, a few words each: `scaled down from 8,064 x 6,048`."""
    data: bytes = Field(default=b"", exclude=True, repr=False)
    """The encoded picture. Never saved: it is empty after a reload."""

    @field_validator("data", mode="before")
    @classmethod
    def _only_bytes(cls, data: object) -> bytes:
        # A browser's record is text: what it calls data was not made by `encode`.
        return data if isinstance(data, bytes) else b""

    @property
    def available(self) -> bool:
        """True if the encoded picture is in memory: a reload loses it."""
        return bool(self.data)

    @property
    def part(self) -> ImagePart:
        """The picture as a part of a message."""
        return ImagePart(self.data, self.media_type)

    @cached_property
    def thumbnail(self) -> bytes:
        """A small copy, as a WebP with at most `THUMBNAIL` pixels a side; made at the first use."""
        from PIL import Image

        with Image.open(BytesIO(self.data)) as image:
            image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        return encoded(small, "WEBP", quality=80)


def read_picture(data: bytes, name: str, limits: PictureLimits) -> Picture:
    """Read a picture that a visitor added: upright, RGB, on white, at most `limits.kept_pixels`.

    Photos become JPEG, drawings and screenshots PNG. The type is detected from the content.
    A file that lacks only the mark of its end is read, with a note; one that lacks more is damaged.
    Colour profiles are dropped, not applied, as the models' own preprocessing does not apply them.
    Raises `BadRequestError` if it is no picture, is damaged, or is too large.
    """
    (picture,) = read_picture_unless(lambda: False, data, name, limits)
    return picture


def read_picture_unless(
    cancelled: Callable[[], bool], data: bytes, name: str, limits: PictureLimits
) -> list[Picture]:
    """Like `read_picture`, but an empty list if `cancelled()` before one of its long steps."""
    name = display_name(name, "picture")
    check_size(len(data), limits.file_bytes, name)
    kind = detect_type(data[:HEAD_BYTES])
    if kind.family != "picture" or not kind.readable:
        raise wrong_type_error(name, "picture", kind)
    try:
        bare = strip_metadata(kind.id, data)
        image = open_picture(kind.id, bare.data)
    # A decoder may be missing: pi_heif has no wheel for Windows on ARM.
    except (UnsupportedFileError, ModuleNotFoundError) as error:
        raise _unsupported_error(name, kind) from error
    except Exception as error:  # decoders of others raise anything
        raise damaged_file_error(name, kind) from error
    turned = max(bare.orientation, exif_orientation(image.info.get("exif") or b""))
    check_pixels(image.size, limits.pixels, name)
    frames = getattr(image, "n_frames", 1) if kind.id in _FRAME_COUNT_IN_DECODER else bare.frames
    size = fit_within(image.size, limits.kept_pixels)
    notes = [_frames_note(kind, frames)] if frames > 1 else []
    if size != image.size:
        width, height = image.size[::-1] if turned >= 5 else image.size
        notes.append(Sentence("scaled down from {width} x {height}", width=width, height=height))
    if cancelled():
        return []
    try:
        pixels, stretched = _decode(image, size)
        if bare.probe:
            _check_complete(kind, bare, pixels)
    except Exception as error:
        raise damaged_file_error(name, kind) from error
    if cancelled():
        return []
    if stretched:
        notes.append("brightness stretched")
    if bare.ends_early:
        notes.append("the end of the file is missing")
    lossy = is_lossy(kind, data)
    return [encode(apply_orientation(pixels, turned), name, lossy=lossy, notes=notes)]


def is_lossy(kind: FileType, data: bytes) -> bool:
    """True if the pixels of a picture's file were compressed with loss."""
    return kind.id in _LOSSY or (kind.id == "webp" and b"VP8 " in data)


def encode(image: "Image", name: str, *, lossy: bool, notes: Sequence[str] = ()) -> Picture:
    """Write an upright RGB image as PNG; as JPEG if it was `lossy` before, or a PNG is too large.

    The name must be clean already.
    """
    image.info.clear()  # WebP goes to its decoder whole, and PNG would be written with its profile
    media_type, data = "image/png", b"" if lossy else encoded(image, "PNG")
    if lossy or len(data) > MAX_PNG_BYTES:
        media_type, data = "image/jpeg", encoded(image, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        notes = notes if lossy else [*notes, "saved as JPEG"]
    picture = Picture(
        name=name,
        media_type=media_type,
        width=image.width,
        height=image.height,
        digest=hashlib.sha256(data).hexdigest(),
        notes=tuple(notes),
        data=data,
    )
    _track_memory(picture)
    return picture


_live_bytes: dict[int, int] = {}
"""Bytes of each picture in memory, by `id`."""


def memory_held() -> int:
    """Bytes that all pictures in this process take."""
    return sum(_live_bytes.values())


def _track_memory(picture: Picture) -> None:
    number = id(picture)
    _live_bytes[number] = len(picture.data)
    weakref.finalize(picture, _live_bytes.pop, number, None).atexit = False


def fit_within(size: tuple[int, int], pixels: int, side: int = MAX_SIDE) -> tuple[int, int]:
    """Width and height, scaled down to at most `pixels` in all and `side` pixels a side."""
    width, height = size
    scale = min(1.0, side / max(size), math.sqrt(pixels / (width * height)))
    if scale == 1.0:
        return size
    return max(1, int(width * scale)), max(1, int(height * scale))


def apply_orientation(image: "Image", orientation: int) -> "Image":
    """An image made upright; `orientation` is 1 to 8, as in EXIF."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def on_white(image: "Image") -> "Image":
    """An image as opaque RGB; what was transparent shows white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    layers = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(layers, mask=layers.getchannel("A"))
    return page


def display_name(name: str, fallback: str, limit: int = MAX_FILE_NAME) -> str:
    """A file's name for display: one line of at most `limit` characters, no path, no controls.

    `fallback` stands in for a name of which nothing is left.
    """
    last = valid_unicode(name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    text = " ".join(_DIRECTIONS.sub("", strip_controls(last)).split())
    if len(text) > limit:
        stem, dot, ending = text.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 8 else ""
        text = text[: limit - len(ending) - 1].rstrip() + "…" + ending
    return text or fallback


def check_size(size: int, limit: int, name: str) -> None:
    """Raise `BadRequestError` for a file of too many bytes, or of none."""
    if size > limit:
        raise BadRequestError(
            Sentence(
                "“{name}” has {size:tenths} MB; at most {limit:tenths} MB fit here.",
                name=name,
                size=size / 1e6,
                limit=limit / 1e6,
            ),
            "Make it smaller and add it again.",
            reason="too_many_bytes",
            name=name,
            bytes=size,
            limit=limit,
        )
    if not size:
        raise BadRequestError(
            Sentence("“{name}” is an empty file.", name=name),
            "Look whether it was saved or copied completely, and add it again.",
            reason="empty",
            name=name,
        )


def check_pixels(size: tuple[int, int], limit: int, name: str) -> None:
    """Raise `BadRequestError` for a picture, or a frame, that is too large to be decoded here."""
    width, height = size
    if width * height > limit:
        raise BadRequestError(
            Sentence(
                "“{name}” has {width} x {height} pixels; at most {millions} million in all can be "
                "read here.",
                name=name,
                width=width,
                height=height,
                millions=round(limit / 1e6, 1),
            ),
            "Scale it down and add it again.",
            reason="too_many_pixels",
            name=name,
            width=width,
            height=height,
            limit=limit,
        )


def wrong_type_error(
    name: str, wanted: Literal["picture", "video"], kind: FileType
) -> BadRequestError:
    """The error for a file that is not of the wanted type, or of a type that is not read here."""
    useful = PICTURES if wanted == "picture" else VIDEOS
    unread = kind.family == wanted
    code = "“{name}” is {title}, which is not read here."
    if not unread:
        code = {
            "picture": "“{name}” is {title}, not a picture.",
            "video": "“{name}” is {title}, not a video.",
        }[wanted]
    return BadRequestError(
        Sentence(code, name=name, title=kind.title),
        kind.advice or (_USE_PICTURES if wanted == "picture" else _USE_VIDEOS),
        reason="unusual" if unread else f"not_a_{wanted}",
        name=name,
        kind=kind.id,
        formats=useful,
    )


_USE_PICTURES = Sentence("Use {formats}.", formats=PICTURES)
_USE_VIDEOS = Sentence("Use {formats}.", formats=Sentence(VIDEOS))


def damaged_file_error(name: str, kind: FileType) -> BadRequestError:
    """The error for a file that its decoder cannot read."""
    return BadRequestError(
        Sentence(
            "“{name}” is {title}, but it is damaged or incomplete.",
            name=name,
            title=kind.title,
        ),
        "Save or copy it again, and add the new one.",
        reason="damaged",
        name=name,
        kind=kind.id,
    )


def megabytes(size: int) -> str:
    """A number of bytes as people write it: `31.2 MB`."""
    return f"{size / 1e6:,.1f} MB" if size % 1_000_000 else f"{size // 1_000_000:,} MB"


def _unsupported_error(name: str, kind: FileType) -> BadRequestError:
    return BadRequestError(
        Sentence(
            "“{name}” is {title} of a kind that is not read here.",
            name=name,
            title=kind.title,
        ),
        "Save it as PNG and add that.",
        reason="unusual",
        name=name,
        kind=kind.id,
    )


def open_picture(kind: str, data: bytes) -> "ImageFile":
    """A picture's file opened by the decoder of its kind, not decoded yet.

    Raises `ModuleNotFoundError` where there is none, and for a damaged file what the decoder does.
    """
    from PIL import features

    if kind in _OPTIONAL and not features.check(kind):
        raise ModuleNotFoundError(f"Pillow has no decoder for {kind} here")
    # Not Image.open: it lets every plugin try, and judges the size before we do.
    module, name = _DECODERS[kind]
    return getattr(importlib.import_module(module), name)(BytesIO(data))


def _check_complete(kind: FileType, bare: StrippedFile, pixels: "Image") -> None:
    """Raise `DamagedFileError` if pixels of a file that ends early are made up."""
    other, _ = _decode(open_picture(kind.id, bare.probe), pixels.size)
    if other.tobytes() != pixels.tobytes():
        raise DamagedFileError("it breaks off before its last pixel")


def _decode(image: "ImageFile", size: tuple[int, int]) -> "tuple[Image, bool]":
    """The pixels in RGB at a size, and whether their brightness was stretched."""
    from PIL.Image import Resampling

    image.draft(None, size)  # a JPEG can be decoded at a half, a quarter, an eighth of its size
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _decode_deep(image, size)
    pixels = image
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        pixels = image.convert("RGB")
    if pixels.size != size:
        pixels = pixels.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    return on_white(pixels), False


def _decode_deep(image: "Image", size: tuple[int, int]) -> "tuple[Image, bool]":
    """Grey of 16 bits or more, as numbers of any range."""
    import numpy
    from PIL import Image
    from PIL.Image import Resampling

    values = numpy.array(image, dtype=numpy.float32)
    if isinstance(transparent := image.info.get("transparency"), int):
        values[values == transparent] = 65535.0  # on white
    numpy.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)
    low, high, stretched = 0.0, 65535.0, False
    # Cameras and scanners put 12 bits into 16, which would be all but black.
    if image.mode in ("I", "F") or 0 < values.max() < 4096:
        low, high, stretched = min(0.0, float(values.min())), float(values.max()), True
    if image.size != size:
        scaled = Image.fromarray(values).resize(size, Resampling.LANCZOS, reducing_gap=3.0)
        values = numpy.asarray(scaled)
    grey = (values - low) * (255.0 / max(high - low, 1e-12))
    grey = grey.round().clip(0, 255).astype(numpy.uint8)
    return Image.fromarray(grey).convert("RGB"), stretched


def _frames_note(kind: FileType, frames: int) -> str:
    if kind.id == "tiff":
        return "first of several pages"
    if kind is GIF:
        return "first frame of an animation"
    return Sentence("first of {n} frames", n=frames)


def encoded(image: "Image", format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
