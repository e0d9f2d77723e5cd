"""What the matrix shows, and the messages that bring it onto the page.

Nothing is drawn here; `matrix.js` does. A message holds what has changed since the one `WINDOW`
before it, so that a page may skip some while a run goes on.
"""

import json
from collections.abc import Iterable
from typing import Any

from backends import Sentence
from playground.matrix.run_file import Cell

from ...compare.transcript.growing import WINDOW, Fields

SNIPPET = 90
"""Characters of an answer that stand in its cell."""
MOST_SNIPPETS = 3000
"""In a run of more answers a cell has none: there is no room for them."""


class Board:
    """The state of one matrix on one page."""

    def __init__(self) -> None:
        self.number = 0
        """Of the last message."""
        self.top = Fields()
        """All but the cells: the run, its state, what is opened."""
        self._cells: dict[tuple[str, str], tuple[list[Any], int]] = {}
        self._keys = 0

    @property
    def next(self) -> int:
        """The message that will bring what is set now."""
        return self.number + 1

    def begin(self) -> None:
        """Show another run, of which there is nothing yet."""
        self._keys += 1
        self._cells.clear()
        self.top.set(self.next, key=self._keys)

    def set(self, **values: Any) -> None:
        """Set what stands around the cells; a `Sentence` in it is said in the page's language."""
        self.top.set(self.next, **{name: _dumped(value) for name, value in values.items()})

    def add(self, cells: Iterable[Cell]) -> None:
        """Show answers."""
        for cell in cells:
            row = cell_row(cell, snippet=len(self._cells) < MOST_SNIPPETS)
            known = self._cells.get(cell.key)
            if known is None or known[0] != row:
                self._cells[cell.key] = (row, self.next)

    def message(self, since: int | None = None) -> str:
        """The next message, with what has changed after another one: 0 for a page with nothing."""
        self.number += 1
        if since is None:
            since = max(0, self.number - 1 - WINDOW)
        cells = [row for row, at in self._cells.values() if at > since]
        found: dict[str, Any] = {"n": self.number, "since": since, **self.top.since(since)}
        if cells:
            found["cells"] = cells
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _dumped(value: Any) -> Any:
    """A value for JSON, with its sentences whole: as text they would be English for ever."""
    match value:
        case Sentence():
            return value.dump()
        case dict():
            return {name: _dumped(one) for name, one in value.items()}  # pyright: ignore
        case list() | tuple():
            return [_dumped(one) for one in value]  # pyright: ignore
        case _:
            return value


def cell_row(cell: Cell, *, snippet: bool) -> list[Any]:
    """A cell as the page has it: item, side, worth, language, text, seconds, tokens, failure."""
    text = " ".join(cell.answer[: 4 * SNIPPET].split())[:SNIPPET] if snippet else ""
    return [
        cell.item,
        cell.side,
        cell.outcome or "",
        cell.stayed or "",
        text,
        None if cell.seconds is None else round(cell.seconds, 3),
        cell.answer_tokens,
        cell.error or "",
    ]
