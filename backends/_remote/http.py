"""HTTP clients that hold no key, one per base URL and event loop; keys travel with requests."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

_KEPT_HEADERS = frozenset(
    {
        *("host", "accept", "connection", "content-length", "content-type"),
        *("transfer-encoding", "user-agent"),
    }
)
"""Headers of the SDKs that are sent. They add others, some of them from the environment
(`OPENAI_ORG_ID`, `OPENAI_CUSTOM_HEADERS`, `OLLAMA_API_KEY`), and would send them to any host."""

_auth_headers: ContextVar[Mapping[str, str]] = ContextVar("auth_headers")
"""The credentials of the current request. They pass through no SDK, its options or its log, and no
client holds them."""

_MAX_CLIENTS = 32
"""Clients that a cache keeps for each event loop."""


@contextmanager
def use_credentials(headers: Mapping[str, str]) -> Iterator[None]:
    """Send these headers with every request that is made inside the `with` block."""
    token = _auth_headers.set(headers)
    try:
        yield
    finally:
        _auth_headers.reset(token)


def sent_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a request is sent with: without an SDK's own, with the credentials.

    A response is asked for as it is: compressed, a few bytes could stand for gigabytes.
    """
    kept = {name: value for name, value in headers.items() if name.lower() in _KEPT_HEADERS}
    return {**kept, "accept-encoding": "identity", **_auth_headers.get({})}


Client = TypeVar("Client")


@dataclass(slots=True, eq=False)
class _Entry(Generic[Client]):
    """A client, how many use it now, and whether the cache has dropped it."""

    client: asyncio.Future[Client]
    users: int = 0
    evicted: bool = False


class ClientCache(Generic[Client]):
    """Keeps the `_MAX_CLIENTS` most recently used clients of each event loop, one per base URL.

    `build` makes a client, in a thread, since that is slow. `close` is awaited for a client that
    was dropped, as soon as nobody uses it. Clients of a loop that was closed are only dropped:
    their connections ended with it.
    """

    def __init__(
        self, build: Callable[[str], Client], close: Callable[[Client], Awaitable[object]]
    ) -> None:
        self._build, self._close = build, close
        # Not weak: the futures hold their loop, so that no loop would ever go by itself.
        self._entries: dict[asyncio.AbstractEventLoop, dict[str, _Entry[Client]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, url: str) -> AsyncGenerator[Client, None]:
        """The client of a base URL, kept open until the end of the `async with` block."""
        entry = self._entry(url)
        entry.users += 1
        try:
            # One user who gives up must not cancel the build for the others.
            yield await asyncio.shield(entry.client)
        finally:
            entry.users -= 1
            self._close_unused(entry)

    def _entry(self, url: str) -> _Entry[Client]:
        """The entry of a base URL, made if there is none; it becomes the most recently used."""
        for loop in [loop for loop in list(self._entries) if loop.is_closed()]:
            self._entries.pop(loop, None)
        entries = self._entries.setdefault(asyncio.get_running_loop(), {})
        entry = entries.pop(url, None)
        if entry is None:
            while len(entries) >= _MAX_CLIENTS:
                oldest = entries.pop(next(iter(entries)))
                oldest.evicted = True
                self._close_unused(oldest)
            entry = _Entry(asyncio.ensure_future(asyncio.to_thread(self._build, url)))
            entry.client.add_done_callback(lambda built: self._drop_failed(entries, url, built))
        entries[url] = entry
        return entry

    @staticmethod
    def _drop_failed(
        entries: dict[str, _Entry[Client]], url: str, built: asyncio.Future[Client]
    ) -> None:
        """Drop an entry whose client could not be built, so that the next use tries again."""
        failed = built.cancelled() or built.exception() is not None
        if failed and url in entries and entries[url].client is built:
            del entries[url]

    def _close_unused(self, entry: _Entry[Client]) -> None:
        """Begin to close a dropped client, if nobody uses it."""
        if entry.evicted and not entry.users:
            # In a task of its own: the user whose block ends may have been cancelled.
            task = asyncio.ensure_future(self._close_built(entry.client))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close_built(self, client: asyncio.Future[Client]) -> None:
        """Close a client once it is built, if it could be."""
        await asyncio.wait([client])
        if not client.cancelled() and client.exception() is None:
            await self._close(client.result())
