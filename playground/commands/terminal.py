"""Answers on a terminal: side by side where it is wide enough, else one below the other."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..answer import AnswerSnapshot
from ..conversation import LETTERS, AnswerRecord, Turn
from ..model_names import NamedModel
from ..numbers import describe_progress, format_count, format_duration
from .answers import facts, heading

MIN_COLUMN = 34
"""Cells of a column of text that can be read."""
GAP = 3
_COLOURS = ("cyan", "magenta", "yellow", "green")
"""One for each side, with its letter: of the terminal's own, so that its reader chose them."""
_RIGHT_TO_LEFT = frozenset(("R", "AL", "RLE", "RLO", "RLI"))
_MAYBE_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\u202b\u202e\u2067\ufb1d-\ufefc\U00010800-\U0001efff]"
)


def can_draw() -> bool:
    """Whether the terminal can move its cursor."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def has_right_to_left(text: str) -> bool:
    """Whether a text has letters that are written from right to left.

    Terminals that order them do so by whole lines, columns and all, and some do not at all: such
    answers have their lines for themselves.
    """
    found = _MAYBE_RIGHT_TO_LEFT.finditer(text)
    return any(unicodedata.bidirectional(one[0]) in _RIGHT_TO_LEFT for one in found)


class Terminal:
    """Answers that grow in place: as much of their ends as the window holds, then the whole."""

    def __init__(self, models: Sequence[NamedModel], console: Console | None = None) -> None:
        self._models = models
        self._console = console or Console(highlight=False)
        self._stacked = False
        """Whether a text was seen that needs whole lines."""
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(Text(), refresh=True)
        self._live.stop()

    def draw(self, sides: Sequence[AnswerSnapshot]) -> None:
        """Show the ends of all answers, in the height of the window."""
        columns = self._columns([side.text for side in sides])
        size = self._console.size
        height = size.height - 2  # the cursor's line, and one to spare
        if not columns:
            height //= len(sides)
        width = self._width(columns)
        lines = max(1, height - 3)  # heading, an empty line, numbers
        bodies = [self._end_of(side, width, lines) for side in sides]
        self._live.update(
            self._laid_out(columns, bodies, [_now(side) for side in sides]), refresh=True
        )

    def finish(self, turn: Turn) -> None:
        """Print the whole answers."""
        records = [
            turn.answer(side) or AnswerRecord(model="", backend="", text="")
            for side in range(len(self._models))
        ]
        columns = self._columns([record.text for record in records])
        bodies = [Text(record.text or "(no answer)") for record in records]
        numbers = [facts(record, turn) for record in records]
        self._console.print(self._laid_out(columns, bodies, numbers))

    def _columns(self, texts: Sequence[str]) -> bool:
        """Whether they stand side by side; once they do not, they stay so."""
        count = len(self._models)
        wide = self._console.size.width >= count * MIN_COLUMN + (count - 1) * GAP
        self._stacked = self._stacked or any(map(has_right_to_left, texts))
        return count > 1 and wide and not self._stacked

    def _width(self, columns: bool) -> int:
        count = len(self._models) if columns else 1
        return (self._console.size.width - (count - 1) * GAP) // count

    def _end_of(self, side: AnswerSnapshot, width: int, lines: int) -> Text:
        thinks = not side.text
        text = side.thinking if thinks else side.text
        # Only what may be seen is wrapped: a long answer is wrapped again at each tick.
        start = (
            text.find("\n", max(0, len(text) - 2 * width * lines))
            if len(text) > 4 * width * lines
            else -1
        )
        wrapped = Text(text[start + 1 :], style="dim italic" if thinks else "").wrap(
            self._console, width
        )
        return Text("\n").join(wrapped[-lines:])

    def _laid_out(
        self, columns: bool, bodies: Sequence[Text], numbers: Sequence[str]
    ) -> RenderableType:
        heads = [
            Text(heading(letter, model), Style(color=colour, bold=True))
            for letter, model, colour in zip(LETTERS, self._models, _COLOURS, strict=False)
        ]
        below = [Text(line, "dim") for line in numbers]
        if not columns:
            rows: list[RenderableType] = []
            for head, text, line in zip(heads, bodies, below, strict=True):
                rows += [head, text, line, Text()]
            return Group(*rows[:-1])
        table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False, expand=True)
        for _ in heads:
            table.add_column(ratio=1, overflow="fold")
        table.add_row(*heads)
        table.add_row(*bodies)
        table.add_row(*below)
        return table


def _now(side: AnswerSnapshot) -> str:
    """What an answer does at this moment, in one line."""
    clock = side.clock
    if side.state == "waiting":
        return f"{describe_progress(side.progress)}… {clock.total:.0f} s"
    about = "about " if clock.token_source == "estimate" else ""
    pieces = [] if side.text or not side.thinking else ["thinking"]
    pieces += [about + format_count(clock.tokens, "token"), format_duration(clock.total)]
    if speed := clock.tokens_per_second:
        pieces.append(f"{about}{speed:.1f} tokens/s")
    if side.state != "streaming":
        pieces.insert(0, side.state)
    return " · ".join(pieces)
