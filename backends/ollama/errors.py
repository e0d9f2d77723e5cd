"""The `BackendError` for each way in which a request to an Ollama can fail."""

import json
import re
import shlex
from dataclasses import replace

from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BadRequestError,
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    ServerError,
)
from .._remote.endpoint import Endpoint
from .._remote.errors import ErrorResponse, map_error

LABEL = "Ollama"

_OUT_OF_MEMORY = re.compile(
    r"more system memory|out of memory|cudaMalloc|insufficient memory", re.IGNORECASE
)
_OUT_OF_DISK = re.compile(r"no space left|not enough space|disk quota", re.IGNORECASE)
_OFFLINE = re.compile(
    r"no such host|dial tcp|i/o timeout|connection re(set|fused)|unreachable|max retries|TLS hand",
    re.IGNORECASE,
)
"""Messages of a failed download where Ollama cannot reach its own library."""


def map_response(
    path: str, model: str, response: ErrorResponse, endpoint: Endpoint
) -> BackendError:
    """The error for an error response, or for an error in the middle of a stream.

    `path` is the API's, `model` the one of the request; empty if it named none.
    """
    response = _unwrap(response).redacted(endpoint.key)
    message, status = response.server_message, response.status
    quoted = f" It says: “{message}”" if message else ""
    if _OUT_OF_MEMORY.search(message):
        return OutOfMemoryError(
            f"“{model}” does not fit into the memory that Ollama has.{quoted}",
            "Choose a smaller model, or close other programs on that machine.",
            status=status,
        )
    if path == "/api/pull" and (error := _pull_error(model, message, quoted)):
        return error
    if status == 404 and model:
        return ModelNotFoundError(
            f"Ollama does not have “{model}”.",
            f"Press Download, or run: ollama pull {shlex.quote(model)}",
            status=status,
        )
    if status == 404:
        return BackendConnectionError(
            f"What answers at {endpoint.url} is not Ollama.", "Check the address.", status=status
        )
    return map_error(LABEL, model, response)


def unreadable() -> BackendError:
    """The error for a response that is not in Ollama's format."""
    return ServerError(
        f"{LABEL} sent something that cannot be read.",
        "It is not your fault. Try again, or check that the address is right.",
    )


def _pull_error(model: str, message: str, quoted: str) -> BackendError | None:
    """The error for a failed download; `None` if Ollama's message does not tell why it failed."""
    if "does not exist" in message or "not found" in message:
        return ModelNotFoundError(
            f"Ollama's library has no “{model}”.", "See https://ollama.com/library for its names."
        )
    if _OUT_OF_DISK.search(message):
        return OutOfDiskError(
            f"“{model}” does not fit onto the disk of the machine that Ollama runs on.",
            "Make room there, and press Download again: what came is kept.",
        )
    if _OFFLINE.search(message):
        return BackendConnectionError(
            f"Ollama cannot reach its library.{quoted}",
            "Is the machine that it runs on connected to the internet?",
        )
    if "newer version" in message:
        return BadRequestError(
            f"This Ollama is too old for “{model}”.", "Update it: https://ollama.com/download"
        )
    return None


def _unwrap(response: ErrorResponse) -> ErrorResponse:
    """The same with the engine's own error, which Ollama wraps as JSON in the text of `error`."""
    body = response.body
    inner = body.get("error") if isinstance(body, dict) else None
    if not isinstance(inner, str) or not inner.startswith("{"):
        return response
    try:
        return replace(response, body=json.loads(inner))
    except ValueError:
        return response
