"""Requests to an Ollama through its SDK, and everything that can go wrong with them."""

import json
import re
import shlex
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BadRequestError,
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    ServerError,
)
from .._core.unicode import clean
from .._remote.endpoint import (
    CONNECT_TIMEOUT,
    Address,
    count,
    hung_up,
    silence_timeout,
    timed_out,
    unreachable,
)
from .._remote.errors import Refusal, error_of
from .._remote.http import Clients, carrying, only_ours

if TYPE_CHECKING:
    import ollama

LABEL = "Ollama"

LOADING_TIMEOUT = 300.0
"""Seconds for which Ollama may be silent while it loads a model (its own `OLLAMA_LOAD_TIMEOUT`) or
checks a download."""

_SEEING = frozenset({"clip", "mllama"})
"""Families of vision parts: of LLaVA and its kin, of Llama 3.2 Vision."""

_NO_ROOM = re.compile(r"more system memory|out of memory|cudaMalloc|insufficient memory", re.I)
_NO_DISK = re.compile(r"no space left|not enough space|disk quota", re.I)
_OFFLINE = re.compile(
    r"no such host|dial tcp|i/o timeout|connection re(set|fused)|unreachable|max retries|TLS hand",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that an Ollama has."""

    quantisation: str
    """How its weights are rounded, such as `Q4_0`; empty if it does not say."""
    size: int | None
    sees: bool | None = None
    """Whether it reads pictures; `None` where the list does not tell."""
    digest: str = ""
    """Names its content, the same for the same one; empty if the list does not tell."""


class Server:
    """The client of one address, and what is installed there as last seen, by full name."""

    def __init__(self, client: "ollama.AsyncClient") -> None:
        self.client = client
        self.installed: dict[str, Installed] = {}
        self.seeing: dict[str, bool | None] = {}
        """Whether a model reads pictures, by its digest, where that had to be asked."""

    def sees(self, name: str) -> bool | None:
        """Whether an installed model reads pictures, as far as that is known by now."""
        found = self.installed.get(name)
        if found is None:
            return None
        return self.seeing.get(found.digest) if found.sees is None else found.sees


class Refused(Exception):
    """A refusal with its headers, which the SDK's own error leaves out."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


async def lines(
    address: Address,
    path: str,
    body: dict[str, Any],
    patience: float | None = None,
) -> AsyncGenerator[Mapping[str, Any], None]:
    """What a request answers, line by line; closing it closes the HTTP stream.

    `patience` is for how many seconds it may be silent, instead of `silence_timeout()`.
    Raises `BackendError`.
    """
    import httpx
    import ollama

    more: dict[str, Any] = {}
    if patience:
        more["timeout"] = httpx.Timeout(patience, connect=CONNECT_TIMEOUT)
    begun = False
    pictures = sum(len(message.get("images", ())) for message in body.get("messages", ()))
    try:
        client = (await SERVERS.at(address.url)).client
        # The SDK's `chat` cannot send `truncate` and `shift`: this is what it calls itself.
        told: Any = await client._request(dict, "POST", path, json=body, stream=True, **more)
        async with aclosing(told):
            while True:
                with carrying(credentials(address)):  # the first line sends the request
                    line = await anext(told, None)
                if line is None:
                    return
                begun = True
                yield line
    except Refused as error:
        refusal = replace(error.refusal, pictures=pictures)
        raise _refused(path, body["model"], refusal, address) from error
    except ollama.ResponseError as error:  # in the middle of a stream
        refusal = Refusal(None, {"error": error.error}, pictures=pictures)
        raise _refused(path, body["model"], refusal, address) from error
    except (httpx.HTTPError, httpx.InvalidURL, ConnectionError) as error:
        raise _failure(error, address, begun, patience, pictures) from error
    except (ValueError, TypeError, AttributeError) as error:
        # A line that is no JSON object or not UTF-8; the SDK trips over errors that are no text.
        raise _unreadable() from error


async def get(address: Address, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a short request answers, with a body or without. Raises `BackendError`."""
    import httpx

    method = "POST" if body else "GET"
    try:
        client = (await SERVERS.at(address.url)).client
        with carrying(credentials(address)):
            return await client._request(dict, method, path, json=body)
    except Refused as error:
        raise _refused(path, "", error.refusal, address) from error
    except (httpx.HTTPError, httpx.InvalidURL, ConnectionError) as error:
        raise _failure(error, address, False) from error
    except (ValueError, TypeError) as error:
        raise _unreadable() from error


def _refused(path: str, model: str, refusal: Refusal, address: Address) -> BackendError:
    """What a refusal, or an error in the middle of a stream, means here."""
    refusal = _unwrapped(refusal).without(address.key)
    words, status = refusal.words, refusal.status
    told = f" It says: “{words}”" if words else ""
    if _NO_ROOM.search(words):
        return OutOfMemoryError(
            f"“{model}” does not fit into the memory that Ollama has.{told}",
            "Choose a smaller model, or close other programs on that machine.",
            status=status,
        )
    if path == "/api/pull" and (failure := _pull_failure(model, words, told)):
        return failure
    if status == 404 and model:
        return ModelNotFoundError(
            f"Ollama does not have “{model}”.",
            f"Press Download, or run: ollama pull {shlex.quote(model)}",
            status=status,
        )
    if status == 404:
        return BackendConnectionError(
            f"What answers at {address.url} is not Ollama.", "Check the address.", status=status
        )
    return error_of(LABEL, model, refusal)


def _failure(
    error: Exception,
    address: Address,
    begun: bool,
    patience: float | None = None,
    pictures: int = 0,
) -> BackendError:
    """The error of ours that stands for one of the HTTP client's."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return timed_out(LABEL, isinstance(error, httpx.ConnectTimeout), begun, patience)
    if isinstance(error, httpx.DecodingError):
        return _unreadable()
    return hung_up(LABEL) if begun else unreachable(LABEL, address.url, error, pictures)


def _unreadable() -> BackendError:
    return ServerError(
        f"{LABEL} sent something that cannot be read.",
        "It is not your fault. Try again, or check that the address is right.",
    )


def _pull_failure(model: str, words: str, told: str) -> BackendError | None:
    """Why a download failed, where Ollama's own words tell."""
    if "does not exist" in words or "not found" in words:
        return ModelNotFoundError(
            f"Ollama's library has no “{model}”.", "See https://ollama.com/library for its names."
        )
    if _NO_DISK.search(words):
        return OutOfDiskError(
            f"“{model}” does not fit onto the disk of the machine that Ollama runs on.",
            "Make room there, and press Download again: what came is kept.",
        )
    if _OFFLINE.search(words):
        return BackendConnectionError(
            f"Ollama cannot reach its library.{told}",
            "Is the machine that it runs on connected to the internet?",
        )
    if "newer version" in words:
        return BadRequestError(
            f"This Ollama is too old for “{model}”.", "Update it: https://ollama.com/download"
        )
    return None


def _unwrapped(refusal: Refusal) -> Refusal:
    """A refusal without Ollama's wrapping: its engine's own is JSON in the text of `error`."""
    body = refusal.body
    inner = body.get("error") if isinstance(body, dict) else None
    if not isinstance(inner, str) or not inner.startswith("{"):
        return refusal
    try:
        return replace(refusal, body=json.loads(inner))
    except ValueError:
        return refusal


def installed_in(told: Mapping[str, Any]) -> dict[str, Installed]:
    """The models in an answer of `/api/tags`, by full name."""
    found: dict[str, Installed] = {}
    for row in rows_of(told):
        details = row.get("details")
        details = details if isinstance(details, dict) else {}
        name, size = row.get("model") or row.get("name"), count(row.get("size"))
        if isinstance(name, str) and len(name) <= 200 and "bert" not in str(details.get("family")):
            # A BERT makes vectors, no answers.
            found[full_name(clean(name))] = Installed(
                clean(str(details.get("quantization_level") or ""))[:20],
                size,
                sees_by(row),
                str(row.get("digest") or "")[:80],
            )
    return found


def sees_by(told: Mapping[str, Any]) -> bool | None:
    """Whether a model reads pictures, from what `/api/tags` or `/api/show` tells of it.

    Both tell `capabilities`: the first since 2026, the second since 0.6.4 of 2025 (ollama#14964,
    #16665). Before that the families of a model with a vision part told that it has one.
    """
    able = told.get("capabilities")
    if isinstance(able, list) and able:
        return "vision" in able
    details = told.get("details")
    families = details.get("families") if isinstance(details, dict) else None
    seeing = isinstance(families, list) and not _SEEING.isdisjoint(map(str, families))
    return True if seeing else None


def full_name(model: str) -> str:
    """A model's name with its tag, as Ollama lists it: `phi3` is `phi3:latest`."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def rows_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models in an answer that lists some."""
    rows = told.get("models")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def long_silence() -> float:
    """Seconds without a byte while Ollama loads a model or checks what it downloaded."""
    return max(LOADING_TIMEOUT, silence_timeout())


def credentials(address: Address) -> dict[str, str]:
    """The headers that carry the key."""
    return {"authorization": f"Bearer {address.key}"} if address.key else {}


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Bytes as lines that end at a line feed and nothing else.

    httpx ends them at U+0085, U+2028 and others too, which may stand in JSON as they are.
    Raises `ValueError` for what is not a JSON object.
    """
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield _object(line)
    if rest.rstrip().endswith(b"}"):
        yield _object(rest)


def _object(line: bytes) -> str:
    if not line.lstrip().startswith(b"{"):
        raise ValueError("a line that is no JSON object")
    return line.decode("utf-8")


async def _hear(response: Any) -> None:
    """Raise what is a refusal, whole, and read lines in our way: an httpx event hook."""
    if not response.is_success:
        await response.aread()
        raise Refused(Refusal.of(response.status_code, response.text, response.headers))
    response.aiter_lines = lambda: lines_of(response.aiter_bytes())


def _build(url: str) -> Server:
    import httpx
    import ollama

    return Server(
        ollama.AsyncClient(
            url,
            follow_redirects=False,
            timeout=httpx.Timeout(silence_timeout(), connect=CONNECT_TIMEOUT),
            event_hooks={"request": [only_ours], "response": [_hear]},
        )
    )


SERVERS: Clients[Server] = Clients(_build)
