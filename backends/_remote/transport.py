"""What all HTTP of the backends keeps to: no strange headers, no compression, bounded bodies.

Imports httpx2, OpenAI's SDK's own client: so it is imported when the first client is built.
"""

import asyncio
import re
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2

from .._core.errors import BackendConnectionError, BackendError, ServerError, unusable_proxy
from .._core.sentence import Sentence
from .failures import connection_failed, disconnected, timed_out
from .http import sent_headers
from .public_address import check_public_url, not_public, resolve_public

TLS_GREETING = 1.0
"""Seconds in which a server must answer the greeting of an encrypted connection."""
MAX_BODY = 1_000_000
"""Bytes of an error response or a list that are read; the rest is left."""


def build_client(
    url: str, *, timeout: httpx2.Timeout, uses_proxies: bool = True, guarded: bool = False
) -> httpx2.AsyncClient:
    """A client for the requests to one base URL; it follows no redirects.

    A `guarded` one reaches public addresses only, and through no proxy: that would look names up
    itself. Raises `BackendConnectionError` if the proxy or the certificates that the environment
    names are of no use.
    """
    proxy = proxy_for(url) if uses_proxies and not guarded else None
    try:
        transport = BoundedTransport(PublicTransport() if guarded else _open_transport(proxy))
    except (ValueError, ImportError, httpx2.InvalidURL) as error:  # no such scheme, or no package
        raise unusable_proxy(urlsplit(url).hostname or "") from error
    except OSError as error:  # `ssl.SSLError` is one
        raise BackendConnectionError(
            "The file of certificates that this machine's environment names cannot be read.",
            "Correct SSL_CERT_FILE or SSL_CERT_DIR, and start the page again.",
            reason="tls",
        ) from error
    return httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL; never one for this machine itself."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if _is_this_machine(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    # As curl reads it: a proxy without a scheme is an HTTP proxy.
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _is_this_machine(host: str) -> bool:
    """Whether a host is an address of the loopback, or a name that never leads elsewhere."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


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
    if isinstance(error, BackendError):  # of `PublicTransport`
        return error
    if isinstance(error, httpx2.TimeoutException):
        connecting = isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout)
        return timed_out(label, connecting, begun, read_timeout)
    if isinstance(error, httpx2.DecodingError):
        return ServerError(
            Sentence("{label} sent a compressed answer, though none was asked for.", label=label),
            "A proxy between may do that: switch its compression off for this address.",
        )
    if begun:
        return disconnected(label)
    if isinstance(error, httpx2.ProxyError):
        return BackendConnectionError(
            Sentence(
                "The proxy that this machine's environment names does not lead to {url}.", url=url
            ),
            "Look at HTTP_PROXY and HTTPS_PROXY, or name the host in NO_PROXY.",
        )
    if failed := next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None):
        code, hint = _tls_failure(failed)
        return BackendConnectionError(Sentence(code, label=label, url=url), hint, reason="tls")
    failed = connection_failed(label, url, error, pictures)
    if proxy_for(url) and not failed.values.get("closed"):
        failed.hint = (
            "It was asked through the proxy that this machine's environment names (HTTP_PROXY, "
            "HTTPS_PROXY or ALL_PROXY): is that there? Or name the host in NO_PROXY."
        )
    return failed


async def if_encrypted(label: str, url: str, error: BackendError) -> BackendError:
    """The error for a server that hung up: that it speaks https, if http was asked of it.

    Most servers that want an encrypted connection close any other without a word, so it is greeted
    once in their way.
    """
    parts = urlsplit(url)
    if not error.values.get("closed") or parts.scheme != "http" or proxy_for(url):
        return error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    try:
        async with asyncio.timeout(TLS_GREETING):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 80, ssl=context, server_hostname=parts.hostname
            )
    except (OSError, TimeoutError, ValueError):
        return error
    writer.close()
    return _wants_https(label, url)


def wants_https(label: str, url: str, text: str) -> BackendError | None:
    """The error for a response that refuses plain http; `None` for any other.

    nginx, Apache and servers in Go answer 400, with those words in a page or a line of text.
    """
    plain = url.startswith("http:") and _PLAIN_HTTP_REFUSED.search(text[:2000])
    return _wants_https(label, url) if plain else None


_PLAIN_HTTP_REFUSED = re.compile(
    r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server"
    r"|speaking plain HTTP to an SSL",
    re.IGNORECASE,
)


def _wants_https(label: str, url: str) -> BackendError:
    return BackendConnectionError(
        Sentence("{label} at {url}: it speaks https only.", label=label, url=url),
        "Type the address with https:// instead of http://.",
        reason="tls",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_OWN_CERTIFICATE = (
    "If the server is yours, add its certificate to those that this machine trusts (or name it in "
    "SSL_CERT_FILE) and start the page again. In your own network, http:// does without."
)
_SIGNED_BY_ITSELF = "{label} at {url}: its certificate is signed by nobody but itself."
_SIGNED_BY_A_STRANGER = (
    "{label} at {url}: its certificate is signed by nobody that this machine trusts."
)
_CERTIFICATE_FAILURES = {
    **dict.fromkeys((18, 19), (_SIGNED_BY_ITSELF, _OWN_CERTIFICATE)),
    **dict.fromkeys((2, 20, 21), (_SIGNED_BY_A_STRANGER, _OWN_CERTIFICATE)),
    9: (
        "{label} at {url}: its certificate is not valid yet.",
        "Is the clock of this machine, or of that one, wrong?",
    ),
    10: (
        "{label} at {url}: its certificate has expired.",
        "Whoever runs the server has to renew it. Or is this machine's clock wrong?",
    ),
    **dict.fromkeys(
        (62, 63, 64),
        (
            "{label} at {url}: its certificate is for another name.",
            "Type the name that it was made for, as its owner gives it.",
        ),
    ),
}
"""The code of a sentence for what is wrong with a certificate, and what to do, by OpenSSL's numbers
(`X509_V_ERR_*` in `openssl/x509_vfy.h`)."""
_PLAIN_REPLIES = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""What OpenSSL calls a reply that is no TLS, by version."""


