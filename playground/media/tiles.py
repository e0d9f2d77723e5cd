"""Crops of a picture as a vision model gets them: drawn small, and their cost in tokens."""

from io import BytesIO

from backends import CROP, Layout

from .pictures import Picture, encoded

TILE = 56
"""Pixels on each side of a crop as it is drawn."""
GAP = 3


def image_tokens(picture: Picture, crops: int) -> int:
    """Tokens of a picture in the prompt of Phi-3-vision, in at most `crops` crops."""
    return Layout.of(picture.width, picture.height, crops).tokens


def draw_tiles(picture: Picture, crops: int) -> bytes:
    """A picture as Phi-3-vision sees it, as a WebP: first the whole of it, then crop by crop.

    The whole is squeezed into a square, and white margins are included, as in the model's input.
    """
    from PIL import Image

    layout, scale = Layout.of(picture.width, picture.height, crops), TILE / CROP
    size = (max(1, round(layout.width * scale)), max(1, round(layout.height * scale)))
    padded = Image.new("RGB", (layout.columns * TILE, layout.rows * TILE), "white")
    with Image.open(BytesIO(picture.data)) as image:
        image.draft("RGB", size)
        small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    padded.paste(small, ((padded.width - size[0]) // 2, (padded.height - size[1]) // 2))
    whole = padded.resize((TILE, TILE), Image.Resampling.BILINEAR)

    step, left = TILE + GAP, TILE + 4 * GAP
    sheet = Image.new("RGBA", (left + layout.columns * step - GAP, layout.rows * step - GAP))
    sheet.paste(whole, (0, 0))
    for row in range(layout.rows):
        for column in range(layout.columns):
            x, y = column * TILE, row * TILE
            sheet.paste(padded.crop((x, y, x + TILE, y + TILE)), (left + column * step, row * step))
    return encoded(sheet, "WEBP", quality=80)
