"""Video clips that a visitor adds: a few of their frames, as pictures for a model."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from backends import BadRequestError

from .filetypes import GIF, HEAD_BYTES, FileType, detect_type
from .pictures import (
    MAX_FILE_NAME,
    Picture,
    PictureLimits,
    apply_orientation,
    check_pixels,
    check_size,
    damaged_file_error,
    display_name,
    encode,
    fit_within,
    on_white,
    wrong_type_error,
)
from .sanitize import DamagedFileError, strip_metadata

if TYPE_CHECKING:
    import numpy
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

MAX_FRAME_SIDE = 1280
"""Pixels of a frame's longer side: the size of the course's own frames."""
SCENE_CORRELATION = 0.9
"""Two frames whose grey histograms (256 bins) correlate less belong to two scenes.

The rule of the key frames of Microsoft's Phi-3.5-vision demonstration, `phi35-vision-demo.ipynb`.
"""
SCENE_RATE = 5
"""Frames of a second that are compared, so that a fade over half a second counts as a change."""
MAX_FRAMES = 500_000
"""Of a clip: an hour at 120 a second, with some to spare."""
MAX_DECODED = 9_000
"""Frames decoded one after the other, five minutes of an ordinary clip; beyond, keyframes only."""
LARGE_FRAME = 2_100_000
"""Pixels up to which a frame counts as one; larger ones count as several."""
KEYFRAME_STRETCH = 5.0
"""Seconds from which on an evenly spaced frame may be a keyframe near the middle of its stretch."""
MAX_KEYFRAME_DISTANCE = Fraction(1, 10)
"""Distance from the middle of a stretch within which a keyframe is taken, in stretches."""

CODECS = (
    *("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "libdav1d", "av1", "mpeg4", "gif"),
    *("mpeg1video", "mpeg2video", "mjpeg", "msmpeg4v2", "msmpeg4", "h263", "theora", "prores"),
)
"""FFmpeg's decoders that may run: those of cameras, phones, screen recorders and browsers."""


@dataclass(frozen=True, slots=True)
class _Index:
    """Presentation times of all frames, in `time_base` seconds, from reading the whole file."""

    times: tuple[int, ...]
    keys: tuple[int, ...]
    """Of those, the ones that can be decoded without others; empty where one cannot seek."""
    time_base: Fraction
    breaks_off: bool
    """True if the file ends before its declared length."""

    def seconds(self, time: int) -> float:
        """A frame's time from the start of the clip, in seconds."""
        return float((time - self.times[0]) * self.time_base)


def is_clip(source: bytes | Path) -> bool:
    """True if the content of a file is for `read_frames`: a video, or a GIF that moves."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
            return _is_clip(head, lambda: head + file.read())
    return _is_clip(source[:HEAD_BYTES], lambda: source)


def _is_clip(head: bytes, whole: Callable[[], bytes]) -> bool:
    kind = detect_type(head)
    if kind is not GIF:
        return kind.family == "video"
    try:
        return strip_metadata(kind.id, whole()).frames > 1
    except DamagedFileError:
        return False


def read_frames(
    source: Path | BinaryIO,
    name: str,
    spacing: Literal["even", "scenes"],
    count: int,
    limits: PictureLimits,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Picture]:
    """Take up to `count` frames of a clip, in their order, named like `clip.mp4 at 0:03.2`.

    `even` cuts the clip into `count` equal stretches and takes the frame shown in the middle of
    each; of stretches of `LONG_STRETCH` or more a keyframe near it, which is found at once.
    `scenes` takes the frame before each change of scene (`SCENE_CORRELATION`, `SCENE_RATE`) and
    the last frame; of too many it chooses evenly, and where nothing changes it does as `even`.
    Notes on the whole clip are notes of the first picture.

    Frames are upright, with square pixels, at most `SIDE` pixels a side; `count` is at most
    `limits.frames`. A clip that breaks off gives what could be read. `cancelled` is asked between
    frames, from the thread this runs in; then the list is empty. Raises `BadRequestError`.
    """
    name = display_name(name, "clip")
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _read_frames(file, name, spacing, count, limits, cancelled)
    return _read_frames(source, name, spacing, count, limits, cancelled)


def _read_frames(
    file: BinaryIO,
    name: str,
    spacing: Literal["even", "scenes"],
    count: int,
    limits: PictureLimits,
    cancelled: Callable[[], bool],
) -> list[Picture]:
    check_size(file.seek(0, SEEK_END), limits.video_bytes, name)
    file.seek(0)
    kind = detect_type(file.read(HEAD_BYTES))
    if kind.family != "video" and kind is not GIF:
        raise wrong_type_error(name, "video", kind)
    count = max(1, min(count, limits.frames))
    with _Clip(file, kind, name, limits, cancelled) as clip:
        index = clip.index()
        if cancelled():
            return []
        _check_length(index, name, limits)
        notes = [f"breaks off at {timecode(index.seconds(index.times[-1]))}"] * index.breaks_off
        times: Sequence[int] = ()
        if spacing == "scenes":
            times, scene_notes = _scene_changes(clip, index, count)
            notes += scene_notes
        times = times or _evenly_spaced(index, count)
        if spacing == "even" and len(index.times) < count:
            number = len(index.times)
            notes.append("it has only one frame" if number == 1 else f"it has only {number} frames")
        pictures = [
            clip.picture(frame, index.seconds(time), () if place else notes)
            for place, (time, frame) in enumerate(clip.frames_at(times, index))
        ]
    if cancelled():
        return []
    if not pictures:
        raise damaged_file_error(name, kind)
    return pictures


def timecode(seconds: float) -> str:
    """A time in a clip as players show it, with tenths of a second: `0:03.2`, `1:02:03.0`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"


