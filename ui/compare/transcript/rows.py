"""What the transcript shows, row by row, and the messages that bring it onto the page.

A row is a turn, a cell in it the answer of a side. Nothing is drawn here; `transcript.js` does. A
message holds what has changed since the one `WINDOW` before it, so that a page may skip some; one
that has skipped more asks for the whole.
"""

import json
from collections.abc import Mapping
from typing import Any

from ...markdown import GrowingMarkdown
from .growing import WINDOW, Fields, Growing


class Cell:
    """One answer: its fields, its thinking, and its text as blocks of HTML."""

    def __init__(self) -> None:
        self.fields = Fields()
        self.of: object = None
        """What it was drawn from, if that has ended: the same is not drawn again."""
        self._thinking, self._source = Growing(), Growing()
        self._blocks: list[Growing] = []
        self._counted = 0
        """The message since which there are as many blocks as there are."""
        self._written = 0
        """The message that first has the text as it is: what has ended costs no tick anything."""
        self._markdown = GrowingMarkdown()
        self._text = ""
        self._extra, self._ended = "", False

    def write(
        self,
        message: int,
        text: str,
        thinking: str = "",
        *,
        source: str = "",
        extra: str = "",
        ended: bool = False,
    ) -> None:
        """Show a text, Markdown, and what its model thought.

        `source` is what the model wrote, if another text is shown; `extra` is a last block, HTML.
        """
        self._thinking.become(thinking, message)
        self._source.become(source or text, message)
        if not text.startswith(self._text):
            self._markdown, self._text = GrowingMarkdown(), ""
        elif (text, extra, ended) == (self._text, self._extra, self._ended):
            return
        self._markdown.append(text[len(self._text) :])
        if ended:
            self._markdown.end()
        self._text, self._extra, self._ended = text, extra, ended
        self._written = message
        blocks = [block.html for block in self._markdown.blocks()] + ([extra] if extra else [])
        if len(blocks) != len(self._blocks):
            self._counted = message
            del self._blocks[len(blocks) :]
            self._blocks += (Growing() for _ in range(len(blocks) - len(self._blocks)))
        for block, html in zip(self._blocks, blocks, strict=True):
            block.become(html, message)

    def since(self, message: int) -> dict[str, Any]:
        """Return what has changed after a message."""
        changed = self.fields.since(message)
        if max(self._written, self._thinking.changed, self._source.changed) <= message:
            return changed
        for name, growing in (("thinking", self._thinking), ("source", self._source)):
            if growing.changed > message:
                changed[name] = growing.since(message)
        blocks = [
            (n, *block.since(message))
            for n, block in enumerate(self._blocks)
            if block.changed > message
        ]
        if blocks or self._counted > message:
            changed["blocks"] = {"count": len(self._blocks), "set": blocks}
        return changed


class Row:
    """One turn: its prompt, and a cell of each side that has an answer."""

    def __init__(self, number: int) -> None:
        self.id = number
        """Another one than that of any row before: what is pressed names it."""
        self.of: object = None
        """What its prompt was drawn from: the same is not drawn again."""
        self.prompt = Fields()
        self.cells: dict[str, Cell] = {}
        self._gone: dict[str, int] = {}

    def cell(self, letter: str) -> Cell:
        """Return the cell of a side, a new one if there was none."""
        self._gone.pop(letter, None)
        if letter not in self.cells:
            self.cells[letter] = Cell()
        return self.cells[letter]

    def clear(self, letter: str, message: int) -> None:
        """Have no answer of a side."""
        if self.cells.pop(letter, None):
            self._gone[letter] = message

    def cells_since(self, message: int) -> dict[str, Any]:
        """Return the cells that have changed after a message."""
        changed: dict[str, Any] = {
            letter: fields for letter, cell in self.cells.items() if (fields := cell.since(message))
        }
        return changed | {letter: None for letter, at in self._gone.items() if at > message}


class Rows:
    """The rows of one transcript, and its messages."""

    def __init__(self) -> None:
        self.number = 0
        """Of the last message."""
        self.top = Fields()
        """What stands above and below the rows: sides, hint, whether answers are coming."""
        self._programs = Fields()
        self._rows: list[Row] = []
        self._made = 0

    @property
    def next(self) -> int:
        """The message that will bring what is set now."""
        return self.number + 1

    def row(self, index: int) -> Row:
        """Return a row; all up to it are there from now on."""
        while len(self._rows) <= index:
            self._made += 1
            self._rows.append(Row(self._made))
        return self._rows[index]

    def index_of(self, row: object) -> int | None:
        """Return the index of the row with an id; `None` if it is not there any more."""
        return next((n for n, one in enumerate(self._rows) if one.id == row), None)

    def keep(self, count: int) -> None:
        """Have no more than so many rows."""
        del self._rows[count:]

    def show_programs(self, programs: Mapping[str, str | None]) -> None:
        """Show programs, as HTML by side; `None` closes one."""
        self._programs.set(self.next, **programs)

    def message(self, *, whole: bool = False) -> str:
        """Return the next message; a `whole` one is for a page that has nothing yet."""
        self.number += 1
        since = 0 if whole else max(0, self.number - 1 - WINDOW)
        found: dict[str, Any] = {
            "n": self.number,
            "since": since,
            "order": [row.id for row in self._rows],
            **self.top.since(since),
        }
        turns, cells = self._rows_since(since)
        for name, value in (
            ("turns", turns),
            ("cells", cells),
            ("programs", self._programs.since(since)),
        ):
            if value:
                found[name] = value
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    def _rows_since(self, message: int) -> tuple[dict[str, Any], dict[str, Any]]:
        turns: dict[str, Any] = {}
        cells: dict[str, Any] = {}
        for row in self._rows:
            if prompt := row.prompt.since(message):
                turns[str(row.id)] = prompt
            if changed := row.cells_since(message):
                cells[str(row.id)] = changed
        return turns, cells
