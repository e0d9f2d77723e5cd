"""Sides are added, copied and removed: one to four of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from playground.conversation import MAX_SIDES

from ..events import PRIVATE, Updates
from ..gathered import Values
from .composer import hint_html, notice_html
from .side import Side
from .status import allowed_backends, health_of

if TYPE_CHECKING:
    from .view import CompareView

Chosen = Mapping[str, Any]
"""The inputs of a side, by field of its form."""
OPEN = "{}"
"""Own settings of a side that has none yet, but whose fields are to be open."""
STILL_ANSWERING = "The models are still answering. Press Stop first."


class SideEditor:
    """The buttons that add, copy and remove sides of a view."""

    def __init__(self, view: CompareView[Any]) -> None:
        self.view = view
        outputs = list(dict.fromkeys([*self.outputs, *view.view_outputs]))
        buttons = [(view.add_side, self.add)]
        for side, pane in enumerate(view.panes):
            buttons += [(pane.copy, self._copy(side)), (pane.remove, self._remove(side))]
        for button, handler in buttons:
            view.inputs.on(button.click, handler, outputs, queue=False, **PRIVATE)

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` updates."""
        view = self.view
        own = [one for pane in view.panes for one in (pane.column, pane.remove, pane.copy)]
        inputs = [one for pane in view.panes for one in pane.inputs.values()]
        rows = [one for picker in view.pickers for one in picker.outputs]
        return [view.add_side, view.transcript, *own, *inputs, *rows, *view.beneath]

    async def show(self, session: Any, keyring: Any, chosen: Sequence[Chosen]) -> Updates:
        """Have as many sides as are chosen, and show them."""
        view, count = self.view, len(chosen)
        while len(session.sides) < count:
            session.sides.append(Side())
        del session.sides[count:]
        updates: Updates = {view.add_side: gr.Button(visible=count < MAX_SIDES)}
        for number, (pane, picker) in enumerate(zip(view.panes, view.pickers, strict=True)):
            inputs = chosen[number] if number < count else dict.fromkeys(pane.inputs, "")
            backend, model = inputs["backend"], inputs["model"]
            updates |= {pane.inputs[name]: value for name, value in inputs.items()}
            updates |= {
                pane.column: gr.Column(visible=number < count),
                pane.remove: gr.Button(visible=count > 1),
                pane.copy: gr.Button(visible=count < MAX_SIDES),
            }
            if number < count:
                updates |= await picker.show_selection(keyring, backend, model)
                places = allowed_backends(view.limits, keyring)
                updates[pane.backend] = gr.Dropdown(places, value=backend)
            else:
                updates |= {
                    pane.backend: gr.Dropdown(value=None),
                    pane.model: gr.Dropdown(value=None),
                }
        for column, shown in zip(view.beneath, range(MAX_SIDES), strict=False):
            updates[column] = gr.Column(visible=shown < count)
        return updates

    async def add(self, values: Values) -> Updates:
        """Add a side with a model that no other side has, if its backend has another one."""
        session, keyring = values[self.view.session], values[self.view.keyring]
        chosen = self.view.side_values(session, values)
        last = chosen[-1]
        taken = {(one["backend"], one["model"]) for one in chosen}
        health = await health_of(self.view.services.health, last["backend"] or "", keyring)
        offers = (
            offer.model
            for offer in (health.offers if health else ())
            if offer.status.ready and self.view.modality in offer.spec.modalities
        )
        other = next((one for one in offers if (last["backend"], one) not in taken), last["model"])
        return await self._change(session, keyring, [*chosen, {**last, "model": other, "own": ""}])

    def _copy(self, side: int) -> Any:
        async def copy(values: Values) -> Updates:
            session, keyring = values[self.view.session], values[self.view.keyring]
            chosen = self.view.side_values(session, values)
            if side >= len(chosen):
                return gr.skip()
            return await self._change(session, keyring, [*chosen, {**chosen[side], "own": OPEN}])

        return copy

    def _remove(self, side: int) -> Any:
        async def remove(values: Values) -> Updates:
            session, keyring = values[self.view.session], values[self.view.keyring]
            chosen = self.view.side_values(session, values)
            if side >= len(chosen) or len(chosen) < 2:
                return gr.skip()
            return await self._change(
                session, keyring, [*chosen[:side], *chosen[side + 1 :]], removed=side
            )

        return remove

    async def _change(
        self, session: Any, keyring: Any, chosen: Sequence[Chosen], removed: int | None = None
    ) -> Updates:
        view = self.view
        if session.answering:
            return {view.composer.notice: notice_html(STILL_ANSWERING)}
        if len(chosen) > MAX_SIDES:
            return gr.skip()
        if removed is not None:
            view.code.hide(session)  # the letters of the programs are other sides' from now on
            session.sides.pop(removed)
            session.conversation = session.conversation.without_side(removed)
        updates = await self.show(session, keyring, chosen)
        updates |= view.render(session)
        if alike := self._alike(chosen):
            updates[view.composer.notice] = hint_html(alike)
        return updates

    @staticmethod
    def _alike(chosen: Sequence[Chosen]) -> str:
        """Say so if the last side is the same as another one, in all settings."""
        nothing = (None, "", OPEN)
        *others, last = (
            {name: value for name, value in one.items() if value not in nothing} for one in chosen
        )
        if last not in others:
            return ""
        return "Two sides are the same model. Give one of them other settings, or choose another."
