"""The Text tab: two models, one prompt."""

from typing import Any, ClassVar

import gradio as gr

from playground.examples import load_examples
from playground.services import Services

from ..compare.default_pair import default_text_pair
from ..compare.examples import Examples
from ..compare.restore import ViewRestore
from ..compare.view import CompareView

EXAMPLE_LANGUAGES = ("en", "es", "zh", "ar")
_EXAMPLES = {code: load_examples(code) for code in EXAMPLE_LANGUAGES}


class TextTab:
    """The Text tab, which opens with the page."""

    ID: ClassVar[str] = "text"
    LABEL: ClassVar[str] = "tab_text"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = CompareView(self.ID, services, keyring, Examples(_EXAMPLES))
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, default_text_pair)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """See `Tab`."""
        return self._restore.on_page_load(page, tab)
