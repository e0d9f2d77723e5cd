"""Visitors, identified by their network address as far as it can be trusted."""

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
    """One visitor, and their part of what all visitors share."""

    address: str = ""
    places: int | None = None
    """At most so many of their answers stand in a line; `None`: any number."""
    budget: Budget | None = None
    """The budget that pays for the answer, if the page's owner pays for it."""


def on_platform() -> bool:
    """True on a Hugging Face Space, whose proxy reports visitors' addresses and can be trusted."""
    return "SPACE_ID" in os.environ


def visitor_address(client: str, forwarded: Sequence[str] = ()) -> str:
    """The address of a visitor who comes directly, or through a platform's proxies.

    `forwarded` are the `X-Forwarded-For` headers of a known platform. Each proxy appends the
    address from which it was asked, so forged ones stand first: the last address that is not the
    platform's own counts. An IPv6 address is cut to its first half, which identifies the network.
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
