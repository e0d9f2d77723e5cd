"""Base class of remote backends: base URL and key, connection failures, one retry."""

import asyncio
import math
import os
import random
import time
from asyncio import sleep
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from .._core.backend import Backend, Status
from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    MissingKeyError,
)
from .._core.pasted import clean_key, clean_pasted, unsendable
from .._core.types import Chunk, Connection, Progress
from .base_url import normalize_url

CONNECT_TIMEOUT = 5.0
"""Seconds within which a connection must be made."""
SILENCE_TIMEOUT_ENV = "PHI_SILENCE_TIMEOUT"
"""The environment variable that changes `silence_timeout`."""
RETRY_STATUSES = frozenset({429, 502, 503, 504, 529})
"""HTTP statuses of a busy server: the request is sent again, once."""
MAX_RETRY_DELAY = 30.0
"""Seconds before a retry at most; if the server asks for more, the error is shown instead."""

T = TypeVar("T")

StreamItem = Chunk | Progress
"""What `Backend.stream` yields."""


AT_ONCE = 0.0005
"""Seconds within which a piece of a response is read that has come already."""
MAX_ANSWER_SECONDS = 4 * 3600.0
"""Seconds that an answer may take in all: 4,096 tokens at one in three seconds."""


def silence_timeout() -> float:
    """Seconds without new text after which an answer fails: 60, or `PHI_SILENCE_TIMEOUT`."""
    return _asked_silence() or 60.0


def first_token_timeout() -> float:
    """The same before the first text: 300, for a long prompt may take minutes to be read."""
    return _asked_silence() or 300.0


def _asked_silence() -> float | None:
    try:
        return max(1.0, float(os.environ.get(SILENCE_TIMEOUT_ENV, "")))
    except ValueError:
        return None


