"""Who and what appears in the clip."""

import math
import random

from .sheet import INDIGO, OCHRE, RED, TEAL, Point, Sheet, smooth


def bird(sheet: Sheet, x: float, y: float, t: float, size: float) -> None:
    flap = math.sin(t * 22)
    body = [(-16, -3), (-4, -6), (10, -3), (14, 2), (2, 6), (-12, 2)]
    sheet.polygon(smooth([(x + size * a, y + size * b) for a, b in body], True), "#3c4468")
    sheet.polygon(
        [(x + 13 * size, y - 2 * size), (x + 21 * size, y + size), (x + 13 * size, y + 3 * size)],
        OCHRE,
    )
    wing = [(-6, -3), (-12, -20 * flap - 4), (6, -2)]
    sheet.polygon([(x + size * a, y + size * b) for a, b in wing], "#59638e")


def seedling(sheet: Sheet, x: float, y: float, height: float, sway: float) -> None:
    tip = (x + height * sway, y - height)
    sheet.line(smooth([(x, y + 4), (x - 2, y - height / 2), tip]), "#8fbf63", 4)
    for side in (-1, 1):
        size = height * 0.55
        middle = (tip[0] + side * size * 0.6, tip[1] - size * 0.5)
        end = (tip[0] + side * size, tip[1] - size * 0.15)
        under = (tip[0] + side * size * 0.5, tip[1] + size * 0.1)
        sheet.polygon(smooth([tip, middle, end, under], True), "#9fd06c")


def gardener(sheet: Sheet, x: float, y: float, t: float) -> None:
    for dx in (-6, 7):
        sheet.line([(x + dx * 0.6, y - 34), (x + dx, y)], INDIGO, 8)
    sheet.polygon(
        smooth([(x - 8, y - 76), (x - 14, y - 32), (x + 14, y - 32), (x + 8, y - 76)]), RED
    )
    sheet.circle(x, y - 88, 12, "#d9a27c")
    sheet.ellipse(x, y - 96, 22, 4.5, OCHRE)
    sheet.ellipse(x, y - 99, 11, 7, OCHRE)
    cx, cy = x + 34, y - 60 + 2 * math.sin(7 * t)
    sheet.line([(x + 6, y - 68), (cx - 2, cy - 8)], "#a9432f", 7)
    body = [(cx - 8, cy - 10), (cx + 12, cy - 4), (cx + 7, cy + 14), (cx - 13, cy + 8)]
    sheet.polygon(body, TEAL)
    sheet.line([(cx + 8, cy + 8), (cx + 30, cy + 4)], TEAL, 3.5)
    sheet.line([(cx + 28, cy - 1), (cx + 32, cy + 8)], TEAL, 3)
    for i in range(10):
        fall = (i / 10 + t * 4) % 1
        drop = (cx + 34 + 34 * fall + i % 3 * 2, cy + 6 + 52 * fall**1.6)
        sheet.circle(*drop, 1.7, "#4f93bd")


def tree(
    sheet: Sheet,
    x: float,
    y: float,
    size: float,
    leaves: tuple[str, ...],
    sway: float,
    bark: str = "#6b472f",
    snow: str = "",
) -> None:
    """Always the same tree; `leaves` are the colours of its crown, dark to light to shade."""
    shape = random.Random(21)
    tips: list[Point] = []

    def grow(at: Point, angle: float, length: float, depth: int) -> None:
        angle += sway * (5 - depth)
        end = (at[0] + length * math.sin(angle), at[1] - length * math.cos(angle))
        width = 1.4 * size * 2.0**depth * 0.62 + 0.6
        sheet.line([at, end], bark, width)
        if snow and depth < 3 and abs(angle) > 0.35:
            above = [(px, py - width * 0.5) for px, py in (at, end)]
            sheet.line(above, snow, 1.2)
        if depth <= 2:
            tips.append(end)
        if depth:
            for turn in (-0.52, 0.06, 0.56):
                spread = turn + shape.uniform(-0.16, 0.16)
                grow(end, angle + spread, length * shape.uniform(0.62, 0.8), depth - 1)

    grow((x, y), 0, 74 * size, 4)
    if not leaves:
        return
    for layer, (drop, radius) in enumerate(((7, 21), (0, 17), (-6, 10))):
        colour = (leaves[2], leaves[0], leaves[1])[layer]
        for tip in tips if layer < 2 else tips[::2]:
            r = radius * size * shape.uniform(0.75, 1.15)
            dx, dy = shape.uniform(-6, 6) * size, drop * size
            sheet.circle(tip[0] + dx, tip[1] + dy, r, colour)
