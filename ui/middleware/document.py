"""The page's document: something to read at once, and what to fetch, told before scripts ask."""

import asyncio
import gzip
import re
from functools import lru_cache
from html import escape
from typing import Literal

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..shell import preferred_language, shell_html

_SCRIPTS = re.compile(r"/assets/[\w.-]+\.js")
_STYLES = re.compile(r"/assets/[\w.-]+\.css")
_EVENT = "/gradio_api/"
_MOST = 120
"""Files that are told beforehand; a page asks for about 70."""
_BODY = re.compile(rb"<body\b[^>]*>")
_ICON = '<link rel="icon" type="image/svg+xml" href="./favicon.ico">'
"""Relative to the page: without it a browser asks at the root of the host, which below a path is
not this page's."""

Encoding = Literal["br", "gzip", ""]


class FilesAsked:
    """The scripts and styles for which pages asked while they opened.

    Scripts import scripts: a browser learns of the last ones after four round trips. Those that one
    page asked for, the next one is told of in its document.
    """

    def __init__(self) -> None:
        self._opening = False
        self._files: dict[str, None] = {}  # a set in order

    def see(self, method: str, path: str) -> None:
        """Note a request."""
        if path == "/":
            self._opening = True
        elif method == "POST" and path.startswith(_EVENT):
            self._opening = False  # what comes from now on is not for the opening

    def add(self, path: str) -> None:
        """Note that a file was sent."""
        known = _SCRIPTS.fullmatch(path) or _is_style(path)
        if self._opening and len(self._files) < _MOST and known:
            self._files[path] = None

    @property
    def links(self) -> bytes:
        """The elements that have a browser fetch them, and the page's icon."""
        return "".join([_ICON, *map(_link, self._files)]).encode()


def _is_style(path: str) -> bool:
    return _STYLES.fullmatch(path) is not None


def _link(path: str) -> str:
    # `crossorigin` as Gradio asks for them, else they would be fetched twice.
    kind = 'rel="preload" as="style"' if _is_style(path) else 'rel="modulepreload"'
    return f'<link {kind} crossorigin href=".{escape(path)}">'


class Document:
    """Sends the document with the shell and the links in it, compressed once for all visitors.

    Who asks for its headers only is told at once that it is there. Gradio does, before it serves:
    a slow machine took longer to render the page than it waits.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.files = app, FilesAsked()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change the document; let everything else through."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        self.files.see(scope["method"], path)
        if path == "/" and scope["method"] == "HEAD":
            return await Response(media_type="text/html")(scope, receive, send)
        if path != "/" or scope["method"] != "GET":
            return await self.app(scope, receive, self._noting(path, send))
        answer = _Whole(send, self.files.links, Headers(scope=scope))
        await self.app(scope, receive, answer.send)

    def _noting(self, path: str, send: Send) -> Send:
        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.files.add(path)
            await send(message)

        return send_noted


class _Whole:
    """Holds a document back until all of it is there, and sends it with what was added."""

    def __init__(self, send: Send, links: bytes, asked: Headers) -> None:
        self._send, self._links = send, links
        self._shell = shell_html(preferred_language(asked.get("accept-language", ""))).encode()
        self._encoding = _encoding(asked.get("accept-encoding", ""))
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take a message of the response."""
        if message["type"] == "http.response.start":
            headers = Headers(scope=message)
            html = headers.get("content-type", "").startswith("text/html")
            if html and message["status"] == 200 and "content-encoding" not in headers:
                self._start = message
                return
        if self._start is None:
            return await self._send(message)
        self._body.append(message.get("body", b""))
        if message.get("more_body", False):
            return None
        body = _with(b"".join(self._body), self._links, self._shell)
        body = await asyncio.to_thread(_compressed, body, self._encoding)
        headers = MutableHeaders(scope=self._start)
        headers["Content-Length"] = str(len(body))
        headers.add_vary_header("Accept-Encoding")
        headers.add_vary_header("Accept-Language")
        if self._encoding:
            headers["Content-Encoding"] = self._encoding
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _with(document: bytes, links: bytes, shell: bytes) -> bytes:
    """Return a document with the links in its head, and the shell at the beginning of its body."""
    document = document.replace(b"</head>", links + b"</head>", 1)
    return _BODY.sub(lambda found: found[0] + shell, document, count=1)


def _encoding(accepted: str) -> Encoding:
    """Return the best encoding that a browser accepts."""
    pairs = (one.partition(";") for one in accepted.replace(" ", "").split(","))
    names = {name for name, _, weight in pairs if weight not in ("q=0", "q=0.0")}
    return "br" if "br" in names else "gzip" if "gzip" in names else ""


@lru_cache(maxsize=16)
def _compressed(body: bytes, encoding: Encoding) -> bytes:
    """Compress a document; it is the same for all visitors of a language."""
    if encoding == "br":
        return brotli.compress(body, quality=5, lgwin=20)
    return gzip.compress(body, 6, mtime=0) if encoding else body


__all__ = ["Document"]
