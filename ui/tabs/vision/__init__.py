"""The Vision tab: two models, pictures and one prompt."""

from typing import Any

import gradio as gr

from playground.examples.vision import load_vision
from playground.services import Services

from ...compare.default_pair import default_vision_pair
from ...compare.examples import Examples
from ...compare.restore import ViewRestore
from .view import VisionView

LABEL = "tab_vision"
ID = "vision"
_EXAMPLES = {code: load_vision(code) for code in ("en", "es", "zh", "ar")}


class Tab:
    """Draws the tab; it opens when it is first seen, on the best models with eyes there are."""

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = VisionView(ID, services, keyring, Examples(_EXAMPLES))
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, default_vision_pair)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """The event that opens it."""
        return self._restore.on_first_select(tab)
