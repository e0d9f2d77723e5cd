"""The `BackendError` for each way in which a request to an Ollama can fail."""

import json
import re
import shlex
from dataclasses import replace
from urllib.parse import urlsplit

from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BadRequestError,
    MissingKeyError,
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    ServerError,
)
from .._core.sentence import Sentence
from .._core.unicode import clean
from .._remote.endpoint import Endpoint
from .._remote.error_response import ErrorResponse
from .._remote.errors import map_error
from .._remote.json_values import parse_mapping
from .._remote.rules import Refusal, Rule, first_error, words
from .library import runs_in_cloud

LABEL = "Ollama"

_PULL = frozenset({"pull"})
"""The request asked for a download."""
_MODEL = frozenset({"model"})
"""It named a model."""
_CLOUD = frozenset({"cloud"})
"""It needs an account at ollama.com."""
_NO_KEY = frozenset({"no key"})
"""It carried no key."""
_NO_WORDS = frozenset({"no words"})
"""The response has no message."""

_ENGINE_DIED = words(
    r"^an error was encountered while running the model",
    r"^model runner has unexpectedly stopped",
    r"^(llama[- ](runner|server)|model runner) process no longer running",
)
"""An engine that ended while it answered. What follows are the last errors in its log, which may be
those of another request long before (`lastErrMsg` in Ollama's `llm/llama_server.go`)."""
_OUT_OF_MEMORY = words(
    r"out of (device )?memory",
    r"(more system|not enough|insufficient) memory",
    r"(cuda|hip)malloc",
    r"(failed to allocate|allocation failed)",
    r"out_of_device_memory|erroroutofmemory",
)
"""As Ollama itself knows it (`outOfMemorySubstrings` in its `llm/status.go`)."""

_RULES = (
    Rule(
        ModelNotFoundError,
        "Ollama does not have “{model}”.",
        "Press Download, or run: ollama pull {shell_model}",
        status={404},
        text=words(r"^model .* not found", "try pulling it"),
        traits=_MODEL,
    ),
    Rule(
        BackendConnectionError,
        "What answers at {url} is not Ollama.",
        "Check the address.",
        status={404, 405, 501},
    ),
    Rule(
        OutOfMemoryError,
        "“{model}” does not fit into the memory that Ollama has.{quoted}",
        "Choose a smaller model, or close other programs on that machine.",
        text=_OUT_OF_MEMORY,
    ),
    Rule(
        ServerError,
        "Ollama has as many questions in line as it takes.{quoted}",
        "Try again in a minute. Whoever runs it can allow more: OLLAMA_MAX_QUEUE.",
        status={503},
        text=words("maximum pending requests"),
    ),
    Rule(
        OutOfDiskError,
        "“{model}” does not fit onto the disk of the machine that Ollama runs on.",
        "Make room there, and press Download again: what came is kept.",
        text=words("no space left", "not enough space", "disk quota"),
        traits=_PULL,
    ),
    Rule(
        ModelNotFoundError,
        "Ollama's library has no “{model}”.",
        "See https://ollama.com/library for its names.",
        text=words("does not exist", "not found", "invalid model name", "name .* is invalid"),
        traits=_PULL,
    ),
    Rule(
        BackendConnectionError,
        "Ollama cannot reach its library.{quoted}",
        "Is the machine that it runs on connected to the internet?",
        text=words(
            "no such host",
            "dial tcp",
            "i/o timeout",
            "connection re(set|fused)",
            "unreachable",
            "max retries",
            "TLS hand",
            "x509:",
            "server misbehaving",
        ),
        traits=_PULL,
    ),
    Rule(
        ServerError,
        "“{model}” came damaged: what Ollama received is not what its library has.",
        "Press Download again: it fetches that part anew.",
        text=words("digest mismatch"),
        traits=_PULL,
    ),
    Rule(
        BadRequestError,
        "This Ollama is too old for “{model}”.",
        "Update it: https://ollama.com/download",
        text=words("newer version"),
        traits=_PULL,
    ),
    Rule(
        AuthenticationError,
        "Ollama's library does not give “{model}” to this machine.{quoted}",
        "If it is a private model, run `ollama signin` on that machine.",
        text=words("unauthorized", "access denied"),
        traits=_PULL,
    ),
    Rule(
        AuthenticationError,
        "“{model}” runs at ollama.com, and this Ollama is not signed in there.",
        "Run `ollama signin` on its machine{signin}.",
        status={401},
        traits=_CLOUD,
    ),
    Rule(
        BadRequestError,
        "“{model}” runs at ollama.com, which is switched off for this Ollama.",
        "Choose a model that runs on the machine itself.",
        text=words("ollama cloud is disabled", "cannot run this remote model"),
    ),
    Rule(
        MissingKeyError,
        "What answers at {url} wants a key.",
        "Type it on the Models tab.",
        status={401},
        traits=_NO_KEY,
    ),
    Rule(
        BackendConnectionError,
        "Ollama refuses requests that are addressed to “{host}”.",
        "It answers to names of its own machine only: have the proxy or tunnel send "
        "“Host: localhost”, or start Ollama with OLLAMA_HOST=0.0.0.0.",
        status={403},
        traits=_NO_WORDS,
    ),
    Rule(
        BadRequestError,
        "Ollama refused the request.{quoted}",
        "Choose another model.",
        status={403},
        traits=_NO_KEY,
    ),
    Rule(
        BadRequestError,
        "“{model}” is not made for conversations.",
        "Choose another model: this one compares texts, or draws.",
        text=words(r"does not support (chat|generate|completion)\b"),
        traits=_MODEL,
    ),
    Rule(
        BadRequestError,
        "“{model}” is no name that a model can have.",
        "Names look like phi3.5, phi3:medium or hf.co/microsoft/Phi-3-mini-4k-instruct-gguf.",
        text=words("^invalid model name", "^model is required"),
        traits=_MODEL,
    ),
    Rule(
        BadRequestError,
        "Ollama does not take a setting.{quoted}",
        "Change it, or leave it at its default.",
        text=words('^option "'),
    ),
)
"""The first that matches holds; a failure that none matches is read as other servers' are."""


