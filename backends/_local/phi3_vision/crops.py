"""How a picture is laid out in crops of 336 by 336 pixels, and how many tokens that makes."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

CROP = 336
"""Pixels on each side of what CLIP sees at once."""
LINES = 12
"""Lines of tokens in a crop, and tokens of a crop in a line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture resized to as many crops as fit, and padded with white to whole crops."""

    width: int
    height: int
    """Of the resized picture in pixels, before padding."""

    @classmethod
    def of(cls, width: int, height: int, num_crops: int) -> "Layout":
        """The layout of a picture of so many pixels in at most `num_crops` crops.

        Wide pictures get few rows and square ones many.
        """
        if num_crops < 1:
            raise ValueError(f"A picture needs at least 1 crop, not {num_crops}.")
        if width < 1 or height < 1:
            raise ValueError(f"A picture needs at least 1 x 1 pixels, not {width} x {height}.")
        if width < height:
            lying = cls.of(height, width, num_crops)
            return cls(lying.height, lying.width)
        ratio = width / height
        columns = 1
        while (columns + 1) * math.ceil((columns + 1) / ratio) <= num_crops:
            columns += 1
        # The published code fails on lines so thin that no pixel of their height is left.
        return cls(columns * CROP, max(1, int(columns * CROP / ratio)))

    @property
    def rows(self) -> int:
        """Rows of crops."""
        return math.ceil(self.height / CROP)

    @property
    def columns(self) -> int:
        """Columns of crops."""
        return math.ceil(self.width / CROP)

    @property
    def padded(self) -> tuple[int, int]:
        """Width and height in pixels with the white margins."""
        return self.columns * CROP, self.rows * CROP

    @property
    def offset(self) -> tuple[int, int]:
        """Where the picture begins on the white: pixels from the left and from above."""
        # One of the two is nothing; half of an odd number is rounded down.
        width, height = self.padded
        return (width - self.width) // 2, (height - self.height) // 2

    @property
    def tokens(self) -> int:
        """Tokens in the prompt: 144 a crop, as many for the picture as a whole, and separators.

        There is one separator at the end of each line of tokens, and one between crops and whole.
        """
        return (self.rows * self.columns + 1) * LINES**2 + (self.rows + 1) * LINES + 1


def hd_transform(picture: "Image.Image", num_crops: int) -> "Image.Image":
    """Resize a picture and pad it with white to whole crops: above and below, or left and right."""
    from PIL import Image

    layout = Layout.of(*picture.size, num_crops)
    padded = Image.new("RGB", layout.padded, "white")
    size = (layout.width, layout.height)
    upright = picture.width < picture.height
    if upright:  # as published, and not the same to the last bit as resizing it as it stands
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
        size = (layout.height, layout.width)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    if upright:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
    padded.paste(picture, layout.offset)
    return padded
