"""Recorded answers in a view: a link to one item of a run file plays its answers once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from backends import Sentence
from playground.conversation import Conversation, Turn
from playground.limits import Limits
from playground.matrix.recorded import recorded_requests, where_recorded
from playground.matrix.run_file import RunFile, RunFileError
from playground.matrix.shelf import read_listed
from playground.threads import in_media_thread

from ..events import Updates
from ..gathered import Values
from .composer import hint_html, notice_html
from .prepared_turn import PreparedTurn
from .session import Session
from .side import letter_of

if TYPE_CHECKING:
    from .view import CompareView

GONE = Sentence(
    "This link names a recorded answer that is not in its file: open the recording again."
)

PLAYS = (
    "This is a recording: nobody is asked now. “Regenerate all” asks the models that are chosen "
    "above."
)


class RecordedAnswers:
    """Plays what the page's address names: `recording=recordings/pocket.jsonl&item=stays/de/0`."""

    def __init__(self, view: CompareView[Any]) -> None:
        self.view = view
        # Clicked by the page's script once a view is open whose address names a recording.
        self.play_button = gr.Button(visible="hidden", elem_id=f"{view.name}-play-recorded")

    async def play(self, values: Values) -> Updates:
        """Begin a conversation with the recorded prompt; its answers are drawn as any others."""
        view = self.view
        session: Session = values[view.session]
        (name, item), session.recorded = session.recorded, ("", "")
        if session.answering or not name:
            return gr.skip()
        try:
            run = await in_media_thread(read_listed, name, view.limits)
            prepared = self._prepared(session, run, item, view.limits)
        except RunFileError as error:
            return {view.composer.notice: notice_html(str(error))}
        kept = session.conversation if session.conversation.turns else session.cleared
        session.begin(prepared, session.form, view.services)
        session.cleared = kept  # it can be had back
        updates = view.render(session)
        updates[view.composer.notice] = hint_html(PLAYS)
        if view.examples:
            updates[view.examples.box] = gr.Accordion(open=False)
        return updates

    def _prepared(self, session: Session, run: RunFile, item: str, limits: Limits) -> PreparedTurn:
        """A turn of recorded answers. Raises `RunFileError`."""
        found = recorded_requests(run, item)
        sides = [letter_of(number) for number in range(len(session.sides))]
        requests = [found.get(side) for side in sides]
        asked = [request for request in requests if request]
        if not asked:
            raise RunFileError(GONE)
        titles = {one.side: one.title for one in run.header.models}
        where = where_recorded(run)
        conversation = Conversation(params=asked[0].params)
        return PreparedTurn(
            0,
            conversation.with_turn(Turn(prompt=asked[0].messages[0].text)),
            requests,
            [(titles.get(side, ""), where) for side in sides],
        )
