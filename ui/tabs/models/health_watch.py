"""Health checks of the page: on opening, on request, after a failure, and every minute."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

from playground.health import CACHE_TTL, backends_for
from playground.keyring import Keyring
from playground.services import Services

from ...compare.pickers import Pickers
from ...compare.status import is_usable
from ...events import LATEST, PRIVATE, Updates
from ...gathered import Gathered, Values
from ...texts import TRANSLATIONS
from . import ModelsTab
from .added import server_id


class HealthWatch:
    """Updates the Models tab and every pane's pickers with the backends' health."""

    def __init__(
        self, services: Services, keyring: gr.State, models: ModelsTab, pickers: list[Pickers]
    ) -> None:
        self.limits, self.monitor = services.limits, services.health
        self.keyring, self.models, self.pickers = keyring, models, pickers
        self._shown = Gathered((one for picker in pickers for one in picker.watched), keyring)

    def connect(self, opened: Sequence[Any], shown: Any) -> None:
        """Check on every trigger from now on.

        `opened` are the events that open the other tabs, `shown` the one that shows this one: what
        is in memory changes without a check.
        """
        shown(self.check, self.keyring, self.models.outputs, queue=False, **PRIVATE)
        everything = frozenset(card.backend.id for card in self.models.cards)
        for event in opened:
            self._check_on(event.then)
        self._check_on(gr.Timer(CACHE_TTL).tick)
        # Clicked by the page's script when a side has failed, which invalidated its health.
        self._check_on(gr.Button(visible="hidden", elem_id="recheck").click)
        # Written by the page's script when another language was chosen: lists are made here.
        language = gr.Textbox(visible="hidden", elem_id="locale")
        spoken = language.change(self.speak, [self.keyring, language], queue=False, **PRIVATE)
        self._check_on(spoken.then)
        follow = (
            "() => document.querySelectorAll('#text-follow, #languages-follow')"
            ".forEach((one) => one.click())"  # a button has words, too, and lists have
        )
        spoken.then(None, js=follow, api_visibility="private")
        self._check_on(self.models.check.click, everything)
        for backend, entered in self.models.connection_events():
            self._check_on(entered.then, frozenset({backend}))
        if added := self.models.added:
            for event in added.change_events():
                self._check_on(event.then)
            for number, slot in enumerate(added.slots):
                self._check_on(slot.check.click, number)
        for picker in self.pickers:
            self._check_on(picker.downloaded.then)

    def _check_on(self, trigger: Any, refresh: frozenset[str] | int = frozenset()) -> None:
        """Check on a trigger; a second event then updates the panes, which it reads only then.

        `refresh` are ids of backends, or the number of an added server's card.
        """
        check = partial(self.check, refresh=refresh)
        checked = trigger(check, self.keyring, self.models.outputs, queue=False, **PRIVATE)
        outputs = [one for picker in self.pickers for one in picker.outputs]
        self._shown.on(checked.then, self.update_pickers, outputs, queue=False, **LATEST)

    async def speak(self, keyring: Keyring, locale: str) -> None:
        """Remember in which language a visitor reads the page."""
        keyring.locale = locale if locale in TRANSLATIONS else "en"

    async def check(self, keyring: Keyring, refresh: frozenset[str] | int = frozenset()) -> Updates:
        """Check the backends, without the cache for those in `refresh`; update the Models tab."""
        if isinstance(refresh, int):
            refresh = server_id(keyring, refresh)
        elif len(refresh) > 1:  # all of them
            refresh |= {server.id for server in keyring.servers}
        every = await self.monitor.check_all(keyring, refresh=refresh)
        return self.models.render(every, keyring)

    async def update_pickers(self, values: Values) -> Updates:
        """Update every pane's pickers with the backends' last known health."""
        keyring = values[self.keyring]
        known = [
            self.monitor.last(backend, keyring) or await self.monitor.check(backend, keyring)
            for backend in backends_for(self.limits, keyring)
        ]
        every = [one for one in known if is_usable(self.limits, one)]
        updates: Updates = {}
        for picker in self.pickers:
            updates |= picker.on_health(every, keyring, *(values[one] for one in picker.watched))
        return updates or gr.skip()
