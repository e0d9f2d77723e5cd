"""Ollama's own API, through its SDK: chat, what is installed, and downloads of more."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import count
from shlex import quote
from typing import Any, ClassVar

from .._core.backend import (
    CONTEXT_CAP,
    Health,
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
    register,
)
from .._core.catalog import MODELS, Modality, ModelSpec
from .._core.errors import BackendConnectionError, BackendError, BackendTimeoutError
from .._core.names import known_model
from .._core.types import Chunk, Connection, GenerationParams, ImagePart, Message, Part, Progress
from .._local.machine import gigabytes
from .._remote.endpoint import (
    Endpoint,
    Patience,
    RemoteBackend,
    StreamItem,
    normalize_url,
    retry_once,
)
from .._snippets import KEY_PLACEHOLDER, picture_files, render, replaced, with_key
from .client import Servers, auth_headers, load_timeout
from .errors import LABEL
from .models import InstalledModel, full_name, model_rows, parse_installed, parse_vision
from .stream import StreamReader, pull_progress

LIBRARY = {
    "phi3.5": 2_180_000_000,
    "phi3": 2_180_000_000,
    "phi4-mini": 2_490_000_000,
    "phi3:medium": 7_900_000_000,
    "phi4": 9_050_000_000,
}
"""Models of Ollama's library that are offered before they are here, with about how many bytes each
takes: its parameters at 4.5 bits (Q4_0, the phi3 family) or about 5 (Q4_K_M, the phi4 family).
Ollama's own README says 2.3 GB for phi3, 2.5 for phi4-mini and 9.1 for phi4 (ollama#9424)."""

_SPECS = [
    (re.compile(pattern), MODELS[key])
    for pattern, key in (
        (r"phi3:.*(medium|14b).*128k", "phi-3-medium-128k"),
        (r"phi3:.*(medium|14b)", "phi-3-medium-4k"),
        (r"phi3:.*128k", "phi-3-mini-128k"),
        (r"phi3:", "phi-3-mini-4k"),
        (r"phi3\.5:", "phi-3.5-mini"),
        (r"phi4-mini-reasoning:", "phi-4-mini-reasoning"),
        (r"phi4-mini:", "phi-4-mini"),
        (r"phi4-reasoning:.*plus", "phi-4-reasoning-plus"),
        (r"phi4-reasoning:", "phi-4-reasoning"),
        (r"phi4:", "phi-4"),
    )
]
"""What the names of Ollama's own library mean; other names are read as `known_model` reads them."""

_NOT_IN_CHAT = {"truncate", "shift", "stream"}
"""What the page sends and the SDK's `chat` cannot, and what a program's template says itself."""

_MAX_VISION_RESULTS = 1000
"""Cached results of `/api/show` for each Ollama."""

KEEP_ALIVE = "10m"
"""For how long Ollama keeps a model in memory after an answer."""
_TURN_MARKERS = ("<|end|>", "<|user|>", "<|assistant|>", "<|im_start|>", "<|im_end|>")
"""Control tokens of Phi models at which a turn ends. A request's stop texts replace those of the
model's own file, and without these some conversions go on with the user's next turn."""


