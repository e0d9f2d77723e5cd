"""What backends behind an address share: where it is, whose key goes there, one polite retry."""

import os
import random
import re
from asyncio import sleep
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from .._core.backend import Backend, Status
from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    BadRequestError,
    MissingKeyError,
)
from .._core.types import Chunk, Connection, Progress

CONNECT_TIMEOUT = 5.0
"""Seconds to reach a server."""
SILENCE_ENV = "PHI_SILENCE_TIMEOUT"
"""The variable that changes `silence_timeout`."""
RETRIED = frozenset({429, 502, 503, 504, 529})
"""HTTP answers of a server that is busy, not broken: asked again, once."""
LONGEST_PAUSE = 30.0
"""Seconds that a retry waits at most; who is asked to wait longer is told, and decides."""

Step = Chunk | Progress


def silence_timeout() -> float:
    """Seconds without a byte after which a server is given up: 60, or `PHI_SILENCE_TIMEOUT`."""
    try:
        return max(1.0, float(os.environ.get(SILENCE_ENV, "")))
    except ValueError:
        return 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes, and the key that goes with it."""

    url: str
    key: str | None = field(default=None, repr=False)


class Served(Backend):
    """A backend behind an address: a server on this machine, in this house, or on the internet."""

    address: ClassVar[str | None] = None
    """Where it is unless something else is configured; `None` if nobody can know."""
    default_path: ClassVar[str] = "/v1"
    """Appended to an address that names a host and nothing else."""
    needs_key: ClassVar[bool] = False
    """Whether a key is needed; `wants_key` may tell more, by the address."""

    def configured(self) -> str | None:
        """The address from the environment, else the usual one."""
        return os.environ.get(self.address_env or "") or self.address

    def in_full(self, url: str) -> str:
        """An address as people type it, as requests need it. Raises `BadRequestError`."""
        return normal(url, self.default_path)

    def wants_key(self, url: str) -> bool:
        """Whether it is worth asking at this address without a key."""
        return self.needs_key

    def may_have_key(self, url: str) -> bool:
        """Whether the environment's key is meant for this configured address."""
        return True

    def reach(self, connection: Connection | None) -> Address:
        """Where to go with which key: typed ones first, then those of the environment.

        A key from the environment never goes to an address that a visitor typed.
        Raises `BadRequestError`, `BackendConnectionError` or `MissingKeyError`.
        """
        typed = connection.base_url if connection else None
        url = typed or self.configured()
        if not url:
            variable = f", or set {self.address_env} before the start" if self.address_env else ""
            raise BackendConnectionError(
                f"{self.label} has no address yet.",
                f"Type one on the Models tab{variable}.",
                reason="no_address",
            )
        url = self.in_full(url)
        key = connection.api_key if connection else None
        if not key and not typed and self.key_env and self.may_have_key(url):
            key = os.environ.get(self.key_env)
        if not key and self.wants_key(url):
            raise MissingKeyError(
                f"{self.label} needs a key.",
                f"Type it on the Models tab, or set {self.key_env} before the start.",
                variable=self.key_env,
            )
        return Address(url, key)

    def destination(self, connection: Connection | None) -> tuple[str, bool]:
        """Where a shown program's request goes, and whether a key goes with it, as in `reach`.

        Where no address is known, or none that can be used, an example stands for it.
        """
        try:
            address = self.reach(connection)
            return address.url, bool(address.key)
        except BackendError as error:
            has_key = isinstance(error, MissingKeyError) or self.needs_key
        has_key = has_key or bool(connection and connection.api_key)
        anyones = Connection(connection and connection.base_url, "any key")
        try:
            return self.reach(anyones).url, has_key
        except BackendError:
            return self.in_full(self.address_example), has_key

    def unreached(self, error: BackendError) -> Status:
        """The status that goes with a failure of `reach`, or of a first request."""
        code = str(error.values.get("reason") or error.code)
        values = dict(error.values)
        if isinstance(error, MissingKeyError) or error.code == "authentication":
            return Status("needs key", str(error), code, values)
        if error.code == "missing_dependency":
            return Status("not installed", str(error), code, values)
        if error.code == "retired":
            return Status("retired", str(error), code, values)
        return Status("unreachable", str(error), code, values)


_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")
"""Names in ASCII (others have a form in it, `xn--…`) and numbers."""


