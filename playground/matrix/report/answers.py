"""Every answer as a row of a table: in CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from ...text import strip_controls
from ..run_file import Cell, RunFile
from ..summary import Summary

_COLUMNS = (
    *("item", "kind", "language", "index", "side", "model", "prompt", "expected", "answer"),
    *("finish", "outcome", "found", "why", "stayed", "first_token", "seconds"),
    *("prompt_tokens", "answer_tokens", "error", "at"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins so."""
_UNSEEN = " \n\u00a0\ufeff\u200b"


def write_csv(run: RunFile, path: Path) -> None:
    """Write a table of all answers, a row each. Raises `OSError`."""
    # With a mark that Excel takes UTF-8 by.
    path.write_text(csv_text(run), "utf-8-sig", newline="")


def csv_text(run: RunFile) -> str:
    """A table of all answers. No cell is a formula: an apostrophe stands before what would be."""
    titles = Summary(run).titles
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for cell in run.cells:
        kind, language, index = cell.place
        fields: dict[str, Any] = {
            **dict(cell),
            "kind": kind,
            "language": language,
            "index": index,
            "model": titles.get(cell.side, ""),
            "expected": expected_text(cell),
        }
        writer.writerow([_defused(fields[name]) for name in _COLUMNS])
    return file.getvalue()


def expected_text(cell: Cell) -> str:
    """A right answer as text: `3`, `rot | rote`, `{"age": 27}`."""
    expected = cell.expected
    if expected is None:
        return ""
    if isinstance(expected, bool):
        return "yes" if expected else "no"
    if isinstance(expected, dict):
        return json.dumps(expected, ensure_ascii=False)
    if isinstance(expected, tuple):
        between = ", " if cell.place[0] == "order" else " | "
        return between.join(str(one) for one in expected)
    return str(expected)


def _defused(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a number is no formula, a negative one neither
    text = strip_controls(str(value))
    # What a program that reads the file leaves out before a formula does not hide it.
    begins = str(value).startswith(_FORMULA) or text.lstrip(_UNSEEN).startswith(_FORMULA)
    return f"'{text}" if begins else text
