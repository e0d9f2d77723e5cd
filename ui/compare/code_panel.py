"""The code of each side, below the transcript: a program that asks the same, shown and hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from backends import BackendError

from ..events import PRIVATE, Updates
from ..gathered import Values
from ..texts import t
from .form import Form
from .session import Session
from .side import letter_of
from .snippet import snippet_html

if TYPE_CHECKING:
    from .view import CompareView


class CodePanel:
    """The buttons of a view that show the code of its sides."""

    def __init__(self, view: CompareView[Any]) -> None:
        self.view = view

    def connect(self) -> None:
        """Have each side's button show its code, and hide it again."""
        for side, pane in enumerate(self.view.panes):
            self.view.inputs.on(
                pane.code.click, self._toggle(side), [pane.code, self.view.transcript],
                queue=False, **PRIVATE,
            )  # fmt: skip

    def _toggle(self, side: int) -> Any:
        async def toggle_code(values: Values) -> Updates:
            return await self.toggle(side, values)

        return toggle_code

    async def toggle(self, side: int, values: Values) -> Updates:
        """Show the code of a side, or hide it."""
        view = self.view
        session: Session = values[view.session]
        known = session.sides[side]
        known.shows_code = not known.shows_code
        if known.shows_code:
            try:
                form: Form | BackendError = view.read_form(session, values)
            except BackendError as error:
                form = error
            await self._show(session, side, form)
        else:
            self.hide(session, side)
        button = view.panes[side].code
        return {
            button: self.buttons(session)[button],
            view.transcript: session.rows.message(),
        }

    async def refresh(self, session: Session, form: Form) -> None:
        """Bring the code that is shown up to date with what was asked."""
        for side, known in enumerate(session.sides):
            if known.shows_code:
                await self._show(session, side, form)

    async def _show(self, session: Session, side: int, form: Form | BackendError) -> None:
        """Show the program of what a side was asked last, or would be asked now."""
        html = await snippet_html(session, side, form, self.view.limits)
        session.rows.show_programs({letter_of(side): html})

    def hide(self, session: Session, *sides: int) -> None:
        """Hide the code of these sides; of all if none is given."""
        for side in sides or range(len(session.sides)):
            session.sides[side].shows_code = False
            session.rows.show_programs({letter_of(side): None})

    def buttons(self, session: Session) -> Updates:
        """Return the updates of the sides' buttons."""
        return {
            pane.code: gr.Button(t("hide_code" if side.shows_code else "show_code"))
            for pane, side in zip(self.view.panes, session.sides, strict=False)
        }
