"""A video file, decoded by FFmpeg: when its frames are shown, and their pictures."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, cast

from backends import BadRequestError, Sentence

from .alpha import AlphaDecoder, has_alpha_beside
from .declared_size import is_cut_off
from .filetypes import GIF, FileType
from .frame_index import COMPARED_PIXELS, MAX_FRAME_SIDE, FrameIndex
from .pictures import (
    PictureLimits,
    apply_orientation,
    check_pixels,
    damaged_file_error,
    fit_within,
    on_white,
)

if TYPE_CHECKING:
    from typing import Any

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray
    from PIL.Image import Image

MAX_FRAMES = 500_000
"""Of a clip: an hour at 120 a second, with some to spare."""
MAX_DECODED = 9_000
"""Frames decoded one after the other, five minutes of an ordinary clip; beyond, keyframes only."""
LARGE_FRAME = 2_100_000
"""Pixels up to which a frame counts as one; larger ones count as several."""

CODECS = (
    *("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "libdav1d", "av1", "mpeg4", "gif"),
    *("mpeg1video", "mpeg2video", "mjpeg", "msmpeg4v2", "msmpeg4", "h263", "theora", "prores"),
    *("png", "qtrle"),
)
"""FFmpeg's decoders that may run: those of cameras, phones, browsers, and programs that draw."""
_DURATION = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")
"""The tag with which FFmpeg and mkvmerge say when a track of a Matroska file ends."""
MAX_DECLARED = 86_400.0
"""Seconds that a header is believed: beyond a day it is no clip's length, but damaged."""


