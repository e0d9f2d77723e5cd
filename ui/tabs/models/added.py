"""Servers that a visitor adds under names: a form for the next one, and a card for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from backends import BackendError
from playground.health import BackendHealth
from playground.keyring import MAX_SERVER_NAME, MAX_SERVERS, Keyring
from playground.limits import Limits

from ...compare.composer import notice_html
from ...compare.servers import SERVER, to_browser
from ...events import PRIVATE, Updates
from ...texts import t, words
from .cards import card_html

EXAMPLE = "https://example.com/v1"
"""What an address looks like on a public page."""


@dataclass(frozen=True)
class Slot:
    """The card of one added server; hidden while there are fewer."""

    box: gr.Column
    facts: gr.HTML
    check: gr.Button
    remove: gr.Button


class AddedServers:
    """The form that adds a server, and the cards of those that were added."""

    def __init__(self, limits: Limits, keyring: gr.State, storage: gr.BrowserState) -> None:
        """Build it, among the cards of the backends; `storage` is the browser's of all servers."""
        self.keyring, self.storage = keyring, storage
        self.slots = [_slot(number) for number in range(1, MAX_SERVERS + 1)]
        with gr.Column(elem_classes="card", elem_id="card-add"):
            intro = words("add_intro_public" if limits.public else "add_intro")
            gr.HTML(f"<h3>{words('add_title')}</h3><p>{intro}</p>")
            example = EXAMPLE if limits.public else "http://localhost:8001/v1"
            with gr.Row(elem_classes="card-fields"):
                self.name = gr.Textbox(
                    label=t("server_name"), placeholder=t("server_name_example"), max_lines=1,
                    max_length=MAX_SERVER_NAME, elem_id="add-name", scale=2, interactive=True,
                )  # fmt: skip
                self.address = gr.Textbox(
                    label=t("address"), placeholder=example, max_lines=1,
                    elem_id="add-address", scale=3, interactive=True,
                )  # fmt: skip
                self.key = gr.Textbox(
                    label=t("key"), placeholder=t("key_if_wanted"), type="password", max_lines=1,
                    elem_id="add-key", scale=2, interactive=True,
                )  # fmt: skip
                self.add = gr.Button(t("add"), size="sm", elem_id="add-server", scale=0)
            self.notice = gr.HTML(elem_id="add-notice")

    def change_events(self) -> list[Any]:
        """Connect the form and the buttons; return the events after which health is checked."""
        fields = [self.name, self.address, self.key]
        triggers = [self.add.click, *(field.submit for field in fields)]
        outputs = [*fields, self.notice, self.storage]
        inputs = [self.keyring, *fields]
        events = [gr.on(triggers, self.on_add, inputs, outputs, queue=False, **PRIVATE)]
        for number, slot in enumerate(self.slots):
            events.append(
                slot.remove.click(
                    _remover(number), self.keyring, self.storage, queue=False, **PRIVATE
                )
            )
        return events

    async def on_add(self, keyring: Keyring, name: str, address: str, key: str) -> Updates:
        """Add a server, or say why not; the key leaves its field in any case."""
        try:
            keyring.add_server(SERVER, name or "", address or "", key or "")
        except BackendError as error:
            return {
                self.key: "",
                self.notice: notice_html(str(error)),
            }
        return {
            self.name: "",
            self.address: "",
            self.key: "",
            self.notice: "",
            self.storage: to_browser(keyring),
        }

    @property
    def outputs(self) -> list[Any]:
        """The components that `render` updates."""
        return [part for slot in self.slots for part in (slot.box, slot.facts)]

    def render(self, keyring: Keyring, every: Sequence[BackendHealth]) -> Updates:
        """Return updates of the cards after a health check."""
        known = {one.backend.id: one for one in every}
        updates: Updates = {}
        for number, slot in enumerate(self.slots):
            server = keyring.servers[number] if number < len(keyring.servers) else None
            updates[slot.box] = gr.Column(visible=server is not None)
            if server:
                typed = keyring.connection(server.id)
                where = f'<p class="kind">{escape(typed.base_url or "")}</p>' if typed else ""
                updates[slot.facts] = card_html(server, known.get(server.id)) + where
        return updates


def server_id(keyring: Keyring, number: int) -> frozenset[str]:
    """The id of the server on a card, as a set; empty if there is none any more."""
    return frozenset(one.id for one in keyring.servers[number : number + 1])


def _slot(number: int) -> Slot:
    with gr.Column(elem_classes="card", elem_id=f"card-server-{number}", visible=False) as box:
        facts = gr.HTML()
        with gr.Row(elem_classes="card-fields"):
            check = gr.Button(t("check"), size="sm", elem_id=f"check-server-{number}", scale=0)
            remove = gr.Button(t("remove"), size="sm", elem_id=f"remove-server-{number}", scale=0)
    return Slot(box, facts, check, remove)


def _remover(number: int) -> Any:
    async def remove(keyring: Keyring) -> str:
        for server in server_id(keyring, number):
            keyring.remove_server(server)
        return to_browser(keyring)

    return remove
