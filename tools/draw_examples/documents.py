"""Things to read: a shop's notice, a timetable, two charts."""

from collections.abc import Sequence

from .sheet import GREY, INDIGO, INK, LINE, OCHRE, PAPER, RED, TEAL, Align, Sheet, smooth

_WEIGHT = 0.45


def notice() -> Sheet:
    """A card on the door of a bookshop."""
    sheet = Sheet(900, 675, "#2f5d62")
    for plank in range(6):
        x = plank * 150
        shades = ("#315f64", "#2d5a5f", "#336368", "#2f5c61", "#346469", "#2c585d")
        sheet.gradient(
            [(0, shades[plank]), (1, "#274c51")], [(x, 0), (x + 150, 0), (x + 150, 675), (x, 675)]
        )
        sheet.rect(x + 147, 0, 3, 675, "#1d3c4099")
        sheet.rect(x, 0, 1.5, 675, "#ffffff18")
    card = [(170, 118), (730, 118), (730, 620), (170, 620)]
    sheet.shadow([(x + 4, y + 12) for x, y in card], 14, 0.55)
    sheet.line([(262, 140), (450, 36), (638, 140)], "#d8c7a0", 3.5)
    sheet.circle(450, 36, 9, "#1b2f33")
    sheet.circle(448, 33, 5.5, "#c9cdd0")
    sheet.rect(170, 118, 560, 502, PAPER, 10)
    sheet.frame(184, 132, 532, 474, INDIGO, 2, 6)
    sheet.frame(190, 138, 520, 462, INDIGO, 0.8, 4)
    for x in (262, 638):
        sheet.circle(x, 152, 6, "#2a4f54")
        sheet.line([(x, 152), (x + (12 if x < 450 else -12), 132)], "#d8c7a0", 3.5)
    _paper_boat(sheet, 450, 200)
    sheet.text(450, 286, "THE PAPER BOAT", 44, INDIGO, "middle", 0.6, 5)
    sheet.text(450, 324, "Books and tea", 25, GREY, "middle", 0, 1)
    sheet.line([(380, 348), (520, 348)], OCHRE, 2)
    hours = (("Tuesday - Friday", "9:30 - 18:00"), ("Saturday", "10:00 - 16:00"))
    for row, (days, times) in enumerate((*hours, ("Sunday and Monday", "closed"))):
        y = 398 + row * 44
        sheet.text(236, y, days, 29)
        sheet.text(664, y, times, 29, RED if times == "closed" else INK, "right")
    sheet.line([(380, 514), (520, 514)], OCHRE, 2)
    sheet.text(450, 554, "Please ring the bell twice.", 25, INK, "middle")
    sheet.text(450, 585, "Tel. 555 0142", 21, GREY, "middle", 0, 0.5)
    return sheet


def _paper_boat(sheet: Sheet, x: float, y: float) -> None:
    sheet.polygon([(x - 62, y), (x + 62, y), (x + 36, y + 34), (x - 36, y + 34)], "#e9eef6")
    sheet.polygon([(x, y - 44), (x + 30, y), (x - 30, y)], "#d5deef")
    sheet.polygon([(x, y - 44), (x + 30, y), (x, y)], "#bccae4")
    sheet.polygon([(x - 62, y), (x, y), (x - 36, y + 34)], "#d5deef")
    outline = [(x - 62, y), (x + 62, y), (x + 36, y + 34), (x - 36, y + 34), (x - 62, y)]
    sheet.line(outline, INDIGO, 2)
    sheet.line([(x - 30, y), (x, y - 44), (x + 30, y)], INDIGO, 2)
    sheet.line([(x, y - 44), (x, y)], INDIGO, 1.2)


def timetable() -> Sheet:
    """A table of five columns and six rows."""
    sheet = Sheet(960, 640)
    sheet.rect(0, 0, 960, 10, TEAL)
    sheet.text(70, 92, "Lakeside Line", 46, INK, weight=0.7)
    sheet.text(70, 128, "Summer timetable", 24, GREY)
    _train(sheet, 744, 112)
    columns: tuple[tuple[float, Align], ...] = (
        (70, "left"),
        (190, "left"),
        (560, "right"),
        (730, "right"),
        (890, "right"),
    )
    head = ("Train", "To", "Leaves", "Arrives", "Fare")
    rows = (
        ("L1", "Mill Bridge", "07:15", "07:52", "3.20"),
        ("L3", "Old Harbour", "08:05", "09:10", "5.80"),
        ("L5", "Pine Hill", "09:40", "11:05", "7.40"),
        ("L7", "Mill Bridge", "12:20", "12:57", "3.20"),
        ("L9", "Old Harbour", "15:30", "16:35", "5.80"),
        ("L11", "Pine Hill", "18:10", "19:35", "7.40"),
    )
    sheet.rect(50, 164, 860, 52, TEAL, 6)
    for (x, align), word in zip(columns, head, strict=True):
        sheet.text(x, 199, word, 25, "#ffffff", align, _WEIGHT)
    for i, row in enumerate(rows):
        y = 216 + i * 58
        if i % 2:
            sheet.rect(50, y, 860, 58, "#f1ebdc")
        for (x, align), word in zip(columns, row, strict=True):
            sheet.text(x, y + 39, word, 27, INK, align)
    sheet.line([(50, 564), (910, 564)], INK, 1.5)
    sheet.text(70, 604, "Fares in dollars. Children under six travel free.", 21, GREY)
    return sheet


