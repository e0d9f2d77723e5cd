"""The tray of pictures: what it says of their cost before they are sent."""

import io
import re
from html import unescape

import pytest
from PIL import Image

from playground.media.pictures import Picture, PictureLimits, read_picture
from ui.tabs.vision.tray import ImageCost, make_crop_previews, tray_html


def picture(width: int = 672, height: int = 672) -> Picture:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return read_picture(file.getvalue(), "red.png", PictureLimits())


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@pytest.mark.parametrize(
    ("context", "words", "never"),
    [(4096, "too much for this model", "long context"), (131_072, "long context", "too much")],
)
def test_what_goes_beyond_the_window_is_said_as_the_model_takes_it(context, words, never) -> None:
    pictures = [picture()] * 6
    html = text_of(tray_html(pictures, [ImageCost("A", 4, (), context)], {}))
    assert "4,542 tokens" in html and words in html and never not in html
    few = text_of(tray_html(pictures[:1], [ImageCost("A", 4, (), context)], {}))
    assert "757 tokens · 18 % of the 4,096-token context" in few


def test_what_cannot_be_told_is_not_made_up() -> None:
    html = text_of(tray_html([picture()], [ImageCost("A", None, ())], {}))
    assert "this model's own matter" in html and "0 tokens" not in html


def test_pictures_that_are_gone_are_not_drawn() -> None:
    gone = Picture.model_validate_json(picture().model_dump_json())
    previews: dict[tuple[str, int], str] = {}
    make_crop_previews([gone, picture(336, 336)], [ImageCost("A", 4, ())], previews)
    assert len(previews) == 1
