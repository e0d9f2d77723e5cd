"""What a server says instead of an answer: its status, body and headers as an error of ours."""

import json
import math
import re
from collections.abc import Mapping
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
from .image_errors import picture_refused

_MOST_WORDS = 300
"""Characters of a server's own words that are shown."""
_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum context|tokens_limit_reached|exceed_context_size"
    r"|context_length_exceeded|too many tokens|prompt is too long|maximum model length",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content[_ ](filter|management)|responsible ?ai", re.IGNORECASE)
_DATA = re.compile(
    r"(data:\w+/[\w.+-]+;base64,)?[A-Za-z0-9+/=_-]{120,}|data:\w+/[\w.+-]+;base64,\S*"
)
"""A picture as text, or anything as long: some servers repeat what they refuse."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it came. `status` is `None` for one in the middle of a stream."""

    status: int | None
    body: object = field(default=None, repr=False)
    """Its JSON, or its text where it is none."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    pictures: int = 0
    """How many pictures the request held."""

    @classmethod
    def of(cls, status: int, text: str, headers: Mapping[str, str], pictures: int = 0) -> "Refusal":
        """A refusal as an HTTP client has it: the body as text, JSON or not."""
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(status, body, lower, pictures)

    def without(self, key: str | None) -> "Refusal":
        """The same, but for the key: some servers repeat it in what they say."""
        return replace(self, body=_hidden(self.body, key)) if key else self

    @property
    def words(self) -> str:
        """What the server says about it, in its own words, on one line; empty if nothing.

        Never a picture that was sent.
        """
        text = " ".join(_DATA.sub("…", clean(_words(self.body))).split())
        return text if len(text) <= _MOST_WORDS else text[:_MOST_WORDS].rstrip() + " …"

    @property
    def code(self) -> str:
        """The names it gives the failure: code and type, in whatever field they stand."""
        body = _mapping(self.body)
        inner = _mapping(body.get("error")) or body
        names = (str(inner[name]) for name in ("code", "type", "title") if inner.get(name))
        return clean(" ".join(names))[:_MOST_WORDS]

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from `Retry-After` (seconds or a date); `None` if it does not say."""
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


def error_of(label: str, model: str, refusal: Refusal) -> BackendError:
    """The error that stands for a refusal, with the server's own words where they help.

    `label` is the backend's name, `model` the one that was asked. `values["status"]` is the HTTP
    status.
    """
    status = refusal.status if refusal.status is not None else _status_in(refusal.code)
    told = f" It says: “{refusal.words}”" if refusal.words else ""
    what = f"“{model}”" if model else "this"
    found = f"{refusal.code} {refusal.words}"
    if status == 401:
        return AuthenticationError(
            f"{label} refused the key.", "Check it on the Models tab.", status=status
        )
    if status == 410 or "sunset" in refusal.headers:
        return RetiredError(
            f"{label} has switched {what} off.{told}", "Choose another model.", status=status
        )
    if status == 403:
        return AuthenticationError(
            f"{label} does not let this key use {what}.{told}",
            "Check what the key may do, or choose another model.",
            status=status,
        )
    if status == 402:
        return BadRequestError(
            f"The credit at {label} is used up, or this model costs money there.{told}",
            "Look at the account that the key belongs to, or choose another backend.",
            status=status,
        )
    if status == 429:
        wait = refusal.retry_after
        return RateLimitError(
            f"{label} gets too many requests at the moment.{told}",
            f"Try again in {_duration(wait)}." if wait else "Try again in a minute.",
            retry_after=wait,
            status=status,
        )
    if _FILTERED.search(found):
        return filtered(label, "this", filtered_for(refusal.body), told, status=status)
    too_long = bool(_TOO_LONG.search(found))
    if refusal.pictures and (
        failure := picture_refused(label, what, refusal.pictures, found, told, status, too_long)
    ):
        return failure
    if status == 413 or too_long:
        return ContextLengthError(
            f"Prompt and answer do not fit into what {label} takes.{told}",
            "Shorten the prompt, lower “Max tokens”, or clear the conversation.",
            status=status,
        )
    if status == 404:
        return ModelNotFoundError(
            f"{label} does not have the model “{model}”.{told}",
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
            f"{label} refused the request.{told}",
            "Change the settings or the model.",
            status=status,
        )
    shown = f" ({status})" if status else ""
    return ServerError(
        f"{label} failed{shown}.{told}",
        "It is not your fault. Try again later.",
        status=status,
        retry_after=refusal.retry_after,
    )


def filtered(
    label: str, what: str, categories: tuple[str, ...], told: str = "", **values: object
) -> ContentFilterError:
    """A content filter stopped a prompt or an answer: for which kinds of content, if it says."""
    kinds = f" for {' and '.join(categories)}" if categories else ""
    return ContentFilterError(
        f"A content filter at {label} stopped {what}{kinds}.{told}",
        "Say it in other words.",
        categories=categories,
        **values,
    )


def filtered_for(body: object) -> tuple[str, ...]:
    """The categories in a content filter's report that made it stop, wherever they stand.

    `{"violence": {"filtered": true, "severity": "medium"}}` is such a report.
    """
    if isinstance(body, list):
        rows = [filtered_for(row) for row in cast("list[object]", body)]
        return tuple(dict.fromkeys(name for row in rows for name in row))
    found: list[str] = []
    for name, value in _mapping(body).items():
        if _mapping(value).get("filtered") is True:
            found.append(name.replace("self_harm", "self-harm").replace("_", " "))
        else:
            found += filtered_for(value)
    return tuple(dict.fromkeys(found))


_DEEPEST = 20
"""Levels of a body that are read: what a server means to say does not stand deeper."""


def _hidden(body: object, key: str, depth: int = 0) -> object:
    """A body with every text in it rid of the key."""
    if isinstance(body, str):
        return body.replace(key, "…")
    if depth > _DEEPEST:
        return None
    if isinstance(body, list):
        return [_hidden(part, key, depth + 1) for part in cast("list[object]", body)]
    if isinstance(body, Mapping):
        parts = cast("Mapping[object, object]", body)
        return {name: _hidden(part, key, depth + 1) for name, part in parts.items()}
    return body


def _words(body: object, depth: int = 0) -> str:
    """The message in a body of any of the shapes that were seen."""
    if isinstance(body, str):
        return "" if body.lstrip().startswith("<") else body  # a proxy's web page says nothing
    if depth > _DEEPEST:
        return ""
    if isinstance(body, list):
        parts = (_words(part, depth + 1) for part in cast("list[object]", body))
        return "; ".join(filter(None, parts))
    told = _mapping(body)
    for name in ("error", "message", "detail", "msg", "title"):
        if name in told and (words := _words(told[name], depth + 1)):
            return words
    return ""


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _status_in(code: str) -> int | None:
    """An HTTP status among the names of a failure, as in `429 rate_limit`."""
    found = re.search(r"\b[45]\d\d\b", code)
    return int(found[0]) if found else None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{round(seconds / 3600)} hours"