def _check_length(index: _Index, name: str, limits: PictureLimits) -> None:
    length = index.seconds(index.times[-1])
    if length > limits.video_seconds:
        raise BadRequestError(
            f"“{name}” is {timecode(length)} long; "
            f"at most {timecode(limits.video_seconds)} fit here.",
            "Cut out the part you mean and add that.",
            reason="too_long",
            name=name,
            seconds=length,
            limit=limits.video_seconds,
        )


def _evenly_spaced(index: _Index, count: int) -> list[int]:
    """The times of the frames shown in the middle of each of `count` equal stretches."""
    times, keys = index.times, index.keys
    if len(times) <= count:
        return list(times)
    # The last frame is shown as long as the others are on average.
    stretch = Fraction(times[-1] - times[0]) * Fraction(len(times), len(times) - 1) / count
    near = stretch * MAX_KEYFRAME_DISTANCE if stretch * index.time_base >= KEYFRAME_STRETCH else 0
    chosen: list[int] = []
    for number in range(count):
        middle = times[0] + stretch * Fraction(2 * number + 1, 2)
        shown = times[max(0, bisect_right(times, middle) - 1)]
        place = bisect_right(keys, middle)
        around = keys[max(0, place - 1) : place + 1]
        key = min(around, key=lambda key: abs(key - middle), default=shown)
        chosen.append(key if abs(key - middle) <= near else shown)
    return sorted(set(chosen))


def _scene_changes(clip: "_Clip", index: _Index, count: int) -> tuple[list[int], list[str]]:
    """The times of the frames before a change of scene and of the last frame, and notes."""
    only_keys = len(index.times) > MAX_DECODED and len(index.keys) > 1
    notes = ["compared by keyframes"] if only_keys else []
    step = Fraction(1, SCENE_RATE) / index.time_base
    changes: list[int] = []
    before: tuple[int, NDArray[Any]] | None = None
    last: tuple[int, VideoFrame] | None = None
    for time, frame in clip.frames(only_keys):
        if before is None or time - before[0] >= step:
            histogram = _histogram(frame)
            if before and _correlation(before[1], histogram) < SCENE_CORRELATION:
                changes.append(before[0])
            before = time, histogram
        last = time, frame
    if not changes or last is None:
        return [], [*notes, "no change of scene found: evenly spaced frames"]
    scenes = [*changes, last[0]]
    if len(scenes) > count:
        places = [len(scenes) - 1] if count == 1 else range(count)
        chosen = [scenes[round(n * (len(scenes) - 1) / max(1, count - 1))] for n in places]
        return chosen, [*notes, f"{count} of {len(scenes)} scenes"]
    return scenes, notes


