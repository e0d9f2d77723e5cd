"""Run files: what was asked, and every answer, one line of JSON each.

The first line is the header. A line is written whole and at once, so that a run that was killed
leaves at most half a line at the end: readers skip it, and who writes on cuts it off. Files come
from other people, too: nothing in them is trusted.
"""

from .comparison import differences
from .errors import RunFileError
from .lines import (
    FORMAT,
    MAX_TEXT,
    VERSION,
    Cell,
    Header,
    Machine,
    Outcome,
    RunModel,
    Settings,
    Source,
    Stayed,
    cell_text,
    plain,
    sentence,
    tasks_hash,
)
from .reading import MAX_CELLS, MAX_FILE, MAX_LINE, RunFile, jsonl, read
from .writing import RunWriter

__all__ = [
    "FORMAT",
    "MAX_CELLS",
    "MAX_FILE",
    "MAX_LINE",
    "MAX_TEXT",
    "VERSION",
    "Cell",
    "Header",
    "Machine",
    "Outcome",
    "RunFile",
    "RunFileError",
    "RunModel",
    "RunWriter",
    "Settings",
    "Source",
    "Stayed",
    "cell_text",
    "differences",
    "jsonl",
    "plain",
    "read",
    "sentence",
    "tasks_hash",
]
