"""The comparison of a mixture of experts with a dense model: costs and routing figures."""

from typing import Any

import gradio as gr

from backends import Backend, ModelSpec, Sentence
from playground.conversation import MAX_SIDES, AnswerRecord
from playground.routing import MAX_BYTES, Routing, to_file
from playground.threads import in_media_thread

from ...compare.side import letter_of
from ...compare.status import format_parameters
from ...compare.view import FIRST_SIDES, CompareView
from ...events import LATEST, PRIVATE, Updates
from ...gathered import Values
from .cost import cost_html
from .explained import explained_html
from .figure import build_figure, figure_delta, figure_placeholder
from .session import MoeSession

_ALL = range(MAX_SIDES)


class MoeView(CompareView[MoeSession]):
    """Sides with the cost of an answer and the experts that worked on each token."""

    session_type = MoeSession
    costs: tuple[gr.HTML, ...] = ()
    figures: tuple[gr.HTML, ...] = ()
    figure_columns: tuple[gr.Column, ...] = ()

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def build_below_model(self, side: int) -> None:
        """Add the line of the model's cost."""
        name = f"{self.name}-cost-{letter_of(side)}"
        self.costs = (*self.costs, gr.HTML(elem_id=name, elem_classes="model-cost-box"))

    def build_beneath(self) -> None:
        """Add the routing figure of each side."""
        # It is sent as a JSON string, in which each of its quotation marks takes two bytes.
        largest = min(MAX_BYTES, self.limits.body_bytes // 2)
        for side in range(MAX_SIDES):
            classes = ["beneath-side", letter_of(side)]
            with gr.Column(visible=side < FIRST_SIDES, min_width=240, elem_classes=classes) as one:
                self.figures = (*self.figures, build_figure(self.name, side, largest))
            self.figure_columns = (*self.figure_columns, one)

    @property
    def beneath(self) -> list[gr.Column]:
        """See `CompareView`."""
        return [*self.figure_columns]

    def build_below_panes(self) -> None:
        """Add the explanation of a mixture of experts, folded away."""
        gr.HTML(explained_html(), elem_id=f"{self.name}-explained", apply_default_css=False)

    @property
    def stream_outputs(self) -> list[gr.Component]:
        """Those of every view, and the routing figures."""
        return [*super().stream_outputs, *self.figures]

    @property
    def view_outputs(self) -> list[Any]:
        """Those of every view, and the costs."""
        return [*super().view_outputs, *self.costs]

    def _connect(self) -> None:
        super()._connect()
        models = [x.change for pane in self.panes for x in (pane.backend, pane.model)]
        drawn = [*self.costs, *self.figures]
        self.inputs.on(models, self.update_model, drawn, queue=False, **LATEST)
        for side, figure in enumerate(self.figures):
            hidden = gr.Textbox(visible=False)
            saving = figure.download(
                _export_routing(side), self.session, hidden, queue=False, **PRIVATE
            )
            js = f"(text) => phi.save('routing-{letter_of(side)}.json', text)"
            saving.then(None, hidden, js=js, api_visibility="private")

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    def stream_values(self, session: MoeSession, message: str) -> Any:
        """The answers, and the new tokens of their routings."""
        return (message, *(self._stream_figure(session, side) for side in _ALL))

    async def update_model(self, values: Values) -> Updates:
        """Update costs after another model was chosen. A figure of an answer stays."""
        session = values[self.session]
        self.remember_form(session, values)
        updates: Updates = dict(zip(self.costs, self._costs(session), strict=True))
        for side, figure in enumerate(self.figures):
            if not session.answering and _routing(session, side) is None:
                updates[figure] = self._figure(session, side)
        return updates

    @property
    def example_outputs(self) -> list[Any]:
        """Those of every view, and the limit of tokens."""
        return [*super().example_outputs, self.params.max_tokens]

    async def on_example(self, example: Any, session: MoeSession) -> Updates:
        """Put an example into the prompt; raise the token limit for agents' long answers."""
        updates = await super().on_example(example, session)
        most = min(1024, self.limits.max_tokens)
        return updates | ({self.params.max_tokens: most} if example.system else {})

    # ── Drawing ────────────────────────────────────────────────────────────────────────────────

    def render(self, session: MoeSession) -> Updates:
        """Return the updates of every view, with costs and figures."""
        costs = zip(self.costs, self._costs(session), strict=True)
        session.last_figures = [self._figure(session, side) for side in _ALL]
        figures = zip(self.figures, session.last_figures, strict=True)
        return super().render(session) | dict(costs) | dict(figures)

    def _costs(self, session: MoeSession) -> list[str]:
        return [
            cost_html(spec, _record(session, side)) for side, spec in enumerate(_specs(session))
        ]

    def _stream_figure(self, session: MoeSession, side: int) -> str:
        known = session.sides[side] if side < len(session.sides) else None
        snapshot = known.snapshot if known and session.is_asked(side) else None
        if known and snapshot and snapshot.routing:
            message, session.sent_tokens[side] = figure_delta(
                snapshot.routing, known.model, session.sent_tokens[side]
            )
            session.last_figures[side] = message
        elif snapshot:
            session.last_figures[side] = figure_placeholder(_placeholder_text(session, side, None))
        return session.last_figures[side]  # a side that takes no part keeps its figure

    def _figure(self, session: MoeSession, side: int) -> str:
        record, routing = _record(session, side), _routing(session, side)
        if record and routing:
            return session.cached_figure(side, record)
        return figure_placeholder(_placeholder_text(session, side, record))


def _record(session: MoeSession, side: int) -> AnswerRecord | None:
    last = session.conversation.last
    return last.answer(side) if last else None


def _routing(session: MoeSession, side: int) -> Routing | None:
    record = _record(session, side)
    return record.routing if record else None


def _current_model(session: MoeSession, side: int) -> tuple[Backend, str] | None:
    """Return backend and model that a side is running, else those selected."""
    if session.run and session.is_asked(side) and (request := session.run.requests[side]):
        return request.backend, request.model
    if side >= len(session.form.sides):
        return None
    chosen = session.form.sides[side]
    known = session.keyring.backend(chosen.backend)
    return (known, chosen.model) if known and chosen.model else None


def _specs(session: MoeSession) -> list[ModelSpec | None]:
    current = (_current_model(session, side) for side in _ALL)
    return [one and one[0].spec_of(one[1]) for one in current]


def _placeholder_text(session: MoeSession, side: int, record: AnswerRecord | None) -> str:
    """Return the reason why a side has no figure, in a sentence."""
    current = _current_model(session, side)
    if current is None:
        return "Choose a model above."
    backend, spec = current[0], current[0].spec_of(current[1])
    if not spec.parameters:
        return Sentence(
            "This server does not report routing, and this page does not know whether {label} is "
            "a mixture of experts.",
            label=spec.label,
        )
    if not spec.is_mixture:
        return Sentence(
            "{label} is dense: all its {parameters} parameters work on every token, so there is "
            "nothing to route.",
            label=spec.label,
            parameters=format_parameters(spec.parameters),
        )
    if not backend.reports_routing:
        return (
            "This server does not report routing. Mixtures that run on this computer do, such as "
            "the built-in Pocket-MoE."
        )
    if session.is_running(side):
        return "The picture begins with the first token."
    if record and record.text:
        return "The routing of this answer is no longer there: regenerate it, or open a saved one."
    return "Ask something: here you see which experts work on each token, while they do."


def _export_routing(side: int) -> Any:
    async def save(session: MoeSession) -> str:
        record, routing = _record(session, side), _routing(session, side)
        return await in_media_thread(to_file, routing, record.model) if record and routing else ""

    return save
