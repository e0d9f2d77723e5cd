"""To describe: a beach at sunset."""

import random

from .sheet import INDIGO, OCHRE, RED, TEAL, Point, Sheet, smooth


def beach() -> Sheet:
    """A child with a kite, a dog, a sailing boat, the sun over the sea."""
    sheet = Sheet(960, 640)
    sheet.gradient(
        [(0, "#54679f"), (0.28, "#9488b0"), (0.48, "#e0a295"), (0.6, "#f7cf94"), (1, "#f7cf94")]
    )
    sheet.glow(640, 372, 330, "#fff0c4", 0.75)
    for x, y, length, colour in (
        *((60, 168, 250, "#ac96b6"), (120, 176, 300, "#ac96b6"), (30, 184, 210, "#ac96b6")),
        *((676, 228, 220, "#eec3a6"), (720, 236, 260, "#eec3a6"), (790, 244, 130, "#eec3a6")),
        *((250, 306, 200, "#f3bd9c"), (300, 313, 190, "#f3bd9c")),
    ):
        sheet.rect(x, y, length, 9, colour, 4.5)
    sheet.circle(640, 372, 47, "#fff4d6")
    _sea(sheet)
    _boat(sheet, 178, 410)
    _sand(sheet)
    _kite(sheet, (322, 474), (452, 128))
    _child(sheet, 290, 560)
    _dog(sheet, 398, 556)
    _grass(sheet)
    for x, y, size in ((742, 128, 15), (790, 158, 11), (700, 172, 9)):
        for side in (-1, 1):
            wing = ((0.0, 0.0), (0.35, -0.5), (0.7, -0.55), (1.1, -0.25))
            points = [(x + side * size * a, y + size * b) for a, b in wing]
            sheet.line(smooth(points), "#3c4468", 2)
    return sheet


