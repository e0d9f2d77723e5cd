"""The clip: a seed becomes a tree, in seven scenes."""

import math
import random
from collections.abc import Callable, Iterator

from PIL import Image

from .figures import bird, gardener, seedling, tree
from .sheet import INDIGO, OCHRE, PAPER, RED, TEAL, Sheet, smooth

WIDTH, HEIGHT, RATE, LENGTH = 640, 360, 15, 24
"""Pixels, pictures per second, pictures per scene."""
GROUND = 288


def _field(sky: tuple[str, str], far: str, near: str, soil: str) -> Sheet:
    """Sky, hills and a meadow with a slice of soil."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.gradient([(0, sky[0]), (0.8, sky[1]), (1, sky[1])])
    hills = [(-10, 236), (90, 206), (210, 238), (350, 198), (500, 236), (650, 204)]
    sheet.polygon([*smooth(hills), (650, 360), (-10, 360)], far)
    meadow = [(-10, 282), (150, 290), (320, 286), (500, 291), (650, 280)]
    sheet.gradient([(0, near), (1, soil)], [*smooth(meadow), (650, 361), (-10, 361)])
    return sheet


def seed(t: float, sheet: Sheet) -> None:
    """A bird lets a seed fall, and the soil takes it in."""
    bird(sheet, 214 + 240 * t, 62 - 26 * t, t, 1.5)
    fall = min(t / 0.75, 1)
    y = 76 + (252 - 76) * fall**2
    x = 222 + 98 * math.sin(fall * math.pi / 2)
    sheet.ellipse(x, y, 6, 9, "#7a4a24")
    sheet.ellipse(x - 2, y - 2, 2, 4, "#a97748")


def _soil() -> Sheet:
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.gradient([(0, "#e9c48c"), (0.5, "#f4dfb0"), (1, "#f4dfb0")])
    top = smooth([(-10, 176), (140, 184), (320, 196), (500, 182), (650, 178)])
    sheet.gradient([(0, "#6b4428"), (1, "#2e1b10")], [*top, (650, 361), (-10, 361)])
    stones = random.Random(8)
    for _ in range(60):
        x, y, r = stones.uniform(0, 640), stones.uniform(206, 350), stones.uniform(2, 7)
        sheet.ellipse(x, y, r * 1.4, r, stones.choice(("#7d553799", "#4a2d1a99", "#91694799")))
    hole = [(290, 196), (306, 218), (303, 250), (320, 266), (337, 250), (334, 218), (350, 195)]
    sheet.polygon(smooth(hole), "#2a170d")
    for side, lift in ((-1, 30), (1, 22), (-1, 14)):
        for x in range(10 if side > 0 else 30, 650, 46):
            y = 182 + 12 * math.exp(-(((x - 320) / 180) ** 2))
            blade = [(x, y + 4), (x + side * 3, y - lift * 0.5), (x + side * 9, y - lift)]
            sheet.line(smooth(blade), "#7f9a4c", 2.5)
    return sheet


def sprout(t: float, sheet: Sheet) -> None:
    """Rain, and two first leaves."""
    seedling(sheet, 320, GROUND, 34 + 46 * t, 0.04 * math.sin(9 * t))
    drops = random.Random(4)
    for _ in range(90):
        x, start, speed = drops.uniform(-20, 680), drops.uniform(0, 1), drops.choice((2, 3))
        y = (start + t * speed) % 1 * 330 - 16
        sheet.line([(x - y * 0.12, y), (x - y * 0.12 - 2, y + 15)], "#b9c8d8", 1.5)


def _rain() -> Sheet:
    sheet = _field(("#56687c", "#8c9cab"), "#65807a", "#5f7f58", "#4d3a2a")
    for x, y, r in (
        (90, 40, 40),
        (150, 30, 52),
        (220, 44, 38),
        (430, 34, 46),
        (500, 28, 56),
        (570, 46, 40),
    ):
        sheet.ellipse(x, y, r * 1.6, r * 0.8, "#48586c")
    return sheet


def sapling(t: float, sheet: Sheet) -> None:
    """A child waters a young tree in the morning sun."""
    tree(sheet, 320, GROUND + 2, 0.42, ("#6fae55", "#82bd63", "#5f9f4c"), 0.03 * math.sin(6 * t))
    gardener(sheet, 194, GROUND + 8, t)


def _morning() -> Sheet:
    sheet = _field(("#fbe6b4", "#fff8e4"), "#dbe6b0", "#c3d98a", "#a58a5c")
    sheet.glow(520, 82, 150, "#ffffff", 1)
    sheet.circle(520, 82, 34, "#ffd768")
    return sheet


def summer(t: float, sheet: Sheet) -> None:
    """Full of leaves and apples; a bird comes."""
    tree(sheet, 320, GROUND + 4, 1, ("#3f7f43", "#4f924d", "#35703d"), 0.012 * math.sin(6 * t))
    for x, y in ((250, 150), (292, 104), (350, 146), (394, 116), (386, 172), (222, 176)):
        sheet.circle(x, y, 7, RED)
        sheet.circle(x - 2, y - 2, 2, "#e9a08c")
    bird(sheet, 40 + 130 * t, 90 + 14 * math.sin(5 * t), t, 1)


def _noon() -> Sheet:
    sheet = _field(("#3f8fc4", "#a4d3e6"), "#6fa878", "#5f9a4f", "#6b4c30")
    for x, y, w in ((60, 60, 96), (96, 46, 60), (490, 84, 110), (520, 70, 60)):
        sheet.rect(x, y, w, 22, "#e6f3f7", 11)
    return sheet


def autumn(t: float, sheet: Sheet) -> None:
    """Leaves turn and fall."""
    tree(sheet, 320, GROUND + 4, 1, ("#cf6a2b", "#dd8b33", "#b9502a"), 0.02 * math.sin(7 * t))
    leaves = random.Random(6)
    for _ in range(34):
        x, y, turn = leaves.uniform(170, 520), leaves.uniform(0, 1), leaves.uniform(0, 6)
        fallen = (y + t * 0.8) % 1
        x += 50 * fallen + 12 * math.sin(turn + 6 * fallen)
        colour = leaves.choice(("#cf6a2b", "#dd8b33", "#a8472a"))
        sheet.ellipse(x, 130 + fallen * 190, 5, 2.5 + 1.5 * math.sin(turn + 9 * t), colour)


def _october() -> Sheet:
    sheet = _field(("#e3b262", "#fbe6b6"), "#9c6c3a", "#a9843f", "#5b3d24")
    heap = random.Random(2)
    for _ in range(160):
        x = 320 + heap.gauss(0, 95)
        sheet.ellipse(
            x, 296 + heap.uniform(-6, 30), 5, 2.6, heap.choice(("#c05f2a", "#d98a35", "#a8472a"))
        )
    return sheet


def winter(t: float, sheet: Sheet) -> None:
    """Bare under the moon, in falling snow."""
    tree(sheet, 320, GROUND + 4, 1, (), 0, "#141a2e", "#c9d3e6")
    flakes = random.Random(9)
    for _ in range(120):
        x, y, size = flakes.uniform(0, 640), flakes.uniform(0, 1), flakes.uniform(1.2, 2.8)
        fallen = (y + t * 0.35) % 1
        sheet.circle(x + 8 * math.sin(6 * fallen + x), fallen * 350, size, "#e8eef8")


def _night() -> Sheet:
    sheet = _field(("#10162e", "#2c3a63"), "#26345a", "#8fa2c4", "#5a6d94")
    sheet.glow(504, 74, 110, "#aebbdc", 0.55)
    sheet.circle(504, 74, 30, "#f2ecd2")
    stars = random.Random(1)
    for _ in range(50):
        sheet.circle(stars.uniform(0, 640), stars.uniform(0, 180), 0.9, "#cfd8ee")
    return sheet


def spring(t: float, sheet: Sheet) -> None:
    """In blossom, with a swing."""
    tree(sheet, 320, GROUND + 4, 1, ("#f2b6c3", "#f7cbd3", "#e79fb1"), 0.01 * math.sin(6 * t))
    swing = 0.34 * math.sin(2 * math.pi * t)
    hook = (404, 176)
    seat = (hook[0] + 98 * math.sin(swing), hook[1] + 92 * math.cos(swing))
    for dx in (-11, 11):
        sheet.line([(hook[0] + dx, hook[1]), (seat[0] + dx, seat[1])], "#7a5a40", 1.5)
    x, y = seat
    sheet.line([(x - 14, y + 1), (x + 14, y + 1)], "#6b4428", 4)
    sheet.line([(x, y - 6), (x + 14, y - 3), (x + 20, y + 14)], INDIGO, 7)
    sheet.line([(x - 1, y - 8), (x - 2, y - 28)], TEAL, 13)
    sheet.line([(x, y - 26), (x + 10, y - 36)], TEAL, 4)
    sheet.circle(x, y - 44, 9, "#c98f6b")
    sheet.polygon(
        smooth([(x + 8, y - 48), (x, y - 55), (x - 10, y - 47), (x - 9, y - 38)]), "#2f211c"
    )
    petals = random.Random(12)
    for _ in range(22):
        px, py = petals.uniform(180, 500), (petals.uniform(0, 1) + t * 0.5) % 1
        sheet.ellipse(px + 30 * py, 120 + py * 190, 3, 2, "#f4b9c6")


def _april() -> Sheet:
    sheet = _field(("#d3ebf4", "#f4faf3"), "#cbe6c4", "#a6d591", "#8a6e4c")
    flowers = random.Random(7)
    for _ in range(70):
        x, y = flowers.uniform(0, 640), flowers.uniform(300, 326)
        sheet.circle(x, y, 2.4, flowers.choice((PAPER, OCHRE, "#e58aa0")))
    return sheet


SCENES: tuple[tuple[Callable[[], Sheet], Callable[[float, Sheet], None]], ...] = (
    (_soil, seed),
    (_rain, sprout),
    (_morning, sapling),
    (_noon, summer),
    (_october, autumn),
    (_night, winter),
    (_april, spring),
)
"""A ground that stays, and what moves on it while time goes from 0 to 1."""


def frames() -> Iterator[Image.Image]:
    """All pictures of the clip, in order."""
    for ground, motion in SCENES:
        still = ground()
        for i in range(LENGTH):
            sheet = still.copy()
            motion(i / LENGTH, sheet)
            yield sheet.finished()
