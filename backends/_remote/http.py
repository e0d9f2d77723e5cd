"""HTTP clients that know no key: one per address and event loop; keys travel with the request."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

_HEADERS = frozenset(
    {
        *("host", "accept", "accept-encoding", "connection", "content-length", "content-type"),
        *("transfer-encoding", "user-agent"),
    }
)
"""What a request carries beside its credentials. The SDKs add more, some of it from the environment
(`OPENAI_ORG_ID`, `OPENAI_CUSTOM_HEADERS`, `OLLAMA_API_KEY`), and would send it to any host."""

_credentials: ContextVar[Mapping[str, str]] = ContextVar("credentials")
"""The headers that identify this one request: they never pass through an SDK, its options or its
log, and no client holds them."""

_MAX_CLIENTS = 32


@contextmanager
def use_credentials(headers: Mapping[str, str]) -> Iterator[None]:
    """While this lasts, requests carry these credentials."""
    token = _credentials.set(headers)
    try:
        yield
    finally:
        _credentials.reset(token)


async def replace_sdk_headers(request: Any) -> None:
    """Take away what the SDK added to a request, and add its credentials: an httpx event hook."""
    for name in [name for name in request.headers if name.lower() not in _HEADERS]:
        del request.headers[name]
    request.headers.update(_credentials.get({}))


Client = TypeVar("Client")


class ClientCache(Generic[Client]):
    """One client per address, for each event loop. `build` makes one, off the loop: it is slow."""

    def __init__(self, build: Callable[[str], Client]) -> None:
        self._build = build
        # Not weak: the futures hold their loop, so that no loop would ever go by itself.
        self._made: dict[asyncio.AbstractEventLoop, dict[str, asyncio.Future[Client]]] = {}

    async def at(self, url: str) -> Client:
        """The one client of an address; the least recently used goes when there are too many."""
        for loop in [loop for loop in list(self._made) if loop.is_closed()]:
            self._made.pop(loop, None)
        mine = self._made.setdefault(asyncio.get_running_loop(), {})
        if url in mine:
            mine[url] = mine.pop(url)  # the last one is the one used last
        else:
            while len(mine) >= _MAX_CLIENTS:
                del mine[next(iter(mine))]
            mine[url] = asyncio.ensure_future(asyncio.to_thread(self._build, url))
            mine[url].add_done_callback(lambda made: made.exception() and mine.pop(url, None))
        return await asyncio.shield(mine[url])