def _tls_failure(error: ssl.SSLError) -> tuple[str, str]:
    """The code of a sentence for what failed in encrypting a connection, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        other = ("{label} at {url}: its certificate is not trusted here.", _OWN_CERTIFICATE)
        return _CERTIFICATE_FAILURES.get(error.verify_code, other)
    if error.reason in _PLAIN_REPLIES:
        return (
            "{label} at {url}: it speaks plain http.",
            "Type the address with http:// instead of https://.",
        )
    return (
        "{label} at {url}: no encrypted connection can be made.",
        "Check the address and its certificate.",
    )


class BoundedTransport(httpx2.AsyncBaseTransport):
    """A transport that sends the headers of `sent_headers`, and bounds what comes back.

    Raises `httpx2.DecodingError` for a response that is compressed though nobody asked for that: a
    few bytes could stand for gigabytes.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

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
        if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            await response.stream.aclose()
            raise httpx2.DecodingError("a compressed response", request=request)
        streams = request.method == "POST" and response.status_code < 300
        if not streams:
            response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _open_transport(proxy: str | None = None) -> httpx2.AsyncHTTPTransport:
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
    return httpx2.AsyncHTTPTransport(proxy=proxy, limits=limits)


class PublicTransport(httpx2.AsyncBaseTransport):
    """A transport to public addresses, for what strangers type; see `public_address`.

    The name is looked up once for each request, and the connection goes to an address that was
    looked at. Certificate and `Host` stay those of the name.
    """

    def __init__(self) -> None:
        self._by_host: dict[str, httpx2.AsyncHTTPTransport] = {}
        """One for each name: connections are kept by address, and two names may share one."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncBaseTransport`. Raises `BackendError` if refused."""
        url = request.url
        check_public_url(str(url))
        host = url.host
        addresses = await resolve_public(host, url.port or 443)
        if host not in self._by_host:  # in a thread: to read certificates takes a while
            made = await asyncio.to_thread(_open_transport)
            self._by_host.setdefault(host, made)
        inner = self._by_host[host]
        for address in addresses:
            try:
                return await inner.handle_async_request(_sent_to(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise not_public()

    async def aclose(self) -> None:
        """Close all connections."""
        for inner in self._by_host.values():
            await inner.aclose()


def _sent_to(request: httpx2.Request, address: str) -> httpx2.Request:
    """A request that goes to an address instead of its name, and still speaks to that name."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


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
