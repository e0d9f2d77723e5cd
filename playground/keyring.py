"""What one visitor typed to reach backends: keys and addresses, in memory for one visit."""

from backends import Connection

MAX_CHARACTERS = 4000
"""Of a key or an address; both are far shorter."""


class Keyring:
    """Typed connections by backend id. Never written anywhere; its `repr` shows nothing of them."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def __repr__(self) -> str:
        return f"<Keyring: {len(self._connections)} connections>"

    def forget(self) -> None:
        """Forget everything: the visit has ended."""
        self._connections.clear()

    def connection(self, backend: str) -> Connection | None:
        """What was typed for a backend; `None` if nothing."""
        return self._connections.get(backend)

    def put(self, backend: str, *, key: str | None = None, address: str | None = None) -> None:
        """Remember a key or an address; `""` forgets it, `None` leaves it as it is.

        An address takes the key that was typed for another one away: it goes nowhere unasked.
        """
        old = self._connections.get(backend, Connection())
        url = old.base_url if address is None else address.strip()[:MAX_CHARACTERS] or None
        secret = old.api_key if key is None else _key(key)
        if url != old.base_url and not key:
            secret = None
        self._connections.pop(backend, None)
        if url or secret:
            self._connections[backend] = Connection(url, secret)


def _key(text: str) -> str | None:
    """What can be a key: visible ASCII. One that was copied over two lines is one all the same."""
    return "".join(c for c in text if "!" <= c <= "~")[:MAX_CHARACTERS] or None