def map_response(
    path: str, model: str, response: ErrorResponse, endpoint: Endpoint
) -> BackendError:
    """The error for an error response, or for an error in the middle of a stream.

    `path` is the API's, `model` the one of the request; empty if it named none.
    """
    response = _unwrap(response).redacted(endpoint.key)
    message, status = response.server_message, response.status
    if _ENGINE_DIED.search(message):
        return _engine_died(model, response)
    refusal = Refusal(
        status,
        message,
        _traits(path, model, response, endpoint),
        facts=_facts(model, response, endpoint),
        values={"status": status},
    )
    if error := first_error(_RULES, refusal):
        return error
    return map_error(LABEL, model, response)


def unreadable() -> BackendError:
    """The error for a response that is not in Ollama's format."""
    return ServerError(
        Sentence("{label} sent something that cannot be read.", label=LABEL),
        "It is not your fault. Try again, or check that the address is right.",
    )


def not_ollama(endpoint: Endpoint) -> BackendError:
    """The error for an address at which something else answers."""
    return map_response("", "", ErrorResponse(404), endpoint)


def _engine_died(model: str, response: ErrorResponse) -> BackendError:
    """The error for an engine that ended while it answered.

    Its log is quoted, as the older errors in it may mislead; a refusal in it is another request's.
    """
    text = parse_mapping(response.body).get("error")
    lines = clean(text).strip().splitlines() if isinstance(text, str) else []
    last = lines[-1] if lines else ""
    code = " Its log ends: “{said}”"
    if _ENGINE_DIED.search(last):  # the engine's own words follow Ollama's
        ollamas, _, last = last.partition(": ")
        if not last:
            code, last = " It says: “{said}”", ollamas
    last = replace(response, body=last).server_message
    status = response.status
    if _OUT_OF_MEMORY.search(last):
        return OutOfMemoryError(
            Sentence(
                "Ollama's engine stopped while it answered: it ran out of memory for “{model}”.",
                model=model,
            ),
            "Choose a smaller model, or close other programs on that machine.",
            status=status,
        )
    refused = isinstance(
        map_error(LABEL, model, ErrorResponse(None, last, pictures=1)), BadRequestError
    )
    quoted = "" if refused or not last or last.endswith("EOF") else Sentence(code, said=last)
    return ServerError(
        Sentence("Ollama's engine stopped while it answered.{quoted}", quoted=quoted),
        "What came is kept. Press Regenerate: Ollama starts it again.",
        status=status,
    )


def _traits(path: str, model: str, response: ErrorResponse, endpoint: Endpoint) -> frozenset[str]:
    cloud = "signin_url" in parse_mapping(response.body)
    traits = {
        _PULL: path == "/api/pull",
        _MODEL: bool(model),
        _CLOUD: cloud or (runs_in_cloud(model) and not endpoint.key),
        _NO_KEY: not endpoint.key,
        _NO_WORDS: not response.server_message,
    }
    return frozenset().union(*(trait for trait, holds in traits.items() if holds))


def _facts(model: str, response: ErrorResponse, endpoint: Endpoint) -> dict[str, object]:
    """What the sentences and hints of the rules may name."""
    return {
        "model": model,
        "shell_model": shlex.quote(model),
        "url": endpoint.url,
        "host": urlsplit(endpoint.url).netloc,
        "quoted": response.quoted,
        "signin": _signin(response),
    }


_SIGNIN_URL = re.compile(r"https://(www\.)?ollama\.com/[\x21-\x7e]{1,600}")


def _signin(response: ErrorResponse) -> str:
    """Where else to sign in, if the server names a page of ollama.com for that."""
    url = parse_mapping(response.body).get("signin_url")
    found = isinstance(url, str) and _SIGNIN_URL.fullmatch(url)
    return Sentence(", or open {url}", url=url) if found else ""


def _unwrap(response: ErrorResponse) -> ErrorResponse:
    """The same with the engine's own error, which Ollama wraps as JSON in the text of `error`."""
    inner = parse_mapping(response.body).get("error")
    if not isinstance(inner, str) or not inner.startswith("{"):
        return response
    try:
        return replace(response, body=json.loads(inner))
    except (ValueError, RecursionError):
        return response