def normal(url: str, default_path: str) -> str:
    """An address as people type it, in full. Raises `BadRequestError` for what is none.

    `localhost:8000` becomes `http://localhost:8000/v1`, and
    `https://host/v1/chat/completions` becomes `https://host/v1`.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    text = text.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if (
        not host
        or not _HOST.fullmatch(host)
        or ("[" in parts.netloc and ":" not in host)
        or not (text.isprintable() and text.isascii())
        or parts.scheme.lower() not in ("http", "https")
        or len(text) > 2000
    ):
        raise BadRequestError(
            "This is not the address of a server.",
            "It looks like http://localhost:8000/v1 or https://example.com/v1.",
            reason="bad_address",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadRequestError(
            "An address must not hold a name, a password or a question mark.",
            "Type the key into its own field.",
            reason="bad_address",
        )
    host = parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower()).geturl()
    return host if parts.path else host + default_path


def count(value: object) -> int | None:
    """A count that a server reports; `None` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 2**53 else None


_CLOSED = frozenset({"ReadError", "WriteError", "RemoteProtocolError"})
"""What an HTTP client meets when it takes up a kept connection that the server has just closed."""


def unreachable(
    label: str, url: str, cause: BaseException | None = None, pictures: int = 0
) -> BackendError:
    """Nobody answers at an address; `cause` is what the HTTP client met, if it had a connection.

    `pictures` is how many were sent: some servers hang up on a request that is too large.
    """
    closed = type(cause).__name__ in _CLOSED
    if closed and pictures:
        return BackendConnectionError(
            f"{label} hung up while it was sent "
            f"{'a picture' if pictures == 1 else f'{pictures} pictures'}.",
            "They may be too large for it: send fewer or smaller ones. Or it has stopped: is it "
            f"still there, at {url}?",
            closed=True,
        )
    return BackendConnectionError(
        f"{label} cannot be reached at {url}.",
        "Start it there, or check the address.",
        closed=closed,
    )


def hung_up(label: str) -> BackendError:
    """The connection ended before the answer did."""
    return BackendConnectionError(
        f"{label} hung up in the middle of its answer.", "What came is kept. Press Regenerate."
    )


def timed_out(
    label: str, connecting: bool, begun: bool, patience: float | None = None
) -> BackendError:
    """It took too long: to be reached, to begin, or to go on.

    `patience` is how many seconds it was given, if not `silence_timeout()`.
    """
    if connecting:
        return BackendTimeoutError(
            f"{label} could not be reached within {CONNECT_TIMEOUT:.0f} s.",
            "Start it there, or check the address.",
        )
    what = "fell silent" if begun else "did not begin to answer"
    return BackendTimeoutError(
        f"{label} {what} for {patience or silence_timeout():.0f} s.",
        f"Try again. Whoever runs this page can allow more time ({SILENCE_ENV}, in seconds).",
    )


async def once_again(
    attempt: Callable[[], AsyncGenerator[Step, None]],
) -> AsyncGenerator[Step, None]:
    """The steps of `attempt()`; where the server is busy before the first token, of a second one.

    Waits as long as the server asks (`retry_after`), or one to three seconds, and says so. A kept
    connection that turns out to be closed is no answer: then at once.
    """
    begun = False
    try:
        async with aclosing(attempt()) as steps:
            async for step in steps:
                begun = begun or isinstance(step, Chunk)
                yield step
        return
    except BackendError as error:
        pause = pause_before_retry(error)
        if begun or pause is None:
            raise
    while pause > 0:
        yield Progress("retrying", detail=f"again in {max(1, round(pause))} s")
        second = min(1.0, pause)
        await sleep(second)
        pause -= second
    async with aclosing(attempt()) as steps:
        async for step in steps:
            yield step


def pause_before_retry(error: BackendError) -> float | None:
    """Seconds to wait before asking again, a little different each time; `None`: do not."""
    if error.values.get("closed"):
        return 0.0
    if error.values.get("status") not in RETRIED:
        return None
    asked = getattr(error, "retry_after", None) or error.values.get("retry_after")
    if not isinstance(asked, (int, float)):
        return random.uniform(1.0, 3.0)
    return asked + random.uniform(0.0, 0.5) if asked <= LONGEST_PAUSE else None
