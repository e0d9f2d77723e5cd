"""The way from the built-in demonstrations to real Phi models: a button, a question, downloads."""

from collections.abc import Mapping, Sequence

import gradio as gr

from backends import REGISTRY, Capacity, Sentence, capacity
from playground.downloads import Download
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.services import Services

from ..events import ALWAYS, LATEST, PRIVATE, Updates
from ..gathered import Values
from ..texts import say, t, told, words
from .default_pair import chosen_side, is_demonstration, text_sentence
from .pickers import Pickers, choices_in, gathered_choices
from .proposal import Proposal, RealModel, button_label, propose, question

_OTHER_WAYS = (
    '<p><a href="#models" onclick="phi.tab(\'models\'); return false">'
    f"{words('other_ways')}</a></p>"
)
Choice = tuple[str, str]
"""Backend and model of a side."""


class RealModels:
    """The sentence above a view, and beside it the button that gets the real models.

    Both downloads run at once, each in the state's row of its side. They go on while no page shows
    them: a page that is opened meanwhile shows them too.
    """

    def __init__(self, view: str, services: Services, sentence: gr.HTML, row: gr.Row) -> None:
        """Build the offer; `sentence` stands beside it in a row."""
        self.view, self.services, self.sentence, self.row = view, services, sentence, row
        self.get = gr.Button(visible=False, size="sm", scale=0, elem_id=f"{view}-get")
        self.other_ways = gr.HTML(
            _OTHER_WAYS, elem_id=f"{view}-other-ways", elem_classes="more", visible=False
        )
        # Clicked by the page's script once the view has opened: a listener of its own, since
        # others that follow the opening would wait for the end of the downloads.
        self.follow = gr.Button(visible="hidden", elem_id=f"{view}-follow")

    def build_question(self) -> None:
        """Build the question that stands in the row's place once the button is pressed.

        Not in the row itself: what was rendered there before may come after the question.
        """
        with gr.Row(elem_classes="opening", visible=False) as self.asking:
            self.question = gr.HTML(elem_id=f"{self.view}-question")
            self.confirm = gr.Button(
                t("download_confirm"), size="sm", scale=0, variant="primary",
                elem_id=f"{self.view}-get-confirm",
            )  # fmt: skip
            self.cancel = gr.Button(
                t("cancel"), size="sm", scale=0, elem_id=f"{self.view}-get-cancel"
            )

    @property
    def outputs(self) -> list[gr.Component]:
        """The components that `render` updates."""
        return [self.sentence, self.get, self.other_ways]

    def connect(self, keyring: gr.State, pickers: Sequence[Pickers]) -> None:
        """Connect the buttons; `pickers` are those of all sides."""
        self.pickers = pickers
        self.keyring, chosen = keyring, gathered_choices(pickers, keyring)
        asking = [self.row, self.asking, self.question]
        every = [*self.outputs, *asking, *(one for picker in pickers for one in picker.outputs)]
        chosen.on(self.get.click, self.ask, every, queue=False, **PRIVATE)
        self.cancel.click(self.decline, None, every, queue=False, **PRIVATE)
        for button, handler in ((self.confirm, self.download), (self.follow, self.on_open)):
            # What was said of a row before may reach the page together with this, and be drawn over
            # it: then nobody has seen that it is older.
            chosen.on(button.click, handler, every, queue=False, **PRIVATE).then(
                self.redraw, keyring, every, queue=False, **ALWAYS
            )
        for picker in pickers:
            for event in (picker.begun, picker.downloaded):
                chosen.on(event.then, self.on_choice, self.outputs, queue=False, **LATEST)
        changed = [picker.pane.model.change for picker in pickers]
        chosen.on(changed, self.on_choice, self.outputs, queue=False, **LATEST)

    # ── What is said and offered ───────────────────────────────────────────────────────────────

    async def render(self, keyring: Keyring, *choices: Choice, measure: bool = False) -> Updates:
        """Say what is compared and, if that is a demonstration, offer the real models.

        `choices` are backend and model of each side. With `measure` it waits until the speed can be
        estimated; otherwise it may not be said yet.
        """
        monitor = self.services.health
        found = [await chosen_side(monitor, keyring, *one) for one in choices if any(one)]
        sides = [side for side in found if side]
        if not sides or len(sides) < len(found):
            return self._show("")
        sentence = text_sentence(sides, self.services.limits)
        if self.services.limits.public or not any(map(is_demonstration, sides)) or len(sides) < 2:
            return self._show(sentence)
        proposal, has = await self._proposal(keyring, measure)
        if running := self._running(keyring, proposal):
            names = ", ".join(model.name for model in proposal.missing if model.side in running)
            getting = told(Sentence("Getting {names}. Until then:", names=names))
            return self._show(f"{getting} {sentence}")
        chosen = {(side[0].backend.id, side[1].model) for side in sides}
        if proposal.missing or not {_choice(model) for model in proposal.models} <= chosen:
            return self._show(sentence, say(button_label(proposal, has), locale=keyring.locale))
        return self._show(sentence + told(proposal.reason), ways=True)

    def _show(self, sentence: str, label: str = "", *, ways: bool = False) -> Updates:
        return {
            self.sentence: f"<p>{sentence}</p>",
            self.get: gr.Button(label, visible=True) if label else gr.Button(visible=False),
            self.other_ways: gr.HTML(visible=ways or bool(label)),
        }

    def _question(self, html: str) -> Updates:
        """Show a question in the place of the offer, or close it."""
        return {
            self.row: gr.Row(visible=not html),
            self.asking: gr.Row(visible=bool(html)),
            self.question: f'<p role="alert">{html}</p>',
        }

    async def _proposal(self, keyring: Keyring, measure: bool) -> tuple[Proposal, Capacity]:
        known: Mapping[str, BackendHealth] = {
            backend: await self.services.health.check(REGISTRY[backend], keyring)
            for backend in ("onnx_genai", "transformers")
        }
        has = await capacity()
        proposal = propose(known, has)
        if measure and any(model.offer.bytes_per_token for model in proposal.missing):
            has = await capacity(measure=True)
        return proposal, has

    def _running(self, keyring: Keyring, proposal: Proposal) -> dict[int, Download]:
        """The downloads of proposed models that are under way, by side."""
        found = {
            model.side: self.services.downloads.find(
                model.backend.backend, model.offer.model, keyring.connection(_choice(model)[0])
            )
            for model in proposal.missing
        }
        return {side: download for side, download in found.items() if download}

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    async def on_choice(self, values: Values) -> Updates:
        """Another model was chosen: say what is compared now."""
        return await self.render(values[self.keyring], *choices_in(values, self.pickers))

    async def ask(self, values: Values) -> Updates:
        """Ask whether to download; if all is here by now, choose it."""
        keyring = values[self.keyring]
        proposal, has = await self._proposal(keyring, measure=False)
        if not proposal.missing or self.services.limits.public:
            updates: Updates = {}
            choices = choices_in(values, self.pickers)
            for model in proposal.models:
                choices[model.side] = _choice(model)
                updates |= await self._choose(keyring, model)
            return updates | await self.render(keyring, *choices)
        what, facts = question(proposal, has)
        return self._question(f"<b>{told(what)}</b> {told(facts)}")

    async def _choose(self, keyring: Keyring, model: RealModel) -> Updates:
        picker, (backend, name) = self.pickers[model.side], _choice(model)
        updates = await picker.show_selection(keyring, backend, name)
        return {**updates, picker.pane.backend: backend}

    async def decline(self) -> Updates:
        """Close the question."""
        return self._question("")

    async def download(self, values: Values) -> Updates:
        """Fetch what is missing, both at once; each is chosen when it is there."""
        keyring = values[self.keyring]
        updates, choices = self._question(""), choices_in(values, self.pickers)
        if self.services.limits.public:
            return updates
        proposal, _ = await self._proposal(keyring, measure=False)
        for model in proposal.missing:
            backend, name = _choice(model)
            picker, now = self.pickers[model.side], choices[model.side][1]
            updates |= picker.fetch(keyring, backend, name, now)
        return updates | await self.render(keyring, *choices)

    async def redraw(self, keyring: Keyring) -> Updates:
        """Show the rows of all sides as they are now."""
        updates: Updates = {}
        for picker in self.pickers:
            updates |= picker.redrawn(keyring)
        return updates or gr.skip()

    async def on_open(self, values: Values) -> Updates:
        """After the view has opened: say the speed, and show what is being fetched already."""
        keyring, choices = values[self.keyring], choices_in(values, self.pickers)
        if self.services.limits.public or not any(map(any, choices)):
            return gr.skip()
        updates = await self.render(keyring, *choices, measure=True)
        downloads = self._running(keyring, (await self._proposal(keyring, measure=False))[0])
        for side, (backend, model) in enumerate(choices):
            if backend not in REGISTRY:
                continue
            own = self.services.downloads.find(
                REGISTRY[backend], model, keyring.connection(backend)
            )
            downloads |= {side: own} if own else {}
        for side, download in downloads.items():
            updates |= self.pickers[side].show_download(keyring, download, choices[side][1])
        return updates


def _choice(model: RealModel) -> Choice:
    return model.backend.backend.id, model.offer.model
