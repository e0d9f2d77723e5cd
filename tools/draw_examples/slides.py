"""A deck of four slides about small language models."""

import math
from collections.abc import Callable

from .sheet import GREY, INDIGO, INK, LINE, OCHRE, PAPER, RED, TEAL, Sheet, smooth

COUNT = 4


def _slide(number: int, title: str) -> Sheet:
    sheet = Sheet(960, 540)
    sheet.rect(0, 0, 14, 540, INDIGO)
    if title:
        sheet.text(70, 92, title, 44, INK, weight=0.7)
    sheet.text(900, 508, f"{number} / {COUNT}", 20, GREY, "right")
    return sheet


def title() -> Sheet:
    sheet = _slide(1, "")
    sheet.text(70, 236, "Small", 84, INDIGO, weight=1.2)
    sheet.text(70, 322, "language models", 64, INK, weight=1)
    sheet.line([(74, 358), (190, 358)], OCHRE, 5)
    sheet.text(70, 410, "Much of what a large one can do,", 27, GREY)
    sheet.text(70, 446, "with far less computing", 27, GREY)
    x, y = 770, 366
    sheet.circle(x, 270, 138, "#e7eadf")
    sheet.line(smooth([(x, y), (x - 4, y - 70), (x + 2, y - 128)]), "#4d7a4b", 7)
    for side, lift, size in ((-1, 92, 78), (1, 126, 88)):
        base, tip = (x, y - lift), (x + side * size, y - lift - size * 0.62)
        bulge = (x + side * size * 0.35, y - lift - size * 0.62)
        under = (x + side * size * 0.72, y - lift - size * 0.1)
        sheet.polygon(smooth([base, bulge, tip, under], True), "#5f9a5c")
        sheet.line([base, (x + side * size * 0.7, y - lift - size * 0.42)], "#4d7a4b", 2)
    sheet.polygon([(x - 62, y), (x + 62, y), (x + 46, y + 74), (x - 46, y + 74)], RED)
    sheet.rect(x - 72, y - 10, 144, 24, "#d4684f", 5)
    return sheet


def sizes() -> Sheet:
    """Circles whose areas are the numbers of parameters, as the course gives them."""
    sheet = _slide(2, "Far smaller")
    sheet.text(70, 134, "Parameters, drawn to scale", 25, GREY)
    ground, scale = 414, 165 / math.sqrt(1760)
    models = (
        ("Phi-3-mini", "3.8 billion", 3.8, 170, INDIGO),
        ("Phi-3-medium", "14 billion", 14, 400, TEAL),
        ("GPT-4", "1,760 billion (estimate)", 1760, 720, OCHRE),
    )
    sheet.line([(70, ground), (900, ground)], LINE, 2)
    for name, size, parameters, x, ink in models:
        radius = scale * math.sqrt(parameters)
        sheet.circle(x, ground - radius, radius, ink)
        sheet.text(x, ground + 36, name, 26, INK, "middle", 0.4)
        sheet.text(x, ground + 66, size, 22, GREY, "middle")
    return sheet


def places() -> Sheet:
    sheet = _slide(3, "At home on small machines")
    sheet.line([(70, 384), (900, 384)], LINE, 2)
    draw: tuple[tuple[str, str, Callable[[Sheet, float, float], None]], ...] = (
        ("Phone", "in your pocket", _phone),
        ("Laptop", "without a network", _laptop),
        ("Small device", "in a camera or a car", _board),
    )
    for i, (name, note, thing) in enumerate(draw):
        x = 190 + i * 290
        thing(sheet, x, 384)
        sheet.text(x, 428, name, 29, INK, "middle", 0.45)
        sheet.text(x, 460, note, 22, GREY, "middle")
    return sheet


def _phone(sheet: Sheet, x: float, y: float) -> None:
    sheet.rect(x - 52, y - 204, 104, 200, INK, 16)
    sheet.rect(x - 45, y - 192, 90, 176, "#eaf0f6", 8)
    for row, (left, width, ink) in enumerate(((-36, 54, TEAL), (-18, 54, INDIGO), (-36, 62, TEAL))):
        sheet.rect(x + left, y - 176 + row * 42, width, 30, ink, 9)


def _laptop(sheet: Sheet, x: float, y: float) -> None:
    sheet.rect(x - 100, y - 158, 200, 138, INK, 10)
    sheet.rect(x - 90, y - 148, 180, 118, "#eaf0f6", 3)
    for row, width in enumerate((120, 146, 96, 132)):
        sheet.rect(x - 74, y - 130 + row * 23, width, 9, INDIGO if row % 2 else TEAL, 4)
    base = [(x - 100, y - 20), (x + 100, y - 20), (x + 124, y - 4), (x - 124, y - 4)]
    sheet.polygon(base, "#8b90a4")
    sheet.rect(x - 22, y - 20, 44, 5, "#6f7488", 2)


def _board(sheet: Sheet, x: float, y: float) -> None:
    for i in range(5):
        at = -56 + i * 28
        sheet.rect(x + at - 4, y - 178, 8, 174, OCHRE)
        sheet.rect(x - 94, y - 91 + at - 4, 188, 8, OCHRE)
    sheet.rect(x - 80, y - 165, 160, 148, TEAL, 8)
    sheet.rect(x - 42, y - 130, 84, 78, INK, 6)
    sheet.text(x, y - 80, "AI", 34, PAPER, "middle", 0.5)


def steps() -> Sheet:
    sheet = _slide(4, "How one is made")
    names = (
        ("Collect", "text and data"),
        ("Clean", "keep what is good"),
        ("Train", "learn the patterns"),
        ("Fine-tune", "for one's own task"),
    )
    for i, ((name, note), ink) in enumerate(zip(names, (INDIGO, TEAL, OCHRE, RED), strict=True)):
        x = 158 + i * 216
        if i:
            sheet.line([(x - 140, 250), (x - 78, 250)], GREY, 3)
            sheet.line([(x - 92, 238), (x - 78, 250), (x - 92, 262)], GREY, 3)
        sheet.circle(x, 250, 62, ink)
        sheet.text(x, 270, str(i + 1), 58, PAPER, "middle", 0.8)
        sheet.text(x, 362, name, 30, INK, "middle", 0.45)
        sheet.text(x, 396, note, 21, GREY, "middle")
    return sheet