@register
class Ollama(RemoteBackend):
    """Ollama on this machine, or at a typed address.

    All generation parameters are sent. The context is `CONTEXT_CAP`; recent versions are asked to
    refuse a conversation that does not fit, and an answer of an older one may carry a warning.
    Ollama's penalty for repetition is switched off, because no other backend here has one.

    Pictures come with a message, before its text, and this API knows no other order. Where they
    stand between texts, each has `[picture 1]` written in its place, numbered as they come.
    Ollama's own mark for that, `[img]`, is not used: it is not documented, and only models without
    a built-in renderer have it replaced (`server/prompt.go`). For the same reason `[img` in a text
    that goes with pictures becomes `[ img`.
    """

    id: ClassVar[str] = "ollama"
    label: ClassVar[str] = LABEL
    kind: ClassVar[Kind] = "server"
    requires: ClassVar[tuple[str, ...]] = ("ollama",)
    install: ClassVar[str] = "pip install ollama"
    default_address: ClassVar[str | None] = "http://127.0.0.1:11434"
    address_env: ClassVar[str | None] = "OLLAMA_HOST"
    address_example: ClassVar[str] = "http://localhost:11434"
    default_path: ClassVar[str] = ""
    key_env: ClassVar[str | None] = "OLLAMA_API_KEY"
    accepts_custom_models: ClassVar[bool] = True
    downloads_from: ClassVar[str] = "Ollama's library"
    help: ClassVar[str] = (
        "Install it from https://ollama.com/download, start it, and run `ollama pull phi3.5`."
    )

    def __init__(self) -> None:
        self.servers = Servers()

    def normalize_base_url(self, url: str) -> str:
        """The base URL for an address, read as Ollama reads `OLLAMA_HOST` (`:11434`, `0.0.0.0`).

        Without a scheme the port is 11434, with one it is the scheme's (`Host` in
        `envconfig/config.go` of Ollama). The paths of its APIs may stand at the end.
        """
        text = url.strip().strip("\"'")
        if text.rstrip("/") == "ollama.com":
            text = "https://ollama.com"
        elif "://" not in text:
            host, slash, path = text.partition("/")
            if host.count(":") > 1 and not host.startswith("["):
                host = f"[{host}]"
            port = "" if re.search(r"(^[^:]*|\]):\d+$", host) else ":11434"
            text = f"http://{host.rstrip(':')}{port}{slash}{path}"
        text = re.sub(r"(?<=[^/])/(api|v1)(/.*)?$", "", text)
        text = re.sub(r"(?<=://)(0\.0\.0\.0(?=[:/]|$)|(?=:\d))", "127.0.0.1", text)
        return normalize_url(text.replace("://[::]", "://[::1]"), self.default_path)

    def accepts_env_key(self, url: str) -> bool:
        """Only if `OLLAMA_HOST` is set, so that the key goes to a server that somebody chose."""
        return bool(os.environ.get(self.address_env or ""))

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its name at Ollama."""
        name = full_name(model.lower()).removeprefix("library/")
        return next((spec for found, spec in _SPECS if found.match(name)), known_model(model))

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """Import the SDK and build the client; see `Backend.load`."""
        with suppress(Exception):
            async with self.servers.use(self.resolve_endpoint(connection).url):
                pass

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if it answers, with its version; what is installed, then what its library has."""
        try:
            self.check_packages()
            endpoint = self.resolve_endpoint(connection)
            version, tags = await asyncio.gather(
                self.servers.request_json(endpoint, "/api/version"),
                self.servers.request_json(endpoint, "/api/tags"),
            )
            async with self.servers.use(endpoint.url) as server:
                installed = server.installed = parse_installed(tags)
        except BackendError as error:
            status = self.status_from_error(error)
            return Health(status, [Offer(one, self.spec_of(one), status) for one in LIBRARY])
        here = [
            Offer(
                name,
                _with_vision(self.spec_of(name), server.has_vision(full)),
                _installed_status(found),
            )
            for full, name, found in ((at, _short_name(at), one) for at, one in installed.items())
        ]
        missing = [
            Offer(model, self.spec_of(model), _not_pulled_status(model, size), size)
            for model, size in LIBRARY.items()
            if full_name(model) not in installed
        ]
        here.sort(key=lambda offer: offer.spec.key not in MODELS)
        return Health(_running_status(str(version.get("version") or "")[:40]), here + missing)

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation over HTTP; see `Backend.stream`."""
        self.check_packages()
        endpoint = self.resolve_endpoint(connection)
        if count_pictures(messages):
            has_vision = await self._has_vision(endpoint, model)
            check_pictures(_with_vision(self.spec_of(model), has_vision), messages)
            # Encoding pictures on the event loop would delay all other answers.
            body = await asyncio.to_thread(self.body, model, messages, params)
        else:
            body = self.body(model, messages, params)
        sent = "\n".join(message.text for message in messages)
        async with aclosing(retry_once(lambda: self._stream_once(endpoint, body, sent))) as items:
            async for item in items:
                yield item

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Have Ollama fetch a model from its library; a cancelled download can be resumed."""
        self.check_packages()
        endpoint = self.resolve_endpoint(connection)
        layers: dict[str, tuple[int, int]] = {}
        body = {"model": model, "stream": True}
        waiting = Patience(LABEL, first=load_timeout(), silence=load_timeout(), total=None)
        async with aclosing(
            self.servers.stream_lines(endpoint, "/api/pull", body, waiting)
        ) as reply:
            try:
                async for line in reply:
                    if line.get("status") == "success":
                        return
                    yield pull_progress(layers, line)
            except (BackendConnectionError, BackendTimeoutError) as error:
                if not layers:
                    raise
                raise _download_interrupted() from error
        raise _download_interrupted()

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The JSON body of a request."""
        numbers = count(1)
        stop = list(params.stop)
        if stop and self.spec_of(model).key in MODELS:
            stop += [end for end in _TURN_MARKERS if end not in stop]
        options = {
            "num_ctx": CONTEXT_CAP,
            "num_predict": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "seed": params.seed,
            "stop": stop or None,
            "repeat_penalty": 1.0,
        }
        return {
            "model": model,
            "messages": [_message(message, numbers) for message in messages],
            "options": {name: value for name, value in options.items() if value is not None},
            "keep_alive": KEEP_ALIVE,
            # Since 0.12.6: refuse a conversation that does not fit, do not shorten it silently.
            "truncate": False,
            "shift": False,
            "stream": True,
        }

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str:
        """The same request with the `ollama` package; see `Backend.snippet`."""
        url, has_key = self.snippet_target(connection)
        variable = (self.key_env or "API_KEY") if has_key else None
        headers = auth_headers(Endpoint(url, KEY_PLACEHOLDER)) if variable else {}
        files = picture_files(messages)
        names = {_base64(picture): name for picture, name in files.items()}
        request = self.body(model, messages, params)
        for message in request["messages"]:
            if "images" in message:
                message["images"] = replaced(message["images"], names)
        return render(
            "ollama",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=self.install,
            variable=variable,
            notes=[f"Fetch it first: ollama pull {quote(model)}"],
            url=url,
            headers={name: with_key(text, variable) for name, text in headers.items()},
            request={name: value for name, value in request.items() if name not in _NOT_IN_CHAT},
            pictures=list(files.values()),
        )

    # ── HTTP ───────────────────────────────────────────────────────────────────────────────

    async def _stream_once(
        self, endpoint: Endpoint, body: dict[str, Any], sent: str
    ) -> AsyncGenerator[StreamItem, None]:
        """Send one request and yield the chunks of its response. Raises `BackendError` only.

        `sent` is the text of the conversation.
        """
        name = full_name(body["model"])
        found = await self._find_installed(endpoint, name)
        loading = found is not None and not await self._in_memory(endpoint, name)
        if loading:
            yield Progress("loading", detail="into Ollama's memory")
        reader = StreamReader(self.label, endpoint.url, loading)
        patience = Patience(LABEL, first=load_timeout() if loading else None)
        async with aclosing(
            self.servers.stream_lines(endpoint, "/api/chat", body, patience)
        ) as reply:
            async for line in reply:
                if chunk := reader.read(line):
                    yield chunk
        yield reader.end(sent, found.quantisation if found else "")

    async def _get_or_empty(
        self, endpoint: Endpoint, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Like `Servers.request_json`; `{}` for an error response: the chat request will tell why.

        Raises `BackendError` if the server cannot be reached.
        """
        try:
            return await self.servers.request_json(endpoint, path, body)
        except (BackendConnectionError, BackendTimeoutError) as error:
            if "status" in error.values:
                return {}
            raise
        except BackendError:
            return {}

    async def _find_installed(self, endpoint: Endpoint, name: str) -> InstalledModel | None:
        """An installed model by its full name; `None` if it is not listed."""
        async with self.servers.use(endpoint.url) as server:
            if name not in server.installed:
                server.installed = parse_installed(await self._get_or_empty(endpoint, "/api/tags"))
            return server.installed.get(name)

    async def _has_vision(self, endpoint: Endpoint, model: str) -> bool | None:
        """Whether a model reads pictures; `None` if that is unknown.

        Asks Ollama once for each digest, and not about models that read none by their spec.
        """
        name = full_name(model)
        async with self.servers.use(endpoint.url) as server:
            known = server.has_vision(name)
            if known is not None or "image" not in self.spec_of(model).modalities:
                return known
            found = await self._find_installed(endpoint, name)
            known = server.has_vision(name)
            if found is None or known is not None or found.digest in server.vision_by_digest:
                return known
            reply = await self._get_or_empty(endpoint, "/api/show", {"model": model})
            if reply and found.digest:
                while len(server.vision_by_digest) >= _MAX_VISION_RESULTS:
                    del server.vision_by_digest[next(iter(server.vision_by_digest))]
                server.vision_by_digest[found.digest] = parse_vision(reply)
            return parse_vision(reply)

    async def _in_memory(self, endpoint: Endpoint, name: str) -> bool:
        """Whether a model is loaded; also true if Ollama does not tell."""
        reply = await self._get_or_empty(endpoint, "/api/ps")
        names = [full_name(str(row.get("model") or row.get("name"))) for row in model_rows(reply)]
        return name in names or not isinstance(reply.get("models"), list)


