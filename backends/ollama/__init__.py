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
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
    register,
)
from .._core.catalog import MODELS, Modality, ModelSpec, known_model
from .._core.errors import BackendConnectionError, BackendError, BackendTimeoutError
from .._core.types import Chunk, Connection, GenerationParams, ImagePart, Message, Part, Progress
from .._local.machine import gigabytes
from .._remote.endpoint import Address, Served, Step, normal, once_again
from .._snippets import KEY_PLACEHOLDER, picture_files, render, replaced, with_key
from .reading import Reading, progress
from .wire import (
    LABEL,
    SERVERS,
    Installed,
    credentials,
    full_name,
    get,
    installed_in,
    lines,
    long_silence,
    rows_of,
    sees_by,
)

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

_MOST_SEEING = 1000
"""Models of one Ollama of which it is remembered whether they see."""

KEEP_ALIVE = "10m"
"""How long Ollama keeps a model in memory after an answer: long enough to read it and ask again."""
_TURN_ENDS = ("<|end|>", "<|user|>", "<|assistant|>", "<|im_start|>", "<|im_end|>")
"""Where a turn of a Phi model ends. Stop texts of a request replace those of the model's own file,
and without these some conversions go on and speak for the visitor."""


@register
class Ollama(Served):
    """Ollama on this machine, or at a typed address.

    Every knob is sent. The context is `CONTEXT_CAP`, and recent versions are asked to refuse a
    conversation that does not fit; what an older one may have forgotten is said with the answer.
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
    address: ClassVar[str | None] = "http://127.0.0.1:11434"
    address_env: ClassVar[str | None] = "OLLAMA_HOST"
    address_example: ClassVar[str] = "http://localhost:11434"
    default_path: ClassVar[str] = ""
    key_env: ClassVar[str | None] = "OLLAMA_API_KEY"
    names_models: ClassVar[bool] = True
    downloads_from: ClassVar[str] = "Ollama's library"
    help: ClassVar[str] = (
        "Install it from https://ollama.com/download, start it, and run `ollama pull phi3.5`."
    )

    def in_full(self, url: str) -> str:
        """An address as Ollama itself reads `OLLAMA_HOST`: `:11434` and `0.0.0.0` are ones too.

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
        return normal(text.replace("://[::]", "://[::1]"), self.default_path)

    def may_have_key(self, url: str) -> bool:
        """Only where somebody said which server it is for."""
        return bool(os.environ.get(self.address_env or ""))

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its name at Ollama."""
        name = full_name(model.lower()).removeprefix("library/")
        return next((spec for found, spec in _SPECS if found.match(name)), known_model(model))

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """The package and a client, where somebody would be asked."""
        with suppress(Exception):
            await SERVERS.at(self.reach(connection).url)

    async def status(self, connection: Connection | None = None) -> Status:
        """Ready if it answers, with its version."""
        try:
            self.check_packages()
            told = await get(self.reach(connection), "/api/version")
        except BackendError as error:
            return self.unreached(error)
        version = str(told.get("version") or "")[:40]
        return Status(
            "ready",
            f"{' '.join(filter(None, ('Ollama', version)))} answers.",
            "ready_ollama",
            {"version": version},
        )

    async def models(self, connection: Connection | None = None) -> Sequence[Offer]:
        """What is installed, the Phi family first; then what its library has."""
        try:
            self.check_packages()
            address = self.reach(connection)
            installed = installed_in(await get(address, "/api/tags"))
            server = await SERVERS.at(address.url)
            server.installed = installed
        except BackendError as error:
            status = self.unreached(error)
            return [Offer(model, self.spec_of(model), status) for model in LIBRARY]
        here = [
            Offer(name, _seeing(self.spec_of(name), server.sees(full)), _ready(found))
            for full, name, found in ((at, _short_name(at), one) for at, one in installed.items())
        ]
        missing = [
            Offer(model, self.spec_of(model), _not_pulled(model, size), size)
            for model, size in LIBRARY.items()
            if full_name(model) not in installed
        ]
        return sorted(here, key=lambda offer: offer.spec.key not in MODELS) + missing

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation over the wire; see `Backend.stream`."""
        self.check_packages()
        address = self.reach(connection)
        if count_pictures(messages):
            sees = await self._sees(address, model)
            check_pictures(_seeing(self.spec_of(model), sees), messages)
            # Encoding them would hold up everybody else's answers.
            body = await asyncio.to_thread(self.body, model, messages, params)
        else:
            body = self.body(model, messages, params)
        sent = "\n".join(message.text for message in messages)
        async with aclosing(once_again(lambda: self._ask(address, body, sent))) as steps:
            async for step in steps:
                yield step

    async def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Have Ollama fetch a model from its library; what came is kept where it is cancelled."""
        self.check_packages()
        address = self.reach(connection)
        layers: dict[str, tuple[int, int]] = {}
        body = {"model": model, "stream": True}
        async with aclosing(lines(address, "/api/pull", body, long_silence())) as told:
            try:
                async for line in told:
                    if line.get("status") == "success":
                        return
                    yield progress(layers, line)
            except (BackendConnectionError, BackendTimeoutError) as error:
                if not layers:
                    raise
                raise _broken_off() from error
        raise _broken_off()

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The request as it goes over the wire."""
        numbers = count(1)
        stop = list(params.stop)
        if stop and self.spec_of(model).key in MODELS:
            stop += [end for end in _TURN_ENDS if end not in stop]
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
            # Since 0.12.6: a conversation that does not fit is refused, not shortened in silence.
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
        url, has_key = self.destination(connection)
        variable = (self.key_env or "API_KEY") if has_key else None
        headers = credentials(Address(url, KEY_PLACEHOLDER)) if variable else {}
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

    # ── The wire ───────────────────────────────────────────────────────────────────────────────

    async def _ask(
        self, address: Address, body: dict[str, Any], sent: str
    ) -> AsyncGenerator[Step, None]:
        """One request and its stream. Every way in which it can fail is a `BackendError`."""
        name = full_name(body["model"])
        found = await self._find(address, name)
        loading = found is not None and not await self._in_memory(address, name)
        if loading:
            yield Progress("loading", detail="into Ollama's memory")
        reading = Reading(self.label, address.url, loading)
        patience = long_silence() if loading else None
        async with aclosing(lines(address, "/api/chat", body, patience)) as told:
            async for line in told:
                if chunk := reading.read(line):
                    yield chunk
        yield reading.end(sent, found.quantisation if found else "")

    async def _look(
        self, address: Address, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What `get` brings, or nothing where it is refused: the question itself will say why."""
        try:
            return await get(address, path, body)
        except (BackendConnectionError, BackendTimeoutError) as error:
            if "status" in error.values:
                return {}
            raise
        except BackendError:
            return {}

    async def _find(self, address: Address, name: str) -> Installed | None:
        """What is known about an installed model; `None` if it is not, or if it is not told."""
        server = await SERVERS.at(address.url)
        if name not in server.installed:
            server.installed = installed_in(await self._look(address, "/api/tags"))
        return server.installed.get(name)

    async def _sees(self, address: Address, model: str) -> bool | None:
        """Whether a model reads pictures; `None` if Ollama does not tell, or was not asked.

        Asked once for each digest, and not of a model whose facts say that it reads none.
        """
        server, name = await SERVERS.at(address.url), full_name(model)
        known = server.sees(name)
        if known is not None or "image" not in self.spec_of(model).modalities:
            return known
        found = await self._find(address, name)
        known = server.sees(name)
        if found is None or known is not None or found.digest in server.seeing:
            return known
        told = await self._look(address, "/api/show", {"model": model})
        if told and found.digest:
            while len(server.seeing) >= _MOST_SEEING:
                del server.seeing[next(iter(server.seeing))]
            server.seeing[found.digest] = sees_by(told)
        return sees_by(told)

    async def _in_memory(self, address: Address, name: str) -> bool:
        """Whether a model is loaded; also true where Ollama does not tell."""
        told = await self._look(address, "/api/ps")
        names = [full_name(str(row.get("model") or row.get("name"))) for row in rows_of(told)]
        return name in names or not isinstance(told.get("models"), list)


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
    """The texts of a message with pictures, with marks where pictures do not stand before all.

    `numbers` are those of its pictures: they go on through the conversation.
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


def _seeing(spec: ModelSpec, sees: bool | None) -> ModelSpec:
    """What is known about a model, with what Ollama tells about its eyes; `None`: nothing."""
    if sees is None or sees is ("image" in spec.modalities):
        return spec
    others: tuple[Modality, ...] = tuple(kind for kind in spec.modalities if kind != "image")
    return replace(spec, modalities=(*others, "image") if sees else others)


def _short_name(model: str) -> str:
    """The same name as people write it."""
    return model.removesuffix(":latest")


def _ready(found: Installed) -> Status:
    size = gigabytes(found.size) if found.size else ""
    facts = ", ".join(filter(None, (found.quantisation, size)))
    return Status(
        "ready",
        f"Installed in Ollama{': ' if facts else ''}{facts}.",
        "ready_installed",
        {"quantisation": found.quantisation, "size": found.size},
    )


def _not_pulled(model: str, size: int) -> Status:
    return Status(
        "not installed",
        f"Ollama does not have it yet: a download of about {gigabytes(size)}.",
        "not_pulled",
        {"model": model, "size": size},
    )


def _broken_off() -> BackendError:
    return BackendConnectionError(
        "Ollama stopped in the middle of the download.",
        "What came is kept: press Download to go on.",
    )
