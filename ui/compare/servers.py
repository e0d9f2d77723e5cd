"""The servers that a visitor added, as the browser keeps them: names and addresses, never keys."""

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
    """The added servers as the browser keeps them."""
    kept = ((one.label, keyring.connection(one.id)) for one in keyring.servers)
    return json.dumps([(name, typed.base_url) for name, typed in kept if typed])


def restore_servers(keyring: Keyring, stored: object, limits: Limits) -> None:
    """Add the servers that the browser kept, unless some were added already.

    The value is not trusted: what is no server is left out.
    """
    if keyring.servers or not limits.takes_address(SERVER):
        return
    try:
        rows: Any = json.loads(stored) if isinstance(stored, str) and stored else []
    except ValueError:
        return
    for row in rows[:MAX_SERVERS] if isinstance(rows, list) else ():
        match row:
            case [str(name), str(address)]:
                with suppress(BackendError):
                    keyring.add_server(SERVER, name, address)
            case _:
                pass
