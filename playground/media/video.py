"""Video clips that a visitor adds: a few of their frames, as pictures for a model."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from io import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from backends import BadRequestError, Sentence

from .animation import ANIMATIONS, Animation, frame_count
from .clip import MAX_DECODED, Clip
from .filetypes import GIF, HEAD_BYTES, FileType, detect_type
from .frame_index import FrameIndex, timecode
from .pictures import (
    MAX_FILE_NAME,
    Picture,
    PictureLimits,
    check_size,
    damaged_file_error,
    display_name,
    encode,
    wrong_type_error,
)
from .sanitize import DamagedFileError, strip_metadata

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

SCENE_CORRELATION = 0.9
"""Two frames whose grey histograms (256 bins) correlate less belong to two scenes.

The rule of the key frames of Microsoft's Phi-3.5-vision demonstration, `phi35-vision-demo.ipynb`.
"""
SCENE_RATE = 5
"""Frames of a second that are compared, so that a fade over half a second counts as a change."""


def is_clip(source: bytes | Path) -> bool:
    """True if the content of a file is for `read_frames`: a video, or a picture that moves.

    A video that cannot be read is one too: `read_frames` says so. Raises `BadRequestError` for a
    folder.
    """
    if isinstance(source, Path):
        with _open_file(source, source.name) as file:
            head = file.read(HEAD_BYTES)
            return _is_clip(head, lambda: head + file.read())
    return _is_clip(source[:HEAD_BYTES], lambda: source)


def _open_file(path: Path, name: str) -> BinaryIO:
    if path.is_dir():
        name = display_name(name, "folder")
        raise BadRequestError(
            Sentence("“{name}” is a folder.", name=name),
            "Add the files in it.",
            reason="folder",
            name=name,
        )
    return path.open("rb")


def _is_clip(head: bytes, whole: Callable[[], bytes]) -> bool:
    kind = detect_type(head)
    if kind in ANIMATIONS:
        return frame_count(kind, whole()) > 1
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
    each (`FrameIndex.evenly_spaced`): fewer frames where one of them stands for long.
    `scenes` takes the frame before each change of scene (`SCENE_CORRELATION`, `SCENE_RATE`) and
    the last frame; of too many it chooses evenly, and where nothing changes it does as `even`.
    Notes on the whole clip are notes of the first picture.

    Frames are upright, with square pixels, on white, at most `MAX_FRAME_SIDE` pixels a side;
    `count` is at most `limits.frames`. A clip that breaks off gives what could be read.
    `cancelled` is asked between frames, from the thread this runs in; then the list is empty.
    Raises `BadRequestError`.
    """
    name = display_name(name, "clip")
    if isinstance(source, Path):
        with _open_file(source, name) as file:
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
    count = max(1, min(count, limits.frames))
    with _open_clip(file, kind, name, limits, cancelled) as clip:
        index = clip.index()
        if cancelled():
            return []
        _check_length(index, name, limits)
        notes: list[str] = [
            Sentence("breaks off at {time}", time=timecode(index.seconds(index.times[-1])))
        ] * index.breaks_off
        times: Sequence[int] = ()
        if spacing == "scenes":
            times, scene_notes = _scene_changes(clip, index, count)
            notes += scene_notes
        if not times:
            times = index.evenly_spaced(count)
            notes += _count_note(spacing, len(times), len(index.times), count)
        pictures = [
            _picture(clip, frame, index.seconds(time), name, () if place else notes)
            for place, (time, frame) in enumerate(clip.frames_at(times, index))
        ]
    if cancelled():
        return []
    if not pictures:
        raise damaged_file_error(name, kind)
    return pictures


def _open_clip(
    file: BinaryIO,
    kind: FileType,
    name: str,
    limits: PictureLimits,
    cancelled: Callable[[], bool],
) -> "Clip | Animation":
    if kind in ANIMATIONS:
        size = file.seek(0, SEEK_END)
        check_size(size, limits.file_bytes, name)
        file.seek(0)
        data = file.read()
        if frame_count(kind, data) > 1:
            return Animation(data, kind, name, limits, cancelled)
    if kind is GIF or (kind.family == "video" and kind.readable):
        return Clip(file, kind, name, limits, cancelled)
    raise wrong_type_error(name, "video", kind)


def _count_note(spacing: str, taken: int, frames: int, count: int) -> Sequence[str]:
    """Why there are fewer frames than were asked for, if there are."""
    if taken < min(frames, count):
        return [
            Sentence(
                "stands still for long: {taken} of {count} frames taken", taken=taken, count=count
            )
        ]
    if frames < count and spacing == "even":
        return [Sentence("it has only {n} frames", one="it has only one frame", n=frames)]
    return []


def _picture(
    clip: "Clip | Animation", frame: Any, seconds: float, name: str, notes: Sequence[str]
) -> Picture:
    place = f" at {timecode(seconds)}"
    name = display_name(name, "clip", MAX_FILE_NAME - len(place)) + place
    return encode(clip.image(frame), name, lossy=clip.lossy, notes=notes)


def _check_length(index: FrameIndex, name: str, limits: PictureLimits) -> None:
    length = index.seconds(index.times[-1])
    if length > limits.video_seconds:
        raise BadRequestError(
            Sentence(
                "“{name}” is {length} long; at most {limit} fit here.",
                name=name,
                length=timecode(length),
                limit=timecode(limits.video_seconds),
            ),
            "Cut out the part you mean and add that.",
            reason="too_long",
            name=name,
            seconds=length,
            limit=limits.video_seconds,
        )


def _scene_changes(
    clip: "Clip | Animation", index: FrameIndex, count: int
) -> tuple[list[int], list[str]]:
    """The times of the frames before a change of scene and of the last frame, and notes."""
    only_keys = len(index.times) > MAX_DECODED and len(index.keys) > 1
    notes = ["compared by keyframes"] if only_keys else []
    step = Fraction(1, SCENE_RATE) / index.time_base
    changes: list[int] = []
    before: tuple[int, NDArray[Any]] | None = None
    last: int | None = None
    for time, frame in clip.frames(only_keys):
        if before is None or time - before[0] >= step:
            histogram = _histogram(clip, frame)
            if before and _correlation(before[1], histogram) < SCENE_CORRELATION:
                changes.append(before[0])
            before = time, histogram
        last = time
    if not changes or last is None:
        return [], [*notes, "no change of scene found: evenly spaced frames"]
    scenes = [*changes, last]
    if len(scenes) > count:
        places = [len(scenes) - 1] if count == 1 else range(count)
        chosen = [scenes[round(n * (len(scenes) - 1) / max(1, count - 1))] for n in places]
        return chosen, [
            *notes,
            Sentence("{count} of {scenes} scenes", count=count, scenes=len(scenes)),
        ]
    return scenes, notes


def _histogram(clip: "Clip | Animation", frame: Any) -> "NDArray[Any]":
    import numpy

    return numpy.bincount(clip.grey(frame).ravel(), minlength=256).astype(numpy.float64)


def _correlation(one: "NDArray[numpy.float64]", other: "NDArray[numpy.float64]") -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float((one @ one) * (other @ other)) ** 0.5
    return float(one @ other) / size if size else 1.0
