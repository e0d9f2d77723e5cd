"""Requests to an Ollama through its SDK."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._remote.endpoint import CONNECT_TIMEOUT, Endpoint, silence_timeout
from .._remote.errors import ErrorResponse
from .._remote.http import ClientCache, replace_sdk_headers, use_credentials
from .errors import map_http_error, map_response, unreadable
from .models import InstalledModel

if TYPE_CHECKING:
    import ollama

LOADING_TIMEOUT = 300.0
"""Seconds for which Ollama may be silent while it loads a model (its own `OLLAMA_LOAD_TIMEOUT`) or
checks a download."""


class Server:
    """The client of one base URL, and what is known about the models installed there."""

    def __init__(self, client: "ollama.AsyncClient") -> None:
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


class HTTPStatusError(Exception):
    """An error response with its headers, which `ollama.ResponseError` leaves out."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__()
        self.response = response


class Servers(ClientCache[Server]):
    """The Ollamas that were asked, by base URL, and the two kinds of requests to them."""

    def __init__(self) -> None:
        super().__init__(_build_server, close=lambda server: server.client.close())

    async def stream_lines(
        self,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any],
        read_timeout: float | None = None,
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Send a request and yield its response line by line; closing it closes the HTTP stream.

        `read_timeout` is for how many seconds the server may be silent, instead of
        `silence_timeout()`. Raises `BackendError`.
        """
        import httpx
        import ollama

        options: dict[str, Any] = {}
        if read_timeout:
            options["timeout"] = httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT)
        begun = False
        pictures = sum(len(message.get("images", ())) for message in body.get("messages", ()))
        try:
            async with self.use(endpoint.url) as server:
                # The SDK's `chat` cannot send `truncate` and `shift`: this is what it calls itself.
                request = server.client._request
                lines: Any = await request(dict, "POST", path, json=body, stream=True, **options)
                async with aclosing(lines):
                    while True:
                        # The first line sends the request.
                        with use_credentials(auth_headers(endpoint)):
                            line = await anext(lines, None)
                        if line is None:
                            return
                        begun = True
                        yield line
        except HTTPStatusError as error:
            response = replace(error.response, pictures=pictures)
            raise map_response(path, body["model"], response, endpoint) from error
        except ollama.ResponseError as error:  # in the middle of a stream
            response = ErrorResponse(None, {"error": error.error}, pictures=pictures)
            raise map_response(path, body["model"], response, endpoint) from error
        except (httpx.HTTPError, httpx.InvalidURL, ConnectionError) as error:
            raise map_http_error(error, endpoint, begun, read_timeout, pictures) from error
        except (ValueError, TypeError, AttributeError) as error:
            # A line that is no JSON object or no UTF-8, or an error that is no text, on which
            # the SDK trips.
            raise unreadable() from error

    async def request_json(
        self, endpoint: Endpoint, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a short request, with a body or without; its JSON. Raises `BackendError`."""
        import httpx

        method = "POST" if body else "GET"
        try:
            async with self.use(endpoint.url) as server:
                with use_credentials(auth_headers(endpoint)):
                    return await server.client._request(dict, method, path, json=body)
        except HTTPStatusError as error:
            raise map_response(path, "", error.response, endpoint) from error
        except (httpx.HTTPError, httpx.InvalidURL, ConnectionError) as error:
            raise map_http_error(error, endpoint, False) from error
        except (ValueError, TypeError) as error:
            raise unreadable() from error


def load_timeout() -> float:
    """Seconds without a byte while Ollama loads a model or checks what it downloaded."""
    return max(LOADING_TIMEOUT, silence_timeout())


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that carry the key; empty without one."""
    return {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Yield the lines of a stream of JSON objects, split at line feeds only.

    httpx splits at U+0085, U+2028 and others too, which may stand in JSON unescaped.
    Raises `ValueError` for a line that is not a JSON object.
    """
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield _decode_object(line)
    if rest.rstrip().endswith(b"}"):
        yield _decode_object(rest)


def _decode_object(line: bytes) -> str:
    if not line.lstrip().startswith(b"{"):
        raise ValueError("a line that is no JSON object")
    return line.decode("utf-8")


async def _check_response(response: Any) -> None:
    """Raise `HTTPStatusError` for an error status, else install `split_lines`: an httpx hook."""
    if not response.is_success:
        await response.aread()
        raise HTTPStatusError(
            ErrorResponse.parse(response.status_code, response.text, response.headers)
        )
    response.aiter_lines = lambda: split_lines(response.aiter_bytes())


def _build_server(url: str) -> Server:
    import httpx
    import ollama

    return Server(
        ollama.AsyncClient(
            url,
            follow_redirects=False,
            timeout=httpx.Timeout(silence_timeout(), connect=CONNECT_TIMEOUT),
            event_hooks={"request": [replace_sdk_headers], "response": [_check_response]},
        )
    )
