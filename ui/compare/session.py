"""The server-side state of one view of an open page: conversation, sides, run and transcript."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar

from playground.answer import AnswerSnapshot, Request
from playground.compare import Run
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.languages import language_of
from playground.media.pictures import Picture
from playground.services import Services

from ..texts import EN
from .form import Form
from .numbers import live_line, live_pace
from .prepared_turn import PreparedTurn
from .side import Side, letter_of
from .transcript import Rows
from .transcript.answers import ended_fields, growing_fields, waiting_fields
from .transcript.growing import Fields
from .transcript.prompts import prompt_fields

LANGUAGE_AFTER = 200
"""Characters of a growing answer from which its language is told."""
STATUS_INTERVAL = 0.25
"""Seconds between two updates of the line of a growing answer, so that it can be read."""


@dataclass
class Session:
    """The state of one view of one open page.

    Lives in a `gr.State`, changed in place. A tab that keeps more has a subclass.
    """

    form_type: ClassVar[type[Form]] = Form

    keyring: Keyring = field(default_factory=Keyring, repr=False)
    """Keys and addresses that the visitor typed, shared by the views of the page."""
    conversation: Conversation = field(default_factory=Conversation)
    cleared: Conversation | None = None
    """The conversation that was cleared last, until another one begins."""
    run: Run | None = None
    sides: list[Side] = field(default_factory=lambda: [Side(), Side()], repr=False)
    rows: Rows = field(default_factory=Rows, repr=False)
    """What the page's transcript shows."""
    pictures: tuple[Picture, ...] = ()
    """Pictures attached to the next prompt."""
    form: Form = field(init=False)
    """The inputs as the page last sent them."""
    opening: tuple[Sequence[tuple[str, str]], str] = ((), "")
    """The choices that the view opened with, and the sentence that explains them."""
    recorded: tuple[str, str] = ("", "")
    """The run file and its item that the address names: `RecordedAnswers` plays its answers."""
    turns_offered: bool = False
    """Whether the page has said that the sides can be asked one after the other."""
    _recordings: dict[int, tuple[AnswerSnapshot, asyncio.Task[None]]] = field(default_factory=dict)
    """By side: the ended answer, and the task that adds it to the conversation."""
    _streamed: Run | None = None
    _lines_at: float = 0.0

    def __post_init__(self) -> None:
        self.form = self.form_type()

    @property
    def answering(self) -> bool:
        """True while a run is in progress."""
        return self.run is not None and not self.run.ended

    def is_running(self, side: int) -> bool:
        """True if the side takes part in the run in progress."""
        return self.answering and self.is_asked(side)

    def is_asked(self, side: int) -> bool:
        """True if the side takes part in the run that was begun last, and is not finished."""
        run = self.run
        return run is not None and side < len(run.requests) and run.requests[side] is not None

    # ── A run ──────────────────────────────────────────────────────────────────────────────────

    def begin(self, prepared: PreparedTurn, form: Form, services: Services) -> None:
        """Prepare a run; `draw` starts it."""
        if prepared.index >= len(self.conversation.turns):
            self.pictures = ()  # they belong to the new turn
        self.form, self.cleared = form, None
        self.conversation = prepared.conversation
        self.run = Run(prepared.requests, services, in_turn=prepared.in_turn)
        for side, (request, (model, backend)) in enumerate(
            zip(prepared.requests, prepared.labels, strict=True)
        ):
            if request:
                known = self.sides[side]
                known.request, known.snapshot = request.without_key(), None
                known.model, known.backend = model, backend

    def restart(self, side: int) -> None:
        """Ask a side of the run anew; an answer that has ended stays as an earlier version."""
        if self.run is not None:
            self._cancel_recording(side)
            self.conversation = self.conversation.asked_again(side)
            self.run.restart(side)

    def last_request(self, side: int) -> Request | None:
        """Return the side's request for the last turn; `None` if this session made none."""
        request = self.sides[side].request
        if request is None or self.conversation.last is None:
            return None
        # System prompts are ignored: another one may have been used on the other sides only.
        here, there = (
            [message for message in messages if message.role != "system"]
            for messages in (request.messages, self.conversation.messages(side))
        )
        return request if here == there else None

    async def draw(self) -> AsyncGenerator[str, None]:
        """Stream the transcript's messages until every side has ended."""
        run = self.run
        if run is None or run is self._streamed:
            return
        self._streamed = run
        self._recordings.clear()
        self._lines_at = 0.0
        async with aclosing(run.snapshots()) as snapshots:
            async for every in snapshots:
                if run is not self.run:  # the conversation was cleared meanwhile
                    return
                self._draw_answers(run, every)
                yield self.rows.message()

    def _draw_answers(self, run: Run, snapshots: Sequence[AnswerSnapshot | None]) -> None:
        now = monotonic()
        due = now - self._lines_at >= STATUS_INTERVAL
        for number, snapshot in enumerate(snapshots):
            if snapshot is None:
                continue
            side = self.sides[number]
            first = side.snapshot is None or side.snapshot.state == "waiting"
            side.snapshot = snapshot
            if snapshot.ended:
                # In a task, so that detecting its language does not delay the other sides' ticks.
                self._record_answer(run, number, snapshot)
                if number in self._recordings and self._recordings[number][1].done():
                    continue  # it is drawn as it was written down
            else:
                self._cancel_recording(number)
            self._grow(number, side, snapshot, line=due or first)
        if due:
            self._lines_at = now

    def _grow(self, number: int, side: Side, snapshot: AnswerSnapshot, *, line: bool) -> None:
        """Draw an answer that is not written down yet."""
        row = self.rows.row(len(self.conversation.turns) - 1)
        cell, message = row.cell(letter_of(number)), self.rows.next
        cell.of = None
        if snapshot.state == "waiting":
            side.language = None
            cell.fields.set(message, **waiting_fields(side.model, side.backend))
        else:
            cell.fields.set(message, **growing_fields(snapshot, side.model, side.backend))
            self._show_language(side, snapshot.text, cell.fields)
        if line and not snapshot.ended:
            cell.fields.set(message, line=live_line(snapshot), pace=live_pace(snapshot))
        request = self.sides[number].request
        text = request.whole(snapshot.text) if request else snapshot.text
        cell.write(message, text, snapshot.thinking)

    def _show_language(self, side: Side, text: str, fields: Fields) -> None:
        """Name an answer's language while it grows: a long one is laid out anew if it changes."""
        if side.language is None and len(text) >= LANGUAGE_AFTER:
            side.language = asyncio.ensure_future(language_of(text))
        if side.language and side.language.done():
            fields.set(self.rows.next, lang=side.language.result() or "")

    def _record_answer(self, run: Run, side: int, snapshot: AnswerSnapshot) -> asyncio.Task[None]:
        """Begin, once, to add an ended answer to the conversation; return that task."""
        answer, task = self._recordings.get(side, (None, None))
        if task is None or answer != snapshot:
            self._cancel_recording(side)
            task = asyncio.ensure_future(self._add_answer(run, side, snapshot))
            self._recordings[side] = (snapshot, task)
        return task

    def _cancel_recording(self, side: int) -> None:
        """Cancel the task because the side is asked again, or the session reset."""
        if recording := self._recordings.pop(side, None):
            recording[1].cancel()

    async def _add_answer(self, run: Run, side: int, snapshot: AnswerSnapshot) -> None:
        """Add an ended answer to the conversation, and draw it as it stays."""
        request = run.requests[side]
        if self.conversation.last is None or request is None:
            return
        of_all_sides = request.system.strip() == self.conversation.system.strip()
        own = None if of_all_sides else request.system
        shared = await self.conversation.expectation()
        expected = shared if own is None else await self.conversation.expectation(own)
        known = self.sides[side]
        record = await AnswerRecord.of(snapshot, known.model, known.backend, expected, request, own)
        await self.prerender_answer(record)
        if run is not self.run:  # the conversation was cleared meanwhile
            return
        if snapshot.error and request.backend.kind != "local":
            # Its state may be another one now.
            run.services.health.invalidate(request.backend, self.keyring)
        self.conversation = self.conversation.expecting(shared).with_answer(side, record)
        self.show_rows(len(self.conversation.turns) - 1)

    async def finish(self) -> list[str]:
        """Add the answers that are left; return the failures, one sentence each.

        A side that was asked again and gave no text shows its previous answer.
        """
        run = self.run
        if run is None:
            return []
        failures: list[str] = []
        for side, snapshot in enumerate(run.snapshot()):
            if snapshot is None:
                continue
            recorded = self._record_answer(run, side, snapshot)
            await asyncio.wait({recorded})
            if run is not self.run:
                return []
            recorded.result()  # raises if the task failed, which is a bug
            if snapshot.error:
                failures.append(str(snapshot.error))
        self.run = self._streamed = None
        run.services.unfinished.discard(run)
        self._recordings.clear()
        await self.prerender(self.conversation)
        return failures

    def should_offer_turns(self) -> bool:
        """Whether to say, once, that the sides can be asked one after the other."""
        last = self.conversation.last
        if self.turns_offered or last is None:
            return False
        slowed = [record for record in last.answers if record and record.slowed]
        self.turns_offered = len(slowed) > 1
        return self.turns_offered

    async def prerender_answer(self, record: AnswerRecord) -> None:
        """Compute, off the event loop, what drawing an answer needs; nothing does here."""

    async def prerender(self, conversation: Conversation) -> None:
        """Compute, off the event loop, what takes long to render; nothing does here."""

    # ── The transcript ─────────────────────────────────────────────────────────────────────────

    def show_rows(self, first: int = 0) -> None:
        """Have the transcript show the turns as they are, from one of them on."""
        rows, turns = self.rows, self.conversation.turns
        rows.keep(len(turns))
        sides = [
            {"letter": letter_of(number), "name": side.model}
            for number, side in enumerate(self.sides)
        ]
        rows.top.set(rows.next, sides=sides, busy=self.answering, hint=EN["transcript_hint"])
        for index in range(first, len(turns)):
            turn, row = turns[index], rows.row(index)
            if row.of != (drawn_from := (turn.prompt, turn.pictures, turn.language)):
                row.of = drawn_from
                row.prompt.set(rows.next, **prompt_fields(turn))
            for side in range(len(self.sides)):
                self._show_answer(index, turn, side)
            for side in range(len(self.sides), max(len(turn.answers), len(row.cells))):
                row.clear(letter_of(side), rows.next)

    def _show_answer(self, index: int, turn: Turn, side: int) -> None:
        row, letter, message = self.rows.row(index), letter_of(side), self.rows.next
        record = turn.answer(side)
        if record is None:
            if not (index == len(self.conversation.turns) - 1 and self.is_asked(side)):
                return row.clear(letter, message)
            cell, known = row.cell(letter), self.sides[side]
            if known.snapshot is None:
                cell.of = None
                cell.fields.set(message, **waiting_fields(known.model, known.backend))
                cell.write(message, known.request.begun if known.request else "")
            return None
        cell = row.cell(letter)
        drawn_from = (record, turn.versions_of(side), turn.language, turn.demanded)
        if cell.of != drawn_from:
            cell.of = drawn_from
            cell.fields.set(message, **ended_fields(record, turn, side))
            text, extra = self.text_and_extra(record)
            cell.write(message, text, record.thinking, source=record.text, extra=extra, ended=True)
        return None

    def text_and_extra(self, record: AnswerRecord) -> tuple[str, str]:
        """Return an answer's Markdown as it is shown, and HTML to stand below it."""
        return record.text, ""

    def restore_pictures(self, turn: Turn) -> None:
        """Attach a turn's pictures to the next prompt again, unless others are attached."""
        self.pictures = self.pictures or tuple(one for one in turn.pictures if one.available)

    def reset(self) -> None:
        """Stop the run and clear the conversation and everything derived from it."""
        self.stop()
        self.run = None
        if self.conversation.turns:
            self.cleared = self.conversation
        self.conversation = Conversation()
        for number, side in enumerate(self.sides):
            self._cancel_recording(number)
            side.request = side.snapshot = None
        self.show_rows()

    def stop(self, sides: Collection[int] | None = None) -> None:
        """Stop some sides, or all."""
        if self.run is not None:
            for side in range(len(self.run.requests)) if sides is None else sides:
                self.run.stop(side)
