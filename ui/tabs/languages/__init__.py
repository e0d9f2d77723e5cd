"""The Languages tab: one prompt or many tasks, in 26 languages, as a matrix of answers."""

from typing import Any, ClassVar

import gradio as gr

from playground.services import Services

from ...compare.pickers import Pickers
from .view import LanguagesView


class LanguagesTab:
    """The Languages tab, which opens when it is first selected."""

    ID: ClassVar[str] = "languages"
    LABEL: ClassVar[str] = "tab_languages"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = LanguagesView(services, keyring)
        self.pickers: list[Pickers] = []

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """See `Tab`."""
        return self.view.open_on(tab)
