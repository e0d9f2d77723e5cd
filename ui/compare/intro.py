"""The sentence above the sides: what the view opens with, or what the chosen models are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..events import LATEST, Updates
from ..gathered import Values
from .default_pair import DefaultPair, chosen_side, text_sentence
from .pickers import choices_in
from .session import Session

if TYPE_CHECKING:
    from .view import CompareView


class Intro:
    """The sentence of a view, which follows what is chosen."""

    def __init__(self, view: CompareView[Any]) -> None:
        """Build it, still empty."""
        self.view = view
        self.html = gr.HTML(elem_id=f"{view.name}-opening")

    def connect(self) -> None:
        """Have it follow what is chosen."""
        changed = [pane.model.change for pane in self.view.panes]
        self.view.inputs.on(changed, self.on_choice, self.html, queue=False, **LATEST)

    async def render(
        self, session: Session, pair: DefaultPair, choices: Sequence[tuple[str, str]]
    ) -> Updates:
        """Say what the view opens with; `choices` are backend and model of each side."""
        opened = [(health.backend.id, offer.model) for health, offer in (pair.left, pair.right)]
        session.opening = (opened, pair.sentence)
        return {self.html: await self._sentence(session, choices)}

    async def on_choice(self, values: Values) -> Updates:
        """Another model was chosen: say what is compared now."""
        session = values[self.view.session]
        chosen = choices_in(values, self.view.pickers[: len(session.sides)])
        return {self.html: await self._sentence(session, chosen)}

    async def _sentence(self, session: Session, choices: Sequence[tuple[str, str]]) -> str:
        """Return the sentence of the opening, or what the models are, or nothing."""
        opened, sentence = session.opening
        if list(choices) != opened:
            monitor = self.view.services.health
            found = [await chosen_side(monitor, session.keyring, *one) for one in choices]
            known = [side for side in found if side]
            whole = bool(known) and len(known) == len(found)
            sentence = text_sentence(known, self.view.limits) if whole else ""
        return f"<p>{sentence}</p>"
