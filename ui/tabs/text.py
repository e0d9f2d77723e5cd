"""The Text tab: two models, one prompt."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import gradio as gr

from playground.examples import load_examples
from playground.services import Services

from ..compare.default_pair import OPENING_TIMEOUT, DefaultPair, default_text_pair
from ..compare.examples import Examples
from ..compare.intro import Intro
from ..compare.real_models import RealModels
from ..compare.recorded import RecordedAnswers
from ..compare.restore import ViewRestore
from ..compare.session import Session
from ..compare.starters import Starters
from ..compare.view import CompareView
from ..events import Updates

EXAMPLE_LANGUAGES = ("en", "es", "zh", "ar")
_EXAMPLES = {code: load_examples(code) for code in EXAMPLE_LANGUAGES}


class TextView(CompareView[Session]):
    """The comparison of models of text, with the way to the real ones beside its first sentence."""

    def build_intro(self) -> None:
        """See `CompareView`: here the button stands there that gets the real models."""
        with gr.Row(elem_classes="opening") as row:
            self.intro = Intro(self)
            self.real = RealModels(self.name, self.services, self.intro.html, row)
        self.real.build_question()

    def build_beneath(self) -> None:
        """Add the hidden button that plays a recorded answer."""
        self.recorded = RecordedAnswers(self)

    def build_above_prompt(self) -> None:
        """Add prompts to start with."""
        assert self.examples
        self.starters = Starters(self.name, self.examples)

    def connect_intro(self) -> None:
        """See `CompareView`: here the way to the real models follows too."""
        self.real.connect(self.keyring, self.pickers)

    def _connect(self) -> None:
        super()._connect()
        self._wire_generation(self.recorded.play_button.click, self.recorded.play)
        self.starters.connect(self.pickers, self.on_example, self.session, self.example_outputs)

    @property
    def intro_outputs(self) -> list[Any]:
        """See `CompareView`."""
        return self.real.outputs

    @property
    def view_outputs(self) -> list[Any]:
        """See `CompareView`."""
        return [*super().view_outputs, *self.starters.outputs]

    async def render_intro(
        self, session: Session, pair: DefaultPair, choices: Sequence[tuple[str, str]]
    ) -> Updates:
        """See `CompareView`. What is not known at once is said when the page has opened."""
        try:
            async with asyncio.timeout(OPENING_TIMEOUT):
                updates = await self.real.render(session.keyring, *choices)
        except TimeoutError:
            updates = await super().render_intro(session, pair, choices)
        updates |= self.starters.show_for(*choices)
        if self.examples and self.starters.are_for(*choices):
            updates[self.examples.box] = gr.Accordion(open=False)  # they begin with the same
        return updates

    def render(self, session: Session) -> Updates:
        """See `CompareView`: prompts to start with go once something was asked."""
        asked = bool(session.conversation.turns)
        return super().render(session) | self.starters.show(not asked)


class TextTab:
    """The Text tab, which opens with the page."""

    ID: ClassVar[str] = "text"
    LABEL: ClassVar[str] = "tab_text"

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.view = TextView(self.ID, services, keyring, Examples(_EXAMPLES))
        self.pickers = self.view.pickers
        self._restore = ViewRestore(self.view, default_text_pair)

    def open_on(self, page: gr.Blocks, tab: gr.Tab) -> Any:
        """See `Tab`."""
        return self._restore.on_page_load(page, tab)
