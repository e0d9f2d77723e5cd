"""NVIDIA NIM: Phi models at NVIDIA, as long as they last, or in a NIM container of your own."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from ._core.backend import Kind, Offer, Status, register
from ._core.catalog import MODELS, ModelSpec
from ._core.errors import BackendError, ModelNotFoundError, RetiredError, ServerError
from ._core.sentence import Sentence
from ._core.types import Chunk, Connection, GenerationParams, Message, Progress
from ._remote.base_url import normalize_url
from ._remote.chat_completions import ChatCompletions, ChatRequest
from ._remote.endpoint import Endpoint
from ._remote.error_response import ErrorResponse
from ._remote.failures import timed_out
from ._remote.model_list import ListedModel
from ._remote.timeouts import silence_timeout

if TYPE_CHECKING:
    import openai

POLL_URL = "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status/"
"""Where a deferred answer (status 202) is fetched, by the id in its `NVCF-REQID` header."""
POLL_SECONDS = 1.0
"""Seconds between two requests for it."""
PROBE_SECONDS = 1.0
"""Seconds for which `probe` waits for its requests; slower ones go on in the background."""
_DEPRECATED = frozenset(
    {
        *("phi-3-mini-4k", "phi-3-mini-128k", "phi-3-small-8k", "phi-3-small-128k"),
        *("phi-3-medium-4k", "phi-3-medium-128k", "phi-3.5-mini", "phi-3.5-vision"),
        "phi-4-mini-flash-reasoning",
    }
)
"""Marked so by NVIDIA on 2026-04-28 (langchain-nvidia, `_statics.py`, commit 6046644)."""
_HTML_IMAGES_ONLY = "phi-3-vision"
"""NVIDIA serves it with pictures as HTML in the text only (langchain-nvidia, as above)."""
_CATALOG_KEYS = _DEPRECATED | {"phi-3.5-moe", "phi-4-mini", "phi-4-multimodal"}
"""Catalog keys of the Phi models at NVIDIA."""

_MAX_PROBE_RESULTS = 1000


@register
class NvidiaNIM(ChatCompletions):
    """Phi models at build.nvidia.com, or in NIM containers. `top_k` is ignored.

    NVIDIA lists models that no longer answer, so one counts as working only after a request to it:
    by `probe`, or by its first answer. At `NIM_BASE_URL` no key is needed, and
    `NVIDIA_API_KEY` goes only to hosts of nvidia.com.

    Pictures go in the usual form; some of NVIDIA's models take one a request, and say so.
    Phi-3-vision is offered in containers only: see `_HTML_IMAGES_ONLY`.

    Sources: langchain-nvidia, `_common.py` and `_statics.py`; free-claude-code#1035 (2026-07-30).
    """

    id: ClassVar[str] = "nvidia_nim"
    label: ClassVar[str] = "NVIDIA NIM"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "NVIDIA_API_KEY"
    requires_key: ClassVar[bool] = True
    default_address: ClassVar[str | None] = "https://integrate.api.nvidia.com/v1"
    address_env: ClassVar[str | None] = "NIM_BASE_URL"
    fallback_models: ClassVar[tuple[str, ...]] = tuple(
        f"{spec.hub_id}".lower() for key, spec in MODELS.items() if key in _CATALOG_KEYS
    )
    accepts_custom_models: ClassVar[bool] = True
    probe_requests: ClassVar[int] = 12
    help: ClassVar[str] = Sentence(
        "Get a key at {url}, or start a NIM container and give its address.",
        url="https://build.nvidia.com",
    )

    def __init__(self) -> None:
        super().__init__()
        self.probe_results: dict[tuple[str, str], Status] = {}
        """The last result of a request to each model, by base URL and model id. Holds no keys."""
        self.running_probes: dict[tuple[str, str], asyncio.Task[Status]] = {}
        """The requests of `probe` that are on their way, by base URL and model id."""

    # ── NVIDIA's own address, and a container's ────────────────────────────────────────────────

    def is_nvidia(self, url: str) -> bool:
        """Whether an address is NVIDIA's own."""
        return f".{urlsplit(url).hostname}".endswith(".nvidia.com")

    def normalize_base_url(self, url: str) -> str:
        """See `RemoteBackend.normalize_base_url`; NVIDIA's own address is always HTTPS."""
        full = normalize_url(url, self.default_path)
        return re.sub("^http:", "https:", full) if self.is_nvidia(full) else full

    def publishes_names(self, url: str) -> bool:
        """See `ChatCompletions.publishes_names`; those of NVIDIA's catalog are."""
        return self.is_nvidia(url)

    def requires_key_at(self, url: str) -> bool:
        """See `RemoteBackend.requires_key_at`; a container needs none."""
        return self.is_nvidia(url)

    def accepts_env_key(self, url: str) -> bool:
        """See `RemoteBackend.accepts_env_key`; NVIDIA's key is sent to NVIDIA only."""
        return self.is_nvidia(url)

    def device_of(self, url: str) -> str | None:
        """See `ChatCompletions.device_of`; the models of a container share its device."""
        return None if self.is_nvidia(url) else url

    # ── Which listed models work ───────────────────────────────────────────────────────────────

    def reachable_status(self, listed: Sequence[ListedModel] | None, url: str) -> Status:
        """See `ChatCompletions.reachable_status`; counts the Phi models not known to be retired."""
        if listed is None or not self.is_nvidia(url):
            return super().reachable_status(listed, url)
        left = sum(offer.status.ready for offer in self.offers(listed, url))
        if not left:
            message = "NVIDIA has no Phi model any more. Run them yourself, or in a NIM container."
            return Status("retired", message, "no_phi")
        message = Sentence(
            "NVIDIA lists {n} Phi models. Some listed models no longer answer; Check tries them.",
            one="NVIDIA lists {n} Phi model. Some listed models no longer answer; Check tries "
            "them.",
            n=left,
        )
        return Status("ready", message, "ready_listing", {"models": left})

    def offers(self, listed: Sequence[ListedModel] | None, url: str) -> list[Offer]:
        """The models of a container; at NVIDIA the Phi models, whether still listed or not."""
        if not self.is_nvidia(url):
            return [
                replace(offer, status=self._model_status(offer.model, url))
                for offer in super().offers(listed, url)
            ]
        ids = [one.id for one in listed or ()]
        specs = {name: self.spec_of(name) for name in (*ids, *self.fallback_models)}
        return [
            Offer(name, spec, self._model_status(name, url, spec, listed is None or name in ids))
            for name, spec in specs.items()
            if spec.key in MODELS and spec.key != _HTML_IMAGES_ONLY
        ]

    async def probe(self, connection: Connection | None = None) -> None:
        """Send a request to each listed Phi model without a result; see `Backend.probe`.

        Returns after `PROBE_SECONDS`; later results show in the next check.
        """
        offers = (await self.check(connection)).offers
        untried = [o.model for o in offers if o.status.code == "untried" and o.spec.key in MODELS]
        running = self.running_probes
        for model in untried[: self.probe_requests]:
            at = self.resolve_endpoint(connection).url, model
            if at not in running:
                running[at] = asyncio.ensure_future(self.probe_model(model, connection))
                running[at].add_done_callback(lambda _, at=at: running.pop(at, None))
        if running:
            await asyncio.wait(list(running.values()), timeout=PROBE_SECONDS)

    async def probe_model(self, model: str, connection: Connection | None = None) -> Status:
        """Whether a model answers a request for one token; sent only if no result is known.

        An answer and a 410 are remembered. Other failures may pass, so they are not: whoever
        probes on somebody else's key has to bound how often.
        """
        try:
            self.check_packages()
            endpoint = self.resolve_endpoint(connection)
            if (endpoint.url, model) not in self.probe_results:
                prompt = (Message.of("user", "Hi"),)
                request = self.request(model, prompt, GenerationParams(max_tokens=1))
                async with aclosing(self._stream_once(endpoint, request)) as chunks:
                    async for _ in chunks:
                        pass
            return self.probe_results[endpoint.url, model]
        except BackendError as error:
            return self.status_from_error(error)

    async def _stream_once(
        self, endpoint: Endpoint, request: ChatRequest
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """See `ChatCompletions._stream_once`; remembers whether the model answered."""
        at = endpoint.url, request.model
        unknown = True
        try:
            async with aclosing(super()._stream_once(endpoint, request)) as chunks:
                async for chunk in chunks:
                    if unknown:
                        answered = Sentence("It answered on {time}.", time=_now())
                        self._remember(at, Status("ready", answered, "ready_tried"))
                    unknown = False
                    yield chunk
        except RetiredError as error:
            # "Not for your account" may be otherwise with another key: that is asked again.
            if error.values.get("status") == 410:
                tried = Sentence("Tried on {time}.", time=_now())
                gone = Sentence.chain(str(error), tried)
                self._remember(at, Status("retired", gone, "retired_model"))
            raise

    def _model_status(
        self, model: str, url: str, spec: ModelSpec | None = None, listed: bool = True
    ) -> Status:
        """The status of a model at a base URL; `spec` if NVIDIA serves it."""
        if result := self.probe_results.get((url, model)):
            return result
        marked = spec is not None and spec.key in _DEPRECATED
        old = "NVIDIA marked it deprecated on 2026-04-28." if marked else ""
        if spec and not listed:
            gone = Sentence.chain("NVIDIA no longer lists it.", old, _replacement_hint(spec))
            return Status("retired", gone, "unlisted")
        return Status("ready", Sentence.chain("Listed; not tried yet.", old), "untried")

    def _remember(self, at: tuple[str, str], status: Status) -> None:
        """Remember the result of a request to a model at a base URL."""
        while len(self.probe_results) >= _MAX_PROBE_RESULTS:
            del self.probe_results[next(iter(self.probe_results))]
        self.probe_results[at] = status

    async def body_of(
        self, client: "openai.AsyncOpenAI", response: "openai.AsyncAPIResponse[Any]"
    ) -> AsyncIterator[bytes]:
        """See `ChatCompletions.body_of`; NVIDIA may answer 202 with an id to poll.

        What comes so late comes as a whole.
        """
        import httpx2

        if response.status_code != 202:
            return await super().body_of(client, response)
        await response.close()
        end = time.monotonic() + silence_timeout()
        ticket, late = response.headers.get("nvcf-reqid", ""), None
        while late is None or late.status_code == 202:
            if not (self.is_nvidia(str(client.base_url)) and re.fullmatch(r"[\w-]+", ticket)):
                raise ServerError(
                    Sentence(
                        "{label} accepted the request, but never sent an answer.", label=self.label
                    ),
                    "Try again later.",
                )
            if time.monotonic() >= end:
                raise timed_out(self.label, connecting=False, begun=False)
            await asyncio.sleep(POLL_SECONDS)
            late = await client.get(POLL_URL + ticket, cast_to=httpx2.Response)
        return late.aiter_bytes()

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """See `ChatCompletions.map_error`; some models in NVIDIA's list are retired.

        A bare `404 page not found` comes for those too, but also for a wrong address.
        """
        values = {"status": response.status, "model": model}
        lost = response.status == 404 and "not found for account" in response.server_message.lower()
        if model and (response.status == 410 or lost):
            # The message of a lost model names the account.
            quoted = "" if lost else response.quoted
            return RetiredError(
                Sentence("NVIDIA no longer serves “{model}”.{quoted}", model=model, quoted=quoted),
                _replacement_hint(self.spec_of(model)),
                **values,
            )
        if model and response.status == 404:
            return ModelNotFoundError(
                Sentence("There is no “{model}” at this address.", model=model),
                "NVIDIA may have switched it off: choose another. Or is the address wrong?",
                **values,
            )
        return super().map_error(model, response)


def _replacement_hint(spec: ModelSpec) -> str:
    """What to use instead of a model that NVIDIA retired."""
    successor = MODELS.get(spec.successor or "")
    named = ""
    if successor:
        named = Sentence("Microsoft names {name} as its successor.", name=successor.label)
    return Sentence.chain("Run it yourself, with Transformers or Ollama.", named)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d at %H:%M} UTC"
