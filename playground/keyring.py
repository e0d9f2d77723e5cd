"""Keys, addresses and servers that one visitor typed, in memory for one visit."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from backends import (
    REGISTRY,
    Backend,
    BadRequestError,
    Connection,
    clean_key,
    clean_name,
    clean_pasted,
)

MAX_CHARACTERS = 4000
"""Length of a key or an address; real ones are far shorter."""
MAX_SERVERS = 6
"""Servers that a visitor may add: there is a card for each on the Models tab."""
MAX_SERVER_NAME = 40
"""Characters of a server's name."""
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('/\\"<>{}`', "-"))
"""A link has the name before a slash; the others mean something in HTML or in programs."""


class Keyring:
    """Typed connections by backend id, and the servers that were added under names.

    Never written anywhere by this server; its `repr` shows nothing of them.
    """

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._servers: dict[str, Backend] = {}

    def __repr__(self) -> str:
        return f"<Keyring: {len(self._connections)} connections>"

    def forget(self) -> None:
        """Forget everything, at the end of the visit."""
        self._connections.clear()
        self._servers.clear()

    def connection(self, backend: str) -> Connection | None:
        """The connection that was typed for a backend; `None` if there is none."""
        return self._connections.get(backend)

    def put(self, backend: str, *, key: str | None = None, address: str | None = None) -> None:
        """Remember a key or an address; `""` forgets it, `None` leaves it as it is.

        A new address drops the key that was typed for another one: a key goes nowhere unasked.
        """
        old = self._connections.get(backend, Connection())
        typed = clean_pasted((address or "")[:MAX_CHARACTERS])
        url = old.base_url if address is None else typed or None
        secret = old.api_key if key is None else clean_key(key[:MAX_CHARACTERS]) or None
        if url != old.base_url and not key:
            secret = None
        self._connections.pop(backend, None)
        if url or secret:
            self._connections[backend] = Connection(url, secret)

    @property
    def servers(self) -> Sequence[Backend]:
        """The servers that were added, the first first."""
        return tuple(self._servers.values())

    def backend(self, backend: str) -> Backend | None:
        """A backend of the registry or a server that was added, by its id."""
        return REGISTRY.get(backend) or self._servers.get(backend)

    def add_server(self, kind: Backend, name: str, address: str, key: str = "") -> Backend:
        """Add a server under a name, or change the one of that name.

        `kind` is the backend it is one more of; without a name it is called by its address. Raises
        `BadRequestError`.
        """
        url = kind.normalize_base_url(address[:MAX_CHARACTERS])
        name = " ".join(clean_name(name).split())[:MAX_SERVER_NAME] or urlsplit(url).netloc
        name = "".join(char for char in name if char.isprintable()).translate(_NOT_IN_NAMES)
        if name.casefold() in {one.label.casefold() for one in REGISTRY.values()}:
            raise BadRequestError(f"“{name}” is on this page already.", "Choose another name.")
        same = (one for one in self.servers if one.label.casefold() == name.casefold())
        server = next(same, None) or kind.named(name)
        if server.id not in self._servers and len(self._servers) >= MAX_SERVERS:
            raise BadRequestError(
                f"There are {MAX_SERVERS} servers, the most that there can be here.",
                "Remove one first.",
            )
        self._servers[server.id] = server
        self.put(server.id, address=address, key=key or None)
        return server

    def remove_server(self, backend: str) -> None:
        """Remove a server that was added, with its address and its key."""
        if self._servers.pop(backend, None):
            self._connections.pop(backend, None)
