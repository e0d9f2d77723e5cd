"""What changes a conversation and asks no model: undo, clear, restore, another version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from playground.conversation import Conversation

from ..events import ALWAYS, PRIVATE, Updates
from .press import Press
from .session import Session

if TYPE_CHECKING:
    from .view import CompareView


class Editing:
    """The buttons of a view, and of its transcript, that change what was said."""

    def __init__(self, view: CompareView[Any]) -> None:
        self.view = view

    def connect(self) -> None:
        """Have each button do its own."""
        view, c = self.view, self.view.composer
        view.transcript.select(
            self.on_select, view.session, [view.transcript, view.storage], queue=False, **ALWAYS
        )  # fmt: skip
        for button, handler, inputs in (
            (c.undo, self.undo, [view.session, c.prompt]),
            (c.clear, self.clear, [view.session]),
            (c.restore, self.restore, [view.session]),
        ):
            button.click(handler, inputs, view.view_outputs, queue=False, **PRIVATE)

    async def on_select(self, event: gr.EventData, session: Session) -> Updates:
        """Do what was pressed in the transcript and asks no model."""
        view = self.view
        match Press.read(event, session):
            case Press("resync"):
                return {view.transcript: session.rows.message(whole=True)}
            case Press("stop", side=int(side)):
                session.stop({side})
            case Press("version", int(turn), int(side), version=int(version)):
                if 0 <= version < len(session.conversation.turns[turn].versions_of(side)):
                    shown = session.conversation.with_version(turn, side, version)
                    return self._show(session, turn, shown)
            case Press("use", int(turn), int(side)):
                count = len(session.sides)
                shown = session.conversation.with_answer_everywhere(turn, side, count)
                return self._show(session, turn, shown)
            case _:
                pass
        return gr.skip()

    def _show(self, session: Session, first: int, conversation: Conversation) -> Updates:
        """Show a conversation that is another one from a turn on, unless models answer."""
        if session.answering:
            return gr.skip()
        session.conversation = conversation
        session.show_rows(first)
        return {
            self.view.transcript: session.rows.message(),
            self.view.storage: session.conversation.model_dump_json(),
        }

    async def undo(self, session: Session, prompt: str) -> Updates:
        """Remove the last turn; its prompt returns to the box."""
        view, last = self.view, session.conversation.last
        if session.answering or last is None:
            return gr.skip()
        await session.prerender(session.conversation.before(-1))
        if session.answering or last is not session.conversation.last:  # another click meanwhile
            return gr.skip()
        session.conversation = session.conversation.before(-1)
        session.restore_pictures(last)
        view.code.hide(session)
        return view.render(session) | {view.composer.prompt: prompt or last.prompt}

    async def clear(self, session: Session) -> Updates:
        """Clear the conversation; an unsent prompt stays, and all of it can be had back."""
        view = self.view
        session.reset()
        view.code.hide(session)
        updates = view.render(session)
        if view.examples:
            updates[view.examples.box] = gr.Accordion(open=True)
        return updates

    async def restore(self, session: Session) -> Updates:
        """Bring back the conversation that was cleared."""
        cleared = session.cleared
        if cleared is None or session.conversation.turns:
            return gr.skip()
        session.conversation, session.cleared = cleared, None
        await session.prerender(cleared)
        return self.view.render(session)
