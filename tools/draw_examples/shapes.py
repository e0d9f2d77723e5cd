"""One thing on white: what the smallest model that sees can name."""

import math

from .sheet import Sheet


def circle() -> Sheet:
    sheet = Sheet(448, 448, "#ffffff")
    sheet.circle(224, 224, 120, "#d62f2f")
    return sheet


def triangles() -> Sheet:
    sheet = Sheet(448, 448, "#ffffff")
    for x, y in ((224, 122), (122, 320), (326, 320)):
        corners = [_around(x, y + 12, 84, turn) for turn in (0, 1 / 3, 2 / 3)]
        sheet.polygon(corners, "#2b5fd0")
    return sheet


def digit() -> Sheet:
    sheet = Sheet(448, 448, "#ffffff")
    sheet.text(224, 345, "7", 340, "#16181f", "middle", weight=7)
    return sheet


def detail() -> Sheet:
    """A triangle, small on a large sheet: in one crop hardly more than a speck.

    One of those that Pocket-Vision tells in four crops only; how often it does: its exam.
    """
    sheet = Sheet(1344, 1008, "#ffffff")
    sheet.polygon([(1140, 800), (1170, 854), (1110, 854)], "#2b5fd0")
    return sheet


def _around(x: float, y: float, radius: float, turn: float) -> tuple[float, float]:
    """The point on a circle after so much of a turn, clockwise from the top."""
    angle = 2 * math.pi * turn
    return x + radius * math.sin(angle), y - radius * math.cos(angle)
