"""A sheet of paper: drawn four times too large, then scaled down, so that every edge is soft."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, Self

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

Point = tuple[float, float]
Align = Literal["left", "middle", "right"]
Stops = Sequence[tuple[float, str]]
"""Colours `#rrggbb` by height, from 0 (top) to 1 (bottom)."""

PAPER, INK, GREY, LINE = "#fbf7ee", "#262b3d", "#6a6e80", "#d9d2c2"
INDIGO, TEAL, RED, OCHRE = "#4353a4", "#1d7a72", "#c4513b", "#dfa63c"

SCALE = 4


class Sheet:
    """A picture in the making. Lengths are pixels of the finished picture; colours are `#rrggbb`,
    or `#rrggbbaa` to let the ground shine through."""

    def __init__(self, width: int, height: int, ground: str = PAPER) -> None:
        self.width, self.height = width, height
        self._hold(Image.new("RGB", (width * SCALE, height * SCALE), ground))

    def _hold(self, image: Image.Image) -> None:
        self._image, self._draw = image, ImageDraw.Draw(image, "RGBA")

    def copy(self) -> Self:
        """The same drawing once more, to go on in another way."""
        other = type(self)(1, 1)
        other.width, other.height = self.width, self.height
        other._hold(self._image.copy())
        return other

    def polygon(self, points: Iterable[Point], fill: str) -> None:
        self._draw.polygon(_scaled(points), fill)

    def rect(self, x: float, y: float, w: float, h: float, fill: str, radius: float = 0) -> None:
        self._draw.rounded_rectangle(_box(x, y, w, h), radius * SCALE, fill)

    def frame(
        self, x: float, y: float, w: float, h: float, ink: str, width: float, radius: float = 0
    ) -> None:
        """The outline of a rectangle, drawn inside it."""
        box = _box(x, y, w, h)
        self._draw.rounded_rectangle(box, radius * SCALE, None, ink, round(width * SCALE))

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        self._draw.ellipse(_box(x - rx, y - ry, 2 * rx, 2 * ry), fill)

    def circle(self, x: float, y: float, radius: float, fill: str) -> None:
        self.ellipse(x, y, radius, radius, fill)

    def line(self, points: Iterable[Point], ink: str, width: float) -> None:
        """A pen's line, round at its ends and corners; `ink` without transparency."""
        scaled = _scaled(points)
        self._draw.line(scaled, ink, max(1, round(width * SCALE)), "curve")
        radius = width * SCALE / 2
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), ink)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        ink: str = INK,
        align: Align = "left",
        weight: float = 0,
        spacing: float = 0,
    ) -> None:
        """One line, its baseline at `y`. `weight` thickens the strokes by so many pixels on
        either side; `spacing` is added after every letter."""
        font = _font(round(size * SCALE))
        spacing += weight
        widths = [font.getlength(letter) + spacing * SCALE for letter in text]
        total = sum(widths) - spacing * SCALE
        at = x * SCALE - {"left": 0.0, "middle": total / 2, "right": total}[align]
        for letter, width in zip(text, widths, strict=True):
            stroke = weight * SCALE
            self._draw.text((round(at), y * SCALE), letter, ink, font, "ls", stroke_width=stroke)
            at += width

    def gradient(self, stops: Stops, points: Iterable[Point] | None = None) -> None:
        """Colours from top to bottom, over the whole sheet or inside a polygon."""
        if points is None:
            self._image.paste(_gradient(stops, self._image.size))
            return
        scaled = _scaled(points)
        xs, ys = [round(x) for x, _ in scaled], [round(y) for _, y in scaled]
        mask = Image.new("L", (max(xs) - min(xs) + 1, max(ys) - min(ys) + 1))
        ImageDraw.Draw(mask).polygon([(x - min(xs), y - min(ys)) for x, y in scaled], 255)
        self._image.paste(_gradient(stops, mask.size), (min(xs), min(ys)), mask)

    def glow(self, x: float, y: float, radius: float, colour: str, strength: float) -> None:
        """Light around a point; `strength`, at most 1, is how much it covers in the middle."""
        side = round(radius * 2 * SCALE)
        # Pillow's gradient reaches 255 in the corners, 180 where the circle touches the sides.
        fall = [255 * strength * (1 - min(d / 178, 1)) ** 2 for d in range(256)]
        light = Image.radial_gradient("L").resize((side, side)).point(fall)
        corner = (round((x - radius) * SCALE), round((y - radius) * SCALE))
        self._image.paste(Image.new("RGB", light.size, colour), corner, light)

    def shadow(self, points: Iterable[Point], blur: float, strength: float) -> None:
        """What falls behind a polygon that is about to be drawn; `strength` at most 1."""
        mask = Image.new("L", (self.width, self.height))
        ImageDraw.Draw(mask).polygon(list(points), round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(blur)).resize(self._image.size)
        self._image.paste("#1f1710", (0, 0, *self._image.size), mask)

    def finished(self) -> Image.Image:
        """The picture at its own size."""
        return self._image.reduce(SCALE)


def smooth(points: Sequence[Point], closed: bool = False, steps: int = 12) -> list[Point]:
    """A curve through the points (Catmull-Rom), as a polygon or a line takes it."""
    count = len(points)
    if closed:
        known = [points[-1], *points, points[0], points[1]]
    else:
        known = [points[0], *points, points[-1]]
    curve: list[Point] = []
    for i in range(count if closed else count - 1):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = known[i : i + 4]
        for step in range(steps):
            t = step / steps
            curve.append((_between(ax, bx, cx, dx, t), _between(ay, by, cy, dy, t)))
    return curve if closed else [*curve, points[-1]]


def _between(a: float, b: float, c: float, d: float, t: float) -> float:
    curve = (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return b + ((c - a) * t + curve) / 2


def _scaled(points: Iterable[Point]) -> list[Point]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _box(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x * SCALE, y * SCALE, (x + w) * SCALE - 1, (y + h) * SCALE - 1)


def _gradient(stops: Stops, size: tuple[int, int]) -> Image.Image:
    height = size[1]
    colours = [(at * (height - 1), ImageColor.getrgb(colour)) for at, colour in stops]
    rows = bytearray()
    for y in range(height):
        before = max((c for c in colours if c[0] <= y), default=colours[0], key=lambda c: c[0])
        after = min((c for c in colours if c[0] > y), default=before, key=lambda c: c[0])
        share = (y - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0
        rows += bytes(round(a + (b - a) * share) for a, b in zip(before[1], after[1], strict=True))
    return Image.frombytes("RGB", (1, height), bytes(rows)).resize(size)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # Aileron, which Pillow brings along
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