class Clip:
    """An open video file, decoded by FFmpeg with a demuxer and decoders that we chose."""

    def __init__(
        self,
        file: BinaryIO,
        kind: FileType,
        name: str,
        limits: PictureLimits,
        cancelled: Callable[[], bool],
    ) -> None:
        self._file, self._kind, self._name = file, kind, name
        self._limits, self._cancelled = limits, cancelled
        self.lossy = kind is not GIF
        self._open()

    def __enter__(self) -> "Clip":
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()

    def _open(self) -> None:
        import av

        self._file.seek(0)
        try:
            self._container: InputContainer = av.open(
                _NamelessFile(self._file),
                "r",
                format=self._kind.id,  # never guessed: playlists name other files
                io_open=_refuse_to_open,
                buffer_size=1 << 17,
                options={
                    "codec_whitelist": ",".join(CODECS),
                    "max_pixels": str(self._limits.pixels),
                    "threads": "1",
                },
            )
        except Exception as error:  # FFmpeg's errors are of many kinds
            raise damaged_file_error(self._name, self._kind) from error
        try:
            self._stream = self._select_stream()
        except BadRequestError:
            self._container.close()
            raise

    def _select_stream(self) -> "VideoStream":
        from av.stream import Discard, Disposition

        cover = Disposition.attached_pic
        streams = [s for s in self._container.streams.video if not s.disposition & cover]
        if not streams:
            raise BadRequestError(
                Sentence(
                    "“{name}” has no pictures in it, only sound or other data.", name=self._name
                ),
                "Add a video, or a picture.",
                reason="no_video",
                name=self._name,
            )
        stream = streams[0]
        context = cast("VideoCodecContext | None", stream.codec_context)
        if context is None or context.name not in CODECS:
            raise BadRequestError(
                Sentence(
                    "“{name}” is a video in a format that is not read here ({codec}).",
                    name=self._name,
                    codec=context.name,
                )
                if context
                else Sentence(
                    "“{name}” is a video in a format that is not read here.", name=self._name
                ),
                "Save it as MP4 (H.264) and add that.",
                reason="codec",
                name=self._name,
            )
        check_pixels((context.width, context.height), self._limits.pixels, self._name)
        context.options = {"max_pixels": str(self._limits.pixels)}
        context.thread_count = 2
        context.thread_type = "AUTO"
        self._alpha = None
        if has_alpha_beside(stream):
            self._alpha = AlphaDecoder(context.name, self._limits.pixels)
        for other in self._container.streams:
            if other is not stream:
                other.discard = Discard.all
        return stream

    def index(self) -> FrameIndex:
        """Read the file to its end, without decoding anything."""
        from av.error import FFmpegError

        times: list[int] = []
        keys: list[int] = []
        end, broken = 0, False
        try:
            for packet in self._packets():
                time = packet.pts if packet.pts is not None else packet.dts
                if time is None or packet.is_discard:
                    continue
                times.append(time)
                end = max(end, time + (packet.duration or 0))
                broken = packet.is_corrupt  # of the last one: the file ends in it
                if packet.is_keyframe:
                    keys.append(time)
                if len(times) > MAX_FRAMES:
                    raise BadRequestError(
                        Sentence(
                            "“{name}” has more than {n} frames.", name=self._name, n=MAX_FRAMES
                        ),
                        "Cut out the part you mean and add that.",
                        reason="too_long",
                        name=self._name,
                        limit=MAX_FRAMES,
                    )
        except FFmpegError:
            broken = True
        base = self._stream.time_base
        if not times or not base:
            if self._cancelled():
                return FrameIndex((0,), (), Fraction(1))
            raise damaged_file_error(self._name, self._kind)
        times, keys = sorted(set(times)), sorted(set(keys))
        earliest = cast("int | None", self._container.start_time)
        start = 0.0 if earliest is None else float(times[0] * base) - earliest / 1e6
        broken = broken or is_cut_off(self._file, self._kind.id)
        declared = self._declared_end(times[0])
        if broken:
            end = 0
        elif 0 < declared - times[0] * base <= MAX_DECLARED:
            end = int(declared / base)
        # Each frame of a GIF is drawn over those before; masks have keyframes of their own.
        if self._kind is GIF or self._alpha:
            keys = []
        self._open_again()
        return FrameIndex(
            times=tuple(times),
            keys=tuple(keys),
            time_base=base,
            end=end,
            start=start if 0.0 < start <= MAX_DECLARED else 0.0,
            breaks_off=broken,
        )

    def _declared_end(self, first: int) -> Fraction:
        """When the last frame ceases to be shown, in seconds; 0 if nothing says so.

        It may stand for long, as in recordings of screens. What the track itself says counts: its
        sound may be longer. Matroska says it in a tag of its muxer or only for the whole file, and
        in a recording of a browser not at all: then it is the end of the sound.
        """
        stream, container = self._stream, self._container
        if tag := _DURATION.fullmatch(stream.metadata.get("DURATION", "")):
            return 3600 * int(tag[1]) + 60 * int(tag[2]) + Fraction(tag[3])
        if stream.duration is not None and stream.time_base:
            begin = first if stream.start_time is None else stream.start_time
            return (begin + stream.duration) * stream.time_base
        if container.duration is not None:
            return Fraction((container.start_time or 0) + container.duration, 1_000_000)
        return self._sound_end()

    def _sound_end(self) -> Fraction:
        """When the sound ends, in seconds, from reading the file once more; 0 without any."""
        from av.error import FFmpegError
        from av.stream import Discard

        self._open_again()
        end = Fraction(0)
        with suppress(FFmpegError):  # it breaks off
            for sound in self._container.streams.audio[:1]:
                sound.discard = Discard.default
                for packet in self._container.demux(sound):
                    if self._cancelled():
                        break
                    if packet.pts is not None and packet.time_base:
                        ticks = packet.pts + (packet.duration or 0)
                        end = max(end, ticks * packet.time_base)
        return end

    def frames(self, only_keys: bool = False) -> "Iterator[tuple[int, VideoFrame]]":
        """All frames with their times, from the start; `only_keys` skips the others cheaply."""
        self._open_again()
        if only_keys:
            self._stream.codec_context.skip_frame = "NONKEY"
        yield from self._decode(only_keys)
        self._open_again()

    def frames_at(
        self, times: Sequence[int], index: FrameIndex
    ) -> "Iterator[tuple[int, VideoFrame]]":
        """The frames shown at some times of the index, in order, with when they are shown."""
        frames, at, keys = self._decode(), index.times[0], index.keys
        for wanted in times:
            place = bisect_right(keys, wanted)
            if place and keys[place - 1] > at:
                frames = self._decode_from(keys[place - 1])
            found = next(((time, frame) for time, frame in frames if time >= wanted), None)
            if keys and (found is None or (found[0] > wanted and wanted > at)):
                # Seeking led too far: this clip is read from the start.
                self._open_again()
                frames, keys = self._decode(), ()
                found = next(((time, frame) for time, frame in frames if time >= wanted), None)
            if found is None:
                return
            at = found[0]
            yield found

    def _decode_from(self, time: int) -> "Iterator[tuple[int, VideoFrame]]":
        from av.error import FFmpegError

        try:
            self._container.seek(time, stream=self._stream)
        except FFmpegError:
            self._open_again()
        return self._decode()

    def _decode(self, only_keys: bool = False) -> "Iterator[tuple[int, VideoFrame]]":
        from av.error import FFmpegError

        limit, decoded = self._limits.pixels, 0.0
        try:
            for packet in self._packets(flush=True):
                if only_keys and packet.size and not packet.is_keyframe:
                    continue
                if self._alpha:
                    self._alpha.feed(packet)
                try:
                    frames = packet.decode()
                except FFmpegError:
                    continue  # a damaged frame; the next may be whole
                for frame in frames:
                    time = frame.pts if frame.pts is not None else frame.dts
                    pixels = frame.width * frame.height
                    # A frame may be larger than the header declares.
                    if time is not None and pixels <= limit:
                        yield time, frame
                    decoded += max(1.0, pixels / LARGE_FRAME)
                if decoded > 4 * MAX_DECODED:
                    return
        except FFmpegError:
            return  # the file breaks off

    def _packets(self, flush: bool = False) -> "Iterator[Packet[VideoStream]]":
        for packet in self._container.demux(self._stream):
            if self._cancelled():
                return
            if packet.size or flush:
                yield packet

    def _open_again(self) -> None:
        self._container.close()
        self._open()

    def grey(self, frame: "VideoFrame") -> "NDArray[Any]":
        """A frame in grey, scaled down without interpolation, to be compared."""
        import numpy

        # Interpolation would make greys that are in no frame.
        size = fit_within((frame.width, frame.height), COMPARED_PIXELS)
        if self._is_transparent(frame):
            return numpy.asarray(self._on_white(frame, size, "POINT").convert("L"))
        width, height = size
        grey = frame.reformat(width=width, height=height, format="gray", interpolation="POINT")
        return grey.to_ndarray()

    def image(self, frame: "VideoFrame") -> "Image":
        """A frame upright, with square pixels, on white, scaled down."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 8) < aspect < 8:
            aspect = Fraction(1)
        wide = (max(1, round(frame.width * aspect)), frame.height)
        size = fit_within(wide, self._limits.kept_pixels, MAX_FRAME_SIDE)
        turned = {90: 8, 180: 3, -180: 3, -90: 6}.get(frame.rotation, 1)
        return apply_orientation(self._on_white(frame, size, "LANCZOS"), turned)

    def _is_transparent(self, frame: "VideoFrame") -> bool:
        beside = self._alpha is not None and self._alpha.mask(frame) is not None
        format = frame.format
        return beside or format.has_palette or any(part.is_alpha for part in format.components)

    def _on_white(self, frame: "VideoFrame", size: tuple[int, int], interpolation: str) -> "Image":
        from PIL import Image
        from PIL.Image import Resampling

        scaled = frame.reformat(
            width=size[0],
            height=size[1],
            format="rgba" if self._is_transparent(frame) else "rgb24",
            interpolation=interpolation,
            src_colorspace=_colorspace(frame),
        )
        image = Image.fromarray(scaled.to_ndarray())
        mask = self._alpha.mask(frame) if self._alpha else None
        if mask is not None:
            image.putalpha(Image.fromarray(mask).resize(size, Resampling.BILINEAR))
        return on_white(image)


def _colorspace(frame: "VideoFrame") -> int | None:
    """The colour space of a frame that does not name one: large ones as on HD television."""
    from av.video.reformatter import Colorspace

    unspecified = 2
    if frame.colorspace == unspecified and frame.format.name.startswith("yuv"):
        return Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    return None


def _refuse_to_open(url: str, flags: int, options: object) -> BinaryIO:
    raise PermissionError("A clip may not open other files.")


class _NamelessFile:
    """A file without its name, by which FFmpeg would look for neighbouring files."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
