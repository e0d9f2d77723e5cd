"""The Text tab: two models, one prompt."""

import asyncio
from typing import Any

import gradio as gr

from playground.conversation import language_of
from playground.examples import TASKS, load
from playground.languages import LANGUAGES
from playground.limits import Limits

from ..compare_view import PRIVATE, CompareView, Updates
from ..convert import Kept
from ..pickers import Pickers
from ..session import Session
from ..status import model_choices, opening_pair
from ..texts import t

LABEL = "tab_text"
EXAMPLE_LANGUAGES = ("en", "es", "zh", "ar")


class TextTab:
    """Draws the tab and opens it on the best pair of models there is."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.opening = gr.HTML(elem_id="opening")
        self.view = CompareView(limits, examples=self._examples)
        self._connect_examples()
        self.pickers = [Pickers(pane, limits) for pane in self.view.panes]
        for picker in self.pickers:
            picked = [picker.pane.backend, picker.pane.model]
            self.view.composer.typing.click(picker.prepare, picked, queue=False, **PRIVATE)
        self._connect_address()

    def open_on(self, page: gr.Blocks) -> None:
        """What happens when the page opens: the best pair, and what the browser kept."""
        outputs = [self.opening, *self.view.form, *self.view.changed]
        outputs += [x for p in self.pickers for x in p.outputs]
        unique = list(dict.fromkeys(outputs))
        page.load(self.open, [self.view.session, self.view.kept], unique, queue=False, **PRIVATE)

    async def open(self, session: Session, kept: object, request: gr.Request) -> Updates:
        """Choose the models (from the address, else the best pair) and restore the conversation."""
        wanted = dict(request.query_params)
        # The reader reads first: meanwhile the language library loads, off the event loop.
        self._warming = asyncio.ensure_future(language_of("This only warms the library up."))
        (left, right), sentence = await self._pair(wanted)
        found = Kept.from_browser(kept, self.limits)
        session.conversation = found.conversation
        session.redraw_lines()
        updates = self.view.shown(session) | {self.opening: f"<p>{sentence}</p>"}
        for picker, (backend, model) in zip(self.pickers, (left, right), strict=True):
            updates |= {
                picker.pane.backend: backend,
                picker.pane.model: gr.Dropdown(choices=await model_choices(backend), value=model),
                **await picker.show_state(backend, model),
            }
        prompt = wanted.get("prompt") or found.draft
        updates[self.view.composer.prompt] = prompt[: self.limits.prompt_characters]
        return updates | self._settings(wanted, found)

    async def _pair(self, wanted: dict[str, str]) -> tuple[tuple[tuple[str, str], ...], str]:
        left, right, sentence = await opening_pair(self.limits)
        pair = [(backend.id, offer.model) for backend, offer in (left, right)]
        for side, name in enumerate(("left", "right")):
            backend, _, model = wanted.get(name, "").partition("/")
            if model and any(key == backend for _, key in self.view.backends):
                pair[side] = (backend, model)
        return tuple(pair), sentence

    def _settings(self, wanted: dict[str, str], found: Kept) -> Updates:
        """Settings from the address; without any, those of the kept conversation."""
        params = self.view.params
        updates: Updates = {}
        if system := wanted.get("system", found.conversation.system):
            updates[params.system] = system
        for name in ("temperature", "max_tokens", "top_p", "top_k", "seed"):
            try:
                number = float(wanted[name])
                updates[getattr(params, name)] = str(int(number)) if name == "seed" else number
            except (KeyError, ValueError):
                continue
        return updates

    def _connect_address(self) -> None:
        """Settings go into the address, so that a link opens the same page. Never keys."""
        inputs = self.view.form[1:-1]
        gr.on(
            [component.change for component in inputs],  # type: ignore[attr-defined]
            None,
            inputs,
            js="(...values) => phi.address(values)",
            api_visibility="private",
        )

    def _examples(self) -> gr.Accordion:
        with gr.Accordion(t("examples"), elem_id="examples") as accordion:
            self._language = gr.Radio(
                [(LANGUAGES[code].own_name, code) for code in EXAMPLE_LANGUAGES],
                value="en",
                label=t("examples_language"),
                show_label=False,
                container=False,
                elem_id="examples-language",
            )
            with gr.Row(elem_classes="chips"):
                self._chips = [
                    gr.Button(size="sm", elem_classes="chip", elem_id=f"example-{n}")
                    for n in range(len(TASKS) + 1)
                ]
        return accordion

    def _connect_examples(self) -> None:
        self._show_examples("en", update=False)
        self._language.change(
            self._show_examples, self._language, self._chips, queue=False, **PRIVATE
        )
        params = self.view.params
        outputs = [self.view.composer.prompt, params.system, params.box]
        for n, chip in enumerate(self._chips):
            chip.click(self._pick(n), self._language, outputs, queue=False, **PRIVATE)

    def _show_examples(self, language: str, update: bool = True) -> list[Any]:
        examples = load(language)
        changes: list[Any] = []
        for n, chip in enumerate(self._chips):
            value = examples[n].title if n < len(examples) else ""
            if update:
                changes.append(gr.Button(value, visible=bool(value)))
            else:
                chip.value, chip.visible = value, bool(value)
        return changes

    def _pick(self, n: int) -> Any:
        def pick(language: str) -> tuple[Any, ...]:
            example = load(language)[n]
            # A system prompt that nobody sees would be a riddle: the settings open to show it.
            box = gr.Accordion(open=True) if example.system else gr.skip()
            return example.prompt, example.system or "", box

        return pick