def _sea(sheet: Sheet) -> None:
    area = [(0.0, 402.0), (960.0, 402.0), (960.0, 560.0), (0.0, 560.0)]
    sheet.gradient([(0, "#e3a98c"), (0.25, "#a98a9c"), (1, "#54698f")], area)
    waves = random.Random(3)
    for row in range(34):
        y = 405 + row * 3.4
        for _ in range(3 + row // 4):
            x, length = waves.uniform(-20, 980), waves.uniform(14, 40) * (1 + row / 30)
            sheet.ellipse(x, y, length, 0.9 + row / 40, "#ffffff1c" if row % 2 else "#3a4a7420")
        half = 44 - row * 0.5
        for _ in range(3):
            x = 640 + waves.uniform(-half, half) * (1 + row / 40)
            sheet.ellipse(x, y, waves.uniform(8, 26), 1 + row / 30, "#fff0c8b0")


def _boat(sheet: Sheet, x: float, y: float) -> None:
    sheet.ellipse(x, y + 16, 44, 3, "#2f3a5c60")
    hull = smooth([(x - 42, y - 2), (x - 28, y + 12), (x + 28, y + 12), (x + 46, y - 4)])
    sheet.polygon(hull, "#33314c")
    sheet.line([(x - 2, y - 2), (x - 2, y - 86)], "#33314c", 2)
    sheet.polygon(
        [*smooth([(x + 2, y - 84), (x + 28, y - 40), (x + 40, y - 8)]), (x + 2, y - 8)], "#fdf1de"
    )
    sheet.polygon([(x - 6, y - 76), (x - 6, y - 8), (x - 34, y - 8)], "#f3d9bd")


def _sand(sheet: Sheet) -> None:
    shore = smooth([(-10, 494), (180, 512), (400, 502), (640, 522), (830, 508), (970, 492)])
    for drop, colour in ((0, "#6f7f9c"), (5, "#f4e6d6"), (10, "#b98f74"), (24, "#d9b088")):
        line = [(x, y + drop) for x, y in shore]
        sheet.polygon([*line, (970, 640), (-10, 640)], colour)
    line = [(x, y + 24) for x, y in shore]
    sheet.gradient([(0, "#dcb48b"), (1, "#b98862")], [*line, (970, 641), (-10, 641)])
    pebbles = random.Random(11)
    for _ in range(130):
        x, y = pebbles.uniform(0, 960), pebbles.uniform(562, 636)
        sheet.ellipse(x, y, pebbles.uniform(1, 2.6), 0.9, "#8a624540")


def _kite(sheet: Sheet, hand: Point, at: Point) -> None:
    x, y = at
    top, right, foot, left = (x + 26, y - 62), (x + 50, y + 6), (x - 30, y + 74), (x - 46, y - 22)
    string = smooth([hand, (hand[0] + 52, hand[1] - 130), (x + 6, y + 70), (x + 2, y)], steps=24)
    sheet.line(string, "#f6eadb", 1.2)
    tail = [
        (foot[0] + dx, foot[1] + dy)
        for dx, dy in ((0, 0), (-26, 34), (-8, 66), (-40, 96), (-30, 128))
    ]
    sheet.line(smooth(tail), "#4a3f63", 1.8)
    for (bx, by), colour in zip(tail[1:], (RED, OCHRE, TEAL, RED), strict=True):
        for side in (-1, 1):
            bow = [(bx, by), (bx + side * 12, by - 6), (bx + side * 12, by + 6)]
            sheet.polygon(bow, colour)
    for a, b, colour in (
        *((top, right, RED), (right, foot, OCHRE), (foot, left, TEAL), (left, top, INDIGO)),
    ):
        sheet.polygon([at, a, b], colour)
    sheet.line([top, foot], "#4a3f63", 1.6)
    sheet.line([left, right], "#4a3f63", 1.6)


def _child(sheet: Sheet, x: float, y: float) -> None:
    """Standing at (x, y) with the right hand up."""
    sheet.ellipse(x - 30, y + 4, 52, 5, "#6b4a3650")
    for dx in (-9, 8):
        sheet.line([(x + dx * 0.6, y - 36), (x + dx, y)], "#323a5e", 9)
        sheet.line([(x + dx, y), (x + dx + 5, y + 1)], "#5b3b2e", 7)
    coat = smooth(
        [(x - 9, y - 78), (x - 17, y - 32), (x, y - 28), (x + 17, y - 32), (x + 9, y - 78)]
    )
    sheet.polygon(coat, RED)
    sheet.line([(x + 6, y - 70), (x + 20, y - 76), (x + 32, y - 88)], RED, 8)
    sheet.circle(x + 33, y - 88, 4.5, "#e8b793")
    sheet.line([(x - 7, y - 70), (x - 18, y - 50)], "#a9432f", 8)
    sheet.circle(x - 19, y - 48, 4.5, "#e8b793")
    sheet.line([(x - 7, y - 77), (x + 7, y - 77)], OCHRE, 7)
    sheet.line([(x - 8, y - 76), (x - 26, y - 68)], OCHRE, 5)
    sheet.circle(x + 2, y - 92, 12, "#e8b793")
    hair = smooth(
        [(x + 12, y - 100), (x, y - 108), (x - 13, y - 99), (x - 12, y - 84), (x - 4, y - 92)]
    )
    sheet.polygon(hair, "#4a2f27")
    sheet.circle(x + 7, y - 93, 1.5, "#4a2f27")


def _dog(sheet: Sheet, x: float, y: float) -> None:
    """Sitting, looking up to the right."""
    brown, dark = "#6a4633", "#4e3226"
    sheet.ellipse(x - 12, y + 5, 34, 4, "#6b4a3650")
    sheet.line(smooth([(x - 16, y), (x - 32, y - 2), (x - 38, y - 16)]), brown, 5)
    body = smooth(
        [(x - 20, y + 4), (x - 22, y - 14), (x - 4, y - 42), (x + 10, y - 44), (x + 12, y + 4)]
    )
    sheet.polygon(body, brown)
    sheet.line([(x + 8, y - 24), (x + 9, y + 2)], brown, 7)
    sheet.ellipse(x - 8, y - 3, 13, 8, dark)
    sheet.circle(x + 6, y - 50, 11, brown)
    sheet.line([(x + 10, y - 52), (x + 22, y - 56)], brown, 8)
    sheet.circle(x + 25, y - 58, 2.6, "#1f1512")
    sheet.polygon(
        smooth([(x + 2, y - 58), (x - 8, y - 52), (x - 6, y - 38), (x + 2, y - 46)], True), dark
    )
    sheet.circle(x + 11, y - 56, 1.6, "#1f1512")
    sheet.line([(x - 1, y - 38), (x + 12, y - 37)], TEAL, 4)


def _grass(sheet: Sheet) -> None:
    """Dunes in both lower corners."""
    dunes = (
        ([(-10, 566), (70, 570), (190, 612), (250, 650), (-10, 650)], 0.0, 210.0),
        (
            [(970, 548), (860, 560), (740, 606), (660, 650), (970, 650)],
            *(700.0, 960.0),
        ),
    )
    blades = random.Random(5)
    for points, start, end in dunes:
        sheet.gradient([(0, "#a87d5c"), (1, "#7d5a45")], smooth(points))
        for _ in range(90):
            x = blades.uniform(start, end)
            inner = (x - start) / (end - start) if start == 0 else (end - x) / (end - start)
            y = 580 + inner * 52 + blades.uniform(-4, 10)
            tall, lean = blades.uniform(26, 62) * (1.1 - inner * 0.6), blades.uniform(-8, 26)
            bend = smooth([(x, y), (x + lean * 0.3, y - tall * 0.6), (x + lean, y - tall)], steps=6)
            sheet.line(bend, blades.choice(("#4f5a45", "#6c6b49", "#3f4a40", "#877c52")), 1.6)
