"""Two panes and one prompt: from the click on Compare to the last number under the answers."""

from typing import Any

import gradio as gr

from backends import BackendError
from playground.conversation import Conversation, Turn, to_json, to_markdown
from playground.limits import Limits

from .composer import build_composer, notice_html
from .convert import Form, Kept, to_chatbot, turn_of
from .pane import build_pane
from .params import build_params
from .session import Session
from .status import backend_choices, find_offer, model_label

Updates = dict[Any, Any]
"""What an event changes: components and their new values. Components left out stay as they are."""

BUSY = "Both models are still answering. Press Stop first."

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class CompareView:
    """The comparison on a tab: its components, and what happens when they are used."""

    def __init__(self, limits: Limits, examples: Any = None) -> None:
        """Draw it. `examples` draws what stands between the panes and the prompt."""
        self.limits = limits
        self.backends = backend_choices(limits)
        self.session = gr.State(Session(), time_to_live=3600, delete_callback=Session.stop)
        self.kept = gr.BrowserState("", storage_key="phi-playground", secret="kept-in-this-browser")
        with gr.Row(elem_id="panes", equal_height=False):
            self.panes = (
                build_pane("left", self.backends),
                build_pane("right", self.backends),
            )
        with gr.Column(elem_id="below"):
            self.examples = examples() if examples else None
            self.params = build_params(limits)
        self.composer = build_composer()
        self._connect()

    # ── What the events read and write ─────────────────────────────────────────────────────────

    @property
    def form(self) -> list[gr.Component]:
        """The components that make up a `Form`, in its order."""
        left, right = self.panes
        pickers = [left.backend, left.model, right.backend, right.model]
        return [self.composer.prompt, *pickers, *self.params.inputs]

    @property
    def drawn(self) -> list[gr.Component]:
        """The components that a growing answer changes, and no others."""
        left, right = self.panes
        return [left.live, left.line, right.live, right.line]

    @property
    def changed(self) -> list[gr.Component]:
        """The components that a beginning or ending run changes."""
        c = self.composer
        buttons = [c.compare, c.stop, c.regenerate, c.undo, c.clear]
        copies = [c.copy_markdown, c.copy_json]
        panes = [x for p in self.panes for x in (p.conversation, p.regenerate, p.stop)]
        rest = [self.examples] if self.examples else []
        return [c.prompt, c.notice, *buttons, *copies, *panes, *self.drawn, self.kept, *rest]

    def _connect(self) -> None:
        c = self.composer
        self._answering(c.compare.click, self.ask)
        self._answering(c.regenerate.click, self.again)
        for side, pane in enumerate(self.panes):
            self._answering(pane.regenerate.click, self._again_one(side))
            self._answering(pane.conversation.edit, self._edit(side))
            pane.stop.click(_stop(side), self.session, queue=False, **PRIVATE)
        c.stop.click(_stop(None), self.session, queue=False, **PRIVATE)
        state = [self.session, c.prompt]
        c.undo.click(self.undo, state, self.changed, queue=False, **PRIVATE)
        c.clear.click(self.clear, state, self.changed, queue=False, **PRIVATE)
        for button, write in ((c.copy_markdown, to_markdown), (c.copy_json, to_json)):
            hidden = gr.Textbox(visible=False)
            button.click(_export(write), self.session, hidden, queue=False, **PRIVATE).then(
                None, hidden, js="(text) => phi.copy(text)", api_visibility="private"
            )
        c.copy_link.click(None, c.prompt, js="(p) => phi.copyLink(p)", api_visibility="private")

    def _answering(self, trigger: Any, begin: Any) -> None:
        """Begin a run, draw it, write it down: the way of every answer to the page."""
        begun = trigger(
            begin, [self.session, *self.form], self.changed, queue=False, preprocess=False,
            **PRIVATE,
        )  # fmt: skip
        # One generator for both sides: two listeners would run one after the other.
        drawn = begun.success(
            Session.draw,
            self.session,
            self.drawn,
            postprocess=False,
            concurrency_limit=None,
            **PRIVATE,
        )  # fmt: skip
        drawn.then(
            self.finish, [self.session, self.composer.prompt], self.changed, queue=False, **PRIVATE
        )

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    async def ask(self, session: Session, *values: Any) -> Updates:
        """Compare: a new turn for both sides."""
        try:
            form = Form.read(values).checked(self.limits)
            self.limits.check_prompt(form.prompt)
            self.limits.check_turns(len(session.conversation.turns))
        except BackendError as error:
            return self._refused(error)
        return await self._begin(session, form, session.conversation, form.prompt)

    async def again(self, session: Session, *values: Any) -> Updates:
        """Regenerate both answers to the last turn."""
        return await self._again(session, values, {0, 1})

    def _again_one(self, side: int) -> Any:
        async def again_one(session: Session, *values: Any) -> Updates:
            return await self._again(session, values, {side})

        return again_one

    async def _again(self, session: Session, values: tuple[Any, ...], sides: set[int]) -> Updates:
        if session.answering and session.run:
            for side in sides:
                if session.run.requests[side] is not None:
                    session.run.restart(side)
            return {}
        if not session.conversation.turns:
            return {}
        try:
            form = Form.read(values).checked(self.limits)
        except BackendError as error:
            return self._refused(error)
        *_, last = session.conversation.turns
        earlier = session.conversation.until(-1)
        updates = await self._begin(session, form, earlier, last.prompt, sides, last)
        updates.pop(self.composer.prompt, None)  # what is being typed is not what is asked again
        return updates

    def _edit(self, side: int) -> Any:
        async def edit(event: gr.EditData, session: Session, *values: Any) -> Updates:
            index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
            turn = turn_of(session.conversation, side, int(index))
            if session.answering or turn is None:
                shown = to_chatbot(session.conversation, side)
                return {self.panes[side].conversation: shown} | self._refused(BUSY)
            text = event.value if isinstance(event.value, str) else ""
            try:
                form = Form.read((text, *values[1:])).checked(self.limits)
                self.limits.check_prompt(form.prompt)
            except BackendError as error:
                return self.shown(session) | self._refused(error)
            earlier = session.conversation.until(turn)
            updates = await self._begin(session, form, earlier, form.prompt)
            updates.pop(self.composer.prompt, None)
            return updates

        return edit

    async def _begin(
        self,
        session: Session,
        form: Form,
        earlier: Conversation,
        prompt: str,
        sides: set[int] | None = None,
        last: Turn | None = None,
    ) -> Updates:
        """Add the turn, prepare the run, and show both; the sides that stay keep their answer."""
        labels = [model_label(b, await find_offer(b, m), m) for b, m in form.sides]
        if session.answering:
            return self._refused(BUSY)
        sides = {0, 1} if sides is None else sides
        turn = last or Turn(prompt=prompt)
        for side in sides:
            turn = turn.with_answer(side, None)
            session.lines[side] = ""
        conversation = earlier.model_copy(update={"system": form.system, "params": form.params})
        session.conversation = conversation.adding(turn)
        session.begin(form, tuple(labels), sides)
        return self.shown(session, draft=prompt) | {self.composer.prompt: ""}

    async def finish(self, session: Session, prompt: str) -> Updates:
        """The run has ended: its answers join the conversation."""
        if session.answering:
            return {}
        failed = await session.finish()
        last = session.conversation.last
        draft = last.prompt if failed and last and not prompt else prompt
        return self.shown(session, draft) | {self.composer.prompt: draft}

    def undo(self, session: Session, prompt: str) -> Updates:
        """Take the last turn back; its prompt returns to the box."""
        if session.answering or not session.conversation.turns:
            return {}
        last = session.conversation.turns[-1]
        session.conversation = session.conversation.until(-1)
        session.redraw_lines()
        return self.shown(session) | {self.composer.prompt: prompt or last.prompt}

    def clear(self, session: Session, prompt: str) -> Updates:
        """Forget the conversation; an unsent prompt stays."""
        session.stop()
        session.run = None
        session.conversation = Conversation()
        session.redraw_lines()
        return self.shown(session)

    # ── Drawing ────────────────────────────────────────────────────────────────────────────────

    def shown(self, session: Session, draft: str = "") -> Updates:
        """Everything that follows from the state of the session; `draft` is kept over a reload."""
        c, busy = self.composer, session.answering
        some = bool(session.conversation.turns)
        updates: Updates = {
            c.notice: "",
            c.compare: gr.Button(visible=not busy),
            c.stop: gr.Button(visible=busy),
            self.kept: Kept(session.conversation, draft).to_browser(),
        }
        for button in (c.regenerate, c.undo):
            updates[button] = gr.Button(visible=some, interactive=not busy)
        for button in (c.clear, c.copy_markdown, c.copy_json):
            updates[button] = gr.Button(visible=some)
        if self.examples:
            updates[self.examples] = gr.Accordion(open=not some)
        for side, pane in enumerate(self.panes):
            asked = busy and session.run is not None and session.run.requests[side] is not None
            updates |= {
                pane.conversation: to_chatbot(session.conversation, side),
                pane.live: "",
                pane.line: session.lines[side],
                pane.regenerate: gr.Button(visible=some),
                pane.stop: gr.Button(visible=asked),
            }
        return updates

    def _refused(self, why: BackendError | str) -> Updates:
        """Say why nothing was asked; everything else stays as it is, the prompt too."""
        return {self.composer.notice: notice_html(str(why))}


def _stop(side: int | None) -> Any:
    async def stop(session: Session) -> None:
        session.stop(side)

    return stop


def _export(write: Any) -> Any:
    def export(session: Session) -> str:
        return write(session.conversation)

    return export
