"""The Models tab: the health of every backend, how to enable it, and the table of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakSet

import gradio as gr

from backends import Backend
from playground.health import BackendHealth, backends_for
from playground.keyring import HUGGING_FACE, Keyring
from playground.limits import Limits

from ...compare.servers import SERVER, servers_storage, to_browser
from ...compare.status import is_usable
from ...events import PRIVATE, Updates
from ...sign_in import SignIn
from ...texts import t, words
from .added import EXAMPLE, AddedServers
from .cards import card_html, table_html


@dataclass(frozen=True)
class Card:
    """One backend's card: its health, and the fields of its connection."""

    backend: Backend
    box: gr.Column
    facts: gr.HTML
    address: gr.Textbox | None = None
    key: gr.Textbox | None = None
    check: gr.Button | None = None
    forget: gr.Button | None = None

    def set_connection(self, keyring: Keyring, *values: object) -> Updates:
        """Store the typed key and address in the keyring; the key leaves its field."""
        texts = [value if isinstance(value, str) else "" for value in values]
        address = texts[0] if self.address else None
        keyring.put(self.backend.id, key=(texts[-1] if self.key else "") or None, address=address)
        return self.field_updates(keyring)

    def clear_connection(self, keyring: Keyring) -> Updates:
        """Remove the key and the address from the keyring."""
        keyring.put(self.backend.id, key="", address="")
        return self.field_updates(keyring) | ({self.address: ""} if self.address else {})

    def filled(self, keyring: Keyring) -> Updates:
        """Return the address that the browser kept since another visit, in its field."""
        known = keyring.connection(self.backend.id)
        if not (self.address and known and known.base_url):
            return {}
        return self.field_updates(keyring) | {self.address: known.base_url}

    def field_updates(self, keyring: Keyring) -> Updates:
        """Return updates of the fields; a field never holds a key."""
        known = keyring.connection(self.backend.id)
        updates: Updates = {self.forget: gr.Button(visible=keyring.has_typed(self.backend.id))}
        if self.key:
            held = bool(known and known.api_key)
            updates[self.key] = gr.Textbox(
                value="", placeholder=t("key_held") if held else self.backend.key_env
            )
        return updates


class ModelsTab:
    """The backends' cards and the table of models, updated by every health check."""

    ID: ClassVar[str] = "models"
    LABEL: ClassVar[str] = "tab_models"

    def __init__(self, limits: Limits, keyring: gr.State, sign_in: SignIn | None = None) -> None:
        """`sign_in` is that with Hugging Face, where the page has it."""
        self.limits, self.keyring, self.sign_in = limits, keyring, sign_in
        self.storage = servers_storage()
        self._filled: WeakSet[Keyring] = WeakSet()
        """Pages whose fields have what the browser kept: from then on they are the visitor's."""
        with gr.Column(elem_id="board"):
            with gr.Row(elem_id="board-head"):
                gr.HTML(f"<h2>{words('board_title')}</h2><p>{words('board_intro')}</p>")
                self.check = gr.Button(t("check_all"), size="sm", elem_id="check-all", scale=0)
            with gr.Column(elem_id="cards"):
                self.cards: list[Card] = []
                self.added: AddedServers | None = None
                for backend in backends_for(limits):
                    self.cards.append(self._card(backend))
                    if limits.adds_servers(backend):
                        self.added = AddedServers(limits, keyring, self.storage)
                if self.added is None and limits.adds_servers(SERVER):
                    self.added = AddedServers(limits, keyring, self.storage)
            gr.HTML(f"<h2>{words('models_title')}</h2><p>{words('models_intro')}</p>")
            self.table = gr.HTML(table_html(()), elem_id="models-table")

    def _card(self, backend: Backend) -> Card:
        with gr.Column(elem_classes="card", elem_id=f"card-{backend.id}") as box:
            facts = gr.HTML(card_html(backend, None, self.limits.public))
            if backend.id == HUGGING_FACE and self.sign_in:
                self.sign_in.draw()
            if not self.limits.takes_address(backend) and not backend.key_env:
                return Card(backend, box, facts)
            with gr.Row(elem_classes="card-fields"):
                address = key = None
                if self.limits.takes_address(backend):
                    example = backend.address_example
                    if self.limits.public and not example.startswith("https:"):
                        example = EXAMPLE
                    address = gr.Textbox(
                        label=t("address"), placeholder=example, max_lines=1,
                        elem_id=f"address-{backend.id}", scale=3, interactive=True,
                    )  # fmt: skip
                if backend.key_env:
                    key = gr.Textbox(
                        label=t("key"), placeholder=backend.key_env, type="password", max_lines=1,
                        elem_id=f"key-{backend.id}", scale=2, interactive=True,
                    )  # fmt: skip
                check = gr.Button(t("check"), size="sm", elem_id=f"check-{backend.id}", scale=0)
                forget = gr.Button(
                    t("forget"), size="sm", elem_id=f"forget-{backend.id}", scale=0, visible=False
                )
        return Card(backend, box, facts, address, key, check, forget)

    def connection_events(self) -> list[tuple[str, Any]]:
        """Return backend id and event for each change of a connection, to check it again."""
        events: list[tuple[str, Any]] = []
        for card in self.cards:
            if card.check is None or card.forget is None:
                continue
            fields = [field for field in (card.address, card.key) if field is not None]
            outputs = [*fields, card.forget, self.storage]
            triggers = [card.check.click, *(field.submit for field in fields)]  # type: ignore[attr-defined]
            inputs: list[Any] = [self.keyring, *fields]
            saved = gr.on(triggers, self._save(card), inputs, outputs, queue=False, **PRIVATE)
            cleared = card.forget.click(
                self._forget(card), self.keyring, outputs, queue=False, **PRIVATE
            )
            events += [(card.backend.id, saved), (card.backend.id, cleared)]
        return events

    @property
    def outputs(self) -> list[Any]:
        """The components that `render` updates."""
        boxes = [card.box for card in self.cards] if self.limits.public else []
        added = self.added.outputs if self.added else []
        parts = [part for card in self.cards for part in (card.address, card.key, card.forget)]
        fields = [part for part in parts if part]
        return [self.table, *(card.facts for card in self.cards), *boxes, *fields, *added]

    def render(self, every: Sequence[BackendHealth], keyring: Keyring) -> Updates:
        """Return updates of cards and table after a health check."""
        known = {one.backend.id: one for one in every}
        updates: Updates = {self.table: table_html(every, downloads=not self.limits.public)}
        for card in self.cards:
            one = known.get(card.backend.id)
            updates[card.facts] = card_html(card.backend, one, self.limits.public)
            if self.limits.public and one:
                updates[card.box] = gr.Column(visible=is_usable(self.limits, one))
            if keyring not in self._filled:
                updates |= card.filled(keyring)
        self._filled.add(keyring)
        return updates | (self.added.render(keyring, every) if self.added else {})

    def _save(self, card: Card) -> Any:
        async def save(keyring: Keyring, *values: object) -> Updates:
            self._filled.add(keyring)
            updates = card.set_connection(keyring, *values)
            return updates | {self.storage: to_browser(keyring)}

        return save

    def _forget(self, card: Card) -> Any:
        async def forget(keyring: Keyring) -> Updates:
            return card.clear_connection(keyring) | {self.storage: to_browser(keyring)}

        return forget
