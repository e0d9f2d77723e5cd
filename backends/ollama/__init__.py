"""Ollama's own API: chat, what is installed, and downloads of more."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from shlex import quote
from typing import Any, ClassVar
from urllib.parse import urlsplit

from .._core.backend import (
    Health,
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
    register,
)
from .._core.catalog import MODELS, ModelSpec
from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    ModelNotFoundError,
)
from .._core.pasted import clean_pasted
from .._core.sentence import Sentence
from .._core.types import Chunk, Connection, GenerationParams, Message, Progress
from .._remote.answer_warnings import fewest_tokens
from .._remote.base_url import normalize_url
from .._remote.endpoint import Endpoint, RemoteBackend
from .._remote.patience import Patience
from .._remote.retry import StreamItem, retry_once
from .._remote.timeouts import first_token_timeout
from .._snippets import KEY_PLACEHOLDER, picture_files, render, replaced, with_key
from .client import FACTS_TIMEOUT, Server, Servers, auth_headers, load_timeout
from .errors import LABEL, not_ollama
from .library import LIBRARY, aliases, full_name, resolve, runs_in_cloud, short_name, spec_of
from .models import (
    InstalledModel,
    LoadedModel,
    ModelDetails,
    parse_details,
    parse_installed,
    parse_running,
    with_facts,
)
from .request import chat_body, encoded, fit_to_server
from .stream import Circumstances, StreamReader, pull_progress
from .turns import Turn, with_turn

_NOT_IN_CHAT = ("truncate", "shift")
"""What the page sends and the `ollama` package's `chat` cannot."""

_DEFAULT_PORT = 11434
_MAX_DETAILS = 1000
"""Cached results of `/api/show` for each Ollama."""


