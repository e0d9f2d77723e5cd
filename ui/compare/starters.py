"""A row of prompts above the prompt box, which the built-in models answer well."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from backends import REGISTRY

from ..events import LATEST, Updates
from ..gathered import Values
from ..texts import words
from .examples import Examples
from .pickers import Pickers, choices_in, gathered_choices

MOST = 4
"""Prompts in the row: what stands in one line beside its label."""


class Starters:
    """The first examples in the visitor's language, while a built-in model is chosen and nothing
    was asked. Each of the two conditions hides a box of its own.
    """

    def __init__(self, view: str, examples: Examples[Any]) -> None:
        """Build the row; its buttons follow the language of `examples`."""
        self._examples = examples
        with (
            gr.Column(visible=False, elem_id=f"{view}-starters") as self._box,
            gr.Row(elem_classes="starters") as self._row,
        ):
            gr.HTML(f"<p>{words('pocket_knows')}</p>", elem_classes="label")
            chips = [
                gr.Button(size="sm", elem_classes="chip", elem_id=f"{view}-starter-{n}")
                for n in range(MOST)
            ]
        examples.mirror(chips)
        self._chips = chips

    def connect(
        self,
        pickers: Sequence[Pickers],
        on_example: Callable[[Any, Any], Awaitable[Updates]],
        session: gr.State,
        outputs: Sequence[Any],
    ) -> None:
        """Call `on_example` when a button is clicked; it updates `outputs`."""
        self._examples.connect_chips(self._chips, on_example, session, outputs)
        self._pickers = pickers
        changed = [picker.pane.model.change for picker in pickers]
        gathered_choices(pickers).on(changed, self._on_choice, self._box, queue=False, **LATEST)

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` and `show_for` update."""
        return [self._box, self._row]

    def show(self, visible: bool) -> Updates:
        """Show them while nothing was asked."""
        return {self._row: gr.Row(visible=visible)}

    def are_for(self, *choices: tuple[str, str]) -> bool:
        """True if one of these models, by backend and name, is built in."""
        return any(
            backend in REGISTRY
            and bool(model)
            and REGISTRY[backend].spec_of(model).lifecycle == "demonstration"
            for backend, model in choices
        )

    def show_for(self, *choices: tuple[str, str]) -> Updates:
        """Show them if they are for one of these models."""
        return {self._box: gr.Column(visible=self.are_for(*choices))}

    async def _on_choice(self, values: Values) -> Updates:
        return self.show_for(*choices_in(values, self._pickers))
