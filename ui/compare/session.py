"""The server-side state of one view of an open page: conversation, run, and what was rendered."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar

from playground.answer import AnswerSnapshot, Request
from playground.compare import Run
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.media.pictures import Picture
from playground.services import Services

from .form import Form
from .numbers import final_line, live_line

STATUS_INTERVAL = 0.25
"""Seconds between two updates of a live status line, so that it can be read."""

StreamValues = tuple[str, str, str, str]
"""Left answer, left status line, right answer, right status line."""


@dataclass
class Session:
    """The state of one view of one open page.

    Lives in a `gr.State`, changed in place. A tab that keeps more has a subclass.
    """

    form_type: ClassVar[type[Form]] = Form

    keyring: Keyring = field(default_factory=Keyring, repr=False)
    """Keys and addresses that the visitor typed, shared by the views of the page."""
    conversation: Conversation = field(default_factory=Conversation)
    previous_conversation: Conversation = field(default_factory=Conversation)
    """The conversation before the current run."""
    run: Run | None = None
    requests: list[Request | None] = field(default_factory=lambda: [None, None], repr=False)
    """Each side's last request, without keys."""
    pictures: tuple[Picture, ...] = ()
    """Pictures attached to the next prompt."""
    form: Form = field(init=False)
    """The inputs as the page last sent them."""
    last_snapshot: tuple[AnswerSnapshot | None, ...] = (None, None)
    """Both answers as they were last streamed to the page."""
    snippets: set[int] = field(default_factory=set)
    """The sides whose code is shown."""
    side_labels: tuple[tuple[str, str], tuple[str, str]] = (("", ""), ("", ""))
    """Labels of each side's model and backend in the current run."""
    status_lines: list[str] = field(default_factory=lambda: ["", ""])
    """The line under each side, as HTML."""
    turns_offered: bool = False
    """Whether the page has said that the sides can be asked one after the other."""
    _recordings: dict[int, tuple[AnswerSnapshot, asyncio.Task[None]]] = field(default_factory=dict)
    """By side: the ended answer, and the task that adds it to the conversation."""
    _streamed: Run | None = None
    _status_lines_at: float = 0.0

    def __post_init__(self) -> None:
        self.form = self.form_type()

    @property
    def answering(self) -> bool:
        """True while a run is in progress."""
        return self.run is not None and not self.run.ended

    def begin(
        self,
        form: Form,
        side_labels: Sequence[tuple[str, str]],
        turn: int,
        new_turn: Turn,
        sides: set[int],
        services: Services,
    ) -> None:
        """Prepare a run of some sides at a turn, which becomes the last one; `draw` starts it."""
        if turn >= len(self.conversation.turns):
            self.pictures = ()  # they belong to the new turn
        self.previous_conversation, self.form = self.conversation, form
        earlier = self.conversation.before(turn).model_copy(
            update={"system": form.system, "params": form.params}
        )
        for side in sides:
            new_turn = new_turn.with_answer(side, None)
            self.status_lines[side] = ""
        self.conversation = earlier.with_turn(new_turn).without_old_routing()
        requests = [
            form.request(side, self.conversation, self.keyring, services.limits)
            if side in sides
            else None
            for side in (0, 1)
        ]
        self.run = Run(requests, services, in_turn=form.in_turn)
        self.requests = [
            new.without_key() if new else old
            for new, old in zip(requests, self.requests, strict=True)
        ]
        self.side_labels = (side_labels[0], side_labels[1])

    def is_running(self, side: int) -> bool:
        """True if the side takes part in the run in progress."""
        return self.run is not None and self.answering and self.run.requests[side] is not None

    def last_request(self, side: int) -> Request | None:
        """Return the side's request for the last turn; `None` if this session made none."""
        request = self.requests[side]
        if request is None or self.conversation.last is None:
            return None
        # System prompts are ignored: another one may have been used on the other side only.
        here, there = (
            [message for message in messages if message.role != "system"]
            for messages in (request.messages, self.conversation.messages(side))
        )
        return request if here == there else None

    async def draw(self) -> AsyncGenerator[StreamValues, None]:
        """Stream the growing answers and their status lines until every side has ended."""
        run = self.run
        if run is None or run is self._streamed:
            return
        self._streamed = run
        self._recordings.clear()
        self._status_lines_at = 0.0
        async with aclosing(run.snapshots()) as snapshots:
            async for sides in snapshots:
                if run is not self.run:  # the conversation was cleared meanwhile
                    return
                self._update_status_lines(run, sides)
                self.last_snapshot = sides
                left, right = (side.text if side else "" for side in sides)
                yield left, self.status_lines[0], right, self.status_lines[1]

    def _update_status_lines(self, run: Run, sides: tuple[AnswerSnapshot | None, ...]) -> None:
        now = monotonic()
        due = now - self._status_lines_at >= STATUS_INTERVAL
        for side, snapshot in enumerate(sides):
            if snapshot is None:
                continue
            if snapshot.ended:
                # In a task, so that detecting its language does not delay the other side's ticks.
                self._record_answer(run, side, snapshot)
            else:
                self._cancel_recording(side)
                if due or snapshot.state == "waiting":
                    self.status_lines[side] = live_line(snapshot, self.side_labels[side][0])
        if due:
            self._status_lines_at = now

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
        """Add an ended answer to the conversation, and render its final status line."""
        if self.conversation.last is None:
            return
        expected = await self.conversation.expectation()
        record = await AnswerRecord.of(snapshot, *self.side_labels[side], expected)
        if run is not self.run:  # the conversation was cleared meanwhile
            return
        request = run.requests[side]
        if snapshot.error and request and request.backend.kind != "local":
            # Its state may be another one now.
            run.services.health.invalidate(request.backend, self.keyring)
        self.conversation = self.conversation.expecting(expected).with_answer(side, record)
        self.render_status_lines(side)

    async def finish(self) -> list[str]:
        """Add the answers that are left; return the failures, one sentence each.

        A side that was regenerated without any text keeps its previous answer.
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
            failures += [str(snapshot.error)] if snapshot.error else []
            if (old := self._previous_answer(side)) and not snapshot.text:
                self.conversation = self.conversation.with_answer(side, old)
                self.render_status_lines(side)
        self.run = self._streamed = None
        self._recordings.clear()
        await self.prerender(self.conversation)
        return failures

    def should_offer_turns(self) -> bool:
        """Whether to say, once, that the sides can be asked one after the other."""
        last = self.conversation.last
        if self.turns_offered or last is None:
            return False
        self.turns_offered = all(record and record.slowed for record in last.answers)
        return self.turns_offered

    async def prerender(self, conversation: Conversation) -> None:
        """Compute, off the event loop, what takes long to render; nothing does here."""

    def _previous_answer(self, side: int) -> AnswerRecord | None:
        """Return the side's answer to the same prompt before it was regenerated, if any."""
        last, index = self.conversation.last, len(self.conversation.turns) - 1
        turns = self.previous_conversation.turns
        old = turns[index] if index < len(turns) else None
        return old.answers[side] if old and last and old.prompt == last.prompt else None

    def restore_pictures(self, turn: Turn) -> None:
        """Attach a turn's pictures to the next prompt again, unless others are attached."""
        self.pictures = self.pictures or tuple(one for one in turn.pictures if one.available)

    def reset(self) -> None:
        """Stop the run and clear the conversation and everything derived from it."""
        self.stop()
        self.run = None
        self.conversation = self.previous_conversation = Conversation()
        self.requests = [None, None]
        self.last_snapshot = (None, None)
        for side in (0, 1):
            self._cancel_recording(side)
        self.render_status_lines()

    def render_status_lines(self, *sides: int) -> None:
        """Render the status lines of the last turn's finished answers."""
        last = self.conversation.last
        for side in sides or (0, 1):
            record = last.answers[side] if last else None
            self.status_lines[side] = final_line(record, last) if record and last else ""

    def stop(self, side: int | None = None) -> None:
        """Stop one side, or both."""
        if self.run is not None:
            self.run.stop(side)
