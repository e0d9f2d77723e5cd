"""How long a clip is: pictures that stand, come late or irregularly, and what declares it."""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from playground.media.pictures import Picture, PictureLimits
from playground.media.video import read_frames

TEN = tuple(range(10))
STANDS = ("stands still for long: 1 of 4 frames taken",)
VARIABLE = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"),
]
"""Containers that say for how long a picture stands, with a codec."""


def grey(level: int) -> numpy.ndarray:
    return numpy.full((48, 64, 3), 10 + 24 * level, dtype=numpy.uint8)


def clip(
    container: str = "mp4",
    codec: str = "libx264",
    at: Sequence[int] = TEN,
    stands: float = 0,
    sound: float = 0,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> bytes:
    """Frames of growing brightness at some tenths of a second; the last stands some seconds."""
    file = BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        stream.codec_context.gop_size = 4
        stream.options = codec_options or {}
        voice = "libopus" if container == "webm" else "aac"
        noise: Any = output.add_stream(voice, rate=48_000) if sound else None
        packets = []
        for level, tenths in enumerate(at):
            frame = av.VideoFrame.from_ndarray(grey(level), format="rgb24")
            frame.pts, frame.time_base = tenths, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode()
        if stands:
            last = max(packets, key=lambda packet: packet.pts)
            last.duration = round(stands / last.time_base)
        if noise:
            silence = numpy.zeros((2, round(48_000 * sound)), dtype=numpy.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            samples.sample_rate, samples.pts = 48_000, 0
            samples.time_base = Fraction(1, 48_000)
            packets += [*noise.encode(samples), *noise.encode()]
        for packet in packets:
            output.mux(packet)
    return file.getvalue()


def read(data: bytes, count: int = 4, spacing: Any = "even") -> list[Picture]:
    return read_frames(BytesIO(data), "clip", spacing, count, PictureLimits())


def levels(pictures: list[Picture]) -> list[int]:
    images = [Image.open(BytesIO(picture.data)).convert("L") for picture in pictures]
    return [round((float(numpy.asarray(image).mean()) - 10) / 24) for image in images]


def times(pictures: list[Picture]) -> list[str]:
    return [picture.name.removeprefix("clip at ") for picture in pictures]


@pytest.mark.parametrize(("container", "codec"), [*VARIABLE, ("gif", "gif")])
def test_a_last_picture_that_stands(container: str, codec: str) -> None:
    pictures = read(clip(container, codec, stands=20))
    assert (levels(pictures), times(pictures)) == ([9], ["0:00.9"])
    assert pictures[0].notes == STANDS
    # Of 3.9 seconds, the middles of four quarters are at 0.49, 1.46, 2.44 and 3.41.
    assert levels(read(clip(container, codec, stands=3))) == [4, 9]


def test_a_last_picture_that_stands_in_fragments() -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    assert read(clip(stands=20, options=fragments))[0].notes == STANDS


@pytest.mark.parametrize(("container", "codec"), [*VARIABLE, ("mpegts", "libx264")])
def test_a_picture_that_stands_in_the_middle(container: str, codec: str) -> None:
    # Frame 4 is shown from 0.4 to 10 seconds; then come five more.
    at = (0, 1, 2, 3, 4, 100, 101, 102, 103, 104)
    pictures = read(clip(container, codec, at=at), count=8)
    assert 4 in levels(pictures) and levels(pictures) == sorted({*levels(pictures)})
    assert pictures[0].notes == (f"stands still for long: {len(pictures)} of 8 frames taken",)


def test_scenes_of_a_clip_whose_last_picture_stands() -> None:
    pictures = read(clip(at=(0, 5, 10), stands=30), spacing="scenes")
    assert levels(pictures)[-1] == 2
    assert not any("breaks off" in note for note in pictures[0].notes)


@pytest.mark.parametrize(("container", "codec"), VARIABLE[:5])
def test_sound_that_is_longer_than_its_pictures(container: str, codec: str) -> None:
    pictures = read(clip(container, codec, sound=20))
    assert levels(pictures) == [1, 3, 6, 8] and pictures[0].notes == ()


@pytest.mark.parametrize(("container", "codec"), [*VARIABLE[:5], ("mpegts", "libx264")])
def test_a_first_picture_that_comes_late(container: str, codec: str) -> None:
    pictures = read(clip(container, codec, at=[50 + tenth for tenth in TEN], sound=6))
    assert times(pictures) == ["0:05.1", "0:05.3", "0:05.6", "0:05.8"]
    assert levels(pictures) == [1, 3, 6, 8] and pictures[0].notes == ()


def test_a_recording_of_a_browser_says_nothing_of_its_length() -> None:
    live = {"live": "1"}
    pictures = read(clip("webm", "libvpx", options=live))
    assert levels(pictures) == [1, 3, 6, 8] and pictures[0].notes == ()
    # It goes on to be heard, so its last picture goes on to be shown.
    assert read(clip("webm", "libvpx", options=live, sound=20))[0].notes == STANDS


def test_frames_that_are_decoded_in_another_order() -> None:
    data = clip(stands=3, codec_options={"bf": "3", "b-adapt": "0"})
    with av.open(BytesIO(data)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert stamps != sorted(stamps)
    assert levels(read(data)) == [4, 9]


@pytest.mark.parametrize(("container", "codec"), [*VARIABLE, ("gif", "gif")])
def test_a_single_picture_that_stands(container: str, codec: str) -> None:
    pictures = read(clip(container, codec, at=[0], stands=20))
    assert (levels(pictures), pictures[0].notes) == ([0], ("it has only one frame",))


def test_an_edit_that_cuts_the_end_off() -> None:
    data = bytearray(clip(stands=20))
    entry = data.index(b"elst") + 12  # after version, flags and the number of entries
    scale = int.from_bytes(data[data.index(b"mvhd") + 16 :][:4], "big")
    data[entry : entry + 4] = scale.to_bytes(4, "big")  # of 20.9 seconds, the first is shown
    pictures = read(bytes(data))
    assert levels(pictures) == [1, 3, 6, 8] and pictures[0].notes == ()


@pytest.mark.parametrize("length", ["00:00:20.9", "9:99", "x", "1e99:00:00", "9999:59:59.9"])
def test_a_length_in_a_tag_is_believed_up_to_a_day(length: str) -> None:
    data = clip("matroska")
    tag = b"00:00:01.000000000"
    assert data.count(tag) == 1
    pictures = read(data.replace(tag, length.encode().ljust(len(tag), b"\0")))
    assert levels(pictures) == ([9] if length == "00:00:20.9" else [1, 3, 6, 8])
    assert pictures[0].notes == (STANDS if length == "00:00:20.9" else ())


@pytest.mark.parametrize(("container", "codec"), VARIABLE[:4])
def test_a_standing_picture_and_a_file_that_breaks_off(container: str, codec: str) -> None:
    noise = numpy.random.default_rng(3)
    file = BytesIO()
    with av.open(file, "w", format=container, options={"movflags": "frag_keyframe"}) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 2
        for place in range(30):
            pixels = noise.integers(0, 256, (48, 64, 3), dtype=numpy.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = place
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    data = file.getvalue()
    half = read(data[: len(data) // 2 + 7], count=40)
    assert half[0].notes[0].startswith("breaks off at 0:0")
    assert read(data, count=40)[0].notes == ("it has only 30 frames",)
