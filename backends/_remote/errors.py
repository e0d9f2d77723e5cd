"""Error responses of servers, and the `BackendError` that each stands for."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    ModelNotFoundError,
    RateLimitError,
    RetiredError,
    ServerError,
)
from .._core.unicode import clean
from .image_errors import map_image_error

_MAX_MESSAGE = 300
"""Characters of a server's own message that are shown."""
_CONTEXT_LENGTH = re.compile(
    r"context (length|size|window)|maximum context|tokens_limit_reached|exceed_context_size"
    r"|context_length_exceeded|too many tokens|prompt is too long|maximum model length",
    re.IGNORECASE,
)
_CONTENT_FILTER = re.compile(r"content[_ ](filter|management)|responsible ?ai", re.IGNORECASE)
_BASE64 = re.compile(
    r"(data:\w+/[\w.+-]+;base64,)?[A-Za-z0-9+/=_-]{120,}|data:\w+/[\w.+-]+;base64,\S*"
)
"""A picture as a data URL or in Base64: some servers repeat the request in their message."""


ErrorMapper = Callable[["ErrorResponse"], BackendError]
"""Makes the error that a response stands for."""


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
        except ValueError:
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
        body = _mapping(self.body)
        inner = _mapping(body.get("error")) or body
        names = (str(inner[name]) for name in ("code", "type", "title") if inner.get(name))
        return clean(" ".join(names))[:_MAX_MESSAGE]

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from `Retry-After` (seconds or a date); `None` without a usable one."""
        value = self.headers.get("retry-after", "").strip()
        if not value:
            return None
        try:
            seconds = float(value)
        except ValueError:
            try:
                at = parsedate_to_datetime(value)
            except ValueError:
                return None
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            seconds = (at - datetime.now(UTC)).total_seconds()
        return max(0.0, seconds) if math.isfinite(seconds) else None


def map_error(label: str, model: str, response: ErrorResponse) -> BackendError:
    """The `BackendError` for an error response, with the server's own message where it helps.

    `label` is the backend's name, `model` the model of the request; empty if it named none.
    `values["status"]` of the error is the HTTP status.
    """
    status = response.status if response.status is not None else _status_in_code(response.code)
    quoted = f" It says: “{response.server_message}”" if response.server_message else ""
    subject = f"“{model}”" if model else "this"
    text = f"{response.code} {response.server_message}"
    if status == 401:
        return AuthenticationError(
            f"{label} refused the key.", "Check it on the Models tab.", status=status
        )
    if status == 410 or "sunset" in response.headers:
        return RetiredError(
            f"{label} has switched {subject} off.{quoted}", "Choose another model.", status=status
        )
    if status == 403:
        return AuthenticationError(
            f"{label} does not let this key use {subject}.{quoted}",
            "Check what the key may do, or choose another model.",
            status=status,
        )
    if status == 402:
        return BadRequestError(
            f"The credit at {label} is used up, or this model costs money there.{quoted}",
            "Look at the account that the key belongs to, or choose another backend.",
            status=status,
        )
    if status == 429:
        wait = response.retry_after
        return RateLimitError(
            f"{label} gets too many requests at the moment.{quoted}",
            f"Try again in {_format_duration(wait)}." if wait else "Try again in a minute.",
            retry_after=wait,
            status=status,
        )
    if _CONTENT_FILTER.search(text):
        return content_filter_error(
            label, "this", filtered_categories(response.body), quoted, status=status
        )
    too_long = bool(_CONTEXT_LENGTH.search(text))
    if response.pictures and (
        failure := map_image_error(
            label, subject, response.pictures, text, quoted, status, too_long
        )
    ):
        return failure
    if status == 413 or too_long:
        return ContextLengthError(
            f"Prompt and answer do not fit into what {label} takes.{quoted}",
            "Shorten the prompt, lower “Max tokens”, or clear the conversation.",
            status=status,
        )
    if status == 404:
        return ModelNotFoundError(
            f"{label} does not have the model “{model}”.{quoted}",
            "Choose another model, or check the server's address.",
            status=status,
        )
    if status is not None and 300 <= status < 400:
        return BackendConnectionError(
            f"{label} redirects to another address; your key is not sent there.",
            "Type the new address on the Models tab.",
            status=status,
        )
    if status is not None and status < 500:
        return BadRequestError(
            f"{label} refused the request.{quoted}",
            "Change the settings or the model.",
            status=status,
        )
    shown = f" ({status})" if status else ""
    return ServerError(
        f"{label} failed{shown}.{quoted}",
        "It is not your fault. Try again later.",
        status=status,
        retry_after=response.retry_after,
    )


def content_filter_error(
    label: str, what: str, categories: tuple[str, ...], quoted: str = "", **values: object
) -> ContentFilterError:
    """The error for a prompt or an answer (`what`) that a content filter stopped.

    `categories` are the kinds of content it names; `quoted` is its message as a sentence.
    """
    kinds = f" for {' and '.join(categories)}" if categories else ""
    return ContentFilterError(
        f"A content filter at {label} stopped {what}{kinds}.{quoted}",
        "Say it in other words.",
        categories=categories,
        **values,
    )


def filtered_categories(body: object) -> tuple[str, ...]:
    """Names of the filtered categories in a content filter's report, at any depth.

    Such a report looks like `{"violence": {"filtered": true, "severity": "medium"}}`.
    """
    if isinstance(body, list):
        rows = [filtered_categories(row) for row in cast("list[object]", body)]
        return tuple(dict.fromkeys(name for row in rows for name in row))
    found: list[str] = []
    for name, value in _mapping(body).items():
        if _mapping(value).get("filtered") is True:
            found.append(name.replace("self_harm", "self-harm").replace("_", " "))
        else:
            found += filtered_categories(value)
    return tuple(dict.fromkeys(found))


_MAX_DEPTH = 20
"""Levels of a body that are read; a message does not stand deeper."""


def _redact(body: object, key: str, depth: int = 0) -> object:
    """The body with the key replaced in every string."""
    if isinstance(body, str):
        return body.replace(key, "…")
    if depth > _MAX_DEPTH:
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
        return "" if body.lstrip().startswith("<") else body  # HTML is a proxy's page, no message
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(body, list):
        parts = (_find_message(part, depth + 1) for part in cast("list[object]", body))
        return "; ".join(filter(None, parts))
    fields = _mapping(body)
    for name in ("error", "message", "detail", "msg", "title"):
        if name in fields and (message := _find_message(fields[name], depth + 1)):
            return message
    return ""


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _status_in_code(code: str) -> int | None:
    """The HTTP status in an error code such as `429 rate_limit`; `None` if there is none."""
    found = re.search(r"\b[45]\d\d\b", code)
    return int(found[0]) if found else None


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{round(seconds / 3600)} hours"
