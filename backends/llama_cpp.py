"""llama.cpp on this machine: GGUF files, also those that other programs have fetched."""

import asyncio
import platform
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import ClassVar, cast

from ._core.backend import CONTEXT_CAP, Health, Offer, Status, check_pictures, register
from ._core.catalog import MODELS, ModelSpec
from ._core.errors import (
    BackendConnectionError,
    BackendError,
    ContextLengthError,
    ModelNotFoundError,
)
from ._core.names import known_model
from ._core.sentence import Sentence
from ._core.types import Chunk, Connection, GenerationParams, Message, Progress, Role, Timings
from ._core.unicode import clean
from ._local import gguf, llama_server
from ._local.backend import LocalBackend, look, too_large
from ._local.chat_text import (
    DEFAULT_PARAMS,
    ChatTemplate,
    escape_control_tokens,
    to_template_messages,
)
from ._local.decode import most_tokens, too_long
from ._local.download import download, kept_size
from ._local.host import HOST, Host, LocalModel
from ._local.messages import Lent
from ._local.sampling import GREEDY_BELOW
from ._local.seam import Served
from ._local.snippet import snippet_context
from ._remote.llama_cpp import LlamaCppServer
from ._snippets import render

_OURS = ("model", "cache_prompt", "return_progress", "timings_per_token")
"""Of a request, what a program that only wants the text does without."""
_PATIENCE = 5.0
"""Seconds in which the end of a process is heard of, once its server has hung up."""


@dataclass(frozen=True, slots=True)
class Download:
    """A GGUF file in a repository on the Hugging Face Hub."""

    key: str
    """Of the model in the catalog."""
    repository: str
    file: str
    size: int
    """Bytes of the file, about."""
    per_token: int
    """Bytes of keys and values of one token, in 16 bits."""

    @property
    def model(self) -> str:
        """The backend's id for it: where it lies in the Hub's cache, and in LM Studio's folder."""
        return f"{self.repository}/{self.file}"


DOWNLOADS = (
    Download(
        "phi-3-mini-4k",
        "microsoft/Phi-3-mini-4k-instruct-gguf",
        "Phi-3-mini-4k-instruct-q4.gguf",
        2_390_000_000,
        per_token=2 * 2 * 32 * 32 * 96,
    ),
)
"""What Microsoft publishes as GGUF in 4 bits: 2.39 GB, by its model card."""


