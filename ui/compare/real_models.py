"""The way from the built-in demonstrations to real Phi models: a button, a question, downloads."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from html import escape
from weakref import WeakKeyDictionary, WeakSet

import gradio as gr

from backends import REGISTRY, Capacity, Offer, capacity
from playground.downloads import Download
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.services import Services

from ..events import PRIVATE, Updates
from ..texts import EN, t
from .default_pair import Side, is_demonstration, text_sentence
from .pickers import Pickers
from .proposal import Proposal, RealModel, button_label, propose, question
from .status import health_of, offer_of

_OTHER_WAYS = (
    f'<p><a href="#models" onclick="phi.tab(\'models\'); return false">{EN["other_ways"]}</a></p>'
)
Choice = tuple[str, str]
"""Backend and model of a side."""


class RealModels:
    """The sentence above a view, and beside it the button that gets the real models.

    Both downloads run at once, each in the state's row of its side. They go on while no page shows
    them: a page that is opened meanwhile shows them too.
    """

    def __init__(self, view: str, services: Services, sentence: gr.HTML) -> None:
        """Build the buttons; `sentence` stands beside them."""
        self.services, self.sentence = services, sentence
        self._asking: WeakSet[Keyring] = WeakSet()
        """The keyrings (one a page) of those who are being asked whether to download."""
        self._choices: WeakKeyDictionary[Keyring, list[Choice]] = WeakKeyDictionary()
        """What is chosen on pages that show downloads, as far as it was heard of."""
        self.get = gr.Button(visible=False, size="sm", scale=0, elem_id=f"{view}-get")
        self.confirm = gr.Button(
            t("download_confirm"), size="sm", scale=0, visible=False, variant="primary",
            elem_id=f"{view}-get-confirm",
        )  # fmt: skip
        self.cancel = gr.Button(
            t("cancel"), size="sm", scale=0, visible=False, elem_id=f"{view}-get-cancel"
        )
        self.other_ways = gr.HTML(
            _OTHER_WAYS, elem_id=f"{view}-other-ways", elem_classes="more", visible=False
        )
        # Clicked by the page's script once the view has opened: a listener of its own, since
        # others that follow the opening would wait for the end of the downloads.
        self.follow = gr.Button(visible="hidden", elem_id=f"{view}-follow")

    @property
    def outputs(self) -> list[gr.Component]:
        """The components that `render` updates."""
        return [self.sentence, self.get, self.confirm, self.cancel, self.other_ways]

    def connect(self, keyring: gr.State, pickers: Sequence[Pickers]) -> None:
        """Connect the buttons; `pickers` are those of both sides."""
        self.pickers = pickers
        inputs: list[gr.Component] = [keyring]
        inputs += [one for picker in pickers for one in (picker.pane.backend, picker.pane.model)]
        every = [*self.outputs, *(one for picker in pickers for one in picker.outputs)]
        self.get.click(self.ask, inputs, every, queue=False, **PRIVATE)
        self.cancel.click(self.decline, inputs, self.outputs, queue=False, **PRIVATE)
        rest = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
        self.follow.click(self.go_on, inputs, every, **rest)
        self.confirm.click(self.download, inputs, every, **rest).then(
            None, js="() => document.getElementById('recheck')?.click()",
            api_visibility="private",
        )  # fmt: skip
        gr.on(
            [picker.pane.model.change for picker in pickers], self.on_choice, inputs, self.outputs,
            queue=False, trigger_mode="always_last", **PRIVATE,
        )  # fmt: skip

    # ── What is said and offered ───────────────────────────────────────────────────────────────

    async def render(
        self, keyring: Keyring, left: Choice, right: Choice, *, measure: bool = False
    ) -> Updates:
        """Say what is compared and, if that is a demonstration, offer the real models.

        With `measure` it waits until the speed can be estimated; otherwise it may not be said yet.
        """
        sides = [await self._side(keyring, *choice) for choice in (left, right)]
        if None in sides:
            return self._show("")
        one, other = (side for side in sides if side)
        sentence = text_sentence(one, other, self.services.limits)
        if self.services.limits.public or not any(map(is_demonstration, (one, other))):
            return self._show(sentence)
        proposal, has = await self._proposal(keyring, measure)
        if running := self._running(keyring, proposal):
            names = " and ".join(model.name for model in proposal.missing if model.side in running)
            return self._show(f"Getting <b>{escape(names)}</b>. Until then: {_lower(sentence)}")
        chosen = {(side[0].backend.id, side[1].model) for side in (one, other)}
        if proposal.missing or not {_choice(model) for model in proposal.models} <= chosen:
            return self._show(sentence, button_label(proposal, has))
        return self._show(f"{sentence}{escape(proposal.reason)}", ways=True)

    def _show(
        self, sentence: str, label: str = "", *, ways: bool = False, asking: bool = False
    ) -> Updates:
        return {
            self.sentence: f"<p>{sentence}</p>",
            self.get: gr.Button(label, visible=True) if label else gr.Button(visible=False),
            self.confirm: gr.Button(visible=asking),
            self.cancel: gr.Button(visible=asking),
            self.other_ways: gr.HTML(visible=ways or bool(label)),
        }

    async def _side(self, keyring: Keyring, backend: str, model: str) -> Side | None:
        health = await health_of(self.services.health, backend, keyring)
        if health is None or not model:
            return None
        spec = health.backend.spec_of(model)
        return health, offer_of(health, model) or Offer(model, spec, health.status)

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

    async def on_choice(self, keyring: Keyring, *chosen: str) -> Updates:
        """Another model was chosen: say what is compared now, unless a question is open."""
        self._choices[keyring] = _pairs(chosen)
        if keyring in self._asking or not all(chosen):
            return gr.skip()
        return await self.render(keyring, *_pairs(chosen))

    async def ask(self, keyring: Keyring, *chosen: str) -> Updates:
        """Ask whether to download; if all is here by now, choose it."""
        proposal, has = await self._proposal(keyring, measure=False)
        if not proposal.missing or self.services.limits.public:
            updates: Updates = {}
            choices = _pairs(chosen)
            for model in proposal.models:
                choices[model.side] = _choice(model)
                updates |= await self._choose(keyring, model)
            return updates | await self.render(keyring, *choices)
        self._asking.add(keyring)
        what, facts = question(proposal, has)
        return self._show(f"<b>{escape(what)}</b> {escape(facts)}", asking=True)

    async def _choose(self, keyring: Keyring, model: RealModel) -> Updates:
        picker, (backend, name) = self.pickers[model.side], _choice(model)
        updates = await picker.show_selection(keyring, backend, name)
        return {**updates, picker.pane.backend: backend}

    async def decline(self, keyring: Keyring, *chosen: str) -> Updates:
        """Close the question."""
        self._asking.discard(keyring)
        return await self.render(keyring, *_pairs(chosen))

    async def download(self, keyring: Keyring, *chosen: str) -> AsyncGenerator[Updates, None]:
        """Fetch what is missing, both at once, and choose each when it is there."""
        self._asking.discard(keyring)
        proposal, _ = await self._proposal(keyring, measure=False)
        if not self.services.limits.public:
            downloads = {
                model.side: self.pickers[model.side].start(*_choice(model), keyring)
                for model in proposal.missing
            }
            async with aclosing(self._follow(keyring, downloads, _pairs(chosen))) as steps:
                async for updates in steps:
                    yield updates

    async def go_on(self, keyring: Keyring, *chosen: str) -> AsyncGenerator[Updates, None]:
        """After the view has opened: say the speed, show what is being fetched already."""
        choices = _pairs(chosen)
        if self.services.limits.public or not all(chosen):
            return
        updates = await self.render(keyring, *choices, measure=True)
        if keyring not in self._asking:  # meanwhile the button may have been pressed
            yield updates
        downloads = self._running(keyring, (await self._proposal(keyring, measure=False))[0])
        for side, (backend, model) in enumerate(choices):
            known = REGISTRY[backend]
            own = self.services.downloads.find(known, model, keyring.connection(backend))
            downloads |= {side: own} if own else {}
        if downloads:
            async with aclosing(self._follow(keyring, downloads, choices)) as steps:
                async for updates in steps:
                    yield updates

    async def _follow(
        self, keyring: Keyring, downloads: Mapping[int, Download], choices: list[Choice]
    ) -> AsyncGenerator[Updates, None]:
        """Show downloads, each on its side, until all have ended; `choices` are those before."""
        self._choices[keyring] = choices
        yield await self.render(keyring, *choices)
        rows = [self._row(keyring, side, download) for side, download in downloads.items()]
        async with aclosing(_merged(*rows)) as steps:
            async for updates in steps:
                yield updates

    async def _row(
        self, keyring: Keyring, side: int, download: Download
    ) -> AsyncGenerator[Updates, None]:
        """Show a download on its side, unless it is shown there; then say what is left."""
        picker = self.pickers[side]
        if picker.shows(keyring, download):
            async for _ in download.steps():
                pass
        else:
            chosen = self._choices[keyring][side]
            async with aclosing(picker.follow(keyring, download, chosen)) as steps:
                async for updates in steps:
                    yield updates
        if not (download.cancelled or download.error):
            self._choices[keyring][side] = (download.backend.id, download.model)
        if keyring not in self._asking:
            yield await self.render(keyring, *self._choices[keyring])


def _pairs(chosen: Sequence[str]) -> list[Choice]:
    left_backend, left_model, right_backend, right_model = chosen
    return [(left_backend, left_model), (right_backend, right_model)]


def _choice(model: RealModel) -> Choice:
    return model.backend.backend.id, model.offer.model


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


async def _merged(*streams: AsyncGenerator[Updates, None]) -> AsyncGenerator[Updates, None]:
    """Yield what several streams yield, as it comes. Closing it closes them."""
    came: asyncio.Queue[Updates | None] = asyncio.Queue()

    async def read(stream: AsyncGenerator[Updates, None]) -> None:
        try:
            async with aclosing(stream):
                async for updates in stream:
                    came.put_nowait(updates)
        finally:
            came.put_nowait(None)

    tasks = [asyncio.ensure_future(read(stream)) for stream in streams]
    try:
        for _ in tasks:
            while (updates := await came.get()) is not None:
                yield updates
        for task in tasks:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
