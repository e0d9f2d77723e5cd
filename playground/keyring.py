"""What one visitor brings: keys, addresses, servers and a language, in memory for one visit."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from backends import (
    REGISTRY,
    Backend,
    BadRequestError,
    Connection,
    Sentence,
    check_public_url,
    clean_key,
    clean_name,
    clean_pasted,
)

HUGGING_FACE = "huggingface"
"""The backend that a sign-in with Hugging Face is the key of."""
ZEROGPU = "zerogpu"
"""The backend that asks what is left of a visitor's time on a lent GPU, with the same token."""
INFERENCE_SCOPE = "inference-api"
"""What a visitor must have agreed to, so that a router's answers are on their credit."""
MAX_CHARACTERS = 4000
"""Length of a key or an address; real ones are far shorter."""
MAX_SERVERS = 6
"""Servers that a visitor may add: there is a card for each on the Models tab."""
MAX_SERVER_NAME = 40
"""Characters of a server's name."""
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('/\\"<>{}`', "-"))
"""A link has the name before a slash; the others mean something in HTML or in programs."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A visitor's sign-in with Hugging Face."""

    token: str = field(repr=False)
    name: str
    infers: bool
    """Whether answers may be asked for with it."""
    expires_at: float


class Keyring:
    """Typed connections by backend id, the servers that were added under names, and the sign-in.

    Never written anywhere by this server; its `repr` shows nothing of them.
    """

    def __init__(self, public: bool = False) -> None:
        """`public`: of a visitor of a public page; see `Connection.public`."""
        self.public = public
        self._connections: dict[str, Connection] = {}
        self._servers: dict[str, Backend] = {}
        self._sign_in: SignIn | None = None
        self.locale = "en"
        """The language in which the visitor reads the page."""

    def __repr__(self) -> str:
        return f"<Keyring: {len(self._connections)} connections>"

    def forget(self) -> None:
        """Forget everything, at the end of the visit."""
        self._connections.clear()
        self._servers.clear()
        self._sign_in = None

    def connection(self, backend: str) -> Connection | None:
        """The connection to a backend: what was typed for it, or the visitor's sign-in.

        `None` if there is neither. On a public page there is one at any rate: it says that it is of
        a stranger.
        """
        typed = self._connections.get(backend)
        known = self._sign_in
        if backend == HUGGING_FACE and not typed and known and self.signed_in and known.infers:
            return Connection(None, known.token, self.public)
        if backend == ZEROGPU and (token := self.hugging_face_token()):
            return Connection(None, token, self.public)
        return typed or (Connection(public=True) if self.public else None)

    def has_typed(self, backend: str) -> bool:
        """True if an address or a key was typed for a backend."""
        return backend in self._connections

    def sign_in(self, token: str, name: str, *, scopes: str, expires_at: float) -> None:
        """Remember the visitor's sign-in with Hugging Face, until `expires_at` (Unix time).

        `scopes` are what they let this page do, separated by spaces.
        """
        infers = INFERENCE_SCOPE in scopes.split()
        self._sign_in = SignIn(clean_key(token[:MAX_CHARACTERS]), name, infers, expires_at)

    def sign_out(self) -> None:
        """Forget the visitor's sign-in."""
        self._sign_in = None

    @property
    def signed_in(self) -> str:
        """The name that the visitor has at Hugging Face; empty if they are not signed in."""
        known = self._sign_in
        return known.name if known and known.expires_at > time.time() else ""

    def hugging_face_token(self) -> str | None:
        """The visitor's own Hugging Face token: of the sign-in, else typed; `None` without one.

        For their quota and their credit. Never the page's own, and never to be kept or shown.
        """
        if self._sign_in and self.signed_in:
            return self._sign_in.token
        typed = self._connections.get(HUGGING_FACE)
        return typed.api_key if typed else None

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
            self._connections[backend] = Connection(url, secret, self.public)

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
        if self.public:
            check_public_url(url)
        name = " ".join(clean_name(name).split())[:MAX_SERVER_NAME] or urlsplit(url).netloc
        name = "".join(char for char in name if char.isprintable()).translate(_NOT_IN_NAMES)
        if name.casefold() in {one.label.casefold() for one in REGISTRY.values()}:
            raise BadRequestError(
                Sentence("“{name}” is on this page already.", name=name), "Choose another name."
            )
        same = (one for one in self.servers if one.label.casefold() == name.casefold())
        server = next(same, None) or kind.named(name)
        if server.id not in self._servers and len(self._servers) >= MAX_SERVERS:
            raise BadRequestError(
                Sentence("There are {n} servers, the most that there can be here.", n=MAX_SERVERS),
                "Remove one first.",
            )
        self._servers[server.id] = server
        self.put(server.id, address=address, key=key or None)
        return server

    def remove_server(self, backend: str) -> None:
        """Remove a server that was added, with its address and its key."""
        if self._servers.pop(backend, None):
            self._connections.pop(backend, None)