def _histogram(frame: "VideoFrame") -> "NDArray[Any]":
    import numpy

    width, height = fit_within((frame.width, frame.height), 320 * 320)
    # Without interpolation: it would make greys that are in no frame.
    grey = frame.reformat(width=width, height=height, format="gray", interpolation="POINT")
    return numpy.bincount(grey.to_ndarray().ravel(), minlength=256).astype(numpy.float64)


def _correlation(one: "NDArray[numpy.float64]", other: "NDArray[numpy.float64]") -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float((one @ one) * (other @ other)) ** 0.5
    return float(one @ other) / size if size else 1.0


class _Clip:
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
        self._open()

    def __enter__(self) -> "_Clip":
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
                f"“{self._name}” has no pictures in it, only sound or other data.",
                "Add a video, or a picture.",
                reason="no_video",
                name=self._name,
            )
        stream = streams[0]
        context = cast("VideoCodecContext | None", stream.codec_context)
        if context is None or context.name not in CODECS:
            codec = f" ({context.name})" if context is not None else ""
            raise BadRequestError(
                f"“{self._name}” is a video in a format that is not read here{codec}.",
                "Save it as MP4 (H.264) and add that.",
                reason="codec",
                name=self._name,
            )
        check_pixels((context.width, context.height), self._limits.pixels, self._name)
        context.options = {"max_pixels": str(self._limits.pixels)}
        context.thread_count = 2
        context.thread_type = "AUTO"
        for other in self._container.streams:
            if other is not stream:
                other.discard = Discard.all
        return stream

    def index(self) -> _Index:
        """Read the file to its end, without decoding anything."""
        from av.error import FFmpegError

        times: list[int] = []
        keys: list[int] = []
        broken = False
        try:
            for packet in self._packets():
                time = packet.pts if packet.pts is not None else packet.dts
                if time is None or packet.is_discard:
                    continue
                times.append(time)
                if packet.is_keyframe:
                    keys.append(time)
                if len(times) > MAX_FRAMES:
                    raise BadRequestError(
                        f"“{self._name}” has more than {MAX_FRAMES:,} frames.",
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
                return _Index((0,), (), Fraction(1), False)
            raise damaged_file_error(self._name, self._kind)
        times, keys = sorted(set(times)), sorted(set(keys))
        length = float((times[-1] - times[0]) * base)
        broken = broken or self._declared_length() > length * 1.1 + 1
        if self._kind is GIF:  # each frame of a GIF is drawn over those before
            keys = []
        self._open_again()
        return _Index(tuple(times), tuple(keys), base, broken)

    def _declared_length(self) -> float:
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base:
            return float(stream.duration * stream.time_base)
        return (container.duration or 0) / 1e6

    def frames(self, only_keys: bool = False) -> "Iterator[tuple[int, VideoFrame]]":
        """All frames with their times, from the start; `only_keys` skips the others cheaply."""
        self._open_again()
        if only_keys:
            self._stream.codec_context.skip_frame = "NONKEY"
        yield from self._decode(only_keys)
        self._open_again()

    def frames_at(self, times: Sequence[int], index: _Index) -> "Iterator[tuple[int, VideoFrame]]":
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

    def picture(self, frame: "VideoFrame", seconds: float, notes: Sequence[str]) -> Picture:
        """A frame upright, with square pixels, scaled down, as a picture."""
        from PIL import Image

        place = f" at {timecode(seconds)}"
        name = display_name(self._name, "clip", MAX_FILE_NAME - len(place)) + place
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 8) < aspect < 8:
            aspect = Fraction(1)
        wide = (max(1, round(frame.width * aspect)), frame.height)
        width, height = fit_within(wide, self._limits.kept_pixels, MAX_FRAME_SIDE)
        scaled = frame.reformat(
            width=width,
            height=height,
            format="rgba" if self._kind is GIF else "rgb24",
            interpolation="LANCZOS",
            src_colorspace=_colorspace(frame),
        )
        image = on_white(Image.fromarray(scaled.to_ndarray()))
        turned = {90: 8, 180: 3, -180: 3, -90: 6}.get(frame.rotation, 1)
        lossy = self._kind is not GIF
        return encode(apply_orientation(image, turned), name, lossy=lossy, notes=notes)


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
