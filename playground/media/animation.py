"""Animated pictures (PNG, WebP, AVIF) as clips: their frames, decoded by Pillow."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from backends import BadRequestError, Sentence

from .filetypes import AVIF, PNG, WEBP, FileType
from .frame_index import COMPARED_PIXELS, MAX_FRAME_SIDE, FrameIndex
from .pictures import (
    PictureLimits,
    apply_orientation,
    check_pixels,
    damaged_file_error,
    fit_within,
    is_lossy,
    on_white,
    open_picture,
)
from .sanitize import exif_orientation, strip_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

ANIMATIONS = (PNG, WEBP, AVIF)
"""Types whose files may be animated; GIF is read as a video, by FFmpeg."""
MAX_WORK = 20_000_000_000
"""Pixels of all frames together: 9,000 frames of full HD. Each is decoded twice."""
_SHORTEST, _USUAL = 10, 100
"""Milliseconds: browsers show a frame that asks for no more than the first for the second."""


def frame_count(kind: FileType, data: bytes) -> int:
    """The number of frames of a file of one of `ANIMATIONS`; 0 if it cannot be read."""
    try:
        if kind is PNG:
            return strip_metadata(kind.id, data).frames
        return getattr(open_picture(kind.id, strip_metadata(kind.id, data).data), "n_frames", 1)
    except Exception:  # decoders raise anything
        return 0


class Animation:
    """An open animated picture. Times are milliseconds."""

    def __init__(
        self,
        data: bytes,
        kind: FileType,
        name: str,
        limits: PictureLimits,
        cancelled: Callable[[], bool],
    ) -> None:
        self._kind, self._name = kind, name
        self._limits, self._cancelled = limits, cancelled
        self.lossy = is_lossy(kind, data)
        try:
            bare = strip_metadata("apng" if kind is PNG else kind.id, data)
            self._data, self._ends_early = bare.data, bare.ends_early
            self._image = self._open()
        except Exception as error:
            raise damaged_file_error(name, kind) from error
        exif = exif_orientation(self._image.info.get("exif") or b"")
        self._turned = max(bare.orientation, exif)
        # A PNG may begin with a picture for those who cannot show animations.
        self._first = int(getattr(self._image, "default_image", False))
        self._count = int(getattr(self._image, "n_frames", 1))
        check_pixels(self._image.size, limits.pixels, name)
        width, height = self._image.size
        if self._count * width * height > MAX_WORK:
            raise BadRequestError(
                Sentence(
                    "“{name}” has {count} frames of {width} x {height} pixels.",
                    name=name,
                    count=self._count,
                    width=width,
                    height=height,
                ),
                "Cut out the part you mean and add that.",
                reason="too_long",
                name=name,
                limit=MAX_WORK,
            )

    def __enter__(self) -> "Animation":
        return self

    def __exit__(self, *error: object) -> None:
        self._image.close()

    def _open(self) -> "ImageFile":
        return open_picture("png" if self._kind is PNG else self._kind.id, self._data)

    def index(self) -> FrameIndex:
        """Decode the file to its end, for the times of its frames."""
        shown = [(start, end) for start, end, _ in self._decode()]
        if not shown and not self._cancelled():
            raise damaged_file_error(self._name, self._kind)
        missing = len(shown) < self._count - self._first
        return FrameIndex(
            times=tuple(start for start, _ in shown) or (0,),
            keys=(),
            time_base=Fraction(1, 1000),
            end=shown[-1][1] if shown else 0,
            # A WebP does not say how many frames it has.
            breaks_off=missing or (self._kind is WEBP and self._ends_early),
        )

    def frames(self, only_keys: bool = False) -> "Iterator[tuple[int, Image]]":
        """All frames with their times, from the start. There are no keyframes."""
        return ((start, image) for start, _, image in self._decode())

    def frames_at(self, times: Sequence[int], index: FrameIndex) -> "Iterator[tuple[int, Image]]":
        """The frames that begin at some times of the index, in order."""
        return ((time, image) for time, image in self.frames() if time in times)

    def grey(self, image: "Image") -> "NDArray[Any]":
        """A frame in grey, scaled down without interpolation, to be compared."""
        import numpy
        from PIL.Image import Resampling

        small = image.resize(fit_within(image.size, COMPARED_PIXELS), Resampling.NEAREST)
        return numpy.asarray(on_white(small).convert("L"))

    def image(self, image: "Image") -> "Image":
        """A frame upright, on white, scaled down."""
        from PIL.Image import Resampling

        size = fit_within(image.size, self._limits.kept_pixels, MAX_FRAME_SIDE)
        opaque = on_white(image)
        scaled = opaque if size == image.size else opaque.resize(size, Resampling.LANCZOS)
        return apply_orientation(scaled, self._turned)

    def _decode(self) -> "Iterator[tuple[int, int, Image]]":
        """Each frame with when it is shown and when no longer."""
        self._image.close()
        self._image, clock = self._open(), 0.0
        for number in range(self._first, self._count):
            if self._cancelled():
                return
            try:
                self._image.seek(number)
                self._image.load()
            except Exception:  # it breaks off, or is damaged from here on
                return
            start, duration = clock, float(self._image.info.get("duration") or 0)
            clock += duration if duration > _SHORTEST else _USUAL
            yield round(start), round(clock), self._image
