"""An error response of a server, in any of the shapes that servers send."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from .._core.sentence import Sentence
from .._core.unicode import clean
from .json_values import parse_mapping

_MAX_MESSAGE = 300
"""Characters of a server's own message that are shown."""
_DIGIT = "[A-Za-z0-9+/=_-]"
_BASE64 = re.compile(
    rf"data:\w+/[\w.+-]+;base64,(?:{_DIGIT}{{120,}}|\S*)|(?<!{_DIGIT}){_DIGIT}{{120,}}"
)
"""A picture as a data URL or in Base64: some servers repeat the request in their message.

A run of digits is looked at from its start only, so that the time is linear.
"""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error response as it came; `status` is `None` for an error in the middle of a stream."""

    status: int | None
    body: object = field(default=None, repr=False)
    """The decoded JSON, or the text if it is no JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    pictures: int = 0
    """Number of pictures in the request."""

    @classmethod
    def parse(
        cls, status: int, text: str, headers: Mapping[str, str], pictures: int = 0
    ) -> "ErrorResponse":
        """Build it from what an HTTP client has: the body as text, JSON or not."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, or nested too deeply
            body = text
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(status, body, lower, pictures)

    def redacted(self, key: str | None) -> "ErrorResponse":
        """The same without the key, which some servers repeat in their message."""
        return replace(self, body=_redact(self.body, key)) if key else self

    @property
    def server_message(self) -> str:
        """The server's own message on one line, shortened, without pictures; empty if none."""
        text = " ".join(_BASE64.sub("…", clean(_find_message(self.body))).split())
        return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE].rstrip() + " …"

    @property
    def code(self) -> str:
        """The error's code, type and title, joined by spaces; empty if it has none."""
        body = parse_mapping(self.body)
        inner = parse_mapping(body.get("error")) or body
        told = (inner.get(name) for name in ("code", "type", "title"))
        return clean(" ".join(str(one) for one in told if one and isinstance(one, str | int)))[
            :_MAX_MESSAGE
        ]

    @property
    def meant_status(self) -> int | None:
        """The HTTP status, or the one that the error's code names; `None` if neither does."""
        if self.status is not None:
            return self.status
        found = re.search(r"\b[45]\d\d\b", self.code)
        return int(found[0]) if found else None

    @property
    def quoted(self) -> str:
        """The server's own message as a sentence that follows another; empty if none."""
        if not self.server_message:
            return ""
        return Sentence(" It says: “{said}”", said=self.server_message)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from `Retry-After` (seconds or a date) or Azure's in milliseconds.

        `None` without a usable one.
        """
        value = self.headers.get("retry-after", "").strip()
        milliseconds = self.headers.get("retry-after-ms", "").strip()
        if not value and not milliseconds:
            return None
        try:
            seconds = float(value.removesuffix("s")) if value else float(milliseconds) / 1000
        except ValueError:
            try:
                at = parsedate_to_datetime(value)
            except ValueError:
                return None
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            seconds = (at - datetime.now(UTC)).total_seconds()
        return max(0.0, seconds) if math.isfinite(seconds) else None


MAX_DEPTH = 20
"""Levels of a body that are read; a message does not stand deeper."""


def _redact(body: object, key: str, depth: int = 0) -> object:
    """The body with the key replaced in every string."""
    if isinstance(body, str):
        return body.replace(key, "…")
    if depth > MAX_DEPTH:
        return None
    if isinstance(body, list):
        return [_redact(part, key, depth + 1) for part in cast("list[object]", body)]
    if isinstance(body, Mapping):
        parts = cast("Mapping[object, object]", body)
        return {name: _redact(part, key, depth + 1) for name, part in parts.items()}
    return body


def _find_message(body: object, depth: int = 0) -> str:
    """The message in a body of any of the shapes that servers send; empty if there is none."""
    if isinstance(body, str):
        if body.lstrip().startswith("<"):
            return ""  # HTML is a proxy's page, no message
        return _unwrapped(body, depth)
    if not body or depth > MAX_DEPTH:
        return ""
    if isinstance(body, list):
        parts = (_find_message(part, depth + 1) for part in cast("list[object]", body))
        return "; ".join(filter(None, parts))
    fields = {str(name).lower(): value for name, value in parse_mapping(body).items()}
    told = (_find_message(fields[name], depth + 1) for name in _MESSAGES if name in fields)
    message = next(filter(None, told), "")
    # OpenRouter's place for the words of the service behind it.
    raw = _find_message(parse_mapping(fields.get("metadata")).get("raw"), depth + 1)
    return f"{message}: {raw}" if message and raw else message


_MESSAGES = (
    "error_description",  # OAuth's, beside a code in `error`
    "error",
    "message",
    "detail",
    "errors",  # Cloudflare's Workers AI
    "msg",
    "faultstring",  # Apigee
    "fault",
    "reason",
    "status_msg",  # MiniMax
    "base_resp",
    "title",
    "status",
)
"""Where a message stands, the likeliest first; in lower case."""


def _unwrapped(text: str, depth: int) -> str:
    """A message, be it in JSON within the text, as gateways pass on the error of a server."""
    if not text.startswith(("{", "[")) or depth > MAX_DEPTH:
        return text
    try:
        return _find_message(json.loads(text), depth + 1) or text
    except (ValueError, RecursionError):
        return text
