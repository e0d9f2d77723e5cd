"""A comparison's form without a page: what the page would send."""

from typing import Any

from ui.compare.form import Form
from ui.compare.session import Session
from ui.compare.view import CompareView

Chosen = tuple[str, str]
"""Backend and model of a side."""


def read(*sides: Chosen, kind: type[Form] = Form, **shared: Any) -> Form:
    """A form with these sides."""
    chosen = [{"backend": backend, "model": model} for backend, model in sides]
    return kind.read({"prompt": "Hi", **shared}, chosen)


def given(
    view: CompareView[Any], session: Session, *sides: Chosen, **shared: Any
) -> dict[Any, Any]:
    """What an event of a view is given: the sides' models, and some of the other inputs."""
    values: dict[Any, Any] = dict.fromkeys(view.inputs.components)
    values |= {view.session: session, view.keyring: session.keyring, view.composer.prompt: ""}
    values |= {view.composer.in_turn: False}
    for pane, (backend, model) in zip(view.panes, sides, strict=False):
        values |= {pane.backend: backend, pane.model: model}
    named = {**view.settings, "prompt": view.composer.prompt}
    return values | {named[name]: value for name, value in shared.items()}
