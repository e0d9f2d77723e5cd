"""What the server keeps for one open page: the conversation, the run, and what was last drawn."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from playground.answer import Completion
from playground.compare import Run
from playground.conversation import Conversation, Said, language_of

from .convert import Form
from .numbers import final_line, live_line

NUMBERS_EVERY = 0.25
"""Seconds between two changes of the live numbers: faster than that nobody can read them."""

Drawn = tuple[str, str, str, str]
"""Left answer, left line, right answer, right line."""


@dataclass
class Session:
    """One open page. Lives in a `gr.State`, changed in place."""

    conversation: Conversation = field(default_factory=Conversation)
    run: Run | None = None
    labels: tuple[tuple[str, str], tuple[str, str]] = (("", ""), ("", ""))
    """Each side's model and backend, as people call them, in the current run."""
    lines: list[str] = field(default_factory=lambda: ["", ""])
    """The line under each side."""
    _written: dict[int, Completion] = field(default_factory=dict)
    _drawn: Run | None = None
    _lines_at: float = 0.0

    @property
    def answering(self) -> bool:
        """True while a run goes on."""
        return self.run is not None and not self.run.ended

    def begin(self, form: Form, labels: tuple[tuple[str, str], ...], sides: set[int]) -> None:
        """Prepare a run of some sides for the last turn; `draw` starts it."""
        requests = [form.request(s, self.conversation) if s in sides else None for s in (0, 1)]
        self.run = Run(requests)
        self.labels = (labels[0], labels[1])

    async def draw(self) -> AsyncGenerator[Drawn, None]:
        """The growing answers and their lines, until every side has ended."""
        run = self.run
        if run is None or run is self._drawn:
            return
        self._drawn = run
        self._lines_at = 0.0
        async with aclosing(run.snapshots()) as snapshots:
            async for sides in snapshots:
                if run is not self.run:  # the conversation was cleared meanwhile
                    return
                await self._draw_lines(sides)
                left, right = (side.text if side else "" for side in sides)
                yield left, self.lines[0], right, self.lines[1]

    async def _draw_lines(self, sides: tuple[Completion | None, ...]) -> None:
        now = monotonic()
        due = now - self._lines_at >= NUMBERS_EVERY
        for side, completion in enumerate(sides):
            if completion is None:
                continue
            if completion.ended:
                await self._write_down(side, completion)
            else:
                self._written.pop(side, None)
                if due or completion.state == "waiting":
                    self.lines[side] = live_line(completion, self.labels[side][0])
        if due:
            self._lines_at = now

    async def _write_down(self, side: int, completion: Completion) -> None:
        """An answer has ended: it joins the conversation, and its line gets the last numbers."""
        turn = self.conversation.last
        if turn is None or self._written.get(side) == completion:
            return
        self._written[side] = completion
        if turn.language is None:
            self.conversation = self.conversation.asked_in(await language_of(turn.prompt))
        said = await Said.of(completion, *self.labels[side])
        self.conversation = self.conversation.answered(side, said)
        self.redraw_lines(side)

    async def finish(self) -> bool:
        """Write down what is left to write; returns whether a side failed."""
        sides = self.run.snapshot() if self.run else ()
        for side, completion in enumerate(sides):
            if completion is not None:
                await self._write_down(side, completion)
        self.run = None
        self._written.clear()
        return any(completion and completion.state == "failed" for completion in sides)

    def redraw_lines(self, *sides: int) -> None:
        """The lines under the last turn's finished answers."""
        last = self.conversation.last
        for side in sides or (0, 1):
            said = last.answers[side] if last else None
            self.lines[side] = final_line(said, last) if said and last else ""

    def stop(self, side: int | None = None) -> None:
        """Stop one side, or both."""
        if self.run is not None:
            self.run.stop(side)
