"""The one guard of addresses that strangers type: public servers only, by https.

What is refused is refused by numbers, after one look at the resolver, and the connection goes to
the very address that was looked at: a name that leads elsewhere the second time (DNS rebinding)
leads nowhere. Sources: the IANA registries of special-purpose addresses (IPv4 and IPv6), RFC 6052
and 8215 (NAT64), 3056 (6to4), 4380 (Teredo), 5214 (ISATAP); Open WebUI's CVE-2026-45401 (redirects)
and CVE-2026-70485 (NAT64), Gradio's CVE-2026-59806.
"""

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from .._core.errors import BackendConnectionError, BackendError, BadRequestError
from .._core.sentence import Sentence
from .base_url import PRIVATE_DOMAINS
from .timeouts import CONNECT_TIMEOUT

PORTS = frozenset({443, 8080})
"""Ports that may be asked: a Hugging Face Space reaches these and 80, which is not encrypted."""
MAX_ADDRESSES = 4
"""Addresses of one name that are tried, one after the other."""
MAX_HOST = 253
"""Characters of a host's name (RFC 1035)."""

_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            "168.63.129.16/32",  # Azure's own service for its machines, at a public address
        ),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is given out. Mapped addresses (::ffff:), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), unique
local, link-local and multicast ones are outside of it."""
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, benchmarks, ORCHID and other protocols
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "3fff::/20",  # documentation
        ),
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""The upper half of an interface's identifier in which an IPv4 address follows."""
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_CANONICAL_V4 = re.compile(r"(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)

_resolvers = ThreadPoolExecutor(4, "resolver")
"""Threads of their own: names whose servers never answer must not hold those of the page."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    try:
        found = ip_address(address)
    except ValueError:  # with a zone, as fe80::1%eth0, too
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_V4)
    return _is_public_v6(found)


def _is_public_v6(address: IPv6Address) -> bool:
    if address.scope_id or address not in _PUBLIC_V6:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_V6)


def check_public_url(url: str) -> None:
    """Raise `BadRequestError` for a base URL that no stranger's request goes to; asks nobody."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https":
        raise _refused(
            "This public page asks servers by https only: a key must not go in the clear.",
            "Type an address that begins with https://, or run the page on your own computer.",
        )
    if parts.username is not None or parts.password is not None or not _is_public_host(host):
        raise not_public()
    if port not in PORTS:
        raise _refused(
            Sentence(
                "From this public page, only these ports of a server can be reached: {ports}.",
                ports=", ".join(str(one) for one in sorted(PORTS)),
            ),
            "Put the server behind one of them, or run the page on your own computer.",
        )


def _is_public_host(host: str) -> bool:
    """Whether a host may be one of the internet, by its spelling."""
    if ":" in host:
        return is_public(host)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # a number, as browsers and libraries read it
        return bool(_CANONICAL_V4.fullmatch(host)) and is_public(host)
    return (
        len(host) <= MAX_HOST
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
        and labels[-1].lower() not in PRIVATE_DOMAINS
    )


async def resolve_public(host: str, port: int) -> list[str]:
    """The addresses of a host, every one of them public. Raises `BackendConnectionError`.

    One that is not makes the whole name suspect: its owner decides the order.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            found = await resolve(host, port)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise BackendConnectionError(
            Sentence("There is no server of the name “{host}”.", host=host), "Check the address."
        ) from error
    if not found or not all(map(is_public, found)):
        raise not_public()
    return found[:MAX_ADDRESSES]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host as this machine's resolver has them. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_resolvers, _look_up, host, port)
    return list(dict.fromkeys(found))


def _look_up(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in rows]


def not_public() -> BackendError:
    """The error for an address inside of a network, or one in disguise."""
    return _refused(
        "This public page asks only servers of the public internet.",
        "One in your own network, or on your own computer, can be asked by a page that runs there.",
    )


def _refused(sentence: str, hint: str) -> BackendError:
    return BadRequestError(sentence, hint, reason="not_public")
