"""Host names that the page accepts, and the check that a request comes from the page itself."""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ALL_INTERFACES = frozenset({"0.0.0.0", "::"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The host names that a page accepts.

    A local page accepts few: another website can resolve its own name to 127.0.0.1 (DNS rebinding),
    and would then have the same origin as this page.
    """

    names: frozenset[str] | None = None
    """Lower case; `None` accepts every name, as on a public page."""
    addresses: bool = False
    """Also accept every numeric IP address: those belong to no website."""
    trusted: frozenset[str] = frozenset()
    """Names of proxies in front of this page, whose `X-Forwarded-Host` is used."""

    @classmethod
    def of(cls, listening: str, allowed: Sequence[str] = (), public: bool = False) -> "Hosts":
        """Return the names of a page that listens at an address; `allowed` are further ones.

        On a Hugging Face Space, the Space's own name is one of them. Raises `ValueError` for an
        invalid host name.
        """
        if wrong := [name for name in allowed if not _name(name)]:
            raise ValueError(f"“{wrong[0]}” is not the name of a host: it looks like phi.example.")
        space = os.environ.get("SPACE_HOST", "")
        named = frozenset(filter(None, map(_name, (*allowed, space))))
        if public:
            return cls(None, True, named)
        own = {_name(listening), *LOOPBACK, *named}
        everywhere = listening in ALL_INTERFACES
        if everywhere:  # a computer is called by its name in its own network
            computer = socket.gethostname().lower()
            own |= {computer, f"{computer}.local"}
        return cls(frozenset(own - ALL_INTERFACES), everywhere, named)

    def accepts(self, headers: Headers) -> bool:
        """True if the request was sent to one of these names."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return False
        name = _name(hosts[0])
        return self.names is None or name in self.names or (self.addresses and _is_address(name))

    def sent_by_page(self, headers: Headers) -> bool:
        """True if a request has no `Origin` header, or this page's own origin."""
        origins = headers.getlist("origin")
        if not origins:
            return True
        if len(origins) > 1:
            return False
        try:
            scheme, place, *rest = urlsplit(origins[0])
        except ValueError:
            return False
        if scheme not in ("http", "https") or any(rest):
            return False
        default = ":443" if scheme == "https" else ":80"
        own = {headers["host"].lower().removesuffix(default)}
        return place.lower().removesuffix(default) in own or _name(place) in self.trusted

    def trusts(self, forwarded: str) -> bool:
        """True if a proxy's `X-Forwarded-Host` may be used."""
        return _name(forwarded) in self.trusted

    @property
    def allowed_names(self) -> str:
        """The accepted names as one text for messages."""
        return ", ".join(sorted(self.names or ()))


def _name(host: str) -> str:
    """Return a host without port and brackets, in lower case; `""` if it is invalid."""
    match = _HOST.fullmatch(host.strip())
    if match is None:
        try:  # a bare address of version 6, as on a command line
            return str(ip_address(host.strip()))
        except ValueError:
            return ""
    return match[1].strip("[]").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
