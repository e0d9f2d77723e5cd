"""To compare: one desk at two moments."""

from collections.abc import Sequence

from .sheet import INDIGO, INK, OCHRE, PAPER, RED, TEAL, Sheet, smooth


def before() -> Sheet:
    return _desk(cup=RED, cat=True, lit=False)


def after() -> Sheet:
    """The same desk, but for a cup, a cat and a lamp."""
    return _desk(cup=TEAL, cat=False, lit=True)


def _desk(cup: str, cat: bool, lit: bool) -> Sheet:
    sheet = Sheet(900, 640, "#eee3cd")
    sheet.gradient([(0, "#f1e8d6"), (1, "#e6d8bd")])
    _window(sheet, 92, 62)
    if cat:
        _cat(sheet, 200, 374)
    _clock(sheet, 560, 142)
    sheet.rect(0, 486, 900, 160, "#a8754a")
    sheet.gradient([(0, "#b9855a"), (1, "#9c6b43")], [(0, 486), (900, 486), (900, 640), (0, 640)])
    for y, x, length in ((522, 60, 300), (548, 470, 360), (590, 180, 420), (616, 600, 240)):
        sheet.line([(x, y), (x + length, y + 2)], "#94633d", 1.2)
    sheet.rect(0, 486, 900, 4, "#caa075")
    _plant(sheet, 90, 536)
    _books(sheet, 520, 540)
    _cup(sheet, 386, 560, cup)
    _lamp(sheet, 740, 540, lit)
    return sheet


def _window(sheet: Sheet, x: float, y: float) -> None:
    w, h = 330, 300
    sheet.rect(x - 16, y - 16, w + 32, h + 32, "#fffaf0", 4)
    pane = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    sheet.gradient([(0, "#a9cfe4"), (0.75, "#e9f3ee"), (1, "#e9f3ee")], pane)
    for cx, cy, r in ((70, 70, 22), (96, 62, 28), (126, 72, 20), (240, 108, 16), (260, 102, 20)):
        sheet.ellipse(x + cx, y + cy, r * 1.3, r * 0.7, "#ffffffd0")
    for heights, colour in (
        ((190, 160, 178, 150, 184), "#9fbfae"),
        ((226, 200, 222, 196, 212), "#7aa583"),
        ((262, 250, 238, 258, 240), "#5b8b63"),
    ):
        tops = [(x + i * w / 4, y + top) for i, top in enumerate(heights)]
        sheet.polygon([*smooth(tops), (x + w, y + h), (x, y + h)], colour)
    for tx, ty, size in ((60, 252, 20), (84, 256, 15), (262, 246, 18)):
        sheet.polygon(
            [
                (x + tx, y + ty - size * 2),
                (x + tx + size * 0.6, y + ty),
                (x + tx - size * 0.6, y + ty),
            ],
            "#2f5d45",
        )
    sheet.rect(x + w / 2 - 5, y, 10, h, "#fffaf0")
    sheet.rect(x, y + h * 0.42, w, 8, "#fffaf0")
    sheet.frame(x, y, w, h, "#d9cbb0", 1.5)
    sheet.rect(x - 34, y + h + 12, w + 68, 20, "#fffaf0", 3)
    sheet.rect(x - 34, y + h + 30, w + 68, 6, "#00000018", 3)


def _cat(sheet: Sheet, x: float, y: float) -> None:
    """Sitting on the sill, seen from the front."""
    ginger, light, dark = "#d98b45", "#f6e3c8", "#b26a2e"
    sheet.line(
        smooth([(x + 30, y - 6), (x + 58, y - 2), (x + 72, y + 16), (x + 60, y + 38)]), ginger, 11
    )
    sheet.polygon(
        smooth(
            [
                (x, y - 84),
                (x + 28, y - 60),
                (x + 38, y - 4),
                (x, y),
                (x - 38, y - 4),
                (x - 28, y - 60),
            ],
            True,
        ),
        ginger,
    )
    sheet.ellipse(x, y - 40, 16, 24, light)
    for side in (-1, 1):
        sheet.ellipse(x + side * 13, y - 5, 12, 8, light)
        sheet.polygon(
            [(x + side * 8, y - 128), (x + side * 27, y - 142), (x + side * 31, y - 108)], ginger
        )
        sheet.polygon(
            [(x + side * 14, y - 126), (x + side * 24, y - 134), (x + side * 26, y - 114)],
            "#e9b08c",
        )
    sheet.ellipse(x, y - 102, 33, 29, ginger)
    for stripe in (-9, 0, 9):
        sheet.line([(x + stripe, y - 128), (x + stripe * 0.8, y - 117)], dark, 3)
    sheet.ellipse(x, y - 90, 15, 11, light)
    for side in (-1, 1):
        sheet.ellipse(x + side * 13, y - 105, 5.5, 6, "#3d5b3a")
        sheet.ellipse(x + side * 13, y - 105, 2, 5.4, "#14160f")
        sheet.line(smooth([(x, y - 90), (x + side * 4, y - 86), (x + side * 8, y - 88)]), dark, 1.6)
        for up in (-4, 1):
            sheet.line([(x + side * 14, y - 91), (x + side * 40, y - 92 + up * 2)], "#fff6e6", 1)
    sheet.polygon([(x - 4, y - 97), (x + 4, y - 97), (x, y - 92)], "#b4574b")