def _message(message: Message, numbers: Iterator[int]) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    return {
        "role": message.role,
        "content": _text_with_pictures(message.parts, numbers),
        "images": [_base64(image) for image in message.images],
    }


def _base64(image: ImagePart) -> str:
    return base64.b64encode(image.data).decode("ascii")


def _text_with_pictures(parts: Sequence[Part], numbers: Iterator[int]) -> str:
    """The text of a message, with `[picture 1]` for pictures that do not stand before all text.

    `numbers` counts the pictures of the whole conversation.
    """
    kept = [part for part in parts if isinstance(part, ImagePart) or part.text]
    pictures = sum(isinstance(part, ImagePart) for part in kept)
    in_front = all(isinstance(part, ImagePart) for part in kept[:pictures])
    pieces = [
        f"[picture {next(numbers)}]"
        if isinstance(part, ImagePart)
        else part.text.replace("[img", "[ img")
        for part in kept
    ]
    return "".join(pieces[pictures:]) if in_front else "\n".join(pieces)


def _with_vision(spec: ModelSpec, has_vision: bool | None) -> ModelSpec:
    """The spec with or without pictures among its modalities; unchanged for `None`."""
    if has_vision is None or has_vision is ("image" in spec.modalities):
        return spec
    others: tuple[Modality, ...] = tuple(kind for kind in spec.modalities if kind != "image")
    return replace(spec, modalities=(*others, "image") if has_vision else others)


def _short_name(model: str) -> str:
    """A name without the default tag."""
    return model.removesuffix(":latest")


def _running_status(version: str) -> Status:
    sentence = f"{' '.join(filter(None, ('Ollama', version)))} answers."
    return Status("ready", sentence, "ready_ollama", {"version": version})


def _installed_status(found: InstalledModel) -> Status:
    size = gigabytes(found.size) if found.size else ""
    facts = ", ".join(filter(None, (found.quantisation, size)))
    return Status(
        "ready",
        f"Installed in Ollama{': ' if facts else ''}{facts}.",
        "ready_installed",
        {"quantisation": found.quantisation, "size": found.size},
    )


def _not_pulled_status(model: str, size: int) -> Status:
    return Status(
        "not installed",
        f"Ollama does not have it yet: a download of about {gigabytes(size)}.",
        "not_pulled",
        {"model": model, "size": size},
    )


def _download_interrupted() -> BackendError:
    return BackendConnectionError(
        "Ollama stopped in the middle of the download.",
        "What came is kept: press Download to go on.",
    )
