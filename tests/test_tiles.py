"""What a vision model sees of a picture, drawn for people."""

import io

import pytest
from PIL import Image

from playground.media.pictures import PictureLimits, read_picture
from playground.media.tiles import GAP, TILE, draw_tiles, image_tokens


def picture(width: int, height: int, left="red", right="blue"):
    image = Image.new("RGB", (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    file = io.BytesIO()
    image.save(file, "PNG")
    return read_picture(file.getvalue(), "halves.png", PictureLimits())


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def near(pixel: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=False))


@pytest.mark.parametrize(
    ("size", "crops", "tokens"),
    [((1280, 720), 4, 757), ((1280, 720), 16, 2353), ((1000, 1000), 16, 2509), ((9, 9), 1, 313)],
)
def test_tokens_are_those_of_the_published_formula(size, crops, tokens) -> None:
    assert image_tokens(picture(*size), crops) == tokens


def test_the_whole_comes_first_and_then_the_crops_with_their_margins() -> None:
    sheet = opened(draw_tiles(picture(1280, 720), 4)).convert("RGBA")
    assert sheet.size == (TILE + 4 * GAP + 2 * (TILE + GAP) - GAP, 2 * (TILE + GAP) - GAP)
    middle, left = TILE // 2, TILE + 4 * GAP
    assert near(sheet.getpixel((middle - 9, middle)), (255, 0, 0))
    assert near(sheet.getpixel((middle + 9, middle)), (0, 0, 255))
    assert near(sheet.getpixel((left + middle, 2)), (255, 255, 255))  # the white above it
    assert near(sheet.getpixel((left + middle, TILE - 9)), (255, 0, 0))
    assert near(sheet.getpixel((left + TILE + GAP + middle, TILE - 9)), (0, 0, 255))
    assert sheet.getpixel((left - GAP, middle))[3] == 0  # nothing between whole and crops


@pytest.mark.parametrize("size", [(1, 1), (10_000, 3), (3, 10_000), (336, 336)])
def test_any_picture_can_be_drawn(size) -> None:
    drawn = opened(draw_tiles(picture(*size), 16))
    assert drawn.width >= TILE and drawn.height >= TILE
    assert max(opened(picture(*size).thumbnail).size) <= 192
