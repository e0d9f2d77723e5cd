"""A GGUF file in llama.cpp: the package `xllamacpp` is a whole server, in the worker's process.

It listens on loopback alone, at a port of its own and with a key of its own, and serves nothing but
the interface for programs. Continuous batching gives several answers at once, each with a context
of its own: with one common pool, a pool that is full ends every answer (`server-context.cpp`).
"""

import http.client
import json
import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._core.backend import CONTEXT_CAP
from .._core.errors import MissingDependencyError, OutOfMemoryError
from .._core.sentence import Sentence
from . import gguf_header
from .decode import PREFILL_CHUNK
from .gguf_header import GGUFError, Header
from .machine import free_memory
from .memory_errors import HINT, tells_of_memory
from .seam import Plan, Served, Serving
from .text_model import threads_for

MOST_ANSWERS = 4
"""Answers that it gives at once, where the memory allows so many."""
_MOST_BESIDE = 2e9
"""Bytes that all answers beside the first one take at most: they are taken when it is loaded."""
_OVERHEAD = 150e6
"""Bytes that the library takes beside weights, cache and logits."""
_SPARE_THREADS = 4
"""Threads for requests beside those that answer: others may wait, and be told so."""
_ERRORS_ONLY = 1
"""How much it logs: warnings may repeat what is in a request."""
_PROBE = "3f9c"
"""A text that no template has of its own."""


def context_of(header: Header) -> int:
    """Tokens of a conversation, prompt and answer."""
    return min(CONTEXT_CAP, header.context or CONTEXT_CAP)


def need(header: Header, answers: int = 1) -> int:
    """Bytes that a model takes with memory for so many answers of full length."""
    cache = answers * context_of(header) * header.cache_per_token
    return need_of(header.size, cache, header.vocabulary)


def need_of(weights: int, cache: int, vocabulary: int) -> int:
    """Bytes that a model takes, by those of its weights and of its keys and values."""
    logits = 4 * vocabulary * PREFILL_CHUNK
    return int(weights + cache + logits + _OVERHEAD)


def plan(label: str, file: str) -> Plan:
    """How to load a file. Raises `MissingDependencyError` if it is damaged or incomplete."""
    path = Path(file)
    try:
        header = gguf_header.read(path)
        controls = tuple(gguf_header.control_tokens(path))
    except (OSError, GGUFError) as error:
        raise _unreadable(label, path) from error
    # Never more than a quarter of what is free for the answers beside the first one.
    room = min(free_memory() / 4, _MOST_BESIDE)
    beside = room // max(1, context_of(header) * header.cache_per_token)
    answers = 1 + min(MOST_ANSWERS - 1, int(beside))
    return Plan(
        device="cpu",
        need=need(header, answers),
        per_answer=0,  # it has taken all it needs
        free=free_memory,
        load=lambda report: _load(label, path, header, controls, answers, report),
    )


def _load(
    label: str,
    path: Path,
    header: Header,
    controls: tuple[str, ...],
    answers: int,
    report: Callable[[float], None],
) -> Serving:
    key = secrets.token_urlsafe(32)
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    with _what_is_said() as said:
        try:
            library: Any = import_module("xllamacpp")
            gpus = _gpus(library)
            params = _params(library, path, header, answers, key, bool(gpus))
            server: Any = library.Server(params)
        except RuntimeError as error:  # it says nothing in it; its log does
            raise _failed(label, path, said()) from error
        finally:
            # The library takes these over for a server of its own; a worker ends at once.
            for one, handler in handlers.items():
                signal.signal(one, handler)
    served = Served(
        url=f"{server.listening_address}/v1",
        key=key,
        device=gpus[0] if gpus else "cpu",
        controls=controls,
        system_slot=_has_system_slot(server.listening_address, key),
        context=context_of(header),
        notes=(Sentence("{kind} weights", kind=header.file_type),) if header.file_type else (),
    )
    report(1.0)
    return Serving(served, answers, server)


def _params(library: Any, path: Path, header: Header, answers: int, key: str, has_gpu: bool) -> Any:
    """The server's settings."""
    params = library.CommonParams()
    params.model.path = str(path)
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.ui = params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    params.offline, params.verbosity = True, _ERRORS_ONLY
    params.cors_origins, params.cors_credentials = "", False
    params.n_parallel, params.n_ctx = answers, answers * context_of(header)
    params.kv_unified = False
    # As long as Stop and other answers wait at most.
    params.n_batch = params.n_ubatch = PREFILL_CHUNK
    params.cache_ram_mib = 0  # what was read is kept where it is, and nowhere else
    params.n_threads_http = answers + _SPARE_THREADS
    params.force_pure_content_parser = True  # what a model writes is its text, all of it
    if not has_gpu:
        # Mapped, weights that it lays out anew would be in memory twice: all of a file in Q4_0.
        params.load_mode = library.llama_load_mode.LLAMA_LOAD_MODE_NONE
        params.fit_params = False  # nothing to find out: it would only read the file's header again
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads_for(header.size)
        cpu.poll = 0  # threads that spin take the cores of other models
    return params


def _gpus(library: Any) -> list[str]:
    """The names of the devices that it can use beside the processor: `metal`, `cuda0`."""
    kinds = library.ggml_backend_dev_type
    shown = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    return [one["name"].lower() for one in library.get_device_info() if one["type"] in shown]


@contextmanager
def _what_is_said() -> Generator[Callable[[], str], None, None]:
    """What this process writes to standard error meanwhile, to be read; it is written there too.

    Into a file: the library holds Python's lock while it loads, so no thread could read a pipe.
    """
    real = os.dup(2)
    with tempfile.TemporaryFile() as file:

        def said() -> str:
            file.seek(0)
            return file.read(1_000_000).decode("utf-8", "replace")

        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(real, 2)
            os.close(real)
            with suppress(OSError):
                os.write(2, said().encode())


def _failed(label: str, path: Path, said: str) -> Exception:
    """The error of a server that did not start, by what it said."""
    if tells_of_memory(said):
        return OutOfMemoryError(
            Sentence("The memory ran out while {label} was loaded.", label=label), HINT
        )
    return _unreadable(label, path)


def _unreadable(label: str, path: Path) -> MissingDependencyError:
    """The error of a file that llama.cpp does not load. It may be another program's."""
    return MissingDependencyError(
        Sentence(
            "The file of {label} is damaged, incomplete, or of a kind that this version of "
            "llama.cpp does not know.",
            label=label,
        ),
        "Choose another model, or fetch this one again.",
        file=str(path),
    )


def _has_system_slot(address: str, key: str) -> bool:
    """Whether the model's template puts a system prompt anywhere. Straight to loopback."""
    talk = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "x"}]
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request("POST", "/apply-template", json.dumps({"messages": talk}), headers)
        answer = connection.getresponse()
        return answer.status == 200 and _PROBE in answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
