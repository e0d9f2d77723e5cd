"""NVIDIA NIM: Phi models at NVIDIA, as long as they last, or in a NIM container of your own."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from ._core.backend import Kind, Offer, Status, register
from ._core.catalog import MODELS, ModelSpec
from ._core.errors import BackendError, ModelNotFoundError, RetiredError, ServerError
from ._core.types import Chunk, Connection, GenerationParams, Message
from ._remote.chat_completions import ChatCompletions, Request
from ._remote.endpoint import Address, normal, silence_timeout, timed_out
from ._remote.errors import Refusal

if TYPE_CHECKING:
    import openai

POLL_URL = "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status/"
"""Where an answer that NVIDIA only promised is fetched, by the id in `NVCF-REQID`."""
POLL_SECONDS = 1.0
PROBE_SECONDS = 1.0
"""How long a check waits for the models that it tries: a visitor waits for it."""
_DEPRECATED = frozenset(
    {
        *("phi-3-mini-4k", "phi-3-mini-128k", "phi-3-small-8k", "phi-3-small-128k"),
        *("phi-3-medium-4k", "phi-3-medium-128k", "phi-3.5-mini", "phi-3.5-vision"),
        "phi-4-mini-flash-reasoning",
    }
)
"""Marked so by NVIDIA on 2026-04-28 (langchain-nvidia, `_statics.py`, commit 6046644)."""
_OTHER_FORM = "phi-3-vision"
"""NVIDIA's own address for it takes pictures as HTML in the text (langchain-nvidia, as above)."""
_SERVED = _DEPRECATED | {"phi-3.5-moe", "phi-4-mini", "phi-4-multimodal"}

_tried: dict[tuple[str, str], Status] = {}
"""What became of each model that was asked at each address, while this server runs. No keys."""
_MOST_TRIED = 1000
_trying: dict[tuple[str, str], asyncio.Task[Status]] = {}
"""The same, of models that a check is trying now."""


