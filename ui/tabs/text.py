"""The Text tab: two models, one prompt."""

import asyncio
from typing import Any

import gradio as gr

from backends import BackendError
from playground.conversation import language_of
from playground.examples import TASKS, load
from playground.keyring import Keyring
from playground.languages import LANGUAGES
from playground.limits import Limits
from playground.text import clean

from ..compare_view import CompareView
from ..convert import Form, from_browser
from ..events import PRIVATE, Updates
from ..pickers import Pickers
from ..session import Session
from ..status import find_offer, opening_pair
from ..texts import t

LABEL = "tab_text"
ID = "text"
EXAMPLE_LANGUAGES = ("en", "es", "zh", "ar")
_EXAMPLES = {code: load(code) for code in EXAMPLE_LANGUAGES}


class Tab:
    """Draws the tab and opens it on the best pair of models there is."""

    def __init__(self, limits: Limits, keyring: gr.State) -> None:
        self.limits, self.keyring = limits, keyring
        self.opening = gr.HTML(elem_id="opening")
        self.view = CompareView(limits, examples=self._examples)
        self._connect_examples()
        self.pickers = [Pickers(pane, limits, keyring) for pane in self.view.panes]
        for picker in self.pickers:
            typing = self.view.composer.typing
            typing.click(picker.prepare, picker.picked, queue=False, **PRIVATE)
        self._connect_address()

    def open_on(self, page: gr.Blocks) -> Any:
        """What happens when the page opens: the best pair, and what the browser kept."""
        outputs = [self.opening, self._language, *self._chips, self.view.params.box]
        outputs += [*self.view.form, *self.view.changed]
        outputs += [x for p in self.pickers for x in p.outputs]
        # Session and keyring are outputs, or the server would never know when to forget them.
        unique = list(dict.fromkeys([*outputs, self.view.session, self.keyring]))
        inputs = [self.view.session, self.view.kept, self.keyring]
        return page.load(self.open, inputs, unique, queue=False, **PRIVATE)

    async def open(
        self, session: Session, kept: object, keyring: Keyring, request: gr.Request
    ) -> Updates:
        """Choose the models (from the address, else the best pair) and restore the conversation."""
        wanted = dict(request.query_params)
        # The reader reads first: meanwhile the language library loads, off the event loop.
        self._warming = asyncio.ensure_future(language_of("This only warms the library up."))
        session.keyring = keyring
        (left, right), sentence = await self._pair(wanted, keyring)
        session.conversation = from_browser(kept, self.limits)
        session.redraw_lines()
        updates = self.view.shown(session) | {
            self.opening: f"<p>{sentence}</p>",
            self.view.session: session,
            self.keyring: keyring,
            **self._spoken(request),
        }
        for picker, (backend, model) in zip(self.pickers, (left, right), strict=True):
            updates |= await picker.backend_picked(keyring, backend, model)
            updates[picker.pane.backend] = backend
        if prompt := clean(wanted.get("prompt", "")):
            updates[self.view.composer.prompt] = prompt[: self.limits.prompt_characters]
        return updates | self._settings(wanted, session.conversation.system)

    async def _pair(
        self, wanted: dict[str, str], keyring: Keyring
    ) -> tuple[tuple[tuple[str, str], ...], str]:
        left, right, sentence = await opening_pair(self.limits, keyring)
        pair = [(checked.backend.id, offer.model) for checked, offer in (left, right)]
        for side, name in enumerate(("left", "right")):
            backend, _, model = wanted.get(name, "").partition("/")
            allowed = any(key == backend for _, key in self.view.backends)
            if allowed and await find_offer(backend, model, keyring):
                pair[side] = (backend, model)
        return tuple(pair), sentence

    def _settings(self, wanted: dict[str, str], kept_system: str) -> Updates:
        """Settings from the address; the system prompt else from the kept conversation."""
        params = self.view.params
        updates: Updates = {}
        if system := clean(wanted.get("system", kept_system)):
            updates[params.system] = system[: self.limits.prompt_characters]
            updates[params.box] = gr.Accordion(open=True)
        if stop := clean(wanted.get("stop", "")):
            updates[params.stop] = stop[:200]
        for name in ("temperature", "max_tokens", "top_p", "top_k", "seed"):
            try:
                knob = Form.model_validate({name: wanted[name]})
                self.limits.check_params(knob.params)
            except (KeyError, ValueError, BackendError):
                continue
            value = getattr(knob, name)
            updates[getattr(params, name)] = str(value) if name == "seed" else value
        return updates

    def _connect_address(self) -> None:
        """Settings go into the address, so that a link opens the same page. Never keys."""
        inputs = self.view.form[1:]
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
        for chip, title in zip(self._chips, self._titles("en"), strict=True):
            chip.value, chip.visible = title, bool(title)
        self._language.change(
            self._examples_in, self._language, self._chips, queue=False, **PRIVATE
        )
        params = self.view.params
        outputs = [self.view.composer.prompt, params.system, params.box]
        for n, chip in enumerate(self._chips):
            chip.click(self._pick(n), self._language, outputs, queue=False, **PRIVATE)

    async def _examples_in(self, language: str) -> list[gr.Button]:
        return [gr.Button(title, visible=bool(title)) for title in self._titles(language)]

    def _titles(self, language: str) -> list[str]:
        titles = [example.title for example in _EXAMPLES[language]]
        return titles + [""] * (len(self._chips) - len(titles))

    def _spoken(self, request: gr.Request) -> Updates:
        """Examples in the first language of the reader's browser that there are some in."""
        asked = request.headers.get("accept-language", "").split(",")
        codes = (tag.split(";")[0].split("-")[0].strip().lower() for tag in asked)
        code = next((code for code in codes if code in EXAMPLE_LANGUAGES), "en")
        titles = zip(self._chips, self._titles(code), strict=True)
        return {self._language: code} | {
            chip: gr.Button(title, visible=bool(title)) for chip, title in titles
        }

    def _pick(self, n: int) -> Any:
        async def pick(language: str) -> tuple[Any, ...]:
            example = _EXAMPLES[language][n]
            # A system prompt that nobody sees would be a riddle: the settings open to show it.
            box = gr.Accordion(open=True) if example.system else gr.skip()
            return example.prompt, example.system or "", box

        return pick