@register
class LlamaCpp(LocalBackend):
    """Any GGUF file that chats, Phi or not, in a process of its own.

    Looked for below `PHI_MODELS_DIR`, and where the Hugging Face Hub's clients, LM Studio, Ollama
    and llama.cpp itself keep theirs. What is found is only read. The same seed gives the same text
    where an answer is computed alone; beside another one, a sum may round differently. On a Mac's
    GPU, or with a build of `xllamacpp` for another one, layers go there by themselves: not tried.
    """

    id: ClassVar[str] = "llama_cpp"
    # Told to keep all that a model writes (`force_pure_content_parser`), xllamacpp 2026.10 leaves
    # the last answer out of the prompt.
    continues: ClassVar[bool] = False
    label: ClassVar[str] = "llama.cpp"
    requires: ClassVar[tuple[str, ...]] = ("xllamacpp", "openai")
    install: ClassVar[str] = "pip install xllamacpp==2026.10.11549"
    downloads_from: ClassVar[str] = "the Hugging Face Hub"

    def __init__(self) -> None:
        self._server = LlamaCppServer()
        self._known: dict[str, gguf.Found] = {}
        """The files that were found when it was last looked for them, by their models' names."""

    @classmethod
    def without_packages(cls) -> Status | None:
        """See `Backend.without_packages`; for Windows on ARM there is none to install."""
        status = super().without_packages()
        if status is None or (sys.platform, platform.machine()) != ("win32", "ARM64"):
            return status
        return Status(
            "not installed",
            "There is no xllamacpp for Windows on ARM. Ollama and llama.cpp's own server run the "
            "same files.",
            "no_build",
        )

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the package and at least one file are here; see `Backend.check`."""
        return await look(self._check)

    def _check(self) -> Health:
        self._look()
        offers = [_own(one) for one in self._known.values()]
        return self.health(
            [*offers, *(_offer(one) for one in DOWNLOADS if not self._file(one.model))]
        )

    async def load(self, connection: Connection | None = None) -> None:
        """Have a process and the client ready; see `Backend.load`."""
        if not self.missing_packages():
            await asyncio.gather(super().load(), asyncio.to_thread(import_module, "openai"))

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        one = self._locate(model)
        if one is None:
            published = _published(model)
            label = MODELS[published.key].label if published else model
            raise self.not_here(model, label, published.size if published else None)
        return LocalModel(
            f"{self.id}:{one.file}",
            _spec(one).label,
            "backends._local.llama_server",
            {"file": str(one.file)},
            hint=lambda free: "Close other programs, or choose a smaller file.",
        )

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by its file: its name guesses at the catalogue's."""
        known = self._known.get(model)
        return _spec(known) if known else _text_only(known_model(model))

    def _look(self) -> None:
        """Look for every file on this machine."""
        self._known = {one.model: one for one in gguf.find()}

    def _file(self, model: str) -> gguf.Found | None:
        """A model's file, or a published one's wherever it lies, as far as is known."""
        if known := self._known.get(model):
            return known
        name = one.file if (one := _published(model)) else None
        return next((known for known in self._known.values() if known.file.name == name), None)

    def _locate(self, model: str) -> gguf.Found | None:
        """The same; looks at the disk, and for all files only if it is not where it was."""
        if (known := self._file(model)) and known.is_here:
            return known
        self._look()
        return self._file(model)

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation on this machine; see `Backend.stream`."""
        self.check_packages()
        local = await look(partial(self.local_model, model))
        check_pictures(self.spec_of(model), messages)
        async with aclosing(self.answer(HOST, local, messages, params)) as steps:
            async for step in steps:
                yield step

    async def answer(
        self, host: Host, local: LocalModel, messages: Sequence[Message], params: GenerationParams
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation by a model of a host. Raises `BackendError`."""
        async with aclosing(host.lend(local)) as steps:
            async for step in steps:
                if isinstance(step, Lent):
                    break
                yield step
            else:
                return
            try:
                async with aclosing(self._ask(local.label, step, messages, params)) as answer:
                    async for one in answer:
                        yield one
            except BackendConnectionError:
                # Its server hung up: most likely its process has ended, whose reason says more.
                await _end_of(steps)
                raise

    async def _ask(
        self, label: str, lent: Lent, messages: Sequence[Message], params: GenerationParams
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """The answer of a server that was lent. Raises `BackendError`."""
        served = lent.served
        where = Connection(served.url, served.key)
        steps = self._server.stream(label, _prepared(served, messages), _explicit(params), where)
        device, first = served.device, True
        async with aclosing(steps):
            try:
                async for step in steps:
                    if isinstance(step, Chunk):
                        timings = Timings(device=device) if first else step.timings
                        if step.timings:  # at its end
                            timings = replace(
                                step.timings, queued=lent.queued, load=lent.load, device=device
                            )
                        usage = replace(step.usage, context=served.context) if step.usage else None
                        notes = served.notes if first else ()
                        step = replace(step, usage=usage, timings=timings, notes=notes)
                        first = False
                    yield step
            except ContextLengthError as error:
                tokens, context = (error.values.get(name) for name in ("tokens", "context"))
                if isinstance(tokens, int) and isinstance(context, int):
                    raise too_long(label, tokens, context) from error
                raise

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with the `xllamacpp` package; see `Backend.snippet`."""
        published, here = _published(model), self._locate(model)
        try:
            slot = here is None or ChatTemplate.of_text(here.header.template).system_slot
            context = snippet_context(messages, params, system_slot=slot)
        except (BackendError, ValueError):
            return None
        talk = [
            Message.of(cast("Role", one["role"]), one["content"]) for one in context["messages"]
        ]
        request = self._server.body(model, talk, _explicit(params))
        notes: list[str] = []
        if published:
            notes = [f"Fetch it first: hf download {published.repository} {published.file}"]
            if not here:
                notes[0] += " --local-dir ."
        return render(
            "xllamacpp",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=self.install,
            notes=notes,
            file=str(here.file) if here else published.file if published else model,
            context=llama_server.context_of(here.header) if here else CONTEXT_CAP,
            escaped=context["escaped"],
            request={name: one for name, one in request.items() if name not in _OURS},
        )

    def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a file into the Hugging Face cache; see `Backend.download`."""
        if (one := _published(model)) is None:
            raise ModelNotFoundError(
                Sentence("{model} cannot be downloaded.", model=model), "Choose another one."
            )
        return download(one.repository, MODELS[one.key].label, kinds=(one.file,))


async def _end_of(steps: AsyncGenerator[Progress | Lent, None]) -> None:
    """Wait a little for the end of a process that was lent. Raises the error that it is."""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for _ in steps:
                pass
    except TimeoutError:
        return


def _prepared(served: Served, messages: Sequence[Message]) -> list[Message]:
    """A conversation as the model's template takes it, without control tokens in its texts."""
    talk = to_template_messages(
        messages,
        system_slot=served.system_slot,
        write=lambda message: escape_control_tokens(clean(message.text), served.controls),
    )
    return [Message.of(cast("Role", turn["role"]), turn["content"]) for turn in talk]


def _explicit(params: GenerationParams) -> GenerationParams:
    """The same with every knob set, as our own engines set them."""
    temperature, top_p, top_k = (
        getattr(DEFAULT_PARAMS, name) if getattr(params, name) is None else getattr(params, name)
        for name in ("temperature", "top_p", "top_k")
    )
    return replace(
        params,
        max_tokens=most_tokens(params),
        temperature=0.0 if temperature < GREEDY_BELOW else temperature,
        top_p=top_p,
        top_k=top_k,
        stop=tuple(text for text in params.stop if text),
    )


def _published(model: str) -> Download | None:
    """A file that can be fetched, by the backend's id for it."""
    return next((one for one in DOWNLOADS if one.model == model), None)


def _spec(found: gguf.Found) -> ModelSpec:
    """What is known about a file: as the catalogue knows it, if its name is that of a model."""
    header = found.header
    for name in (found.model, header.name):
        if (spec := known_model(name)).key in MODELS:
            return _text_only(spec)
    return ModelSpec(
        key=found.model,
        label=found.title,
        family="",
        parameters=header.parameters,
        active_parameters=header.active_parameters,
        context=header.context,
        languages=(),
        modalities=("text",),
        licence="",
        source="",
        architecture=header.architecture,
    )


def _text_only(spec: ModelSpec) -> ModelSpec:
    """The same model as it reads without what sees, which is in a file of its own."""
    return spec if spec.modalities == ("text",) else replace(spec, modalities=("text",))


def _own(found: gguf.Found) -> Offer:
    """A file on this machine."""
    need = llama_server.need(found.header)
    kind = found.header.file_type
    sentence = (
        Sentence("On this machine, in {kind}, {place}.", kind=kind, place=found.place)
        if kind
        else Sentence("On this machine, {what}.", what=found.place)
    )
    ready = Status("ready", sentence, "ready_local")
    return Offer(
        found.model,
        _spec(found),
        too_large(need) or ready,
        memory=need,
        bytes_per_token=found.header.read_per_token,
    )


def _offer(one: Download) -> Offer:
    """A file that can be fetched."""
    spec = MODELS[one.key]
    need = llama_server.need_of(one.size, CONTEXT_CAP * one.per_token, 32_064)
    sentence = Sentence(
        "Not on this machine yet: a download of about {size:bytes}, {what}.",
        size=one.size,
        what=Sentence("in 4 bits"),
    )
    missing = Status("not installed", sentence, "not_downloaded", {"size": one.size})
    return Offer(
        one.model,
        spec,
        too_large(need) or missing,
        download_size=one.size,
        kept_size=min(one.size, kept_size(one.repository)),
        memory=need,
        bytes_per_token=one.size,
    )
