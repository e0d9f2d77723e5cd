"""Requests to an Ollama.

By httpx2, not by the `ollama` package: that can send neither `truncate` nor `shift`, and leaves out
what newer servers tell of their models. The program that the page shows is written with it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from .._remote.endpoint import (
    CONNECT_TIMEOUT,
    Endpoint,
    Patience,
    first_token_timeout,
    silence_timeout,
)
from .._remote.errors import ErrorResponse
from .._remote.http import ClientCache, use_credentials
from .._remote.ndjson import ObjectDecoder, parse_object
from .errors import LABEL, map_response, unreadable
from .models import InstalledModel

if TYPE_CHECKING:
    import httpx2

LOADING_TIMEOUT = 300.0
"""Seconds for which Ollama may be silent while it loads a model (its own `OLLAMA_LOAD_TIMEOUT`) or
checks a download."""


class Server:
    """The client of one base URL, and what is known about the models installed there."""

    def __init__(self, client: "httpx2.AsyncClient") -> None:
        self.client = client
        self.installed: dict[str, InstalledModel] = {}
        """As last listed, by full name."""
        self.vision_by_digest: dict[str, bool | None] = {}
        """Replies of `/api/show` about vision, for models whose list does not tell."""

    def has_vision(self, name: str) -> bool | None:
        """Whether an installed model reads pictures; `None` if that is not known yet."""
        model = self.installed.get(name)
        if model is None or model.has_vision is not None:
            return model and model.has_vision
        return self.vision_by_digest.get(model.digest)


class Servers(ClientCache[Server]):
    """The Ollamas that were asked, by base URL, and the two kinds of requests to them."""

    def __init__(self) -> None:
        super().__init__(_build_server, close=lambda server: server.client.aclose())

    async def stream_lines(
        self,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any],
        patience: Patience,
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Send a request and yield its response line by line; closing it closes the HTTP stream.

        Raises `BackendError`.
        """
        from httpx2 import HTTPError, InvalidURL

        from .._remote.transport import transport_error

        begun = False
        pictures = sum(len(message.get("images", ())) for message in body.get("messages", ()))
        try:
            async with AsyncExitStack() as stack:
                response = await self._open(stack, endpoint, "POST", path, body)
                await _raise_for_status(response, path, body["model"], endpoint, pictures)
                lines = aclosing(_objects(response.aiter_bytes(), patience))
                async for line in await stack.enter_async_context(lines):
                    if line.get("error"):
                        failed = ErrorResponse(None, line, pictures=pictures)
                        raise map_response(path, body["model"], failed, endpoint)
                    begun = True
                    yield line
        except (HTTPError, InvalidURL) as error:
            raise transport_error(LABEL, endpoint.url, error, begun, pictures) from error
        except ValueError as error:  # a line that is no JSON object
            raise unreadable() from error

    async def request_json(
        self, endpoint: Endpoint, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a short request, with a body or without; its JSON. Raises `BackendError`."""
        from httpx2 import HTTPError, InvalidURL

        from .._remote.transport import read_bounded, transport_error

        try:
            async with AsyncExitStack() as stack:
                response = await self._open(stack, endpoint, "POST" if body else "GET", path, body)
                await _raise_for_status(response, path, "", endpoint)
                return parse_object(await read_bounded(response))
        except (HTTPError, InvalidURL) as error:
            raise transport_error(LABEL, endpoint.url, error, False) from error
        except ValueError as error:
            raise unreadable() from error

    async def _open(
        self,
        stack: AsyncExitStack,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: dict[str, Any] | None,
    ) -> "httpx2.Response":
        """Send a request; its response is open until the end of `stack`."""
        server = await stack.enter_async_context(self.use(endpoint.url))
        with use_credentials(auth_headers(endpoint)):
            return await stack.enter_async_context(
                server.client.stream(method, endpoint.url + path, json=body)
            )


async def _raise_for_status(
    response: "httpx2.Response", path: str, model: str, endpoint: Endpoint, pictures: int = 0
) -> None:
    from .._remote.transport import read_bounded

    if not response.is_success:
        text = await read_bounded(response)
        failed = ErrorResponse.parse(response.status_code, text, response.headers, pictures)
        raise map_response(path, model, failed, endpoint)


async def _objects(
    pieces: AsyncIterator[bytes], patience: Patience
) -> AsyncGenerator[Mapping[str, Any], None]:
    """The JSON objects of a response's lines. Raises `ValueError` and `BackendTimeoutError`."""
    decoder = ObjectDecoder()
    while (data := await patience.next(pieces)) is not None:
        for line in decoder.feed(data):
            patience.renew()
            yield line
    for line in decoder.end():
        yield line


def load_timeout() -> float:
    """Seconds without a byte while Ollama loads a model or checks what it downloaded."""
    return max(LOADING_TIMEOUT, silence_timeout())


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that carry the key; empty without one."""
    return {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


def _build_server(url: str) -> Server:
    from httpx2 import Timeout

    from .._remote.transport import build_client

    return Server(
        build_client(url, timeout=Timeout(first_token_timeout(), connect=CONNECT_TIMEOUT))
    )