@register
class Ollama(RemoteBackend):
    """Ollama on this machine, or at a typed address.

    All generation parameters are sent. A model keeps the context that it was loaded with, and one
    that is not in memory gets Ollama's default: see `fit_to_server`. Recent versions are asked to
    refuse a conversation that does not fit; an answer of an older one may carry a warning.
    Ollama's penalty for repetition is switched off, because no other backend here has one.

    Pictures come with a message, before its text, and this API knows no other order. Where they
    stand between texts, each has `[picture 1]` written in its place, numbered as they come.
    Ollama's own mark for that, `[img]`, is not used: it is not documented, and only models without
    a built-in renderer have it replaced (`server/prompt.go`). For the same reason `[img` in a text
    that goes with pictures becomes `[ img`.
    """

    id: ClassVar[str] = "ollama"
    ignored_params: ClassVar[frozenset[str]] = frozenset({"num_crops"})
    label: ClassVar[str] = LABEL
    kind: ClassVar[Kind] = "server"
    requires: ClassVar[tuple[str, ...]] = ("httpx2",)
    install: ClassVar[str] = "pip install httpx2"
    default_address: ClassVar[str | None] = f"http://127.0.0.1:{_DEFAULT_PORT}"
    address_env: ClassVar[str | None] = "OLLAMA_HOST"
    address_example: ClassVar[str] = "http://localhost:11434"
    default_path: ClassVar[str] = ""
    key_env: ClassVar[str | None] = "OLLAMA_API_KEY"
    accepts_custom_models: ClassVar[bool] = True
    continues: ClassVar[bool] = True
    downloads_from: ClassVar[str] = "Ollama's library"
    help: ClassVar[str] = Sentence(
        "Install it from {url}, start it, and run {command}.",
        url="https://ollama.com/download",
        command="`ollama pull phi3.5`",
    )

    def __init__(self) -> None:
        self.servers = Servers()

    def normalize_base_url(self, url: str) -> str:
        """The base URL for an address, read as Ollama reads `OLLAMA_HOST` (`:11434`, `0.0.0.0`).

        Without a scheme the port is 11434, with one it is the scheme's (`Host` in
        `envconfig/config.go` of Ollama). The paths of its APIs may stand at the end.
        """
        text = clean_pasted(url)
        hosted = re.match(r"(?i:(www\.)?ollama\.com)(/|$)", text)  # encrypted, at the usual port
        # Ollama takes a missing host for all addresses of its machine, as `0.0.0.0`.
        text = re.sub(r"(^|(?<=://)):(?=\d)", "0.0.0.0:", text)
        base = normalize_url(text, self.default_path, None if hosted else _DEFAULT_PORT)
        return re.sub(r"(?<=[^/])/(api|v1)(/.*)?$", "", base)

    def accepts_env_key(self, url: str) -> bool:
        """Only if `OLLAMA_HOST` is set, so that the key goes to a server that somebody chose."""
        return bool(os.environ.get(self.address_env or ""))

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its name at Ollama."""
        return spec_of(model)

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """Import the HTTP client and build one; see `Backend.load`."""
        with suppress(Exception):
            async with self.servers.use(self.resolve_endpoint(connection).url):
                pass

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if it answers, with its version; what is installed, then what its library has."""
        try:
            self.check_packages()
            endpoint = self.resolve_endpoint(connection)
            version, tags = await asyncio.gather(
                self._told(endpoint, "/api/version"), self._told(endpoint, "/api/tags")
            )
            number = version.get("version")
            if not isinstance(number, str) and not isinstance(tags.get("models"), list):
                raise not_ollama(endpoint)
            async with self.servers.use(endpoint.url) as server:
                installed = server.installed = parse_installed(tags)
        except BackendError as error:
            status = self.status_from_error(error)
            return Health(status, [Offer(one, self.spec_of(one), status) for one in LIBRARY])
        here = [_installed_offer(server, name) for name in installed]
        here.sort(key=lambda offer: offer.spec.key not in MODELS)
        status = _running_status(number[:40] if isinstance(number, str) else "")
        return Health(status, here + _missing_offers(installed))

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
            check_pictures(await self._spec_at(endpoint, model), messages)
            # Encoding pictures on the event loop would delay all other answers.
            body = await asyncio.to_thread(self.body, model, messages, params)
        else:
            body = self.body(model, messages, params)
        fewest = sum(fewest_tokens(message.text) for message in messages)
        async with aclosing(retry_once(lambda: self._stream_once(endpoint, body, fewest))) as items:
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
                    waiting.renew()
                    yield pull_progress(layers, line)
            except (BackendConnectionError, BackendTimeoutError) as error:
                if not layers:
                    raise
                raise _download_interrupted() from error
        raise _download_interrupted()

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The JSON body of a request, without what depends on the server's state."""
        return chat_body(model, messages, params, is_phi=self.spec_of(model).key in MODELS)

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
        names = {encoded(picture): name for picture, name in files.items()}
        request = fit_to_server(self.body(model, messages, params), model, None)
        for message in request["messages"]:
            if "images" in message:
                message["images"] = replaced(message["images"], names)
        return render(
            "ollama",
            title=f"{self.spec_of(model).label} · {self.label}",
            install="pip install ollama",
            variable=variable,
            notes=[f"Fetch it first: ollama pull {quote(model)}"],
            url=url,
            headers={name: with_key(text, variable) for name, text in headers.items()},
            request={
                name: value
                for name, value in request.items()
                if name not in (*_NOT_IN_CHAT, "stream")
            },
            left_out=[f"{name}={request[name]}" for name in _NOT_IN_CHAT if name in request],
            pictures=list(files.values()),
        )

    # ── HTTP ───────────────────────────────────────────────────────────────────────────────

    async def _stream_once(
        self, endpoint: Endpoint, body: dict[str, Any], fewest: int
    ) -> AsyncGenerator[StreamItem, None]:
        """Send one request and yield the chunks of its response. Raises `BackendError` only.

        `fewest` is how many tokens the conversation has at least.
        """
        async with self.servers.use(endpoint.url) as server:
            name = await self._installed_name(endpoint, server, body["model"])
            with server.turns.join(name) as turn:
                plan = await self._plan(endpoint, server, turn.model, body, fewest)
                patience, reader = Patience(LABEL, first=plan.limit), plan.reader
                if plan.progress and not turn.ahead:
                    yield plan.progress
                lines = self.servers.stream_lines(endpoint, "/api/chat", plan.body, patience)
                steps = with_turn(lines, turn, patience, plan.limit) if turn.ahead else lines
                try:
                    async with aclosing(lines), aclosing(steps):
                        async for step in steps:
                            if isinstance(step, Progress):
                                yield step
                            elif chunk := reader.read(step, patience.came):
                                turn.note_chunk(chunk.at)
                                patience.renew()
                                yield chunk
                except ModelNotFoundError:
                    server.installed.pop(name, None)  # it was deleted since
                    raise
                yield await self._end(endpoint, reader, turn)

    async def _plan(
        self, endpoint: Endpoint, server: Server, name: str, body: dict[str, Any], fewest: int
    ) -> "_Plan":
        """What is to be sent and expected, by what the server tells of itself and of the model."""
        asked, found = body["model"], server.installed.get(name)
        in_cloud = runs_in_cloud(asked) or bool(found and found.host)
        running, details = None, None
        if not in_cloud:
            running, details = await asyncio.gather(
                self._running(endpoint), self._details(endpoint, server, found)
            )
        loading = found is not None and running is not None and name not in running
        loaded = (running or {}).get(name)
        context = loaded.context if loaded else None
        body = fit_to_server(body, short_name(name) if found else asked, context)
        about = Circumstances(
            model=body["model"],
            device=None if _is_hosted(endpoint.url) else endpoint.url,
            host=found.host if found else "",
            quantisation=found.quantisation if found else "",
            fewest_tokens=fewest,
            lacks_template=bool(details and details.lacks_template),
        )
        if loading:
            progress = Progress("loading", detail="into Ollama's memory")
        else:
            progress = None if in_cloud else Progress("prefill")
        limit = load_timeout() if loading else first_token_timeout()
        return _Plan(body, StreamReader(about, loaded), progress, limit)

    async def _end(self, endpoint: Endpoint, reader: StreamReader, turn: Turn) -> Chunk:
        """The last chunk of an answer, with what only the server's state after it can tell."""
        loaded, running = bool(reader.load_seconds), None
        known = reader.loaded and reader.loaded.context
        unknown = not known and not runs_in_cloud(turn.model)
        if unknown or (loaded and turn.waited_for):
            with suppress(BackendError):
                running = await self._running(endpoint, seconds=1.0)
        if running is not None:
            reader.loaded = running.get(turn.model) or reader.loaded
        left = running is not None and not turn.waited_for <= running.keys()
        return reader.end(waited_to_load=loaded and left)

    async def _told(self, endpoint: Endpoint, path: str) -> dict[str, Any]:
        """What is told at a path; `{}` where there is none, as behind some proxies."""
        try:
            return await self.servers.request_json(endpoint, path)
        except BackendConnectionError as error:
            if error.values.get("status") != 404:
                raise
            return {}

    async def _installed_name(self, endpoint: Endpoint, server: Server, model: str) -> str:
        """The full name under which a model is installed; its own full name if it is not."""
        name = resolve(server.installed, model)
        if name not in server.installed:
            tags = await self.servers.request_facts(endpoint, "/api/tags")
            server.installed = parse_installed(tags)
            name = resolve(server.installed, model)
        return name

    async def _spec_at(self, endpoint: Endpoint, model: str) -> ModelSpec:
        """What is known about a model: by the server, else by its name."""
        async with self.servers.use(endpoint.url) as server:
            name = await self._installed_name(endpoint, server, model)
            found, vision = server.installed.get(name), server.has_vision(name)
            if found is not None and vision is None:
                details = await self._details(endpoint, server, found)
                vision = details and details.has_vision
            return with_facts(self.spec_of(model), found, vision)

    async def _details(
        self, endpoint: Endpoint, server: Server, found: InstalledModel | None
    ) -> ModelDetails | None:
        """What `/api/show` tells of an installed model, asked once for each digest."""
        if found is None or found.host:
            return None
        key = found.digest or found.name
        if key in server.details:
            return server.details[key]
        reply = await self.servers.request_facts(endpoint, "/api/show", {"model": found.name})
        details = parse_details(reply)
        if reply:
            while len(server.details) >= _MAX_DETAILS:
                del server.details[next(iter(server.details))]
            server.details[key] = details
        return details

    async def _running(
        self, endpoint: Endpoint, seconds: float = FACTS_TIMEOUT
    ) -> Mapping[str, LoadedModel] | None:
        """The models in memory by full name; `None` if Ollama does not tell."""
        reply = await self.servers.request_facts(endpoint, "/api/ps", seconds=seconds)
        return parse_running(reply)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One request, and what is known before its answer."""

    body: dict[str, Any]
    reader: StreamReader
    progress: Progress | None
    """What is waited for, if it is not in line; `None` where that is not known."""
    limit: float
    """Seconds before the first text."""


def _installed_offer(server: Server, name: str) -> Offer:
    found = server.installed[name]
    others = (one for one in aliases(name) if one not in server.installed)
    return Offer(
        short_name(name),
        with_facts(spec_of(name), found, server.has_vision(name)),
        _installed_status(found),
        aliases=tuple(map(short_name, others)),
        revision=found.digest or None,
    )


def _missing_offers(installed: Mapping[str, InstalledModel]) -> list[Offer]:
    """The models of the library that are not installed under any of their names."""
    return [
        Offer(
            model, spec_of(model), _not_pulled_status(model, size), size,
            aliases=aliases(full_name(model)),
        )
        for model, size in LIBRARY.items()
        if resolve(installed, model) not in installed
    ]  # fmt: skip


def _is_hosted(url: str) -> bool:
    """Whether a base URL is that of Ollama's own service, which many share."""
    host = urlsplit(url).hostname or ""
    return host == "ollama.com" or host.endswith(".ollama.com")


