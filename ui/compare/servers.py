"""What the browser keeps of the servers: those added, and typed addresses; never a key."""

import json
from contextlib import suppress
from typing import Any

import gradio as gr

from backends import REGISTRY, BackendError
from playground.keyring import MAX_SERVERS, Keyring
from playground.limits import Limits

SERVER = REGISTRY["openai_compatible"]
"""The backend that there may be several of."""
_STORAGE_KEY = "phi-playground-servers"


def servers_storage() -> gr.BrowserState:
    """The browser's storage of them. There may be several such components: each reads it once."""
    return gr.BrowserState("", storage_key=_STORAGE_KEY, secret="no secret")


def to_browser(keyring: Keyring) -> str:
    """The added servers, and the addresses that were typed for backends, as the browser keeps them:
    `{"servers": [["Lab", "http://…"]], "addresses": {"ollama": "http://…"}}`."""
    added = ((one.label, keyring.connection(one.id)) for one in keyring.servers)
    typed = ((backend, keyring.connection(backend)) for backend in REGISTRY)
    return json.dumps(
        {
            "servers": [(name, one.base_url) for name, one in added if one],
            "addresses": {name: one.base_url for name, one in typed if one and one.base_url},
        }
    )


def restore_servers(keyring: Keyring, stored: object, limits: Limits) -> None:
    """Put what the browser kept into a keyring, unless something was typed in this visit already.

    The value is not trusted: what is no server or address is left out. A list is what an earlier
    version kept: the added servers alone.
    """
    try:
        kept: Any = json.loads(stored) if isinstance(stored, str) and stored else {}
    except (ValueError, RecursionError):
        return
    if not isinstance(kept, dict):
        kept = {"servers": kept}
    rows, addresses = kept.get("servers"), kept.get("addresses")
    if not keyring.servers and limits.adds_servers(SERVER):
        _add(keyring, rows if isinstance(rows, list) else [])
    for name, backend in REGISTRY.items():
        address = addresses.get(name) if isinstance(addresses, dict) else None
        if not isinstance(address, str) or not limits.takes_address(backend):
            continue
        if not keyring.has_typed(name):
            keyring.put(name, address=address)


def _add(keyring: Keyring, rows: list[Any]) -> None:
    for row in rows[:MAX_SERVERS]:
        match row:
            case [str(name), str(address)]:
                with suppress(BackendError):
                    keyring.add_server(SERVER, name, address)
            case _:
                pass
