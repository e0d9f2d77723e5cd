"""The comparison view: two panes, one prompt, and the events between them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from html import escape
from typing import Any, Generic, TypeVar

import gradio as gr

from backends import BackendError, Modality
from playground.conversation import Turn
from playground.export import to_json, to_markdown
from playground.services import Services

from ..events import PRIVATE, Updates
from ..texts import t
from .chat import to_chatbot, turn_of
from .composer import build_composer, hint_html, notice_html
from .default_pair import DefaultPair
from .examples import Examples
from .form import Form
from .pane import build_pane
from .params import build_params
from .pickers import Pickers
from .servers import servers_storage
from .session import Session
from .snippet import snippet_markdown
from .status import allowed_backends, model_label

_STORAGE_KEY = "phi-playground"
"""Key of the Text view's conversation in localStorage; other views append their name."""


S = TypeVar("S", bound=Session)
"""The session type of a view."""


class CompareView(Generic[S]):
    """A comparison on a tab: its components and their events.

    A tab with more than that has a subclass: it adds components in the `build_…` methods, sends
    their values with `form`, stores them in a `turn`, and updates the components of `view_outputs`
    with `render`, or, while an answer is streamed, those of `stream_outputs` with `draw`.
    """

    modality: Modality = "text"
    """The modality that its models must read."""
    placeholder_key = "prompt_placeholder"
    """Key in `ui/texts.py` of the empty prompt box's text."""
    session_type: type[Any] = Session
    """The class of the state of each open page."""
    shows_steps = False
    """True if the answer of an agent with tools is shown as its steps."""

    def __init__(
        self,
        name: str,
        services: Services,
        keyring: gr.State,
        examples: Examples[Any] | None = None,
    ) -> None:
        """Build it. The ids of all its elements begin with its name, which is its tab's id."""
        self.name, self.services, self.keyring, self.examples = name, services, keyring, examples
        self.limits = services.limits
        self.backends = allowed_backends(self.limits)  # before a visitor adds any
        self.session = gr.State(self.session_type(), delete_callback=Session.stop)
        # Not secret, every page has it; but a new one would make stored conversations unreadable.
        key = _STORAGE_KEY if name == "text" else f"{_STORAGE_KEY}-{name}"
        self.storage = gr.BrowserState("", storage_key=key, secret="no secret")
        self.known_servers = servers_storage()
        with gr.Column(elem_id=f"{name}-view", elem_classes="view"):
            self._build()
        self.pickers = [Pickers(pane, services, keyring, self.modality) for pane in self.panes]
        self._connect()

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def _build(self) -> None:
        name = self.name
        with gr.Row(elem_classes="opening"):
            self.intro = gr.HTML(elem_id=f"{name}-opening")
            self.build_beside_intro()
        gr.HTML(
            _side_switch_html(name), elem_id=f"{name}-sides", elem_classes="sides", padding=False
        )
        with gr.Row(elem_id=f"{name}-panes", elem_classes="panes", equal_height=False):
            self.panes = (
                build_pane(name, "left", self.backends, self),
                build_pane(name, "right", self.backends, self),
            )
        with gr.Column(elem_classes="below"):
            self.build_below_panes()
            if self.examples:
                self.examples.build(name)
            self.params = build_params(name, self.limits)
        self.composer = build_composer(name, self.placeholder_key, self.build_above_prompt)

    def build_beside_intro(self) -> None:
        """Add buttons beside the sentence above the panes; here there are none."""

    def build_above_prompt(self) -> None:
        """Add inputs that belong to a prompt; here there are none."""

    def build_below_panes(self) -> None:
        """Add components that both sides share; here there are none."""

    def build_beside_model(self, side: str) -> None:
        """See `PaneExtras`; here it adds nothing."""

    def build_below_model(self, side: str) -> None:
        """See `PaneExtras`; here it adds nothing."""

    def build_below_answer(self, side: str) -> None:
        """See `PaneExtras`; here it adds nothing."""

    # ── What the events read and write ─────────────────────────────────────────────────────────

    @property
    def intro_outputs(self) -> list[Any]:
        """The components that `render_intro` updates."""
        return [self.intro]

    async def render_intro(
        self, session: S, pair: DefaultPair, choices: Sequence[tuple[str, str]]
    ) -> Updates:
        """Say what the view opens with; `choices` are backend and model of each side."""
        return {self.intro: f"<p>{pair.sentence}</p>"}

    @property
    def form_type(self) -> type[Form]:
        """The class that validates `form`."""
        return self.session_type.form_type

    @property
    def form(self) -> list[gr.Component]:
        """The components that make up a `Form`, in its order."""
        left, right = self.panes
        pickers = [left.backend, left.model, right.backend, right.model]
        c = self.composer
        return [c.prompt, *pickers, *self.params.inputs, c.in_turn]

    @property
    def settings(self) -> dict[str, gr.Component]:
        """The components of the settings, by field of a `Form`."""
        return dict(list(zip(self.form_type.model_fields, self.form, strict=False))[5:])

    @property
    def stream_outputs(self) -> list[gr.Component]:
        """The components that are updated while answers are streamed, and no others."""
        left, right = self.panes
        return [left.live, left.line, right.live, right.line]

    @property
    def view_outputs(self) -> list[Any]:
        """The components that are updated when a run begins or ends."""
        c = self.composer
        buttons = [c.compare, c.stop, c.regenerate, c.undo, c.clear]
        copies = [c.copy_markdown, c.copy_json]
        panes = [x for p in self.panes for x in (p.conversation, p.regenerate, p.stop)]
        panes += [x for p in self.panes for x in (p.code, p.program)]
        rest = [self.examples.box] if self.examples else []
        return [
            c.prompt,
            c.notice,
            *buttons,
            *copies,
            *panes,
            *self.stream_outputs,
            self.storage,
            *rest,
        ]

    def _connect(self) -> None:
        c = self.composer
        self._wire_generation(c.compare.click, self.ask)
        self._wire_generation(c.regenerate.click, self.regenerate)
        for side, pane in enumerate(self.panes):
            self._wire_generation(pane.regenerate.click, self._regenerate_one(side))
            self._wire_generation(pane.conversation.edit, self._edit(side))
            pane.stop.click(_stop(side), self.session, queue=False, **PRIVATE)
            pane.code.click(
                self._code(side), [self.session, *self.form], [pane.code, pane.program],
                queue=False, preprocess=False, **PRIVATE,
            )  # fmt: skip
        c.stop.click(_stop(None), self.session, queue=False, **PRIVATE)
        state = [self.session, c.prompt]
        c.undo.click(self.undo, state, self.view_outputs, queue=False, **PRIVATE)
        c.clear.click(self.clear, self.session, self.view_outputs, queue=False, **PRIVATE)
        for picker in self.pickers:
            c.typing.click(picker.prepare, picker.selection, queue=False, **PRIVATE)
        if self.examples:
            self.examples.connect(self.on_example, self.session, self.example_outputs)
        draft = f"(prompt) => phi.draft('{self.name}', prompt)"
        c.prompt.change(None, c.prompt, js=draft, api_visibility="private")
        for button, convert in ((c.copy_markdown, to_markdown), (c.copy_json, to_json)):
            hidden = gr.Textbox(visible=False)
            button.click(_export(convert), self.session, hidden, queue=False, **PRIVATE).then(
                None, hidden, js="(text) => phi.copy(text)", api_visibility="private"
            )
        c.copy_link.click(None, c.prompt, js="(p) => phi.copyLink(p)", api_visibility="private")

    def _wire_generation(self, trigger: Any, start: Any) -> None:
        """Chain the three steps of every run: `start` it, `draw` it, `finish` it."""
        started = trigger(
            start, [self.session, *self.form], self.view_outputs, queue=False, preprocess=False,
            **PRIVATE,
        )  # fmt: skip
        # One generator for both sides: two listeners would run one after the other.
        ended = started.success(
            self.draw,
            self.session,
            self.stream_outputs,
            postprocess=False,
            concurrency_limit=None,
            **PRIVATE,
        )  # fmt: skip
        ended.then(
            self.finish,
            [self.session, self.composer.prompt],
            self.view_outputs,
            queue=False,
            **PRIVATE,
        )

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    async def draw(self, session: S) -> AsyncGenerator[tuple[str, ...], None]:
        """Stream the values of `stream_outputs` until every side has ended."""
        async with aclosing(session.draw()) as ticks:
            async for values in ticks:
                yield values

    async def ask(self, session: S, *values: Any) -> Updates:
        """Compare: add a turn that both sides answer."""
        try:
            self.limits.check_turns(len(session.conversation.turns))
        except BackendError as error:
            return self._refuse(error)
        return await self._begin(session, values, len(session.conversation.turns))

    async def regenerate(self, session: S, *values: Any) -> Updates:
        """Regenerate both answers to the last turn."""
        return await self._regenerate(session, values, {0, 1})

    def _regenerate_one(self, side: int) -> Any:
        async def regenerate_one(session: S, *values: Any) -> Updates:
            return await self._regenerate(session, values, {side})

        return regenerate_one

    async def _regenerate(self, session: S, values: tuple[Any, ...], sides: set[int]) -> Updates:
        if session.answering and session.run:
            for side in filter(session.is_running, sides):
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
            restored = {self.panes[side].conversation: self._chat(session, side)}
            if turn is None:
                return restored
            updates = await self._begin(session, (event.value, *values[1:]), turn)
            return restored | updates

        return edit

    async def _begin(
        self,
        session: S,
        values: tuple[Any, ...],
        turn: int,
        sides: frozenset[int] | set[int] = frozenset({0, 1}),
    ) -> Updates:
        """Check the form, prepare the run and render it.

        The page's script empties the prompt box of exactly what was sent: visitors go on typing.
        """
        try:
            form = self.form_type.read(values).checked(self.limits, sides, session.keyring)
            self.limits.check_prompt(form.prompt)
            for place, model in (form.sides[side] for side in sides):
                if backend := session.keyring.backend(place):
                    await self.services.health.check_offered(backend, model, session.keyring)
            new_turn = self.turn(session, form, turn)
            earlier = session.conversation.before(turn).with_turn(new_turn)
            self.limits.check_attached_pictures((*earlier.pictures(turn), *new_turn.pictures))
            for side in sides:
                self.limits.check_history(earlier.messages(side))
        except BackendError as error:
            return self._refuse(error)
        monitor = self.services.health
        labels = [model_label(monitor, *side, session.keyring) for side in form.sides]
        if session.answering:
            return self._refuse("The models are still answering. Press Stop first.")
        first = not session.conversation.turns
        session.begin(form, labels, turn, new_turn, set(sides), self.services)
        updates = self.render(session)
        for side in tuple(session.snippets):
            updates |= await self._show_snippet(session, side, values)
        if first and self.examples:
            updates[self.examples.box] = gr.Accordion(open=False)
        # Until there are answers, a reload restores what was before (and prompt.js the prompt).
        del updates[self.storage]
        return updates

    def turn(self, session: S, form: Form, index: int) -> Turn:
        """Return the turn for a form: the existing one if its prompt is the same, else a new."""
        turns = session.conversation.turns
        if index >= len(turns):
            return Turn(prompt=form.prompt, pictures=session.pictures)
        old = turns[index]
        same = old.prompt == form.prompt
        return old if same else Turn(prompt=form.prompt, pictures=old.pictures)

    async def finish(self, session: S, prompt: str) -> Updates:
        """Add the answers of an ended run to the conversation, and render it."""
        if session.run is None or session.answering:
            return gr.skip()
        failures = await session.finish()
        if session.run is not None:
            return gr.skip()
        last = session.conversation.last
        back = last.prompt if failures and last and not prompt else ""
        if back and last:
            session.restore_pictures(last)
        updates = self.render(session)
        if back:  # otherwise keep what is being typed
            updates[self.composer.prompt] = back
        status_lines = " ".join(session.status_lines)
        unsaid = [failure for failure in failures if escape(failure) not in status_lines]
        if unsaid:
            updates[self.composer.notice] = notice_html(" ".join(unsaid))
        elif session.should_offer_turns():
            updates[self.composer.notice] = hint_html(t("offer_turns"))
        return updates

    async def undo(self, session: S, prompt: str) -> Updates:
        """Remove the last turn; its prompt returns to the box."""
        last = session.conversation.last
        if session.answering or last is None:
            return gr.skip()
        await session.prerender(session.conversation.before(-1))
        if session.answering or last is not session.conversation.last:  # another click meanwhile
            return gr.skip()
        session.conversation = session.conversation.before(-1)
        session.restore_pictures(last)
        session.render_status_lines()
        updates = self.render(session) | self._hide_code(session)
        return updates | {self.composer.prompt: prompt or last.prompt}

    async def clear(self, session: S) -> Updates:
        """Clear the conversation; an unsent prompt stays."""
        session.reset()
        updates = self.render(session) | self._hide_code(session)
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
        """Hide the code of these sides; of both if none is given."""
        updates: Updates = {}
        for side in session.snippets & {*(sides or (0, 1))}:
            session.snippets.remove(side)
            pane = self.panes[side]
            updates[pane.code] = gr.Button(t("show_code"))
            updates[pane.program] = gr.Markdown("", visible=False)
        return updates

    @property
    def example_outputs(self) -> list[Any]:
        """The components that `on_example` updates."""
        return [self.composer.prompt, self.params.system, self.params.box]

    async def on_example(self, example: Any, session: S) -> Updates:
        """Put an example into the prompt box, without sending it."""
        c, params = self.composer, self.params
        system = getattr(example, "system", None)
        updates: Updates = {c.prompt: example.prompt, params.system: system or ""}
        # Open the settings if the example sets a system prompt, so that it is seen.
        return updates | ({params.box: gr.Accordion(open=True)} if system else {})

    # ── Drawing ────────────────────────────────────────────────────────────────────────────────

    def render(self, session: S) -> Updates:
        """Return the updates of all components that show the state of the session."""
        c, busy = self.composer, session.answering
        some = bool(session.conversation.turns)
        updates: Updates = {
            c.notice: "",
            c.compare: gr.Button(visible=not busy),
            c.stop: gr.Button(visible=busy),
            self.storage: session.conversation.model_dump_json(),
        }
        for button in (c.regenerate, c.undo):
            updates[button] = gr.Button(visible=some, interactive=not busy)
        for button in (c.clear, c.copy_markdown, c.copy_json):
            updates[button] = gr.Button(visible=some)
        for side, pane in enumerate(self.panes):
            running = session.is_running(side)
            updates |= {
                pane.conversation: self._chat(session, side),
                pane.live: "",
                pane.line: session.status_lines[side],
                pane.regenerate: gr.Button(visible=some and (running or not busy)),
                pane.stop: gr.Button(visible=running),
            }
        return updates

    def _chat(self, session: S, side: int) -> list[dict[str, Any]]:
        return to_chatbot(session.conversation, side, steps=self.shows_steps)

    def remember_form(self, session: S, values: Sequence[Any]) -> None:
        """Store the page's inputs, for components that are rendered from them."""
        fields = self.form_type.model_fields
        picked = dict(zip(fields, values, strict=False))
        names = [name for name in fields if name.startswith(("left_", "right_"))]
        with suppress(ValueError):  # errors are reported when the form is sent
            session.form = self.form_type.model_validate({name: picked.get(name) for name in names})

    def _refuse(self, why: BackendError | str) -> Updates:
        """Show why nothing was asked; everything else stays as it is, the prompt too."""
        return {self.composer.notice: notice_html(str(why))}


def _side_switch_html(view: str) -> str:
    """Return the buttons that show one side alone, or both."""
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


def _export(convert: Any) -> Any:
    async def export(session: Session) -> str:
        return convert(session.conversation)

    return export
