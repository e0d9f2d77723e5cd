"""The comparison view: sides, one prompt, their transcript, and the events between them."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

import gradio as gr

from backends import BackendError, Modality, Sentence
from playground.conversation import LETTERS, MAX_SIDES
from playground.export import to_json, to_markdown
from playground.services import Services

from ..events import ALWAYS, PRIVATE, Updates
from ..gathered import PRESSED, Gathered, Values
from .code_panel import CodePanel
from .composer import build_composer, hint_html, notice_html
from .default_pair import DefaultPair
from .editing import Editing
from .examples import Examples
from .form import Form
from .intro import Intro
from .pane import build_pane
from .params import build_params
from .pickers import Pickers, choices_in
from .prepared_turn import prepare_turn
from .press import Press
from .servers import servers_storage
from .session import Session
from .sides import SideEditor
from .status import allowed_backends
from .transcript import build_transcript

S = TypeVar("S", bound=Session)
"""The session type of a view."""
OFFER_TURNS = (
    "Both models ran on the same processor and slowed each other down. For the true speed of each, "
    "tick “One after the other”."
)
FIRST_SIDES = 2
"""Sides that a view opens with."""


class CompareView(Generic[S]):
    """A comparison on a tab: its components and their events.

    A tab with more than that has a subclass: it adds components in the `build_…` methods, sends
    their values with `inputs` or those of a pane, and updates the components of `view_outputs` with
    `render`, or, while an answer is streamed, those of `stream_outputs` with `draw`.
    """

    modality: Modality = "text"
    """The modality that its models must read."""
    placeholder_key = "prompt_placeholder"
    """Key in `ui/texts.py` of the empty prompt box's text."""
    session_type: type[Any] = Session
    """The class of the state of each open page."""

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
        self.known_servers = servers_storage()
        with gr.Column(elem_id=f"{name}-view", elem_classes="view"):
            self._build()
        self.pickers = [Pickers(pane, services, keyring, self.modality) for pane in self.panes]
        sides = [component for pane in self.panes for component in pane.inputs.values()]
        shared = [self.composer.prompt, *self.settings.values()]
        self.inputs = Gathered([*shared, *sides], self.session, keyring)
        self.side_editor = SideEditor(self)
        self.code = CodePanel(self)
        self.editing = Editing(self)
        self._connect()

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def _build(self) -> None:
        name = self.name
        # What the browser keeps of this view, for this tab of it: see `base.js`.
        self.storage = gr.Textbox(visible="hidden", elem_id=f"{name}-storage")
        self.build_intro()
        with gr.Row(elem_id=f"{name}-panes", elem_classes="panes", equal_height=False):
            self.panes = [
                build_pane(name, side, self.backends, self, visible=side < FIRST_SIDES)
                for side in range(MAX_SIDES)
            ]
        self.transcript = build_transcript(name)
        with gr.Row(elem_classes="beneath"):
            self.build_beneath()
        with gr.Column(elem_classes="below"):
            self.build_below_panes()
            if self.examples:
                self.examples.build(name)
            self.params = build_params(name, self.limits)
        self.composer = build_composer(name, self.placeholder_key, self.build_above_prompt)
        self.add_side = self.composer.add_side

    def build_intro(self) -> None:
        """Build the sentence above the panes, and what stands beside it; here nothing does."""
        with gr.Row(elem_classes="opening"):
            self.intro = Intro(self)

    def build_above_prompt(self) -> None:
        """Add inputs that belong to a prompt; here there are none."""

    def build_below_panes(self) -> None:
        """Add components that all sides share; here there are none."""

    def build_beneath(self) -> None:
        """Add components of each side beneath the transcript; here there are none."""

    def build_beside_model(self, side: int) -> Mapping[str, gr.Component]:
        """See `PaneExtras`; here it adds nothing."""
        return {}

    def build_below_model(self, side: int) -> None:
        """See `PaneExtras`; here it adds nothing."""

    # ── What the events read and write ─────────────────────────────────────────────────────────

    @property
    def intro_outputs(self) -> list[Any]:
        """The components that `render_intro` updates."""
        return [self.intro.html]

    async def render_intro(
        self, session: S, pair: DefaultPair, choices: Sequence[tuple[str, str]]
    ) -> Updates:
        """Say what the view opens with; `choices` are backend and model of each side."""
        return await self.intro.render(session, pair, choices)

    def connect_intro(self) -> None:
        """Have the sentence above the sides follow what is chosen."""
        self.intro.connect()

    @property
    def form_type(self) -> type[Form]:
        """The class that validates a form."""
        return self.session_type.form_type

    @property
    def settings(self) -> dict[str, gr.Component]:
        """The components of the settings that all sides share, by field of a `Form`."""
        return {**self.params.inputs, "in_turn": self.composer.in_turn}

    def read_form(self, session: S, values: Values, prompt: str | None = None) -> Form:
        """Parse the inputs of an event, or those with another prompt. Raises `BadRequestError`."""
        shared = {name: values[component] for name, component in self.settings.items()}
        shared["prompt"] = values[self.composer.prompt] if prompt is None else prompt
        return self.form_type.read(shared, self.side_values(session, values))

    def side_values(self, session: S, values: Values) -> list[dict[str, Any]]:
        """Return the inputs of each side, by field of its form."""
        return [
            {name: values[component] for name, component in pane.inputs.items()}
            for pane in self.panes[: len(session.sides)]
        ]

    @property
    def beneath(self) -> list[gr.Column]:
        """The columns of sides beneath the transcript; here there are none."""
        return []

    @property
    def stream_outputs(self) -> list[gr.Component]:
        """The components that are updated while answers are streamed, and no others."""
        return [self.transcript]

    @property
    def view_outputs(self) -> list[Any]:
        """The components that are updated when a run begins or ends."""
        c = self.composer
        buttons = [c.compare, c.stop, c.regenerate, c.undo, c.clear, c.restore]
        copies = [c.copy_markdown, c.copy_json]
        codes = [pane.code for pane in self.panes]
        rest = [self.examples.box] if self.examples else []
        own = [c.prompt, c.notice, self.storage]
        return [*own, *buttons, *copies, *codes, *self.stream_outputs, *rest]

    def _connect(self) -> None:
        self.connect_intro()
        c = self.composer
        self._wire_generation(c.compare.click, self.ask)
        self._wire_generation(c.regenerate.click, self.regenerate)
        self._wire_generation(self.transcript.submit, self.ask_again)
        self.editing.connect()
        self.code.connect()
        c.stop.click(self.stop, self.session, queue=False, **PRIVATE)
        self.inputs.on(c.typing.click, self.prepare, None, queue=False, **ALWAYS)
        if self.examples:
            self.examples.connect(self.on_example, self.session, self.example_outputs)
        draft = f"(prompt) => phi.draft('{self.name}', prompt)"
        c.prompt.change(None, c.prompt, js=draft, api_visibility="private")
        keep = f"(conversation) => phi.keepConversation('{self.name}', conversation)"
        self.storage.change(None, self.storage, js=keep, api_visibility="private")
        for button, convert in ((c.copy_markdown, to_markdown), (c.copy_json, to_json)):
            hidden = gr.Textbox(visible=False)
            button.click(_export(convert), self.session, hidden, queue=False, **PRIVATE).then(
                None, hidden, js="(text) => phi.copy(text)", api_visibility="private"
            )
        c.copy_link.click(None, c.prompt, js="(p) => phi.copyLink(p)", api_visibility="private")

    def _wire_generation(self, trigger: Any, start: Any) -> None:
        """Chain the three steps of every run: `start` it, `draw` it, `finish` it."""
        started = self.inputs.on(trigger, start, self.view_outputs, queue=False, **ALWAYS)
        # One generator for all sides: two listeners would run one after the other.
        ended = started.success(
            self.draw,
            self.session,
            self.stream_outputs,
            postprocess=False,
            concurrency_limit=None,
            **ALWAYS,
        )  # fmt: skip
        ended.then(
            self.finish,
            [self.session, self.composer.prompt],
            self.view_outputs,
            queue=False,
            **ALWAYS,
        )

    async def prepare(self, values: Values) -> None:
        """Let the models load while a prompt is typed."""
        pickers = self.pickers[: len(values[self.session].sides)]
        chosen = zip(pickers, choices_in(values, pickers), strict=True)
        await asyncio.gather(*(picker.prepare(*choice) for picker, choice in chosen))

    # ── Asking ─────────────────────────────────────────────────────────────────────────────────

    async def draw(self, session: S) -> AsyncGenerator[Any, None]:
        """Stream the values of `stream_outputs` until every side has ended."""
        values = None
        async with aclosing(session.draw()) as messages:
            async for message in messages:
                yield (values := self.stream_values(session, message))
        if values is None:  # Gradio would empty the outputs of what yields nothing
            yield gr.skip()

    def stream_values(self, session: S, message: str) -> Any:
        """Return the values of `stream_outputs`, given the transcript's message."""
        return message

    async def ask(self, values: Values) -> Updates:
        """Compare: add a turn that all sides answer."""
        session = values[self.session]
        turns, last = session.conversation.turns, session.conversation.last
        # What nobody answered is asked again in its place.
        again = last and not last.answered and last.pictures == session.pictures
        if again and last.prompt == values[self.composer.prompt]:
            return await self._begin(session, values, len(turns) - 1)
        try:
            self.limits.check_turns(len(turns))
        except BackendError as error:
            return self._refuse(error)
        return await self._begin(session, values, len(turns))

    async def regenerate(self, values: Values) -> Updates:
        """Regenerate all answers to the last turn."""
        session = values[self.session]
        return await self._regenerate(session, values, range(len(session.sides)))

    async def ask_again(self, values: Values) -> Updates:
        """Regenerate an answer, or ask an edited prompt: what a row's buttons do."""
        session = values[self.session]
        last = len(session.conversation.turns) - 1
        match Press.read(values[PRESSED], session):
            case Press("edit", int(turn), text=str(text)):
                return await self._begin(session, values, turn, prompt=text)
            case Press("continue", int(turn), int(side)) if turn == last:
                return await self._go_on(session, values, turn, side)
            case Press("regenerate", int(turn), int(side)) if turn == last:
                return await self._regenerate(session, values, {side})
            case _:
                return gr.skip()

    async def _go_on(self, session: S, values: Values, index: int, side: int) -> Updates:
        """Have the model that wrote an answer go on where it was cut off; a new version has all."""
        record = session.conversation.turns[index].answer(side)
        if record is None or not record.may_go_on:
            return gr.skip()
        chosen = self.side_values(session, values)[side]
        if (chosen["backend"], chosen["model"]) != (record.backend_id, record.model_id):
            return self._refuse(
                Sentence(
                    "{model} ({backend}) wrote this answer. Choose it on side {letter} again to "
                    "continue.",
                    model=record.model,
                    backend=record.backend,
                    letter=LETTERS[side],
                )
            )
        prompt = session.conversation.turns[index].prompt
        return await self._begin(
            session, values, index, {side}, prompt=prompt, begun={side: record.text}
        )

    async def _regenerate(self, session: S, values: Values, sides: Collection[int]) -> Updates:
        if session.answering and session.run:
            for side in filter(session.is_running, sides):
                session.restart(side)
            return gr.skip()
        last = session.conversation.last
        if last is None:
            return gr.skip()
        turn = len(session.conversation.turns) - 1
        return await self._begin(session, values, turn, sides, prompt=last.prompt)

    async def _begin(
        self,
        session: S,
        values: Values,
        index: int,
        sides: Collection[int] | None = None,
        *,
        prompt: str | None = None,
        begun: Mapping[int, str] | None = None,
    ) -> Updates:
        """Ask some sides, or all, at a turn, which becomes the last one; render what begins.

        `begun` has the beginnings of answers that are to be gone on with, by side.

        The page's script empties the prompt box of exactly what was sent: visitors go on typing.
        """
        sides = range(len(session.sides)) if sides is None else sides
        try:
            form = self.read_form(session, values, prompt)
            prepared = await prepare_turn(session, form, self.services, index, sides, begun or {})
        except BackendError as error:
            return self._refuse(error)
        if session.answering:  # it was pressed twice
            return gr.skip()
        first = not session.conversation.turns
        session.begin(prepared, form, self.services)
        await self.code.refresh(session, form)
        updates = self.render(session)
        if first and self.examples:
            updates[self.examples.box] = gr.Accordion(open=False)
        return updates

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
        said = " ".join(record.error for record in last.answers if record) if last else ""
        unsaid = [failure for failure in failures if failure not in said]
        if unsaid:
            updates[self.composer.notice] = notice_html(Sentence.chain(*unsaid))
        elif session.should_offer_turns():
            updates[self.composer.notice] = hint_html(OFFER_TURNS)
        return updates

    async def stop(self, session: S) -> None:
        """Stop all sides."""
        session.stop()

    # ── Examples ───────────────────────────────────────────────────────────────────────────────

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
        session.show_rows()
        updates: Updates = {
            c.notice: "",
            c.compare: gr.Button(visible=not busy),
            c.stop: gr.Button(visible=busy),
            c.restore: gr.Button(visible=session.cleared is not None),
            self.storage: session.conversation.model_dump_json(),
            self.transcript: session.rows.message(),
        }
        for button in (c.regenerate, c.undo):
            updates[button] = gr.Button(visible=some, interactive=not busy)
        for button in (c.clear, c.copy_markdown, c.copy_json):
            updates[button] = gr.Button(visible=some)
        return updates | self.code.buttons(session)

    def remember_form(self, session: S, values: Values) -> None:
        """Store the sides' inputs, for components that are rendered from them."""
        with suppress(BackendError):  # errors are reported when the form is sent
            session.form = self.form_type.read({}, self.side_values(session, values))

    def _refuse(self, why: BackendError | str) -> Updates:
        """Show why nothing was asked; everything else stays as it is, the prompt too."""
        return {self.composer.notice: notice_html(str(why))}


def _export(convert: Any) -> Any:
    async def export(session: Session) -> str:
        return convert(session.conversation)

    return export
