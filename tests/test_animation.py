"""Animated pictures as clips: GIF, PNG, WebP and AVIF alike."""

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from backends import BadRequestError
from playground.media import animation
from playground.media.pictures import Picture, PictureLimits, read_picture
from playground.media.video import is_clip, read_frames
from tests.test_pictures import chunk, memory_under

FORMATS = ["GIF", "PNG", "WEBP", "AVIF"]
RED, WHITE = (255, 0, 0), (255, 255, 255)
LIMITS = PictureLimits()


def moving(format: str, durations: Sequence[int] = (200,) * 5, **options: Any) -> bytes:
    """A red bar on nothing that steps to the right; durations in milliseconds."""
    frames = [Image.new("RGBA", (16 * (len(durations) + 1), 40)) for _ in durations]
    for place, frame in enumerate(frames):
        frame.paste((*RED, 255), (16 * place, 0, 16 * place + 16, 40))
    if format == "GIF":
        options["disposal"] = 2
    if format == "AVIF":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    if format == "WEBP":
        options["lossless"] = True
    file = BytesIO()
    first, *others = frames
    first.save(file, format, save_all=True, append_images=others, duration=[*durations], **options)
    return file.getvalue()


def read(data: bytes, count: int = 8, spacing: Any = "even", **options: Any) -> list[Picture]:
    limits = options.pop("limits", LIMITS)
    return read_frames(BytesIO(data), "it", spacing, count, limits, **options)


def pixels(picture: Picture) -> numpy.ndarray:
    return numpy.asarray(Image.open(BytesIO(picture.data)).convert("RGB")).astype(int)


def places(pictures: list[Picture]) -> list[int]:
    """Where the bar is; the rest is white."""
    found = []
    for picture in pictures:
        row = pixels(picture)[20, 8::16]
        red = (abs(row - RED) < 30).all(axis=1)
        assert red.sum() == 1 and (row[~red] > 225).all()
        found.append(int(red.argmax()))
    return found


def times(pictures: list[Picture]) -> list[str]:
    return [picture.name.removeprefix("it at ") for picture in pictures]


@pytest.mark.parametrize("format", FORMATS)
def test_all_frames_on_white_at_their_times(format: str) -> None:
    data = moving(format)
    assert is_clip(data)
    pictures = read(data)
    assert places(pictures) == [0, 1, 2, 3, 4]
    assert times(pictures) == ["0:00.0", "0:00.2", "0:00.4", "0:00.6", "0:00.8"]
    assert pictures[0].notes == ("it has only 5 frames",)


@pytest.mark.parametrize("format", FORMATS)
def test_frames_spread_over_the_time_that_they_are_shown(format: str) -> None:
    # Of 4.8 seconds, the middles of four quarters are at 0.6, 1.8, 3.0 and 4.2.
    pictures = read(moving(format, (200, 200, 200, 200, 4000)), count=4)
    assert places(pictures) == [3, 4]
    assert pictures[0].notes == ("stands still for long: 2 of 4 frames taken",)


@pytest.mark.parametrize("format", FORMATS)
def test_scenes_of_an_animation(format: str) -> None:
    colours = ["black", "black", "black", "white", "white", "white"]
    frames = [Image.new("RGB", (64, 48), colour) for colour in colours]
    for place, frame in enumerate(frames):  # else equal frames are joined
        frame.putpixel((place, 0), (128, 128, 128))
    file = BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=300)
    pictures = read(file.getvalue(), spacing="scenes")
    assert [round(pixels(picture).mean()) > 128 for picture in pictures] == [False, True]


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_that_does_not_move_is_none(format: str) -> None:
    file = BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, format)
    assert not is_clip(file.getvalue())


@pytest.mark.parametrize("format", FORMATS)
def test_as_a_picture_the_first_frame_with_a_note(format: str) -> None:
    picture = read_picture(moving(format), "it", LIMITS)
    assert places([picture]) == [0] and picture.notes[0].startswith("first")


@pytest.mark.parametrize("format", FORMATS)
def test_frames_without_a_duration_are_shown_as_browsers_do(format: str) -> None:
    assert times(read(moving(format, (0, 0, 0)))) == ["0:00.0", "0:00.1", "0:00.2"]


def test_the_still_picture_of_a_png_is_no_frame_of_its_animation() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("blue", "red", "lime")]
    file = BytesIO()
    frames[0].save(
        file, "PNG", save_all=True, append_images=frames[1:], duration=200, default_image=True
    )
    pictures = read(file.getvalue())
    assert [tuple(pixels(picture)[8, 8]) for picture in pictures] == [RED, (0, 255, 0)]
    assert tuple(pixels(read_picture(file.getvalue(), "it", LIMITS))[8, 8]) == (0, 0, 255)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_that_breaks_off_gives_what_could_be_read(format: str) -> None:
    data = moving(format)
    mark = {"PNG": b"fcTL", "WEBP": b"ANMF"}[format]
    at = 0
    for _ in range(4):
        at = data.index(mark, at + 1)
    pictures = read(data[: at + 20])
    assert places(pictures) == [0, 1, 2]
    assert pictures[0].notes[0] == "breaks off at 0:00.4"


def test_an_animated_photo_lies_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (first, *_) = read(moving("WEBP", exif=exif))
    assert (first.width, first.height) == (40, 96)


def test_a_large_animation_is_scaled_down() -> None:
    frames = [Image.new("RGB", (2000, 500), colour) for colour in ("red", "blue")]
    file = BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=200)
    assert {(p.width, p.height, p.media_type) for p in read(file.getvalue())} == {
        (1280, 320, "image/jpeg")
    }


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_too_much(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = moving(format)
    reasons = []
    for limits in (PictureLimits(pixels=2000), PictureLimits(file_bytes=100)):
        with pytest.raises(BadRequestError) as caught:
            read(data, limits=limits)
        reasons.append(caught.value.values["reason"])
    monkeypatch.setattr(animation, "MAX_WORK", 10_000)
    with pytest.raises(BadRequestError, match="has 5 frames of 96 x 40 pixels"):
        read(data)
    assert reasons == ["too_many_pixels", "too_many_bytes"]


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("patience", [0, 2, 7])
def test_one_who_has_gone_gets_nothing(format: str, patience: int) -> None:
    asked: list[int] = []

    def gone() -> bool:
        asked.append(1)
        return len(asked) > patience

    assert read(moving(format), cancelled=gone) == []


def test_text_in_an_animated_png_is_never_unpacked() -> None:
    data = moving("PNG")
    bomb = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(50_000_000), 9))
    with memory_under(10_000_000):
        pictures = read(data[:33] + bomb * 5 + data[33:])
    assert places(pictures) == [0, 1, 2, 3, 4]


SAMPLES = [moving(format) for format in FORMATS]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 400),
    st.sampled_from(["even", "scenes"]),
)
def test_whatever_is_added_gives_frames_or_a_clear_refusal(
    sample: bytes, changes: list[tuple[int, bytes]], cut: int, how: str
) -> None:
    data = bytearray(sample)
    for at, change in changes:
        at %= len(data)
        data[at : at + len(change)] = change
    data = bytes(data[: max(len(data) - cut, 0)])
    is_clip(data)
    try:
        pictures = read(data, spacing=how, limits=PictureLimits(pixels=1_000_000))
    except BadRequestError as error:
        assert error.message and error.hint
    else:
        assert pictures and all(pixels(picture).size for picture in pictures)
