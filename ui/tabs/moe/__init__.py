"""The MoE tab: a mixture of experts beside a dense model, and which experts work."""

from typing import Any, ClassVar

import gradio as gr

from playground.examples.moe import load_moe
from playground.services import Services

from ...compare.default_pair import default_moe_pair
from ...compare.examples import Examples
from ...compare.restore import ViewRestore
from .view import MoeView

_EXAMPLES = {code: load_moe(code) for code in ("en", "es", "zh", "ar")}


class MoeTab:
    """The MoE tab, which opens when it is first selected."""

    ID: ClassVar[str] = "moe"
    LABEL: ClassVar[str] = "tab_moe"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = MoeView(self.ID, services, keyring, Examples(_EXAMPLES))
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, default_moe_pair)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """See `Tab`."""
        return self._restore.on_first_select(tab)
