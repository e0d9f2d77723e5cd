"""Keys and addresses that one visitor typed, in memory for one visit."""

from backends import Connection, clean_key, clean_pasted

MAX_CHARACTERS = 4000
"""Length of a key or an address; real ones are far shorter."""


class Keyring:
    """Typed connections by backend id. Never written anywhere; its `repr` shows nothing of them."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def __repr__(self) -> str:
        return f"<Keyring: {len(self._connections)} connections>"

    def forget(self) -> None:
        """Forget everything, at the end of the visit."""
        self._connections.clear()

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
