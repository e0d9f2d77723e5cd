"""The base URL of a server, from an address as people paste it."""

import re
import unicodedata
from urllib.parse import urlsplit

from .._core.errors import BadRequestError
from .._core.pasted import clean_pasted

_HOST_PATTERN = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")
"""Host names in ASCII (international ones in their `xn--` form) and IP addresses."""
_NEVER_IN_URLS = re.compile(r"[\s\"'<>^`{|}]")
_SETTING = re.compile(r"^(?:export\s+|set\s+)?\w+\s*(?:=|:\s(?=\s*[\"']?https?:))\s*")
"""The name of a variable or a setting before an address: `OPENAI_BASE_URL=`."""
_SCHEME = re.compile(r"^(?:(https?)(?:://|:/+|//+))+", re.IGNORECASE)
"""A scheme, be it written twice or with a slash too few."""
_PORT_ALONE = re.compile(r"^:?(\d{2,5})(?=/|$)")
_HAS_PORT = re.compile(r"(?:^[^:]*|\]):\d+$")
_BELOW_VERSION = re.compile(
    r"(?<=/)(v\d+)/(?:chat|completions|models|embeddings|responses|messages|rerank|audio)(?:/.*)?$",
    re.IGNORECASE,
)
_ROUTE = re.compile(r"/(?:chat/completions|completions|models)$", re.IGNORECASE)
"""Routes of the protocol below a base URL, with a version in its path or without."""
_PAGE = re.compile(r"^/(?:docs|redoc|health|metrics|index\.html)$", re.IGNORECASE)
"""Pages of the usual servers beside the API, whose address a browser shows."""
_VERSION = re.compile(r"(?<=/)v\d+(?=/|$)", re.IGNORECASE)
PRIVATE_DOMAINS = frozenset(
    {"local", "localhost", "localdomain", "lan", "internal", "intranet", "home", "arpa", "corp"}
)
"""Top-level names that no public server has: RFC 6761, 6762, 8375, and those of routers."""


def normalize_url(url: str, default_path: str, default_port: int | None = None) -> str:
    """The base URL for an address as people paste it. Raises `BadRequestError` if it is none.

    `localhost:8000` becomes `http://localhost:8000/v1`, and
    `https://host/v1/chat/completions` becomes `https://host/v1`. With a `default_port`, an address
    without a scheme is one of plain http, at that port if it names no other.
    """
    text = _with_scheme(url, default_port)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if (
        not host
        or not _HOST_PATTERN.fullmatch(host)
        or ("[" in parts.netloc and ":" not in host)
        or not (text.isprintable() and text.isascii())
        or _NEVER_IN_URLS.search(text)
        or parts.scheme not in ("http", "https")
        or len(text) > 2000
    ):
        raise BadRequestError(
            "This is not the address of a server.",
            "It looks like http://localhost:8000/v1 or https://example.com/v1.",
            reason="bad_address",
        )
    if parts.username or parts.password or parts.query:
        raise BadRequestError(
            "An address must not hold a name, a password or a question mark.",
            "Type the key into its own field.",
            reason="bad_address",
        )
    path = _BELOW_VERSION.sub(r"\1", re.sub(r"/{2,}", "/", parts.path).rstrip("/"))
    path = _ROUTE.sub("", _PAGE.sub("", path))
    path = _VERSION.sub(lambda found: found[0].lower(), path)
    # Servers write "listening on 0.0.0.0", which is every address of their own machine.
    place = re.sub(r"^(0\.0\.0\.0)(?=:|$)", "127.0.0.1", parts.netloc.lower())
    place = place.replace("[::]", "[::1]").rstrip(":")
    return f"{parts.scheme}://{place}{path or default_path}"


def _with_scheme(url: str, default_port: int | None) -> str:
    """An address as it was pasted, with one scheme, and without what stood around it."""
    text = unicodedata.normalize("NFKC", clean_pasted(url[:4000])).replace("。", ".")
    text = clean_pasted(_SETTING.sub("", text).rstrip(".,;").replace("\\", "/"))
    if re.fullmatch(r"<.*>|\(.*\)|\[.*://.*\]", text):
        text = clean_pasted(text[1:-1])
    text = text.partition("#")[0].rstrip(".,;")
    if found := _SCHEME.match(text):
        return f"{found[1].lower()}://{text[found.end() :]}"
    if "://" in text:
        return text
    text = _PORT_ALONE.sub(r"localhost:\1", text.lstrip("/"))
    place, slash, path = text.partition("/")
    if place.count(":") > 1 and not place.startswith("["):
        place = f"[{place}]"
    if default_port:
        port = "" if _HAS_PORT.search(place) else f":{default_port}"
        return f"http://{place.rstrip(':')}{port}{slash}{path}"
    return f"{_likely_scheme(place)}://{place}{slash}{path}"


def _likely_scheme(place: str) -> str:
    """`https` for a public name without a port, where a key must not go in the clear."""
    domain = place.rpartition(".")[2].lower()
    public = "." in place and domain.isalpha() and domain not in PRIVATE_DOMAINS
    return "https" if public else "http"