@register
class NvidiaNIM(ChatCompletions):
    """Phi models at build.nvidia.com, or in NIM containers. `top_k` is ignored.

    NVIDIA lists models that no longer answer, so one counts as working only once it was tried: by
    a check (`probe`), or by its first answer. At `NIM_BASE_URL` no key is needed, and
    `NVIDIA_API_KEY` goes only to hosts of nvidia.com.

    Pictures go in the usual form; some of NVIDIA's models take one a request, and say so.
    Phi-3-vision is offered in containers only: NVIDIA itself took it in another form.

    Sources: langchain-nvidia, `_common.py` and `_statics.py`; free-claude-code#1035 (2026-07-30).
    """

    id: ClassVar[str] = "nvidia_nim"
    label: ClassVar[str] = "NVIDIA NIM"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "NVIDIA_API_KEY"
    needs_key: ClassVar[bool] = True
    address: ClassVar[str | None] = "https://integrate.api.nvidia.com/v1"
    address_env: ClassVar[str | None] = "NIM_BASE_URL"
    known: ClassVar[tuple[str, ...]] = tuple(
        f"{spec.hub_id}".lower() for key, spec in MODELS.items() if key in _SERVED
    )
    names_models: ClassVar[bool] = True
    probe_requests: ClassVar[int] = 12
    help: ClassVar[str] = (
        "Get a key at https://build.nvidia.com, or start a NIM container and set NIM_BASE_URL to "
        "its address."
    )

    # ── NVIDIA's own address, and a container's ────────────────────────────────────────────────

    def hosted(self, url: str) -> bool:
        """Whether an address is NVIDIA's own."""
        return f".{urlsplit(url).hostname}".endswith(".nvidia.com")

    def in_full(self, url: str) -> str:
        """An address as people type it, in full; NVIDIA's own is always encrypted."""
        full = normal(url, self.default_path)
        return re.sub("^http:", "https:", full) if self.hosted(full) else full

    def wants_key(self, url: str) -> bool:
        """A container wants none."""
        return self.hosted(url)

    def may_have_key(self, url: str) -> bool:
        """NVIDIA's key is for NVIDIA."""
        return self.hosted(url)

    def device_of(self, url: str) -> str | None:
        """A container's models share what it runs on."""
        return None if self.hosted(url) else url

    # ── Listed is not working ──────────────────────────────────────────────────────────────────

    def answering(self, listed: Sequence[str] | None, url: str) -> Status:
        """In NVIDIA's list only Phi models count, and only those that were not found dead."""
        if listed is None or not self.hosted(url):
            return super().answering(listed, url)
        left = sum(offer.status.ready for offer in self.offers(listed, url))
        if not left:
            message = "NVIDIA has no Phi model any more. Run them yourself, or in a NIM container."
            return Status("retired", message, "no_phi")
        models = "1 Phi model" if left == 1 else f"{left} Phi models"
        message = f"NVIDIA lists {models}. Some listed models no longer answer; Check tries them."
        return Status("ready", message, "ready_listing", {"models": left})

    def offers(self, listed: Sequence[str] | None, url: str) -> list[Offer]:
        """What a container has; at NVIDIA the Phi models, whether still listed or not."""
        there = listed or ()
        if not self.hosted(url):
            return [Offer(name, self.spec_of(name), _state(name, url)) for name in there]
        specs = {name: self.spec_of(name) for name in (*there, *self.known)}
        return [
            Offer(name, spec, _state(name, url, spec, listed is None or name in there))
            for name, spec in specs.items()
            if spec.key in MODELS and spec.key != _OTHER_FORM
        ]

    async def probe(self, connection: Connection | None = None) -> None:
        """Try the models that NVIDIA lists and nobody has tried yet; see `Backend.probe`.

        Slow ones are not waited for: what became of them is there at the next look.
        """
        offers = (await self.check(connection)).offers
        untried = [o.model for o in offers if o.status.code == "untried" and o.spec.key in MODELS]
        for model in untried[: self.probe_requests]:
            at = self.reach(connection).url, model
            if at not in _trying:
                _trying[at] = asyncio.ensure_future(self.try_out(model, connection))
                _trying[at].add_done_callback(lambda _, at=at: _trying.pop(at, None))
        if _trying:
            await asyncio.wait(list(_trying.values()), timeout=PROBE_SECONDS)

    async def try_out(self, model: str, connection: Connection | None = None) -> Status:
        """Whether a model really answers: it is asked for one token, once while this server runs.

        An answer and a retirement are remembered; any other failure is only the moment's.
        """
        try:
            self.check_packages()
            address = self.reach(connection)
            if (address.url, model) not in _tried:
                hi, short = (Message.of("user", "Hi"),), GenerationParams(max_tokens=1)
                one = self.request(model, hi, short)
                async with aclosing(self._ask(address, one)) as chunks:
                    async for _ in chunks:
                        pass
            return _tried[address.url, model]
        except BackendError as error:
            return self.unreached(error)

    async def _ask(self, address: Address, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request and its stream. Whether the model answered is remembered."""
        at = address.url, request.model
        unknown = True
        try:
            async with aclosing(super()._ask(address, request)) as chunks:
                async for chunk in chunks:
                    if unknown:
                        _note(at, Status("ready", f"It answered on {_now()}.", "ready_tried"))
                    unknown = False
                    yield chunk
        except RetiredError as error:
            # "Not for your account" may be otherwise with another key: that is asked again.
            if error.values.get("status") == 410:
                _note(at, Status("retired", f"{error} Tried on {_now()}.", "retired_model"))
            raise

    async def promised(
        self, client: "openai.AsyncOpenAI", events: "openai.AsyncStream[object]"
    ) -> "openai.AsyncStream[object]":
        """The stream itself. NVIDIA may first say `202` and an id, and wants to be asked again."""
        from openai import AsyncStream

        end = time.monotonic() + silence_timeout()
        ticket = events.response.headers.get("nvcf-reqid", "")
        while events.response.status_code == 202:
            await events.close()
            if not (self.hosted(str(client.base_url)) and re.fullmatch(r"[\w-]+", ticket)):
                raise ServerError(
                    f"{self.label} accepted the request, but never sent an answer.",
                    "Try again later.",
                )
            if time.monotonic() >= end:
                raise timed_out(self.label, connecting=False, begun=False)
            await asyncio.sleep(POLL_SECONDS)
            events = await client.get(
                POLL_URL + ticket,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
        return events

    def refused(self, model: str, refusal: Refusal) -> BackendError:
        """What a refusal means here: some models are gone that are still in NVIDIA's list.

        A bare `404 page not found` comes for those too, but also for a wrong address.
        """
        values = {"status": refusal.status, "model": model}
        lost = refusal.status == 404 and "not found for account" in refusal.words.lower()
        if model and (refusal.status == 410 or lost):
            told = "" if lost else f" It says: “{refusal.words}”"  # it would name the account
            return RetiredError(
                f"NVIDIA no longer serves “{model}”.{told}", _instead(self.spec_of(model)), **values
            )
        if model and refusal.status == 404:
            return ModelNotFoundError(
                f"There is no “{model}” at this address.",
                "NVIDIA may have switched it off: choose another. Or is the address wrong?",
                **values,
            )
        return super().refused(model, refusal)


def _state(model: str, url: str, spec: ModelSpec | None = None, there: bool = True) -> Status:
    """What is known about a model at an address; `spec` if it is one of NVIDIA's own."""
    if told := _tried.get((url, model)):
        return told
    marked = spec is not None and spec.key in _DEPRECATED
    old = " NVIDIA marked it deprecated on 2026-04-28." if marked else ""
    if spec and not there:
        return Status("retired", f"NVIDIA no longer lists it.{old} {_instead(spec)}", "unlisted")
    return Status("ready", f"Listed; not tried yet.{old}", "untried")


def _instead(spec: ModelSpec) -> str:
    """What to use when NVIDIA has it no more."""
    successor = MODELS.get(spec.successor or "")
    named = f" Microsoft names {successor.label} as its successor." if successor else ""
    return f"Run it yourself, with Transformers or Ollama.{named}"


def _note(at: tuple[str, str], status: Status) -> None:
    """Remember what became of a model at an address."""
    while len(_tried) >= _MOST_TRIED:
        del _tried[next(iter(_tried))]
    _tried[at] = status


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d at %H:%M} UTC"
