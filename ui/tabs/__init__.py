"""The page's tabs, one file or folder each, and what `ui/page.py` needs of them."""

from typing import Any, ClassVar, Protocol

import gradio as gr

from playground.services import Services

from ..compare.pickers import Pickers


class Tab(Protocol):
    """A tab on which models answer."""

    ID: ClassVar[str]
    """Stands in the address, and at the beginning of the ids of all its elements."""
    LABEL: ClassVar[str]
    """The key of its title in `ui/texts.py`."""
    pickers: list[Pickers]
    """Its pickers, for the state of their models."""

    def __init__(self, services: Services, keyring: gr.State) -> None:
        """Build its components; `keyring` is the `Keyring` that all tabs of a page share."""

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """Open it when `page` loads or `tab` is selected; return the event of opening."""
