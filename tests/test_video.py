"""Clips as visitors add them: frames in order, at the right times, from every container."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from backends import BadRequestError
from playground.media import clip as clip_module
from playground.media import video
from playground.media.pictures import Picture, PictureLimits
from playground.media.video import is_clip, read_frames, timecode

LIMITS = PictureLimits()
RED, WHITE = (220, 20, 20), (255, 255, 255)
CONTAINERS = [
    ("mp4", "libx264"),
    ("mp4", "mpeg4"),
    ("mov", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx-vp9"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("avi", "mjpeg"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("gif", "gif"),
]


def flat(colour: int | Sequence[int], size: tuple[int, int] = (64, 48)) -> numpy.ndarray:
    return numpy.full((size[1], size[0], 3), colour, dtype=numpy.uint8)


def counted(number: int) -> list[numpy.ndarray]:
    """Frame n shows n in eight binary digits: white bars on black."""
    digits = [(n >> numpy.arange(8)) & 1 for n in range(number)]
    return [flat(0) | (bits.repeat(8) * 255).astype(numpy.uint8)[None, :, None] for bits in digits]


def numbers(pictures: list[Picture]) -> list[int]:
    """Which frames of `counted` these are."""
    rows = [pixels(picture)[24, 4::8, 1] > 127 for picture in pictures]
    return [int(sum(1 << place for place, white in enumerate(row) if white)) for row in rows]


def scene(number: int) -> numpy.ndarray:
    """Greys of a range that only this scene has, growing from left to right."""
    ramp = 60 * number + numpy.linspace(0, 50, 256)
    return flat(0, (256, 64)) + ramp.astype(numpy.uint8)[None, :, None]


def scenes(pictures: list[Picture]) -> list[int]:
    """Which scenes these are."""
    return [int(pixels(picture).mean() // 60) for picture in pictures]


def pixels(picture: Picture) -> numpy.ndarray:
    return numpy.asarray(Image.open(BytesIO(picture.data)).convert("RGB"))


def times(pictures: list[Picture]) -> list[str]:
    return [picture.name.rpartition(" at ")[2] for picture in pictures]


def clip(
    frames: Sequence[numpy.ndarray],
    container: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    gop: int = 12,
    at: Sequence[int] | None = None,
    sound: bool = False,
    aspect: Fraction | None = None,
    prepare: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
    faststart: Path | None = None,
) -> bytes:
    """A video file; `at` are the frames' times in ticks of 1 / rate."""
    file = BytesIO()
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(faststart or file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=25 if container == "mpeg" else rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.codec_context.gop_size = gop
        stream.bit_rate = 8_000_000  # noise of compression is a change of scene by the rule
        stream.codec_context.time_base = Fraction(1, 25 if container == "mpeg" else rate)
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if sound:
            hiss = output.add_stream("aac", rate=8000)
        for place, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = prepare(frame) if prepare else frame
            frame.pts = at[place] if at else place
            frame.time_base = stream.codec_context.time_base
            output.mux(stream.encode(frame))
        if sound:
            silence = av.AudioFrame.from_ndarray(
                numpy.zeros((1, 8000), dtype=numpy.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 8000
            output.mux(hiss.encode(silence))
            output.mux(hiss.encode())
        output.mux(stream.encode())
    return faststart.read_bytes() if faststart else file.getvalue()


def sound_only(container: str = "mp4") -> bytes:
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(
            numpy.zeros((1, 8000), dtype=numpy.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 8000
        output.mux(stream.encode(silence))
        output.mux(stream.encode())
    return file.getvalue()


def read(
    data: bytes, how: Any = "even", count: int = 4, name: str = "clip.mp4", **options: Any
) -> list[Picture]:
    return read_frames(BytesIO(data), name, how, count, options.pop("limits", LIMITS), **options)


def refused(data: bytes, **options: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read(data, **options)
    error = caught.value
    assert error.message.endswith(".") and error.hint.endswith(".") and error.values["reason"]
    return error


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How large each packet was that went to a decoder."""
    sizes: list[int] = []
    packets = clip_module.Clip._packets

    def counting(self: clip_module.Clip, flush: bool = False) -> Iterator[Any]:
        for packet in packets(self, flush):
            if flush and packet.size:
                sizes.append(packet.size)
            yield packet

    monkeypatch.setattr(clip_module.Clip, "_packets", counting)
    return sizes


# evenly spaced


@pytest.mark.parametrize(("container", "codec"), [*CONTAINERS, ("mp4", "libx265")])
def test_evenly_spaced_frames_of_every_container(container: str, codec: str) -> None:
    data = clip(counted(40), container, codec)
    assert is_clip(data)
    pictures = read(data, count=4)
    seconds = 40 / (25 if container == "mpeg" else 10)
    # The middles of four quarters of 40 frames are at 5, 15, 25, 35.
    assert numbers(pictures) == [5, 15, 25, 35]
    assert times(pictures) == [timecode(seconds * part / 8) for part in (1, 3, 5, 7)]
    assert {(p.width, p.height, p.notes) for p in pictures} == {(64, 48, ())}
    expected = "image/png" if container == "gif" else "image/jpeg"
    assert {picture.media_type for picture in pictures} == {expected}


def test_one_keyframe_for_all() -> None:
    pictures = read(clip(counted(50), gop=500), count=5)
    assert numbers(pictures) == [5, 15, 25, 35, 45]


def test_one_frame_of_many() -> None:
    assert numbers(read(clip(counted(41)), count=1)) == [20]


def test_a_long_clip_is_not_decoded_whole(decoded: list[int]) -> None:
    data = clip([flat((n // 10) % 50 * 5) for n in range(1200)], gop=10)
    pictures = read(data, count=6)
    assert times(pictures) == ["0:10.0", "0:30.0", "0:50.0", "1:10.0", "1:30.0", "1:50.0"]
    assert [round(pixels(p).mean() / 5) for p in pictures] == [10, 30, 0, 20, 40, 10]
    assert len(decoded) < 60


def test_frames_that_come_irregularly() -> None:
    at = [*range(10), *range(100, 110)]  # a second of movement, nine of stillness, one more
    pictures = read(clip(counted(20), at=at), count=4)
    # The middles are at 1.4, 4.3, 7.2 and 10.0 seconds; at the first three, frame 9 is shown.
    assert numbers(pictures) == [9, 10] and times(pictures) == ["0:00.9", "0:10.0"]


def test_fewer_frames_than_asked_for() -> None:
    pictures = read(clip(counted(3)), count=8)
    assert numbers(pictures) == [0, 1, 2]
    assert [picture.notes for picture in pictures] == [("it has only 3 frames",), (), ()]


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
@pytest.mark.parametrize("how", ["even", "scenes"])
def test_a_single_frame(container: str, codec: str, how: str) -> None:
    pictures = read(clip([counted(31)[30]], container, codec), how)
    assert numbers(pictures) == [30] and times(pictures) == ["0:00.0"] and pictures[0].notes


def test_no_more_than_the_limit() -> None:
    assert len(read(clip(counted(40)), count=1000, limits=PictureLimits(frames=7))) == 7
    assert len(read(clip(counted(40)), count=0)) == 1


# scenes


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_the_frame_before_each_change_of_scene_and_the_last(container: str, codec: str) -> None:
    frames = [scene(number) for number in range(4) for _ in range(25)]
    pictures = read(clip(frames, container, codec, rate=5), "scenes", count=8)
    rate = 25 if container == "mpeg" else 5
    assert scenes(pictures) == [0, 1, 2, 3]
    ends = [place / rate for place in (24, 49, 74, 99)]
    seconds = [float(time.partition(":")[2]) for time in times(pictures)]
    assert all(-0.06 < end - at < 0.25 for end, at in zip(ends, seconds, strict=True))


def test_too_many_scenes_are_thinned_out_evenly() -> None:
    frames = [flat(colour) for colour in range(0, 240, 24) for _ in range(5)]
    pictures = read(clip(frames, rate=5), "scenes", count=4)
    assert [round(pixels(p).mean() / 24) for p in pictures] == [0, 3, 6, 9]
    assert [p.notes for p in pictures] == [("4 of 10 scenes",), (), (), ()]


def test_where_nothing_changes_frames_are_evenly_spaced() -> None:
    pictures = read(clip([flat(100)] * 40), "scenes", count=2)
    assert times(pictures) == ["0:01.0", "0:03.0"]
    assert pictures[0].notes == ("no change of scene found: evenly spaced frames",)


def test_a_very_long_clip_is_compared_by_its_keyframes(
    decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_DECODED", 100)
    monkeypatch.setattr(clip_module, "MAX_DECODED", 100)
    frames = [scene(number) for number in range(3) for _ in range(100)]
    pictures = read(clip(frames, gop=10), "scenes", count=8)
    assert scenes(pictures) == [0, 1, 2]
    assert times(pictures) == ["0:09.0", "0:19.0", "0:29.0"]
    assert pictures[0].notes == ("compared by keyframes",)


# how it looks


def test_frames_are_scaled_to_the_longer_side() -> None:
    pictures = read(clip([flat(RED, (1920, 1080))] * 2), count=1)
    assert (pictures[0].width, pictures[0].height) == (1280, 720)


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0), (48, 64)),
        ((-1, 0, 0, -1), (64, 48)),
        ((0, -1, 1, 0), (48, 64)),
    ],
)
def test_a_phone_held_upright(matrix: tuple[int, ...], upright: tuple[int, int]) -> None:
    frame = flat(WHITE)
    frame[:24, :32] = RED  # above left, as stored
    data = bytearray(clip([frame] * 3))
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * 65536 for value in matrix)
    for place, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[at + 4 * place : at + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    (picture,) = read(bytes(data), count=1)
    assert (picture.width, picture.height) == upright
    # Where the red corner goes: (x, y) of the stored picture becomes (a x + c y, b x + d y).
    x, y = (1 if matrix[0] + matrix[2] < 0 else 0), (1 if matrix[1] + matrix[3] < 0 else 0)
    image, width, height = pixels(picture), *upright
    red = image[height // 4 + y * height // 2, width // 4 + x * width // 2]
    assert (abs(red.astype(int) - RED) < 30).all()


def test_pixels_that_are_not_square() -> None:
    (picture,) = read(clip([flat(RED)] * 2, aspect=Fraction(2)), count=1)
    assert (picture.width, picture.height) == (128, 48)


@pytest.mark.parametrize(("size", "colours"), [((1280, 720), "ITU709"), ((320, 240), "ITU601")])
def test_colours_of_clips_that_do_not_name_them(size: tuple[int, int], colours: str) -> None:
    def prepare(frame: av.VideoFrame) -> av.VideoFrame:
        changed = frame.reformat(format="yuv420p", dst_colorspace=colours)
        changed.colorspace = 2
        return changed

    (picture,) = read(clip([flat(RED, size)] * 2, prepare=prepare), count=1)
    assert (abs(pixels(picture)[100, 100].astype(int) - RED) < 8).all()


def test_what_is_transparent_in_a_gif_is_white() -> None:
    frames = [Image.new("RGBA", (40, 30), (0, 0, 0, 0)) for _ in range(3)]
    for place, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (10 * place, 0, 10 * place + 10, 30))
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=200, disposal=2)
    pictures = read(file.getvalue(), count=3, name="a.gif")
    assert times(pictures) == ["0:00.0", "0:00.2", "0:00.4"]
    for place, picture in enumerate(pictures):
        row = pixels(picture)[15, 5::10]
        assert [tuple(colour) == (255, 0, 0) for colour in row] == [n == place for n in range(4)]
        assert tuple(row[3]) == WHITE


# what it is


def test_a_gif_that_does_not_move_is_a_picture() -> None:
    file = BytesIO()
    Image.new("P", (9, 9)).save(file, "GIF")
    assert not is_clip(file.getvalue()) and is_clip(clip(counted(3), "gif", "gif"))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"#EXTM3U\n", b"\0\0\0\x18ftypheic\0\0\0\0", b"text"],
)
def test_what_is_no_clip(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    assert not is_clip(data) and not is_clip(path)


def test_a_path_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "concat:a|b.mp4"
    path.write_bytes(clip(counted(8)))
    assert is_clip(path)
    pictures = read_frames(path, path.name, "even", 2, LIMITS)
    assert [picture.name for picture in pictures] == [
        f"concat:a|b.mp4 at {time}" for time in ("0:00.2", "0:00.6")
    ]


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        '<?xml version="1.0"?><MPD><BaseURL>{}</BaseURL></MPD>',
        "file '{}'\n",
    ],
)
def test_files_that_name_other_files_are_refused(playlist: str, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip(counted(8)))
    text = playlist.format(other).encode()
    assert not is_clip(text) and "not a video" in refused(text).message
    for magic in (b"\0\0\0\x14ftypisom\0\0\0\0isom", b"OggS", b"\x1aE\xdf\xa3", b"G" * 800):
        assert refused(magic + b"\n" + text).values["reason"] in ("damaged", "no_video")


def test_no_other_file_is_ever_opened() -> None:
    with pytest.raises(PermissionError):
        clip_module._refuse_to_open("file:///etc/passwd", 1, {})


@pytest.mark.parametrize("name", ["../../x\n.mp4", "C:\\clips\\x.mp4", "a" * 500 + ".mp4", ""])
def test_names_are_cleaned(name: str) -> None:
    (picture,) = read(clip(counted(2)), count=1, name=name)
    assert picture.name.endswith(" at 0:00.1") and len(picture.name) <= 120
    assert not set(picture.name) & set("\n/\\")


# what is too much, or too little


def test_too_many_bytes() -> None:
    error = refused(clip(counted(8)), limits=PictureLimits(video_bytes=1000))
    assert error.values["reason"] == "too_many_bytes"


def test_too_long() -> None:
    error = refused(clip(counted(40)), limits=PictureLimits(video_seconds=3.5))
    assert error.message == "“clip.mp4” is 0:03.9 long; at most 0:03.5 fit here."


def test_too_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "MAX_FRAMES", 20)
    assert refused(clip(counted(40))).values["reason"] == "too_long"


def test_frames_too_large() -> None:
    data = clip([flat(RED, (320, 240))] * 3)
    error = refused(data, limits=PictureLimits(pixels=50_000))
    assert error.values["reason"] == "too_many_pixels" and error.values["width"] == 320


def test_frames_that_grow_are_never_decoded() -> None:
    small, large = (clip([flat(RED, size)] * 5, "mpegts") for size in ((64, 48), (640, 480)))
    pictures = read(small + large, count=10, limits=PictureLimits(pixels=10_000))
    assert {(picture.width, picture.height) for picture in pictures} == {(64, 48)}


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_sound_without_pictures(container: str) -> None:
    assert "only sound" in refused(sound_only(container)).message


def test_pictures_with_sound() -> None:
    assert numbers(read(clip(counted(40), sound=True))) == [5, 15, 25, 35]


def test_a_codec_that_is_not_read_here() -> None:
    error = refused(clip(counted(4), "matroska", "ffv1"))
    assert error.values["reason"] == "codec" and "MP4" in error.hint


def test_a_picture_is_no_video() -> None:
    file = BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    assert refused(file.getvalue()).message == "“clip.mp4” is a PNG picture, not a video."


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_what_breaks_off_gives_what_could_be_read(
    container: str, codec: str, tmp_path: Path
) -> None:
    # Moving noise does not compress: half of the bytes are about half of the frames.
    source = numpy.random.default_rng(3)
    frames = [source.integers(0, 256, (96, 128, 3), dtype=numpy.uint8) for _ in range(50)]
    faststart = tmp_path / "clip" if container in ("mp4", "mov") else None
    data = clip(frames, container, codec, faststart=faststart)
    pictures = read(data[: len(data) // 2], count=4)
    assert len(pictures) >= 3 and times(pictures) == sorted(times(pictures))
    assert float(times(pictures)[-1][2:]) < 3.5
    if container in ("mp4", "mov", "matroska", "webm"):  # the others do not say how long
        assert pictures[0].notes and pictures[0].notes[0].startswith("breaks off at 0:0")


def test_a_clip_without_its_index_is_damaged() -> None:
    data = clip(counted(40))
    assert refused(data[: data.index(b"moov")]).values["reason"] == "damaged"


def test_a_header_that_lies_about_its_length() -> None:
    data = clip(counted(40), "matroska")
    at = data.index(b"\x44\x89\x88") + 3
    for lie in (0.0, 1e12, -5.0, float("nan")):
        changed = data[:at] + numpy.array(lie, ">f8").tobytes() + data[at + 8 :]
        assert numbers(read(changed)) == [5, 15, 25, 35]


def test_a_damaged_middle_leaves_the_rest() -> None:
    data = bytearray(clip(counted(40), "matroska", "mjpeg"))
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    assert len(read(bytes(data), count=4)) >= 3


def test_a_frame_larger_than_the_header_says_is_left_out() -> None:
    file = BytesIO()
    with av.open(file, "w", format="avi") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for place, size in enumerate([(64, 48), (64, 48), (800, 600), (64, 48)]):
            drawn = BytesIO()
            Image.new("RGB", size, "red").save(drawn, "JPEG")
            packet = av.Packet(drawn.getvalue())
            packet.stream, packet.pts, packet.dts = stream, place, place
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            output.mux(packet)
    limits = replace(PictureLimits(), pixels=10_000)
    found = video.read_frames(BytesIO(file.getvalue()), "clip.avi", "even", 4, limits)
    assert {(picture.width, picture.height) for picture in found} == {(64, 48)}


def test_one_who_has_gone_gets_nothing() -> None:
    data = clip(counted(40))
    for patience in (0, 3, 30, 41, 45):
        asked: list[int] = []

        def gone(asked: list[int] = asked, patience: int = patience) -> bool:
            asked.append(1)
            return len(asked) > patience

        for how in ("even", "scenes"):
            asked.clear()
            assert read(data, how, cancelled=gone) == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (3.2, "0:03.2"), (59.96, "1:00.0"), (754.3, "12:34.3"), (3723, "1:02:03.0")],
)
def test_times_as_players_show_them(seconds: float, shown: str) -> None:
    assert timecode(seconds) == shown


def test_nothing_heavy_is_loaded_with_the_module() -> None:
    heavy = "{'av', 'PIL', 'numpy', 'pi_heif'}"
    code = f"import sys, playground.media.video; print({heavy} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


SAMPLES = [clip(counted(6), container, codec) for container, codec in CONTAINERS]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.sampled_from(["even", "scenes"]),
)
def test_whatever_is_added_gives_frames_or_a_clear_refusal(
    sample: bytes, changes: list[tuple[int, bytes]], how: str
) -> None:
    data = bytearray(sample)
    for at, change in changes:
        at %= len(data)
        data[at : at + len(change)] = change
    try:
        pictures = read(bytes(data), how, limits=PictureLimits(pixels=1_000_000))
    except BadRequestError as error:
        assert error.message and error.hint
    else:
        assert pictures and all(pixels(picture).size for picture in pictures)