class Patience:
    """How long one answer is waited for: for its first text, for each next one, and in all.

    One timer watches all waits, and looks at the deadline when it fires: `asyncio.timeout` sets a
    new one for each, which costs a third of what reading a token does.
    """

    def __init__(
        self,
        label: str,
        *,
        first: float | None = None,
        silence: float | None = None,
        total: float | None = MAX_ANSWER_SECONDS,
    ) -> None:
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._limit = first or first_token_timeout()
        self._end = self._now() + (math.inf if total is None else total)
        self._deadline = min(self._now() + self._limit, self._end)
        self._silence, self._begun = silence or silence_timeout(), False
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False
        self.came = 0.0
        """When the last piece came that was waited for, in `time.monotonic()`: those that were
        there at once came with it, as far as can be known."""

    def renew(self) -> None:
        """Something of the answer came."""
        self._deadline = min(self._now() + self._silence, self._end)
        if not self._begun:
            self._limit, self._begun = self._silence, True
            self._set_timer()  # the first text is waited for longer

    def restart(self, limit: float) -> None:
        """The first text is waited for from now on: what was in front of it in line has ended.

        May be called while `next` is awaited; `math.inf` for a wait without a limit of its own.
        """
        self._limit = limit
        self._deadline = min(self._now() + limit, self._end)
        self._set_timer()

    async def next(self, pieces: AsyncIterator[T]) -> T | None:
        """The next piece; `None` at the end. Raises `BackendTimeoutError`."""
        asked, task = time.monotonic(), asyncio.current_task()
        assert task is not None
        cancels, self._waiting = task.cancelling(), task
        if self._timer is None:
            self._set_timer()
        try:
            piece = await anext(pieces, None)
        except asyncio.CancelledError:
            if not self._expired or task.uncancel() > cancels:  # somebody else cancelled it, too
                raise
            raise self._timeout_error() from None
        finally:
            self._waiting = None
        if self._expired and task.uncancel() <= cancels:  # it came in the very last moment
            raise self._timeout_error()
        if (now := time.monotonic()) - asked > AT_ONCE or not self.came:
            self.came = now
        return piece

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """End a wait whose time is up, else look again when it will be."""
        self._timer = None
        if self._waiting is None:
            return  # the next wait sets it
        if self._now() < self._deadline:
            self._set_timer()
        else:
            self._expired = self._waiting.cancel()

    def _timeout_error(self) -> BackendError:
        if self._deadline == self._end:
            return BackendTimeoutError(
                f"{self._label} has been answering for {MAX_ANSWER_SECONDS / 3600:.0f} hours.",
                "What came is kept. Ask for a shorter answer.",
            )
        return timed_out(self._label, False, self._begun, self._limit)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a request, and the key that is sent there."""

    url: str
    key: str | None = field(default=None, repr=False)


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

    def resolve_endpoint(self, connection: Connection | None) -> Endpoint:
        """Base URL and key of a request: typed ones first, then those of the environment.

        A key from the environment never goes to an address that a visitor typed.
        Raises `BadRequestError`, `BackendConnectionError`, `MissingKeyError`, or
        `AuthenticationError` for a key that no request can carry.
        """
        typed = clean_pasted(connection.base_url or "") if connection else ""
        url = typed or self.configured_address()
        if not url:
            variable = f", or set {self.address_env} before the start" if self.address_env else ""
            raise BackendConnectionError(
                f"{self.label} has no address yet.",
                f"Type one on the Models tab{variable}.",
                reason="no_address",
            )
        url = self.normalize_base_url(url)
        key, variable = clean_key(connection.api_key or "") if connection else "", ""
        if not key and not typed and self.key_env and self.accepts_env_key(url):
            key, variable = clean_key(os.environ.get(self.key_env, "")), self.key_env
        if not key and self.requires_key_at(url):
            raise MissingKeyError(
                f"{self.label} needs a key.",
                f"Type it on the Models tab, or set {self.key_env} before the start.",
                variable=self.key_env,
            )
        if what := unsendable(key):
            raise AuthenticationError(
                f"The key {f'in {variable}' if variable else 'that was typed'} for {self.label} "
                f"holds {what}: no key does, and it cannot be sent.",
                "Copy it once more, whole, "
                + (f"and set {variable} anew." if variable else "and type it on the Models tab."),
                reason="bad_key",
            )
        return Endpoint(url, key or None)

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


_CLOSED_ERRORS = frozenset({"ReadError", "WriteError", "RemoteProtocolError"})
"""Exceptions of HTTP clients on a kept connection that the server has just closed."""


def connection_failed(
    label: str, url: str, cause: BaseException | None = None, pictures: int = 0
) -> BackendError:
    """The error for a request without any response; `cause` is the HTTP client's exception.

    `pictures` is their number in the request: some servers close the connection on a request that
    is too large.
    """
    closed = type(cause).__name__ in _CLOSED_ERRORS
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


def disconnected(label: str) -> BackendError:
    """The error for a connection that ended before the answer did."""
    return BackendConnectionError(
        f"{label} hung up in the middle of its answer.", "What came is kept. Press Regenerate."
    )


def web_page(label: str) -> BackendError:
    """The error for a web page in the place of an answer."""
    return BackendConnectionError(
        f"{label} sent a web page instead of an answer.",
        "Is the address right? Or does a page want you to sign in first?",
    )


def other_protocol(label: str) -> BackendError:
    """The error for an answer in the form of another protocol than the one that was asked for."""
    return BackendConnectionError(
        f"{label} answered in a form that is not the one of this kind of server.",
        "Is the address right? An OpenAI-compatible one mostly ends in /v1; Ollama has a field of "
        "its own on the Models tab.",
        reason="other_protocol",
    )


def timed_out(
    label: str, connecting: bool, begun: bool, read_timeout: float | None = None
) -> BackendError:
    """The error for a timeout: while connecting, before the first token, or after it (`begun`).

    `read_timeout` is the limit in seconds, if it was not the usual one.
    """
    if connecting:
        return BackendTimeoutError(
            f"{label} could not be reached within {CONNECT_TIMEOUT:.0f} s.",
            "Start it there, or check the address.",
        )
    what = "fell silent" if begun else "did not begin to answer"
    limit = read_timeout or (silence_timeout() if begun else first_token_timeout())
    return BackendTimeoutError(
        f"{label} {what} for {limit:.0f} s.",
        f"Try again. Whoever runs this page can allow more time ({SILENCE_TIMEOUT_ENV}, "
        "in seconds).",
    )


async def retry_once(
    attempt: Callable[[], AsyncGenerator[StreamItem, None]],
) -> AsyncGenerator[StreamItem, None]:
    """Yield the items of `attempt()`; if the server is busy before the first token, try once more.

    Waits as long as the server asks (`retry_after`), or one to three seconds, and yields the
    remaining time as `Progress`. After a closed kept connection it tries again at once.
    """
    begun = False
    try:
        async with aclosing(attempt()) as items:
            async for item in items:
                begun = begun or isinstance(item, Chunk)
                yield item
        return
    except BackendError as error:
        delay = retry_delay(error)
        if begun or delay is None:
            raise
    while delay > 0:
        yield Progress("retrying", detail=f"again in {max(1, round(delay))} s")
        second = min(1.0, delay)
        await sleep(second)
        delay -= second
    async with aclosing(attempt()) as items:
        async for item in items:
            yield item


def retry_delay(error: BackendError) -> float | None:
    """Seconds to wait before a retry, with jitter; `None` if there must be none."""
    if error.values.get("closed"):
        return 0.0
    if error.values.get("status") not in RETRY_STATUSES:
        return None
    asked = getattr(error, "retry_after", None) or error.values.get("retry_after")
    if not isinstance(asked, (int, float)):
        return random.uniform(1.0, 3.0)
    return asked + random.uniform(0.0, 0.5) if asked <= MAX_RETRY_DELAY else None