def _clock(sheet: Sheet, x: float, y: float) -> None:
    sheet.circle(x + 2, y + 5, 62, "#00000020")
    sheet.circle(x, y, 62, INDIGO)
    sheet.circle(x, y, 53, PAPER)
    for hour, (dx, dy) in enumerate(
        ((0, -1), (0.5, -0.87), (0.87, -0.5), (1, 0), (0.87, 0.5), (0.5, 0.87))
    ):
        for side in (-1, 1):
            inner, width = (40, 3.5) if hour % 3 == 0 else (44, 2)
            ends = [(x + side * dx * r, y + side * dy * r) for r in (inner, 48)]
            sheet.line(ends, INK, width)
    sheet.line([(x, y), (x - 24, y - 14)], INK, 5)
    sheet.line([(x, y), (x + 33, y - 19)], INK, 3.5)
    sheet.circle(x, y, 4.5, RED)


def _plant(sheet: Sheet, x: float, y: float) -> None:
    sheet.ellipse(x + 4, y + 2, 50, 8, "#4a2c1640")
    leaves: Sequence[tuple[float, float, str]] = (
        *(
            (-62, -150, "#3f7a52"),
            (58, -160, "#4b8a5c"),
            (-34, -196, "#56986a"),
            (28, -206, "#3f7a52"),
        ),
        *((-78, -104, "#4b8a5c"), (74, -112, "#56986a"), (-4, -222, "#63a576")),
    )
    for dx, dy, colour in leaves:
        tip, base = (x + dx, y + dy), (x, y - 66)
        mx, my = (tip[0] + base[0]) / 2, (tip[1] + base[1]) / 2
        nx, ny = (dy + 66) * 0.16, -dx * 0.16
        sheet.polygon(smooth([base, (mx + nx, my + ny), tip, (mx - nx, my - ny)], True), colour)
        sheet.line([base, ((tip[0] + mx) / 2, (tip[1] + my) / 2)], "#2f5f41", 1.4)
    sheet.polygon([(x - 46, y - 72), (x + 46, y - 72), (x + 34, y), (x - 34, y)], "#c9744f")
    sheet.polygon([(x + 16, y - 72), (x + 46, y - 72), (x + 34, y), (x + 12, y)], "#b9653f")
    sheet.rect(x - 52, y - 84, 104, 18, "#d4825c", 4)


def _books(sheet: Sheet, x: float, y: float) -> None:
    sheet.ellipse(x + 4, y + 1, 88, 7, "#4a2c1640")
    for row, (left, width, colour) in enumerate(
        ((-80, 160, "#44628c"), (-72, 150, OCHRE), (-76, 140, "#8d4b57"), (-60, 124, "#5d7f6a"))
    ):
        top = y - (row + 1) * 27
        sheet.rect(x + left, top, width, 26, colour, 3)
        sheet.rect(x + left + width - 12, top + 4, 12, 18, "#f5ecd8")
        sheet.rect(x + left + 14, top, 4, 26, "#ffffff50")
        sheet.rect(x + left + 34, top + 11, width * 0.4, 4, "#ffffff90", 2)


def _cup(sheet: Sheet, x: float, y: float, colour: str) -> None:
    sheet.ellipse(x + 3, y + 1, 54, 8, "#4a2c1640")
    sheet.ellipse(x, y - 3, 54, 9, "#f7f0e2")
    sheet.ellipse(x, y - 5, 36, 5, "#e2d6bf")
    handle = smooth([(x + 32, y - 54), (x + 56, y - 52), (x + 54, y - 26), (x + 26, y - 22)])
    sheet.line(handle, colour, 8)
    sheet.polygon(
        [
            (x - 40, y - 68),
            (x + 40, y - 68),
            *smooth([(x + 38, y - 40), (x + 24, y - 6), (x - 24, y - 6), (x - 38, y - 40)]),
        ],
        colour,
    )
    sheet.ellipse(x, y - 68, 40, 9, "#f7f0e2")
    sheet.ellipse(x, y - 67, 34, 6.5, "#6b4128")
    sheet.line(smooth([(x - 27, y - 52), (x - 26, y - 36), (x - 20, y - 22)]), "#ffffff", 2.5)
    for dx in (-12, 8):
        steam = [
            (x + dx, y - 84),
            (x + dx + 8, y - 100),
            (x + dx - 4, y - 116),
            (x + dx + 6, y - 134),
        ]
        sheet.line(smooth(steam), "#fffaf0", 3)


def _lamp(sheet: Sheet, x: float, y: float, lit: bool) -> None:
    if lit:
        sheet.glow(x - 70, y - 180, 250, "#ffe58f", 0.8)
        sheet.ellipse(x - 110, y + 22, 120, 26, "#ffe9a038")
        sheet.ellipse(x - 110, y + 22, 86, 17, "#ffe9a040")
    sheet.ellipse(x + 4, y + 3, 66, 9, "#4a2c1640")
    sheet.ellipse(x, y - 2, 62, 10, "#2d3768")
    sheet.ellipse(x, y - 6, 62, 10, INDIGO)
    sheet.line([(x, y - 8), (x + 44, y - 134), (x - 34, y - 254)], "#2d3768", 8)
    sheet.circle(x + 44, y - 134, 10, OCHRE)
    shade = [(x - 36, y - 274), (x - 6, y - 252), (x - 14, y - 166), (x - 116, y - 216)]
    if lit:
        sheet.ellipse(x - 64, y - 190, 22, 18, "#fff6c9")
    sheet.polygon(shade, INDIGO)
    sheet.polygon(
        [(x - 20, y - 262), (x - 6, y - 252), (x - 14, y - 166), (x - 40, y - 179)], "#37458f"
    )
    sheet.line([(x - 116, y - 216), (x - 14, y - 166)], "#fff3b8" if lit else "#2d3768", 5)