def _running_status(version: str) -> Status:
    named = f"Ollama {version}" if version else "Ollama"
    return Status(
        "ready", Sentence("{named} answers.", named=named), "ready_ollama", {"version": version}
    )


def _installed_status(found: InstalledModel) -> Status:
    if found.host:
        return Status(
            "ready",
            Sentence("Runs at {host}: what you write is sent there.", host=found.host),
            "ready_cloud",
            {"host": found.host},
        )
    code = {
        (True, True): "Installed in Ollama: {quantisation}, {size:bytes}.",
        (True, False): "Installed in Ollama: {quantisation}.",
        (False, True): "Installed in Ollama: {size:bytes}.",
        (False, False): "Installed in Ollama.",
    }[bool(found.quantisation), bool(found.size)]
    return Status(
        "ready",
        Sentence(code, quantisation=found.quantisation, size=found.size),
        "ready_installed",
        {"quantisation": found.quantisation, "size": found.size},
    )


def _not_pulled_status(model: str, size: int) -> Status:
    return Status(
        "not installed",
        Sentence("Ollama does not have it yet: a download of about {size:bytes}.", size=size),
        "not_pulled",
        {"model": model, "size": size},
    )


def _download_interrupted() -> BackendError:
    return BackendConnectionError(
        "Ollama stopped in the middle of the download.",
        "What came is kept: press Download to go on.",
    )
