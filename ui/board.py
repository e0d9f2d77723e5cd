"""The board on the page: asked when the page opens, on request, after a failure, every minute."""

from functools import partial
from typing import Any

import gradio as gr

from playground.board import BOARD, FRESH
from playground.keyring import Keyring
from playground.limits import Limits

from .events import PRIVATE, Updates
from .pickers import Pickers
from .tabs.models import ModelsTab


class BoardWatch:
    """Keeps cards, table and every pane's pickers at what the backends say of themselves."""

    def __init__(
        self, limits: Limits, keyring: gr.State, models: ModelsTab, pickers: list[Pickers]
    ) -> None:
        self.limits, self.models, self.pickers = limits, models, pickers
        self.inputs = [keyring, *(one for picker in pickers for one in picker.watched)]
        changed = [*models.outputs, *(one for picker in pickers for one in picker.outputs)]
        self.outputs = list(dict.fromkeys(changed))

    def begin(self, opened: Any) -> None:
        """Look from now on; `opened` is the event that has drawn the page."""
        follow: dict[str, Any] = {
            "inputs": self.inputs, "outputs": self.outputs, "queue": False, **PRIVATE,
        }  # fmt: skip
        opened.then(self.look, **follow)
        gr.Timer(FRESH).tick(self.look, **follow)
        # Pressed by the page itself when a side has failed: its backend was forgotten.
        gr.Button(visible="hidden", elem_id="recheck").click(self.look, **follow)
        anew = partial(self.look, anew=True)
        self.models.check.click(anew, **follow)
        for taken in self.models.typed():
            taken.then(anew, **follow)

    async def look(self, keyring: Keyring, *watched: Any, anew: bool = False) -> Updates:
        """Ask the backends, and show what has changed."""
        every = await BOARD.look_at_all(self.limits, keyring, anew=anew)
        updates = self.models.follow(every)
        for n, picker in enumerate(self.pickers):
            updates |= picker.follow(every, *watched[3 * n : 3 * n + 3])
        return updates
