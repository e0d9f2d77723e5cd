"""What all HTTP of the backends keeps to: no strange headers, no compression, bounded bodies.

Imports httpx2, OpenAI's SDK's own client: so it is imported when the first client is built.
"""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx2

from .._core.errors import BackendConnectionError, BackendError, ServerError
from .endpoint import connection_failed, disconnected, timed_out
from .http import sent_headers

MAX_BODY = 1_000_000
"""Bytes of an error response or a list that are read; the rest is left."""


def build_client(
    url: str, *, timeout: httpx2.Timeout, uses_proxies: bool = True
) -> httpx2.AsyncClient:
    """A client for the requests to one base URL; it follows no redirects."""
    transport = BoundedTransport(proxy_for(url) if uses_proxies else None)
    return httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL; never one for this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    own = host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")
    if own or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def transport_error(
    label: str,
    url: str,
    error: BaseException | None,
    begun: bool,
    pictures: int = 0,
    read_timeout: float | None = None,
) -> BackendError:
    """The error for an exception of the HTTP client; `begun`: after the first text.

    `pictures` and `read_timeout` are as in `connection_failed` and `timed_out`.
    """
    if isinstance(error, httpx2.TimeoutException):
        connecting = isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout)
        return timed_out(label, connecting, begun, read_timeout)
    if isinstance(error, httpx2.DecodingError):
        return ServerError(
            f"{label} sent a compressed answer, though none was asked for.",
            "A proxy between may do that: switch its compression off for this address.",
        )
    if begun:
        return disconnected(label)
    if isinstance(error, httpx2.ProxyError):
        return BackendConnectionError(
            f"The proxy that this machine's environment names does not lead to {url}.",
            "Look at HTTP_PROXY and HTTPS_PROXY, or name the host in NO_PROXY.",
        )
    if reason := next((why for one in _causes(error) if (why := _tls_failure(one))), None):
        return BackendConnectionError(f"{label} at {url}: {reason[0]}", reason[1], reason="tls")
    return connection_failed(label, url, error, pictures)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_CERTIFICATE_FAILURES = {10: "has expired", 18: "is signed by itself", 19: "is signed by itself"}
"""OpenSSL's numbers (`X509_V_ERR_*` in `openssl/x509_vfy.h`)."""


def _tls_failure(error: BaseException) -> tuple[str, str] | None:
    """What failed in encrypting a connection, and what to do; `None` if nothing did."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = _CERTIFICATE_FAILURES.get(error.verify_code, "is not trusted here")
        if error.verify_code == 62 or "match" in error.verify_message.lower():
            what = "is for another name"
        return (
            f"its certificate {what}.",
            "If the server is yours, add its certificate by SSL_CERT_FILE before the start, or use "
            "http:// in your own network.",
        )
    if isinstance(error, ssl.SSLError):
        plain = error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
        return (
            ("it speaks plain http.", "Type the address with http:// instead of https://.")
            if plain
            else ("no encrypted connection can be made.", "Check the address and its certificate.")
        )
    return None


class BoundedTransport(httpx2.AsyncBaseTransport):
    """A transport that sends the headers of `sent_headers`, and bounds what comes back.

    Raises `httpx2.DecodingError` for a response that is compressed though nobody asked for that: a
    few bytes could stand for gigabytes.
    """

    def __init__(self, proxy: str | None = None) -> None:
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        self._inner = httpx2.AsyncHTTPTransport(proxy=proxy, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncBaseTransport`."""
        headers = sent_headers(dict(request.headers))
        request = httpx2.Request(
            request.method,
            request.url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.stream.aclose()
            raise httpx2.DecodingError("a compressed response", request=request)
        streams = request.method == "POST" and response.status_code < 300
        if not streams:
            response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


async def read_bounded(response: httpx2.Response) -> str:
    """The first `MAX_BODY` bytes of a response, as text."""
    text = b""
    async for data in response.aiter_bytes():
        text += data
        if len(text) >= MAX_BODY:
            break
    return text[:MAX_BODY].decode("utf-8", "replace")


class _BoundedStream(httpx2.AsyncByteStream):
    """The first `MAX_BODY` bytes of a stream."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for data in self._inner:
            yield data[: MAX_BODY - size]
            size += len(data)
            if size >= MAX_BODY:
                return

    async def aclose(self) -> None:
        await self._inner.aclose()
