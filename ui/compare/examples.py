"""Example prompts: a button for each, in the visitor's language."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import gradio as gr

from playground.languages import LANGUAGES

from ..events import PRIVATE, Updates
from ..texts import t


class Titled(Protocol):
    """An example of any kind; its title stands on its button."""

    @property
    def title(self) -> str:
        """A few words in the language of the example."""
        ...


E = TypeVar("E", bound=Titled)


class Examples(Generic[E]):
    """The examples of one view by language code; the first language is the default."""

    box: gr.Accordion
    """Folded once a conversation has begun."""

    def __init__(self, by_language: Mapping[str, Sequence[E]]) -> None:
        self.by_language = by_language

    def build(self, view: str) -> None:
        """Build the language choice, and as many buttons as the longest list of examples needs."""
        first = next(iter(self.by_language))
        most = max(len(examples) for examples in self.by_language.values())
        with gr.Accordion(
            t("examples"), elem_id=f"{view}-examples", elem_classes="examples"
        ) as self.box:
            self._language = gr.Radio(
                [(LANGUAGES[code].own_name, code) for code in self.by_language],
                value=first,
                label=t("examples_language"),
                show_label=False,
                container=False,
                elem_id=f"{view}-examples-language",
                elem_classes="examples-language",
            )
            with gr.Row(elem_classes="chips"):
                self._chips = [
                    gr.Button(size="sm", elem_classes="chip", elem_id=f"{view}-example-{n}")
                    for n in range(most)
                ]
        self._chips_of_others: list[gr.Button] = []
        self._fill(self._chips)

    def mirror(self, chips: Sequence[gr.Button]) -> None:
        """Have more buttons show the first examples, in the same language."""
        self._chips_of_others += chips
        self._fill(chips)

    def _fill(self, chips: Sequence[gr.Button]) -> None:
        for chip, title in zip(chips, self._titles(next(iter(self.by_language))), strict=False):
            chip.value, chip.visible = title, bool(title)

    def connect(
        self,
        on_example: Callable[[E, Any], Awaitable[Updates]],
        session: gr.State,
        outputs: Sequence[Any],
    ) -> None:
        """Call `on_example` with an example when its button is clicked; it updates `outputs`."""
        self._language.change(
            self._on_language, self._language, self.outputs[1:], queue=False, **PRIVATE
        )
        self.connect_chips(self._chips, on_example, session, outputs)

    def connect_chips(
        self,
        chips: Sequence[gr.Button],
        on_example: Callable[[E, Any], Awaitable[Updates]],
        session: gr.State,
        outputs: Sequence[Any],
    ) -> None:
        """Call `on_example` with an example when one of these buttons is clicked."""
        for n, chip in enumerate(chips):
            inputs = [self._language, session]
            chip.click(self._on_chip(n, on_example), inputs, list(outputs), queue=False, **PRIVATE)

    @property
    def outputs(self) -> list[Any]:
        """The components that `select_language` updates."""
        return [self._language, *self._chips, *self._chips_of_others]

    def select_language(self, accept_language: str) -> Updates:
        """Select the first language of an `Accept-Language` header that has examples."""
        codes = (
            tag.split(";")[0].split("-")[0].strip().lower() for tag in accept_language.split(",")
        )
        first = next(iter(self.by_language))
        code = next((code for code in codes if code in self.by_language), first)
        return {self._language: code} | dict(
            zip(self.outputs[1:], self._chip_updates(code), strict=True)
        )

    async def _on_language(self, language: str) -> list[gr.Button]:
        return self._chip_updates(language)

    def _chip_updates(self, language: str) -> list[gr.Button]:
        titles = self._titles(language)
        titles += titles[: len(self._chips_of_others)]
        return [gr.Button(title, visible=bool(title)) for title in titles]

    def _titles(self, language: str) -> list[str]:
        titles = [example.title for example in self.by_language[language]]
        return titles + [""] * (len(self._chips) - len(titles))

    def _on_chip(self, n: int, on_example: Callable[[E, Any], Awaitable[Updates]]) -> Any:
        async def on_chip(language: str, session: Any) -> Updates:
            return await on_example(self.by_language[language][n], session)

        return on_chip
