"""Who is asking: told from the network, as far as the network can be believed."""

import os
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from .budget import Budget

VISITOR: ContextVar[str] = ContextVar("visitor", default="")
"""The address that the current request comes from; set by `ui.middleware`."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and what they may take of what all visitors share."""

    address: str = ""
    places: int | None = None
    """At most so many of their answers stand in a line; `None`: any number."""
    budget: Budget | None = None
    """Where the page's owner pays for the answer: what there is to spend."""


def on_platform() -> bool:
    """Whether this is a Hugging Face Space: its proxy says who is asking, and can be believed."""
    return "SPACE_ID" in os.environ


def visitor_address(client: str, forwarded: Sequence[str] = ()) -> str:
    """The visitor at an address, or behind a platform's proxies.

    `forwarded` are the `X-Forwarded-For` headers of a platform that is known. Each proxy puts the
    address that it was asked from behind those that it was told, so what a visitor invents stands
    first: the last address that is not the platform's own counts. Of an IPv6 address, only the
    first half says whose it is.
    """
    chain = [part.strip() for line in forwarded for part in line.split(",")]
    for part in reversed(chain):
        address = _address(part)
        if address is None:
            break
        if address.is_global:
            return _prefix(address)
    address = _address(client)
    return _prefix(address) if address else client


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _prefix(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return ":".join(address.exploded.split(":")[:4])
