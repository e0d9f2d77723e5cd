"""Requests to an Ollama.

By httpx2, not by the `ollama` package: that can send neither `truncate` nor `shift`, and leaves out
what newer servers tell of their models. The program that the page shows is written with it.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from .._core.errors import BackendConnectionError, BackendError, BackendTimeoutError
from .._remote.endpoint import Endpoint
from .._remote.error_response import ErrorResponse
from .._remote.failures import web_page
from .._remote.http import ClientCache, use_credentials
from .._remote.ndjson import ObjectDecoder, parse_object
from .._remote.patience import Patience
from .._remote.timeouts import CONNECT_TIMEOUT, silence_timeout
from .errors import LABEL, map_response, unreadable
from .models import InstalledModel, ModelDetails
from .turns import Turns

if TYPE_CHECKING:
    import httpx2

LOADING_TIMEOUT = 300.0
"""Seconds for which Ollama may be silent while it loads a model (its own `OLLAMA_LOAD_TIMEOUT`) or
checks a download."""
FACTS_TIMEOUT = 10.0
"""The same before it tells about itself: some versions do not while they load a model."""


class Server:
    """The client of one base URL, and what is known about the models installed there."""

    def __init__(self, client: "httpx2.AsyncClient") -> None:
        self.client = client
        self.installed: dict[str, InstalledModel] = {}
        """As last listed, by full name."""
        self.details: dict[str, ModelDetails] = {}
        """What `/api/show` told, by digest, or by name where the list has none."""
        self.turns = Turns()

    def has_vision(self, name: str) -> bool | None:
        """Whether an installed model reads pictures; `None` if that is not known yet."""
        model = self.installed.get(name)
        if model is None or model.has_vision is not None:
            return model and model.has_vision
        details = self.details.get(model.digest or model.name)
        return details and details.has_vision


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

        `patience` is the whole limit on the time: Ollama sends no headers before its first line.
        Raises `BackendError`.
        """
        from httpx2 import HTTPError, InvalidURL

        from .._remote.transport import transport_error

        begun = False
        pictures = sum(len(message.get("images", ())) for message in body.get("messages", ()))
        decoder = ObjectDecoder()
        try:
            async with aclosing(self._pieces(endpoint, path, body, pictures)) as pieces:
                while True:
                    data = await patience.next(pieces)
                    if not begun and data and data.lstrip().startswith(b"<"):
                        raise web_page(LABEL)
                    for line in decoder.end() if data is None else decoder.feed(data):
                        if line.get("error"):
                            raise _error_in_line(path, body["model"], line, endpoint, pictures)
                        begun = True
                        yield line
                    if data is None:
                        return
        except (HTTPError, InvalidURL) as error:
            raise transport_error(LABEL, endpoint.url, error, begun, pictures) from error
        except ValueError as error:  # a line that is no JSON object
            raise unreadable() from error
        finally:
            patience.end()

    async def request_json(
        self,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any] | None = None,
        seconds: float = FACTS_TIMEOUT,
    ) -> dict[str, Any]:
        """Send a short request, with a body or without; its JSON. Raises `BackendError`."""
        from httpx2 import HTTPError, InvalidURL

        from .._remote.transport import if_encrypted, read_bounded, transport_error

        try:
            async with AsyncExitStack() as stack:
                response = await self._open(stack, endpoint, path, body, seconds)
                await _raise_for_status(response, path, "", endpoint)
                reply = parse_object(await read_bounded(response))
        except (HTTPError, InvalidURL) as error:
            failed = transport_error(LABEL, endpoint.url, error, False, 0, seconds)
            raise await if_encrypted(LABEL, endpoint.url, failed) from error
        except ValueError as error:
            raise unreadable() from error
        if reply.get("error"):  # with HTTP 200, as other servers have it
            raise map_response(path, "", ErrorResponse(None, reply), endpoint)
        return reply

    async def request_facts(
        self,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any] | None = None,
        seconds: float = FACTS_TIMEOUT,
    ) -> dict[str, Any]:
        """The same for what an answer can do without; `{}` where the server does not tell.

        Raises `BackendError` if it cannot be reached.
        """
        from httpx2 import ConnectTimeout

        try:
            return await self.request_json(endpoint, path, body, seconds)
        except BackendTimeoutError as error:
            if isinstance(error.__cause__, ConnectTimeout):
                raise
            return {}
        except BackendConnectionError as error:
            if "status" in error.values:
                return {}
            raise
        except BackendError:
            return {}

    async def _pieces(
        self, endpoint: Endpoint, path: str, body: dict[str, Any], pictures: int
    ) -> AsyncGenerator[bytes, None]:
        """The pieces of a response's body. Raises `BackendError` or what httpx2 does."""
        async with AsyncExitStack() as stack:
            response = await self._open(stack, endpoint, path, body, None)
            await _raise_for_status(response, path, body["model"], endpoint, pictures)
            async for data in response.aiter_bytes():
                yield data

    async def _open(
        self,
        stack: AsyncExitStack,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any] | None,
        seconds: float | None,
    ) -> "httpx2.Response":
        """Send a request; its response is open until the end of `stack`."""
        from httpx2 import Timeout

        server = await stack.enter_async_context(self.use(endpoint.url))
        timeout = Timeout(seconds, connect=CONNECT_TIMEOUT, pool=CONNECT_TIMEOUT)
        method = "GET" if body is None else "POST"
        with use_credentials(auth_headers(endpoint)):
            return await stack.enter_async_context(
                server.client.stream(method, endpoint.url + path, json=body, timeout=timeout)
            )


async def _raise_for_status(
    response: "httpx2.Response", path: str, model: str, endpoint: Endpoint, pictures: int = 0
) -> None:
    from .._remote.transport import read_bounded, wants_https

    if not response.is_success:
        text = await read_bounded(response)
        if refused := wants_https(LABEL, endpoint.url, text):
            raise refused
        failed = ErrorResponse.parse(response.status_code, text, response.headers, pictures)
        raise map_response(path, model, failed, endpoint)


def _error_in_line(
    path: str, model: str, line: Mapping[str, Any], endpoint: Endpoint, pictures: int
) -> BackendError:
    """The error that a line of a stream is."""
    response = ErrorResponse(None, line, pictures=pictures)
    if not response.server_message:
        return unreadable()
    return map_response(path, model, response, endpoint)


def load_timeout() -> float:
    """Seconds without a byte while Ollama loads a model or checks what it downloaded."""
    return max(LOADING_TIMEOUT, silence_timeout())


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that carry the key; empty without one."""
    return {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


def _build_server(url: str) -> Server:
    from httpx2 import Timeout

    from .._remote.transport import build_client

    return Server(build_client(url, timeout=Timeout(FACTS_TIMEOUT, connect=CONNECT_TIMEOUT)))
