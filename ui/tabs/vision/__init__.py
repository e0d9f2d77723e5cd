"""The Vision tab: two models, pictures and one prompt."""

from typing import Any, ClassVar

import gradio as gr

from playground.examples.vision import load_vision
from playground.services import Services

from ...compare.default_pair import default_vision_pair
from ...compare.examples import Examples
from ...compare.restore import ViewRestore
from .view import VisionView

_EXAMPLES = {code: load_vision(code) for code in ("en", "es", "zh", "ar")}


class VisionTab:
    """The Vision tab, which opens when it is first selected."""

    ID: ClassVar[str] = "vision"
    LABEL: ClassVar[str] = "tab_vision"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = VisionView(self.ID, services, keyring, Examples(_EXAMPLES))
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, default_vision_pair)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """See `Tab`."""
        return self._restore.on_first_select(tab)
