"""Base class of remote backends: their base URL and key."""

import os
from dataclasses import dataclass, field
from typing import ClassVar

from .._core.backend import Backend, Status
from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    MissingKeyError,
)
from .._core.pasted import clean_key, clean_pasted, unsendable
from .._core.sentence import Sentence
from .._core.types import Connection
from .base_url import normalize_url
from .public_address import check_public_url, not_public


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a request, and the key that is sent there."""

    url: str
    key: str | None = field(default=None, repr=False)
    guarded: bool = False
    """A stranger typed it: only a public address is asked; see `public_address`."""


class RemoteBackend(Backend):
    """A backend that is reached over HTTP: a local server or a hosted service."""

    default_address: ClassVar[str | None] = None
    """The address used if the environment names none; `None` if there is no usual one."""
    default_path: ClassVar[str] = "/v1"
    """Appended to an address without a path."""
    requires_key: ClassVar[bool] = False
    """Whether requests need a key; `requires_key_at` decides by the address."""

    def configured_address(self) -> str | None:
        """The address from the environment, or else `default_address`."""
        return clean_pasted(os.environ.get(self.address_env or "", "")) or self.default_address

    def normalize_base_url(self, url: str) -> str:
        """The base URL of requests for an address as people type it. Raises `BadRequestError`."""
        return normalize_url(url, self.default_path)

    def requires_key_at(self, url: str) -> bool:
        """Whether requests to this base URL need a key."""
        return self.requires_key

    def accepts_env_key(self, url: str) -> bool:
        """Whether the key from the environment may be sent to this configured base URL."""
        return True

    def shares_env_key(self) -> bool:
        """Whether visitors of a public page may use the key from the environment, as budgeted."""
        return True

    def resolve_endpoint(self, connection: Connection | None) -> Endpoint:
        """Base URL and key of a request: typed ones first, then those of the environment.

        A key from the environment never goes to an address that a visitor typed.
        Raises `BadRequestError`, `BackendConnectionError`, `MissingKeyError`, or
        `AuthenticationError` for a key that no request can carry.
        """
        typed = clean_pasted(connection.base_url or "") if connection else ""
        url = typed or self.configured_address()
        public = connection is not None and connection.public
        if not url:
            hint: str = "Type one on the Models tab."
            if self.address_env and not public:
                hint = Sentence(
                    "Type one on the Models tab, or set {variable} before the start.",
                    variable=self.address_env,
                )
            raise BackendConnectionError(
                Sentence("{label} has no address yet.", label=self.label),
                hint,
                reason="no_address",
            )
        url = self.normalize_base_url(url)
        if guarded := bool(public and typed):
            check_public_url(url)
            if not self.guards_addresses:
                raise not_public()
        key, variable = clean_key(connection.api_key or "") if connection else "", ""
        shared = not public or self.shares_env_key()
        if not key and not typed and self.key_env and shared and self.accepts_env_key(url):
            key, variable = clean_key(os.environ.get(self.key_env, "")), self.key_env
        if not key and self.requires_key_at(url):
            raise self.missing_key(public)
        if what := unsendable(key):
            raise AuthenticationError(
                *_bad_key(self.label, what, variable),
                reason="bad_key",
            )
        return Endpoint(url, key or None, guarded)

    def missing_key(self, public: bool) -> MissingKeyError:
        """The error of a request without the key that it needs; `public`: on a public page."""
        hint: str = "Type it on the Models tab."
        if not public:
            hint = Sentence(
                "Type it on the Models tab, or set {variable} before the start.",
                variable=self.key_env,
            )
        return MissingKeyError(
            Sentence("{label} needs a key.", label=self.label), hint, variable=self.key_env
        )

    def snippet_target(self, connection: Connection | None) -> tuple[str, bool]:
        """Base URL for a code snippet, and whether its request sends a key; never raises.

        `address_example` stands for an address that is missing or unusable.
        """
        try:
            endpoint = self.resolve_endpoint(connection)
            return endpoint.url, bool(endpoint.key)
        except BackendError as error:
            has_key = isinstance(error, MissingKeyError) or self.requires_key
        has_key = has_key or bool(connection and connection.api_key)
        with_some_key = Connection(connection and connection.base_url, "any key")
        try:
            return self.resolve_endpoint(with_some_key).url, has_key
        except BackendError:
            return self.normalize_base_url(self.address_example), has_key

    def status_from_error(self, error: BackendError) -> Status:
        """The backend's status after `resolve_endpoint` or a first request failed with `error`."""
        code = str(error.values.get("reason") or error.code)
        values = dict(error.values)
        if isinstance(error, MissingKeyError) or error.code == "authentication":
            return Status("needs key", str(error), code, values)
        if error.code == "missing_dependency":
            return Status("not installed", str(error), code, values)
        if error.code == "retired":
            return Status("retired", str(error), code, values)
        return Status("unreachable", str(error), code, values)


def _bad_key(label: str, what: str, variable: str | None) -> tuple[Sentence, str]:
    """That a key cannot be sent, and what to do; `variable` is where it stands if not typed."""
    if not variable:
        return (
            Sentence(
                "The key that was typed for {label} holds {what}: no key does, and it cannot be "
                "sent.",
                label=label,
                what=what,
            ),
            "Copy it once more, whole, and type it on the Models tab.",
        )
    return (
        Sentence(
            "The key in {variable} for {label} holds {what}: no key does, and it cannot be sent.",
            variable=variable,
            label=label,
            what=what,
        ),
        Sentence("Copy it once more, whole, and set {variable} anew.", variable=variable),
    )
