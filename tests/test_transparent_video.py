"""Transparent clips on white: alpha beside VP8 and VP9, and in the pixels of other codecs."""

from io import BytesIO
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from playground.media import alpha
from playground.media.pictures import Picture, PictureLimits
from playground.media.video import read_frames

RED, WHITE, HALF = (220, 20, 20), (255, 255, 255), (238, 138, 138)


def drawn(place: int = 0, size: tuple[int, int] = (128, 96)) -> numpy.ndarray:
    """Opaque red, red of half opacity, transparent black; below, a white bar that grows."""
    width, height = size
    pixels = numpy.zeros((height, width, 4), dtype=numpy.uint8)
    pixels[:, : width // 4] = (*RED, 255)
    pixels[:, width // 4 : width // 2] = (*RED, 128)
    pixels[height // 2 :, : 4 * place] = (255, 255, 255, 255)
    return pixels


def clip(
    container: str,
    codec: str,
    format: str,
    options: dict[str, str] | None = None,
    frames: list[numpy.ndarray] | None = None,
) -> bytes:
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg has no encoder {codec} here")
    frames = frames or [drawn() for _ in range(6)]
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = format, options or {}
        stream.bit_rate = 4_000_000
        for place, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=format)
            frame.pts = place
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


def read(data: bytes, count: int = 1, spacing: Any = "even") -> list[Picture]:
    return read_frames(BytesIO(data), "clip", spacing, count, PictureLimits())


def pixels(picture: Picture) -> numpy.ndarray:
    return numpy.asarray(Image.open(BytesIO(picture.data)).convert("RGB")).astype(int)


VP8 = ("webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"})
VP9 = ("webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0"})


@pytest.mark.parametrize(
    "how",
    [
        VP8,
        VP9,
        ("matroska", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0"}),
        ("mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
        ("mov", "png", "rgba", {}),
        ("avi", "png", "rgba", {}),
        ("mov", "qtrle", "argb", {}),
    ],
    ids=lambda how: " ".join(how[:2]),
)
def test_what_is_transparent_in_a_clip_is_white(how: tuple[Any, ...]) -> None:
    (picture,) = read(clip(*how))
    image = pixels(picture)
    assert (picture.width, picture.height) == (128, 96)
    for x, colour in ((8, RED), (48, HALF), (100, WHITE)):
        assert (abs(image[20, x] - colour) < 16).all(), (x, image[20, x])


@pytest.mark.parametrize("how", [VP8, VP9], ids=["VP8", "VP9"])
def test_each_frame_has_its_own_mask(how: tuple[Any, ...]) -> None:
    # The bar is white and opaque; only where nothing else is would it not be seen.
    frames = [drawn(place) for place in range(8)]
    pictures = read(clip(*how, frames=frames), count=8)
    assert len(pictures) == 8
    for place, picture in enumerate(pictures):
        bar = pixels(picture)[70, :32, 1] > 128
        assert abs(int(bar.sum()) - 4 * place) <= 2


def test_a_clip_of_odd_size_and_one_that_is_scaled_down() -> None:
    for size, expected in (((101, 75), (101, 75)), ((1600, 400), (1280, 320))):
        frames = [drawn(size=size) for _ in range(2)]
        (picture,) = read(clip(*VP9, frames=frames))
        assert (picture.width, picture.height) == expected
        row = pixels(picture)[10]
        assert (abs(row[expected[0] // 8] - RED) < 16).all() and (row[-4] > 250).all()


def test_scenes_are_compared_as_they_are_shown() -> None:
    # The colours are the same throughout: only the opacity changes, after a second.
    solid = numpy.full((96, 128, 4), (40, 40, 40, 255), dtype=numpy.uint8)
    solid[:, 64:, :3] = 90
    clear = solid.copy()
    clear[..., 3] = 60
    for how in (VP9, ("mov", "png", "rgba", {})):
        pictures = read(clip(*how, frames=[solid] * 10 + [clear] * 10), 8, "scenes")
        means = [pixels(picture).mean() for picture in pictures]
        assert len(means) == 2 and means[0] < 100 < means[1]


def test_a_damaged_mask_leaves_its_frame() -> None:
    data = clip(*VP9)
    with av.open(BytesIO(data)) as container:
        packet = next(container.demux(video=0))
        mask = bytes(packet.get_sidedata("matroska_block_additional"))[8:]
    assert data.count(mask) == 1
    (picture,) = read(data.replace(mask, b"\x55" * len(mask)))
    assert (abs(pixels(picture)[20, 8] - RED) < 16).all()


def test_a_mask_that_is_larger_than_allowed_is_never_decoded() -> None:
    decoder = alpha.AlphaDecoder("vp9", max_pixels=1000)
    with av.open(BytesIO(clip(*VP9))) as container:
        for packet in container.demux(video=0):
            decoder.feed(packet)
            assert all(decoder.mask(frame) is None for frame in packet.decode())


def test_an_opaque_clip_has_no_mask() -> None:
    with av.open(BytesIO(clip("webm", "libvpx-vp9", "yuv420p"))) as container:
        assert not alpha.has_alpha_beside(container.streams.video[0])
