"""Two panes and one prompt: from the click on Compare to the last number under the answers."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from html import escape
from typing import Any, Generic, TypeVar

import gradio as gr

from backends import REGISTRY, BackendError, Modality
from playground.conversation import Turn
from playground.export import to_json, to_markdown
from playground.services import Services

from ..events import PRIVATE, Updates
from ..texts import t
from .chat import to_chatbot, turn_of
from .composer import build_composer, notice_html
from .examples import Examples
from .form import Form
from .pane import build_pane
from .params import build_params
from .pickers import Pickers
from .session import Session
from .snippet import snippet_markdown
from .status import allowed, model_label

_KEPT = "phi-playground"
"""Where the browser keeps the Text view's conversation; another view's name is put behind it."""


S = TypeVar("S", bound=Session)
"""What a view keeps for each open page."""


class CompareView(Generic[S]):
    """The comparison on a tab: its components, and what happens when they are used.

    A tab with more than that has a subclass: it draws what it adds in the `draw_…` methods, sends
    it with `form`, keeps it in a `turn`, and changes it with `shown`, whose components are in
    `changed`, or while an answer grows with `draw`, whose components are in `drawn`.
    """

    modality: Modality = "text"
    """What its models must be able to read."""
    invitation = "prompt_placeholder"
    """The text that an empty prompt box shows."""
    session_type: type[Any] = Session
    """What is kept of it for each open page."""
    shows_steps = False
    """Whether the answer of an agent with tools is shown as its steps."""

    def __init__(
        self,
        name: str,
        services: Services,
        keyring: gr.State,
        examples: Examples[Any] | None = None,
    ) -> None:
        """Draw it. The ids of all its elements begin with its name, which is its tab's."""
        self.name, self.services, self.keyring, self.examples = name, services, keyring, examples
        self.limits = services.limits
        self.backends = allowed(self.limits)
        self.session = gr.State(self.session_type(), delete_callback=Session.stop)
        # The secret goes to every page: it protects nothing, but a new one would lose what is kept.
        key = _KEPT if name == "text" else f"{_KEPT}-{name}"
        self.kept = gr.BrowserState("", storage_key=key, secret="no secret")
        with gr.Column(elem_id=f"{name}-view", elem_classes="view"):
            self._draw()
        self.pickers = [Pickers(pane, services, keyring, self.modality) for pane in self.panes]
        self._connect()

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def _draw(self) -> None:
        name = self.name
        self.sentence = gr.HTML(elem_id=f"{name}-opening", elem_classes="opening")
        gr.HTML(_sides(name), elem_id=f"{name}-sides", elem_classes="sides", padding=False)
        with gr.Row(elem_id=f"{name}-panes", elem_classes="panes", equal_height=False):
            self.panes = (
                build_pane(name, "left", self.backends, self),
                build_pane(name, "right", self.backends, self),
            )
        with gr.Column(elem_classes="below"):
            self.draw_below_panes()
            if self.examples:
                self.examples.draw(name)
            self.params = build_params(name, self.limits)
        self.composer = build_composer(name, self.invitation, self.draw_above_prompt)

    def draw_above_prompt(self) -> None:
        """Draw what goes along with a prompt; here nothing does."""

    def draw_below_panes(self) -> None:
        """Draw what both sides have in common; here that is nothing."""

    def draw_beside_model(self, side: str) -> None:
        """See `Additions`; here that is nothing."""

    def draw_below_model(self, side: str) -> None:
        """See `Additions`; here that is nothing."""

    def draw_below_answer(self, side: str) -> None:
        """See `Additions`; here that is nothing."""

    # ── What the events read and write ─────────────────────────────────────────────────────────

    @property
    def form_type(self) -> type[Form]:
        """What checks `form`."""
        return self.session_type.form_type

    @property
    def form(self) -> list[gr.Component]:
        """The components that make up a `Form`, in its order."""
        left, right = self.panes
        pickers = [left.backend, left.model, right.backend, right.model]
        return [self.composer.prompt, *pickers, *self.params.inputs]

    @property
    def settings(self) -> dict[str, gr.Component]:
        """The components of the settings, by the names of their fields in a `Form`."""
        return dict(list(zip(self.form_type.model_fields, self.form, strict=False))[5:])

    @property
    def drawn(self) -> list[gr.Component]:
        """The components that a growing answer changes, and no others."""
        left, right = self.panes
        return [left.live, left.line, right.live, right.line]

    @property
    def changed(self) -> list[Any]:
        """The components that a beginning or ending run changes."""
        c = self.composer
        buttons = [c.compare, c.stop, c.regenerate, c.undo, c.clear]
        copies = [c.copy_markdown, c.copy_json]
        panes = [x for p in self.panes for x in (p.conversation, p.regenerate, p.stop)]
        panes += [x for p in self.panes for x in (p.code, p.program)]
        rest = [self.examples.box] if self.examples else []
        return [c.prompt, c.notice, *buttons, *copies, *panes, *self.drawn, self.kept, *rest]

    def _connect(self) -> None:
        c = self.composer
        self._answering(c.compare.click, self.ask)
        self._answering(c.regenerate.click, self.again)
        for side, pane in enumerate(self.panes):
            self._answering(pane.regenerate.click, self._again_one(side))
            self._answering(pane.conversation.edit, self._edit(side))
            pane.stop.click(_stop(side), self.session, queue=False, **PRIVATE)
            pane.code.click(
                self._code(side), [self.session, *self.form], [pane.code, pane.program],
                queue=False, preprocess=False, **PRIVATE,
            )  # fmt: skip
        c.stop.click(_stop(None), self.session, queue=False, **PRIVATE)
        state = [self.session, c.prompt]
        c.undo.click(self.undo, state, self.changed, queue=False, **PRIVATE)
        c.clear.click(self.clear, self.session, self.changed, queue=False, **PRIVATE)
        for picker in self.pickers:
            c.typing.click(picker.prepare, picker.picked, queue=False, **PRIVATE)
        if self.examples:
            self.examples.connect(self.picked, self.session, self.filled)
        draft = f"(prompt) => phi.draft('{self.name}', prompt)"
        c.prompt.change(None, c.prompt, js=draft, api_visibility="private")
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
            self.draw,
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

    async def draw(self, session: S) -> AsyncGenerator[tuple[str, ...], None]:
        """The growing answers, in the order of `drawn`, until every side has ended."""
        async with aclosing(session.draw()) as ticks:
            async for drawn in ticks:
                yield drawn

    async def ask(self, session: S, *values: Any) -> Updates:
        """Compare: a new turn for both sides."""
        try:
            self.limits.check_turns(len(session.conversation.turns))
        except BackendError as error:
            return self._refused(error)
        return await self._begin(session, values, len(session.conversation.turns))

    async def again(self, session: S, *values: Any) -> Updates:
        """Regenerate both answers to the last turn."""
        return await self._again(session, values, {0, 1})

    def _again_one(self, side: int) -> Any:
        async def again_one(session: S, *values: Any) -> Updates:
            return await self._again(session, values, {side})

        return again_one

    async def _again(self, session: S, values: tuple[Any, ...], sides: set[int]) -> Updates:
        if session.answering and session.run:
            for side in filter(session.asks, sides):
                session.run.restart(side)
            return gr.skip()
        last = session.conversation.last
        if last is None:
            return gr.skip()
        turn = len(session.conversation.turns) - 1
        return await self._begin(session, (last.prompt, *values[1:]), turn, sides)

    def _edit(self, side: int) -> Any:
        async def edit(event: gr.EditData, session: S, *values: Any) -> Updates:
            index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
            turn = turn_of(session.conversation, side, int(index), steps=self.shows_steps)
            shown = {self.panes[side].conversation: self._chat(session, side)}
            if turn is None:
                return shown
            updates = await self._begin(session, (event.value, *values[1:]), turn)
            return shown | updates

        return edit

    async def _begin(
        self,
        session: S,
        values: tuple[Any, ...],
        turn: int,
        sides: frozenset[int] | set[int] = frozenset({0, 1}),
    ) -> Updates:
        """Check the form, prepare the run and show it.

        The page itself empties the box, of what was sent and no more: meanwhile people type on.
        """
        try:
            form = self.form_type.read(values).checked(self.limits, sides)
            self.limits.check_prompt(form.prompt)
            for backend, model in (form.sides[side] for side in sides):
                await self.services.health.check_offered(REGISTRY[backend], model, session.keyring)
            asked = self.turn(session, form, turn)
            earlier = session.conversation.before(turn).with_turn(asked)
            self.limits.check_attached_pictures((*earlier.pictures(turn), *asked.pictures))
            for side in sides:
                self.limits.check_history(earlier.messages(side))
        except BackendError as error:
            return self._refused(error)
        monitor = self.services.health
        labels = [model_label(monitor, *side, session.keyring) for side in form.sides]
        if session.answering:
            return self._refused("The models are still answering. Press Stop first.")
        first = not session.conversation.turns
        session.begin(form, labels, turn, asked, set(sides), self.services)
        updates = self.shown(session)
        for side in tuple(session.snippets):
            updates |= await self._show_snippet(session, side, values)
        if first and self.examples:
            updates[self.examples.box] = gr.Accordion(open=False)
        # Until there are answers, a reload brings back what was (and prompt.js the prompt).
        del updates[self.kept]
        return updates

    def turn(self, session: S, form: Form, index: int) -> Turn:
        """The turn that a form asks: the one that is there, if its prompt is the same, or anew."""
        turns = session.conversation.turns
        if index >= len(turns):
            return Turn(prompt=form.prompt, pictures=session.pictures)
        old = turns[index]
        same = old.prompt == form.prompt
        return old if same else Turn(prompt=form.prompt, pictures=old.pictures)

    async def finish(self, session: S, prompt: str) -> Updates:
        """The run has ended: its answers join the conversation."""
        if session.run is None or session.answering:
            return gr.skip()
        failures = await session.finish()
        if session.run is not None:
            return gr.skip()
        last = session.conversation.last
        back = last.prompt if failures and last and not prompt else ""
        if back and last:
            session.take_back(last)
        updates = self.shown(session)
        if back:  # else what is being typed meanwhile stays as it is
            updates[self.composer.prompt] = back
        shown = " ".join(session.lines)
        updates[self.composer.notice] = notice_html(
            " ".join(failure for failure in failures if escape(failure) not in shown)
        )
        return updates

    async def undo(self, session: S, prompt: str) -> Updates:
        """Take the last turn back; its prompt returns to the box."""
        last = session.conversation.last
        if session.answering or last is None:
            return gr.skip()
        await session.draw_ahead(session.conversation.before(-1))
        if session.answering or last is not session.conversation.last:  # another click meanwhile
            return gr.skip()
        session.conversation = session.conversation.before(-1)
        session.take_back(last)
        session.redraw_lines()
        updates = self.shown(session) | self._hide_code(session)
        return updates | {self.composer.prompt: prompt or last.prompt}

    async def clear(self, session: S) -> Updates:
        """Forget the conversation; an unsent prompt stays."""
        session.forget()
        updates = self.shown(session) | self._hide_code(session)
        if self.examples:
            updates[self.examples.box] = gr.Accordion(open=True)
        return updates

    def _code(self, side: int) -> Any:
        async def show_code(session: S, *values: Any) -> Updates:
            if side in session.snippets:
                return self._hide_code(session, side)
            return await self._show_snippet(session, side, values)

        return show_code

    async def _show_snippet(self, session: S, side: int, values: tuple[Any, ...]) -> Updates:
        """The program of what a side was asked last, or would be asked now."""
        pane, snippet = self.panes[side], await snippet_markdown(session, side, values, self.limits)
        session.snippets.add(side)
        return {
            pane.code: gr.Button(t("hide_code")),
            pane.program: gr.Markdown(snippet, visible=True),
        }

    def _hide_code(self, session: S, *sides: int) -> Updates:
        """Put programs away; those of both sides if none is named."""
        updates: Updates = {}
        for side in session.snippets & {*(sides or (0, 1))}:
            session.snippets.remove(side)
            pane = self.panes[side]
            updates[pane.code] = gr.Button(t("show_code"))
            updates[pane.program] = gr.Markdown("", visible=False)
        return updates

    @property
    def filled(self) -> list[Any]:
        """The components that `picked` changes."""
        return [self.composer.prompt, self.params.system, self.params.box]

    async def picked(self, example: Any, session: S) -> Updates:
        """An example was picked: it goes into the prompt box, not to the models yet."""
        c, params = self.composer, self.params
        system = getattr(example, "system", None)
        updates: Updates = {c.prompt: example.prompt, params.system: system or ""}
        # A system prompt that nobody sees would be a riddle: the settings open to show it.
        return updates | ({params.box: gr.Accordion(open=True)} if system else {})

    # ── Drawing ────────────────────────────────────────────────────────────────────────────────

    def shown(self, session: S) -> Updates:
        """Everything that follows from the state of the session."""
        c, busy = self.composer, session.answering
        some = bool(session.conversation.turns)
        updates: Updates = {
            c.notice: "",
            c.compare: gr.Button(visible=not busy),
            c.stop: gr.Button(visible=busy),
            self.kept: session.conversation.model_dump_json(),
        }
        for button in (c.regenerate, c.undo):
            updates[button] = gr.Button(visible=some, interactive=not busy)
        for button in (c.clear, c.copy_markdown, c.copy_json):
            updates[button] = gr.Button(visible=some)
        for side, pane in enumerate(self.panes):
            asked = session.asks(side)
            updates |= {
                pane.conversation: self._chat(session, side),
                pane.live: "",
                pane.line: session.lines[side],
                pane.regenerate: gr.Button(visible=some and (asked or not busy)),
                pane.stop: gr.Button(visible=asked),
            }
        return updates

    def _chat(self, session: S, side: int) -> list[dict[str, Any]]:
        return to_chatbot(session.conversation, side, steps=self.shows_steps)

    def note_form(self, session: S, values: Sequence[Any]) -> None:
        """Remember what the page last sent, where something is shown that follows from it."""
        fields = self.form_type.model_fields
        picked = dict(zip(fields, values, strict=False))
        names = [name for name in fields if name.startswith(("left_", "right_"))]
        with suppress(ValueError):  # what is wrong with it is said when it is sent
            session.form = self.form_type.model_validate({name: picked.get(name) for name in names})

    def _refused(self, why: BackendError | str) -> Updates:
        """Say why nothing was asked; everything else stays as it is, the prompt too."""
        return {self.composer.notice: notice_html(str(why))}


def _sides(view: str) -> str:
    """The buttons that show one side alone, or both."""
    buttons = "".join(
        f'<button id="{view}-focus-{side}" aria-pressed="{str(side == "both").lower()}" '
        f"onclick=\"phi.focus('{view}', '{side}')\">{side.capitalize()}</button>"
        for side in ("left", "both", "right")
    )
    return f'<div role="group" aria-label="Which side to show">{buttons}</div>'


def _stop(side: int | None) -> Any:
    async def stop(session: Session) -> None:
        session.stop(side)

    return stop


def _export(write: Any) -> Any:
    async def export(session: Session) -> str:
        return write(session.conversation)

    return export
