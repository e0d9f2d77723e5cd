"""Answers as they grow, on a terminal or as plain text."""

from collections.abc import Sequence
from typing import Protocol, Self, TextIO

from ..answer import AnswerSnapshot
from ..conversation import LETTERS, AnswerRecord, Turn
from ..model_names import NamedModel
from ..numbers import describe_empty, describe_numbers, other_language
from ..question import Comparison


class Shows(Protocol):
    """Shows the answers of a comparison: while they grow, and as they stay."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *_: object) -> None:
        """End what grows."""
        ...

    def draw(self, sides: Sequence[AnswerSnapshot]) -> None:
        """Show them as they are now."""
        ...

    def finish(self, turn: Turn) -> None:
        """Show what is left to be shown of the recorded answers."""
        ...


def answers_on(stream: TextIO, comparison: Comparison, *, silent: bool = False) -> Shows:
    """What fits the place that answers go to: a terminal, or a file or another program."""
    if silent:
        return _Silent()
    if stream.isatty():
        from .terminal import Terminal, can_draw

        if can_draw():
            return Terminal(comparison.models)
    return Plain(stream, comparison.models)


def heading(letter: str, model: NamedModel) -> str:
    """Who answers: `A: Pocket-3 (Pocket (built in))`."""
    return f"{letter}: {model.label} ({model.backend.label})"


def facts(record: AnswerRecord, turn: Turn) -> str:
    """The numbers of an answer, and what one has to know of it, in one line."""
    empty = [] if record.text or record.error else [describe_empty(record)]
    language = other_language(record, turn)
    pieces = [*empty, *describe_numbers(record), *record.notes, *([language] if language else [])]
    return " · ".join(pieces)


class _Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def draw(self, sides: Sequence[AnswerSnapshot]) -> None:
        """See `Shows`."""

    def finish(self, turn: Turn) -> None:
        """See `Shows`."""


class Plain:
    """Plain text, one answer after the other, each as it comes; of a single model the text alone.

    The numbers of several stand below all of them.
    """

    def __init__(self, stream: TextIO, models: Sequence[NamedModel]) -> None:
        self._stream, self._models = stream, models
        self._side = 0
        """Whose answer is written now."""
        self._shown: str | None = None
        """What of it is written; `None` before its heading."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def draw(self, sides: Sequence[AnswerSnapshot]) -> None:
        """Write what is new, up to the first answer that has not ended."""
        while self._side < len(sides):
            snapshot = sides[self._side]
            self._grow(snapshot.text)
            if not snapshot.ended:
                break
            self._end()
        self._stream.flush()

    def finish(self, turn: Turn) -> None:
        """Write what is left, and the numbers of several."""
        records = [turn.answer(side) for side in range(len(self._models))]
        for record in records[self._side :]:
            self._grow(record.text if record else "")
            self._end()
        if len(self._models) > 1:
            told = [(letter, record) for letter, record in zip(LETTERS, records, strict=False)]
            lines = [f"{letter}: {facts(record, turn)}\n" for letter, record in told if record]
            self._stream.write("".join(line for line in lines if not line.endswith(": \n")))

    def _grow(self, text: str) -> None:
        if not text:
            return
        self._begin()
        if not text.startswith(self._shown or ""):  # what came first has turned out to be thinking
            self._stream.write("\n\n")
            self._shown = ""
        self._stream.write(text[len(self._shown or "") :])
        self._shown = text

    def _begin(self) -> None:
        if self._shown is None:
            self._shown = ""
            if len(self._models) > 1:
                name = heading(LETTERS[self._side], self._models[self._side])
                self._stream.write(f"{name}\n\n")

    def _end(self) -> None:
        if self._shown is None and len(self._models) > 1:
            self._begin()
            self._stream.write("(no answer)")
        if self._shown is not None:
            self._stream.write("\n\n" if len(self._models) > 1 else "\n")
        self._shown, self._side = None, self._side + 1