def _train(sheet: Sheet, x: float, y: float) -> None:
    nose = smooth([(x + 96, y - 52), (x + 122, y - 46), (x + 142, y - 26), (x + 150, y)])
    sheet.polygon([(x, y), (x, y - 46), (x + 6, y - 52), *nose], TEAL)
    for window in range(4):
        sheet.rect(x + 12 + window * 24, y - 42, 18, 17, "#dff0ec", 3)
    pane = [(x + 109, y - 42), (x + 119, y - 39), (x + 134, y - 25), (x + 109, y - 25)]
    sheet.polygon(pane, "#dff0ec")
    sheet.rect(x, y - 16, 144, 4, OCHRE)
    for wheel in (22, 46, 100, 124):
        sheet.circle(x + wheel, y + 2, 7, INK)
    sheet.line([(x - 14, y + 11), (x + 166, y + 11)], GREY, 2)


_VISITORS = {
    "2024": (120, 135, 180, 210, 240, 190, 110, 95, 205, 260, 285, 230),
    "2025": (150, 170, 215, 250, 275, 220, 130, 120, 260, 330, 350, 290),
}


def visitors() -> Sheet:
    """A chart of two lines over the months of a year."""
    sheet = Sheet(960, 640)
    left, right, bottom, top = 118, 870, 520, 140
    sheet.text(56, 66, "Visitors to the reading room", 36, INK, weight=0.6)
    sheet.text(56, 98, "People a month", 21, GREY)
    for value in range(0, 401, 100):
        y = bottom - value / 400 * (bottom - top)
        sheet.line([(left, y), (right, y)], INK if value == 0 else LINE, 1.5)
        sheet.text(left - 16, y + 8, str(value), 22, GREY, "right")
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    step = (right - left - 40) / 11
    places = [left + 20 + i * step for i in range(12)]
    for x, month in zip(places, months, strict=True):
        sheet.text(x, bottom + 34, month, 21, GREY, "middle")
    sheet.text((left + right) / 2, 604, "Month", 23, INK, "middle")
    for (year, counts), ink in zip(_VISITORS.items(), (TEAL, INDIGO), strict=True):
        heights = [bottom - count / 400 * (bottom - top) for count in counts]
        points = list(zip(places, heights, strict=True))
        sheet.line(points, ink, 3.5)
        for x, y in points:
            sheet.circle(x, y, 6.5, PAPER)
            if year == "2025":
                sheet.circle(x, y, 5, ink)
            else:
                sheet.rect(x - 4.5, y - 4.5, 9, 9, ink)
        sheet.text(right + 4, heights[-1] + 8, year, 24, ink, weight=_WEIGHT)
    return sheet


def parameters() -> Sheet:
    """A bar chart of four models: facts of the Phi-3 family as it was published."""
    sheet = Sheet(960, 640)
    left, right, bottom, top = 130, 900, 520, 160
    sheet.text(56, 72, "The Phi-3 family", 38, INK, weight=0.6)
    sheet.text(56, 108, "Parameters (billions)", 23, GREY)
    for value in range(0, 17, 4):
        y = bottom - value / 16 * (bottom - top)
        sheet.line([(left, y), (right, y)], INK if value == 0 else LINE, 1.5)
        sheet.text(left - 16, y + 8, str(value), 23, GREY, "right")
    models = (("mini", 3.8), ("vision", 4.2), ("small", 7.0), ("medium", 14.0))
    inks: Sequence[str] = (INDIGO, TEAL, OCHRE, RED)
    for i, ((name, size), ink) in enumerate(zip(models, inks, strict=True)):
        x = left + 44 + i * 182
        height = size / 16 * (bottom - top)
        sheet.rect(x, bottom - height, 124, height, ink)
        sheet.rect(x + 40, bottom - height - 38, 44, 30, PAPER)
        sheet.text(x + 62, bottom - height - 13, f"{size:g}", 27, INK, "middle", _WEIGHT)
        sheet.text(x + 62, bottom + 40, name, 25, INK, "middle")
    sheet.line([(left, bottom), (right, bottom)], INK, 1.5)
    sheet.text((left + right) / 2, 606, "Model", 23, GREY, "middle")
    return sheet
