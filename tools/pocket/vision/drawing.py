"""Draws Pocket-Vision's pictures: scenes of shapes and digits, each made from a seed."""

import colorsys
import math
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHAPES = ("circle", "square", "triangle", "star", "heart")
DIGITS = tuple("0123456789")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
PLACES = (
    *("top_left", "top", "top_right", "left", "middle", "right"),
    *("bottom_left", "bottom", "bottom_right"),
)
LAYOUTS = ("one", "many", "two", "digit", "small")
"""One shape; two to four alike; two that differ; one large digit; one small shape or digit."""

HUES = {
    "red": ((-10, 7), (0.75, 1), (0.68, 1)),
    "orange": ((22, 36), (0.85, 1), (0.9, 1)),
    "yellow": ((48, 61), (0.7, 1), (0.88, 1)),
    "green": ((95, 150), (0.5, 1), (0.4, 1)),
    "blue": ((203, 242), (0.65, 1), (0.55, 1)),
    "purple": ((266, 302), (0.5, 1), (0.45, 0.85)),
    "black": ((0, 360), (0, 0.3), (0, 0.14)),
    "white": ((0, 360), (0, 0.04), (0.93, 1)),
}
"""Hue in degrees, saturation and value: from, to."""
NEAR_MIDDLE = 0.08
FAR_FROM_MIDDLE = 0.13
"""In shares of a side: up to the first a thing is called in the middle, from the second on not."""

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape or digit; lengths and places in pixels."""

    kind: str
    """One of `SHAPES` or `DIGITS`."""
    colour: str
    rgb: RGB
    x: float
    y: float
    size: float
    """Its height, and about its width."""
    turn: float = 0
    """Degrees."""
    outline: float = 0
    """Width of its line as a share of its size; 0 is filled. A stroked digit always has one."""
    style: float = 0
    """What is left to chance in its form, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture to be drawn, and the truth about it."""

    layout: str
    width: int
    height: int
    ground: RGB
    things: tuple[Thing, ...]
    smooth: bool
    noise: float
    """Standard deviation in steps of 255."""
    seed: int

    def place(self, thing: Thing) -> str:
        """Where the thing is, one of `PLACES`."""
        across = _third(thing.x / self.width)
        down = _third(thing.y / self.height)
        return PLACES[3 * down + across]

    def in_black_and_white(self) -> "Scene":
        """The same scene, its things black on white."""
        black = tuple(replace(thing, rgb=(0, 0, 0)) for thing in self.things)
        return replace(self, things=black, ground=(255, 255, 255))

    def mask(self) -> Image.Image:
        """White where a thing is, black elsewhere."""
        white = tuple(replace(thing, rgb=(255, 255, 255)) for thing in self.things)
        bare = replace(self, things=white, ground=(0, 0, 0), smooth=False, noise=0)
        return bare.draw().convert("L")

    def draw(self) -> Image.Image:
        """The picture: the same for the same scene."""
        finer = 2 if self.smooth else 1
        picture = Image.new("RGB", (self.width * finer, self.height * finer), self.ground)
        pencil = ImageDraw.Draw(picture)
        for thing in self.things:
            _draw(pencil, thing, finer)
        if self.smooth:
            picture = picture.reduce(finer)
        if self.noise:
            grain = np.random.default_rng(self.seed).normal(
                0, self.noise, (self.height, self.width, 3)
            )
            values = np.asarray(picture, dtype=np.float32) + grain
            picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        return picture


def scene(seed: int, layout: str | None = None, side: int | None = None) -> Scene:
    """The scene of this seed; of any layout or of the named one; of any size or a square."""
    rng = Random(f"{seed} {layout}")
    layout = layout or rng.choices(LAYOUTS, (7, 6, 4, 5, 5))[0]
    longer = rng.randint(640, 900) if layout == "small" else rng.randint(280, 680)
    other = longer if rng.random() < 0.5 else round(longer * rng.uniform(0.6, 1))
    width, height = (side, side) if side else rng.choice([(longer, other), (other, longer)])
    ground = _ground(rng)
    make = {"one": _one, "digit": _one, "small": _one, "many": _many, "two": _two}[layout]
    return Scene(
        layout=layout,
        width=width,
        height=height,
        ground=ground,
        things=make(rng, layout, width, height, ground),
        smooth=rng.random() < 0.7,
        noise=rng.choice([0, 0, 0, 3, 6]),
        seed=seed,
    )


def patchwork(rng: Random, side: int, *, alone: bool = False) -> Scene:
    """A thing of any size anywhere in a small square, or a few small ones: exercises for eyes."""
    ground = _ground(rng)
    things: list[Thing] = []
    large = rng.random() < 0.75
    for _ in range(1 if large or alone or rng.random() < 0.5 else 3):
        size = side * rng.uniform(0.3, 0.95) if large else rng.uniform(24, 60)
        for _ in range(10):
            x, y = (rng.uniform(0.45 * size, side - 0.45 * size) for _ in "xy")
            if all(math.dist((x, y), (t.x, t.y)) > 0.72 * (size + t.size) for t in things):
                kind = rng.choice(SHAPES if rng.random() < 0.5 else DIGITS)
                things.append(_thing(rng, kind, _colour(rng, ground), x, y, size))
                break
    return Scene(
        "patchwork",
        side,
        side,
        ground,
        tuple(things),
        rng.random() < 0.7,
        rng.choice([0, 0, 0, 3, 6]),
        rng.getrandbits(32),
    )


def _third(share: float) -> int:
    return 0 if share < 0.5 - (NEAR_MIDDLE + FAR_FROM_MIDDLE) / 2 else _upper(share)


def _upper(share: float) -> int:
    return 2 if share > 0.5 + (NEAR_MIDDLE + FAR_FROM_MIDDLE) / 2 else 1


def _one(rng: Random, layout: str, width: int, height: int, ground: RGB) -> tuple[Thing, ...]:
    shorter, longer = sorted((width, height))
    if layout == "small":
        size = longer * rng.uniform(0.04, 0.06)
        kind = rng.choice(DIGITS if rng.random() < 0.6 else SHAPES)
    elif layout == "digit":
        size = shorter * rng.uniform(0.3, 0.85)
        kind = rng.choice(DIGITS)
    else:
        size = shorter * rng.uniform(0.18, 0.75)
        kind = rng.choice(SHAPES)
    place = rng.randrange(9)
    if layout != "small" and rng.random() < 0.6:  # a large thing is always in the middle
        size = min(size, 0.6 * shorter * (0.5 - FAR_FROM_MIDDLE) / 0.5)
    x = _along(rng, place % 3, size, width)
    y = _along(rng, place // 3, size, height)
    return (_thing(rng, kind, _colour(rng, ground), x, y, size, small=layout == "small"),)


def _along(rng: Random, third: int, size: float, side: int) -> float:
    """A coordinate in the first, middle or last third, if a thing of this size fits there."""
    edge, limit = 0.55 * size, (0.5 - FAR_FROM_MIDDLE) * side
    if third == 1 or edge > limit:
        return side * rng.uniform(0.5 - NEAR_MIDDLE, 0.5 + NEAR_MIDDLE)
    at = rng.uniform(edge, limit)
    return at if third == 0 else side - at


def _many(rng: Random, layout: str, width: int, height: int, ground: RGB) -> tuple[Thing, ...]:
    del layout
    kind, (colour, rgb) = rng.choice(SHAPES), _colour(rng, ground)
    count, things = rng.randint(2, 4), []
    size = min(width, height) * rng.uniform(0.14, 0.32)
    outline = rng.random() < 0.25
    while len(things) < count:
        things = []
        for _ in range(count * 20):
            one = size * rng.uniform(0.85, 1.15)
            x, y = (rng.uniform(0.6 * one, side - 0.6 * one) for side in (width, height))
            if all(math.dist((x, y), (t.x, t.y)) > 0.75 * (one + t.size) for t in things):
                things.append(_thing(rng, kind, (colour, rgb), x, y, one, outline=outline))
            if len(things) == count:
                break
        size *= 0.95
    return tuple(things)


def _two(rng: Random, layout: str, width: int, height: int, ground: RGB) -> tuple[Thing, ...]:
    del layout
    kinds = rng.sample(SHAPES, 2)
    first = _colour(rng, ground)
    second = _colour(rng, ground)
    while second[0] == first[0]:
        second = _colour(rng, ground)
    beside = rng.random() < 0.5
    things = []
    for kind, colour, third in zip(kinds, (first, second), (0, 2), strict=True):
        size = min(width, height) * rng.uniform(0.18, 0.36)
        ways = (third, 1) if beside else (1, third)
        x, y = (_along(rng, way, size, s) for way, s in zip(ways, (width, height), strict=True))
        things.append(_thing(rng, kind, colour, x, y, size))
    return tuple(things)


def _thing(
    rng: Random,
    kind: str,
    colour: tuple[str, RGB],
    x: float,
    y: float,
    size: float,
    *,
    small: bool = False,
    outline: bool | None = None,
) -> Thing:
    if outline is None:
        outline = rng.random() < 0.25
    line = rng.uniform(0.1, 0.2) if kind in DIGITS else rng.uniform(0.07, 0.14) * outline
    turn = rng.gauss(0, 4 if kind in DIGITS else 7)
    return Thing(
        kind, *colour, x, y, size, turn, 0 if small and kind in SHAPES else line, rng.random()
    )


def _colour(rng: Random, ground: RGB) -> tuple[str, RGB]:
    """A colour that can be told from the ground."""
    while True:
        name = rng.choice(COLOURS)
        (h0, h1), (s0, s1), (v0, v1) = HUES[name]
        value = rng.uniform(v0, v1)
        rgb = _rgb(rng.uniform(h0, h1), rng.uniform(s0, s1), value)
        dark = max(ground) < 128
        if (
            math.dist(rgb, ground) > 110
            and (name != "white" or dark)
            and (name != "black" or not dark)
        ):
            return name, rgb


def _ground(rng: Random) -> RGB:
    chance = rng.random()
    if chance < 0.5:
        return (255, 255, 255)
    if chance < 0.75:
        return _rgb(rng.uniform(0, 360), rng.uniform(0, 0.15), rng.uniform(0.88, 1))
    return _rgb(rng.uniform(0, 360), rng.uniform(0, 0.35), rng.uniform(0, 0.2))


def _rgb(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw(pencil: ImageDraw.ImageDraw, thing: Thing, finer: int) -> None:
    x, y, size = thing.x * finer, thing.y * finer, thing.size * finer
    if thing.kind in DIGITS:
        if thing.style < 0.4:
            _printed(pencil, thing, x, y, size)
        else:
            for line in STROKES[thing.kind]:
                points = _placed(line, thing, x, y, 0.86 * size)
                _stroke(pencil, points, max(1, round(thing.outline * size)), thing.rgb)
        return
    points = _placed(_outline(thing), thing, x, y, size)
    if thing.outline:
        _stroke(pencil, [*points, points[0]], max(2, round(thing.outline * size)), thing.rgb)
    else:
        pencil.polygon(points, fill=thing.rgb)


def _printed(pencil: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, size: float) -> None:
    font = ImageFont.load_default(size * 1.36)  # a digit's height is 0.73 of a font's
    bold = max(0, round((thing.outline - 0.12) * size * 0.6))
    pencil.text((x, y), thing.kind, fill=thing.rgb, font=font, anchor="mm", stroke_width=bold)


def _stroke(
    pencil: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: int, rgb: RGB
) -> None:
    pencil.line(points, fill=rgb, width=width, joint="curve")
    for x, y in (points[0], points[-1]):
        half = width / 2
        pencil.ellipse((x - half, y - half, x + half, y + half), fill=rgb)


def _placed(
    line: list[tuple[float, float]], thing: Thing, x: float, y: float, size: float
) -> list[tuple[float, float]]:
    """From a box of -0.5 to 0.5 to where the thing is, a little wider or narrower, and turned."""
    cos, sin = math.cos(math.radians(thing.turn)), math.sin(math.radians(thing.turn))
    wide = 0.9 + 0.2 * (thing.style * 7 % 1)
    return [
        (x + size * (wide * a * cos - b * sin), y + size * (wide * a * sin + b * cos))
        for a, b in line
    ]


def _outline(thing: Thing) -> list[tuple[float, float]]:
    if thing.kind == "square":
        return [(-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45)]
    if thing.kind == "triangle":
        return [(0.0, -0.5), (0.52, 0.42), (-0.52, 0.42)]
    if thing.kind == "star":
        inner = 0.19 + 0.07 * thing.style
        rays = [(0.53 if k % 2 == 0 else inner, math.pi * (k / 5 - 0.5)) for k in range(10)]
        return [(r * math.cos(angle), r * math.sin(angle)) for r, angle in rays]
    turns = [2 * math.pi * k / 40 for k in range(40)]
    if thing.kind == "circle":
        return [(0.5 * math.cos(t), 0.5 * math.sin(t)) for t in turns]
    return [
        (
            0.5 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 32
            - 0.07,
        )
        for t in turns
    ]


def _arc(
    x: float, y: float, across: float, down: float, start: float, end: float
) -> list[tuple[float, float]]:
    """Part of an ellipse around (x, y); degrees clockwise from three o'clock."""
    angles = [math.radians(start + (end - start) * k / 16) for k in range(17)]
    return [(x + across * math.cos(t), y + down * math.sin(t)) for t in angles]


STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "0": [_arc(0, 0, 0.29, 0.5, 0, 360)],
    "1": [[(-0.16, -0.32), (0.06, -0.5), (0.06, 0.5)]],
    "2": [[*_arc(0, -0.22, 0.28, 0.28, -170, 30), (-0.3, 0.5), (0.31, 0.5)]],
    "3": [[*_arc(0, -0.25, 0.26, 0.25, -160, 90)], [*_arc(0, 0.24, 0.29, 0.26, -90, 160)]],
    "4": [[(0.14, 0.5), (0.14, -0.5), (-0.32, 0.18), (0.34, 0.18)]],
    "5": [[(0.26, -0.5), (-0.22, -0.5), (-0.26, -0.05), *_arc(0, 0.18, 0.29, 0.32, -140, 150)]],
    "6": [[(0.2, -0.46), (-0.1, -0.25), *_arc(0, 0.2, 0.28, 0.3, -170, 190)]],
    "7": [[(-0.3, -0.5), (0.3, -0.5), (-0.08, 0.5)]],
    "8": [_arc(0, -0.26, 0.24, 0.24, 90, 450), _arc(0, 0.24, 0.29, 0.26, -90, 270)],
    "9": [[*_arc(0, -0.2, 0.28, 0.3, 20, -340), (0.2, 0.2), (0.02, 0.5)]],
}
"""How each digit is written, in a box of -0.5 to 0.5."""
