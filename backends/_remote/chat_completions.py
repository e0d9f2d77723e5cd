"""The chat/completions protocol of OpenAI, which several backends share."""

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .._core.backend import (
    Health,
    Offer,
    Status,
    check_pictures,
    count_pictures,
)
from .._core.catalog import MODELS
from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BadRequestError,
    MissingKeyError,
    RetiredError,
    ServerError,
)
from .._core.sentence import Sentence
from .._core.types import (
    Chunk,
    Connection,
    GenerationParams,
    ImagePart,
    Message,
    Part,
    Progress,
)
from .._core.unicode import clean_json
from .._snippets import KEY_PLACEHOLDER, Source, picture_files, quoted, render, replaced, with_key
from .answer_warnings import fewest_tokens, is_same_model
from .endpoint import Endpoint, RemoteBackend
from .error_response import ErrorResponse
from .errors import map_error
from .failures import web_page
from .http import ClientCache, use_credentials
from .model_list import ListedModel, parse_models
from .patience import Patience
from .retry import retry_once
from .sse import EventDecoder
from .stream_reader import Circumstances, StreamReader, is_error
from .timeouts import CONNECT_TIMEOUT, first_token_timeout

if TYPE_CHECKING:
    import openai

_STREAM_OPTIONS: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""Part of every request: stream the answer, and report the token counts at its end."""

_UNUSABLE_STATUSES = frozenset({401, 403, 407, 410, 429, 502, 503, 504, *range(520, 531)})
"""Statuses of a list request that mean that the server is unusable, not that it has no list."""

_MAX_SERVERS = 100
"""Servers whose list is remembered."""
REUSE_TIMEOUT = 0.1
"""Seconds that the end of a response may take after its answer has ended."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The body of one request, and what its error messages name."""

    model: str
    """The model's id; empty if the request names none."""
    body: Mapping[str, Any] = field(repr=False)
    pictures: int = 0
    """Number of pictures in it."""
    fewest_tokens: int = 0
    """How many tokens its prompt has at least."""

    def without_usage(self) -> "ChatRequest":
        """The same without asking for token counts, which some servers refuse."""
        body = {name: value for name, value in self.body.items() if name != "stream_options"}
        return replace(self, body=body)


class ChatCompletions(RemoteBackend):
    """A backend that speaks chat/completions. Subclasses name the services and their differences.

    `top_k` is ignored: it is not part of this protocol, and strict servers refuse what they do not
    know. Tokens are counted by the server's own report, or else estimated.

    Pictures are sent as they are, as data URLs, each at its place between the texts. `num_crops` is
    ignored for the same reason as `top_k`: into how many crops a picture is cut is the server's own
    business. vLLM would take `mm_processor_kwargs` with a request, and takes
    `--mm-processor-kwargs '{"num_crops": 4}'` at its start (`ChatCompletionRequest` in
    `vllm/entrypoints/openai/protocol.py`, commit 0052bed). mlx-vlm 0.4.4 reads only the last
    picture of a message, and says nothing (mlx-vlm#1084): later ones read all.
    """

    requires: ClassVar[tuple[str, ...]] = ("openai",)
    guards_addresses: ClassVar[bool] = True
    ignored_params: ClassVar[frozenset[str]] = frozenset({"top_k", "num_crops"})
    install: ClassVar[str] = "pip install openai"
    fallback_models: ClassVar[tuple[str, ...]] = ()
    """Model ids that are shown when the server cannot be asked for its list."""
    uses_proxies: ClassVar[bool] = True
    """Whether requests go through the proxies that the environment names."""
    reader_type: ClassVar[type[StreamReader]] = StreamReader
    compares_names: ClassVar[bool] = True
    """Whether an answer under another name than the one asked for comes from another model."""

    def __init__(self) -> None:
        self.clients: ClientCache[openai.AsyncOpenAI] = ClientCache(
            partial(_build_client, uses_proxies=self.uses_proxies),
            close=lambda client: client.close(),
        )
        """The SDK's clients, by base URL."""
        self.guarded_clients: ClientCache[openai.AsyncOpenAI] = ClientCache(
            partial(_build_client, uses_proxies=False, guarded=True),
            close=lambda client: client.close(),
        )
        """Those for addresses that strangers typed."""
        self._listed: OrderedDict[str, dict[str, int | None]] = OrderedDict()
        """The models that were last listed, by base URL and id: the context that each has there."""

    # ── Differences between services ───────────────────────────────────────────────────────────

    def auth_headers(self, key: str | None) -> dict[str, str]:
        """The headers that carry the key; empty without one."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def device_of(self, url: str) -> str | None:
        """Names the device behind a base URL; answers from the same device share its speed.

        `None` if it serves many users anyway.
        """
        return url if self.kind == "server" else None

    def publishes_names(self, url: str) -> bool:
        """Whether the names of models at a base URL are those of a published catalog.

        Elsewhere anybody may have given them, and what they suggest is a guess.
        """
        return False

    def list_endpoint(self, connection: Connection | None) -> Endpoint:
        """Where the list is asked for, and with which key; see `resolve_endpoint`."""
        return self.resolve_endpoint(connection)

    def models_url(self, url: str) -> str:
        """The list of models: a path below the base URL, or a whole URL."""
        return "/models"

    def reachable_status(self, listed: Sequence[ListedModel] | None, url: str) -> Status:
        """The status of a server that answers; `listed` are its models, `None` without a list."""
        if listed is None:
            return Status(
                "ready", "It answers, but lists no models: type a model's name.", "ready_unlisted"
            )
        return Status(
            "ready",
            Sentence(
                "It answers and lists {n} models.",
                one="It answers and lists {n} model.",
                n=len(listed),
            ),
            "ready_server",
        )

    def offers(self, listed: Sequence[ListedModel] | None, url: str) -> list[Offer]:
        """The models of a server that answers, in any order; `listed` as above."""
        return [self.listed_offer(one, url) for one in listed or ()]

    def listed_offer(self, model: ListedModel, url: str) -> Offer:
        """A model as the server tells of it. What only its name suggests rules nothing out."""
        spec = model.spec(self.spec_of(model.id))
        if model.reads is None and not self.publishes_names(url):
            spec = replace(spec, modalities=tuple(dict.fromkeys((*spec.modalities, "image"))))
        status = Status("ready", model.sentence, "ready_listed")
        return Offer(model.id, spec, status, context=model.context)

    def reader(self, url: str, request: ChatRequest, key: str | None = None) -> StreamReader:
        """What reads the events of a response from this base URL; `key` is left out of errors."""
        return self.reader_type(
            self.label,
            self.device_of(url),
            lambda response: self.map_error(
                request.model, replace(response, pictures=request.pictures).redacted(key)
            ),
            Circumstances(
                model=request.model if self.compares_names else "",
                listed=self._lists(url, request.model),
                context=self._listed.get(url, {}).get(request.model),
                fewest_tokens=request.fewest_tokens,
                pictures=request.pictures,
                stop=request.body.get("stop", ()),
            ),
        )

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """The error for an error response of this service."""
        return map_error(self.label, model, response)

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The JSON body of a request, without the streaming options."""
        goes_on = self.continues and bool(messages) and messages[-1].role == "assistant"
        settings = {
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": params.seed,
            "stop": list(params.stop) or None,
            # Both or neither, say vLLM, SGLang and llama.cpp.
            "continue_final_message": True if goes_on else None,
            "add_generation_prompt": False if goes_on else None,
        }
        return {
            "model": model,
            "messages": [
                {"role": message.role, "content": _message_content(message.parts)}
                for message in messages
            ],
            **{name: value for name, value in settings.items() if value is not None},
        }

    def request(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> ChatRequest:
        """The request for an answer. Takes some milliseconds for each picture."""
        return ChatRequest(
            model,
            self.body(model, messages, params) | _STREAM_OPTIONS,
            pictures=count_pictures(messages),
            fewest_tokens=sum(fewest_tokens(message.text) for message in messages),
        )

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """Import the SDK and build the client; see `Backend.load`."""
        with suppress(Exception):
            async with self.client(self.list_endpoint(connection)):
                pass

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if the server answers a request for its list, even if only that it has none."""
        try:
            self.check_packages()
            endpoint = self.resolve_endpoint(connection)
            listed = await self.list_models(connection)
        except BackendError as error:
            status = self.status_from_error(error)
            return Health(
                status, [Offer(one, self.spec_of(one), status) for one in self.fallback_models]
            )
        offers = sorted(
            self.offers(listed, endpoint.url),
            key=lambda offer: (not offer.status.ready, offer.spec.key not in MODELS),
        )
        return Health(self.reachable_status(listed, endpoint.url), offers)

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
        if self.publishes_names(endpoint.url):
            check_pictures(self.spec_of(model), messages)
        ask = self.request, model, messages, params
        # Encoding pictures on the event loop would delay all other answers.
        pictures = count_pictures(messages)
        request = await asyncio.to_thread(*ask) if pictures else ask[0](*ask[1:])
        try:
            async with aclosing(retry_once(lambda: self._stream_once(endpoint, request))) as items:
                async for item in items:
                    yield item
        except BackendConnectionError as error:
            if (better := await self._if_encrypted(endpoint, error)) is error:
                raise
            raise better from error
        except BadRequestError as error:
            if not error.values.get("refuses_usage"):
                raise
            request = request.without_usage()
            async with aclosing(self._stream_once(endpoint, request)) as items:
                async for item in items:
                    yield item

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str:
        """The same request with the `openai` package; see `Backend.snippet`."""
        url, has_key = self.snippet_target(connection)
        variable = (self.key_env or "API_KEY") if has_key else None
        headers, key = self.auth_headers(KEY_PLACEHOLDER if variable else None), "none"
        if headers.get("authorization") == f"Bearer {KEY_PLACEHOLDER}":  # the package's own way
            del headers["authorization"]
            key = KEY_PLACEHOLDER
        elif variable:
            headers = {"authorization": Source("Omit()")} | headers
        files = picture_files(messages)
        urls = {
            data_url(picture): Source(f"data_url({quoted(name)}, {quoted(picture.media_type)})")
            for picture, name in files.items()
        }
        return render(
            "openai",
            title=f"{self.spec_of(model).label} · {self.label}",
            install=self.install,
            warning=self._retirement(model, url, connection),
            variable=variable,
            url=url,
            key=with_key(key, variable),
            headers={name: with_key(text, variable) for name, text in headers.items()},
            request=replaced(self.body(model, messages, params), urls),
            pictures=list(files.values()),
            top_k=params.top_k,
        )

    def _retirement(self, model: str, url: str, connection: Connection | None) -> str:
        """That the service or the model was switched off, in sentences; empty if it was not."""
        try:
            self.resolve_endpoint(connection)
        except RetiredError:
            if gone := self.retired:
                day = f"{gone.on:%Y-%m-%d}"
                return f"{self.label} was retired on {day}. Instead: {gone.successor}."
        except BackendError:
            pass  # what else is missing is no matter here
        offers = (offer for offer in self.offers([ListedModel(model)], url) if offer.model == model)
        status = next((offer.status for offer in offers), None)
        return status.message if status and status.state == "retired" else ""

    # ── HTTP ───────────────────────────────────────────────────────────────────────────────

    def client(self, endpoint: Endpoint) -> "AbstractAsyncContextManager[openai.AsyncOpenAI]":
        """The SDK's client for an endpoint, kept open until the end of the `async with` block."""
        clients = self.guarded_clients if endpoint.guarded else self.clients
        return clients.use(endpoint.url)

    async def _stream_once(
        self, endpoint: Endpoint, request: ChatRequest
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Send one request and yield the steps of its response. Raises `BackendError` only."""
        import openai
        from httpx2 import HTTPError

        from .transport import transport_error

        reader = self.reader(endpoint.url, request, endpoint.key)
        patience = Patience(self.label)
        async with self.client(endpoint) as client, AsyncExitStack() as stack:
            try:
                with use_credentials(self.auth_headers(endpoint.key)):
                    # As bytes: the SDK's own events cost several times everything else here, and
                    # leave out what is none.
                    opening = client.chat.completions.with_streaming_response.create(
                        model=request.model, messages=[], stream=True, extra_body=request.body
                    )
                    response = await stack.enter_async_context(opening)
                    pieces = await self.body_of(client, response)
                steps = await stack.enter_async_context(
                    aclosing(read_stream(pieces, reader, patience))
                )
                async for step in steps:
                    yield step
            except HTTPError as error:  # while the response is read
                if reader.finished:  # all but the end of the transfer came
                    yield reader.end()
                    return
                raise transport_error(
                    self.label, endpoint.url, error, reader.begun, request.pictures
                ) from error
            except openai.OpenAIError as error:
                raise self._map_sdk_error(request, error, endpoint, reader.begun) from error
            except (ValueError, RecursionError) as error:  # an event that is no JSON, or no UTF-8
                raise ServerError(
                    Sentence("{label} sent something that cannot be read.", label=self.label),
                    "It is not your fault. Try again, or check that the address is right.",
                ) from error

    async def body_of(
        self, client: "openai.AsyncOpenAI", response: "openai.AsyncAPIResponse[Any]"
    ) -> AsyncIterator[bytes]:
        """The response's body, piece by piece; for services that may first say it comes later."""
        return response.iter_bytes()

    async def list_models(self, connection: Connection | None) -> list[ListedModel] | None:
        """The models that the server lists; `None` if it answers without a readable list.

        Raises `BackendError`.
        """
        import openai

        from .transport import wants_https

        endpoint = self.list_endpoint(connection)
        async with self.client(endpoint) as client:
            try:
                with use_credentials(self.auth_headers(endpoint.key)):
                    # As text: the SDK's own type fails where the list has another shape.
                    text = await client.get(self.models_url(endpoint.url), cast_to=str)
                if text.lstrip().startswith("<"):
                    raise web_page(self.label)
                listed = clean_json(json.loads(text.removeprefix("\ufeff")))
                models = parse_models(listed)
                if is_error(listed) and not models:
                    raise self.map_error("", ErrorResponse(None, listed).redacted(endpoint.key))
                self._keep_list(endpoint.url, models or ())
                return models
            except openai.APIStatusError as error:
                # A missing list is no failure; a proxy whose server is away is one.
                if refused := wants_https(self.label, endpoint.url, error.response.text):
                    raise refused from error
                if error.status_code in _UNUSABLE_STATUSES or 300 <= error.status_code < 400:
                    raise self._map_sdk_error(_LIST_REQUEST, error, endpoint, False) from error
                return None
            except openai.OpenAIError as error:
                mapped = self._map_sdk_error(_LIST_REQUEST, error, endpoint, False)
                raise await self._if_encrypted(endpoint, mapped) from error
            except (ValueError, RecursionError):
                return None

    def _lists(self, url: str, model: str) -> bool:
        """Whether a server's last list has a model, as far as there is one."""
        names = self._listed.get(url, {})
        return not names or any(is_same_model(model, one) for one in names)

    def _keep_list(self, url: str, models: Sequence[ListedModel]) -> None:
        self._listed[url] = {one.id: one.context for one in models}
        self._listed.move_to_end(url)
        if len(self._listed) > _MAX_SERVERS:
            self._listed.popitem(last=False)

    async def _if_encrypted(self, endpoint: Endpoint, error: BackendError) -> BackendError:
        """The same error, or that the server that hung up wants https."""
        from .transport import if_encrypted

        return await if_encrypted(self.label, endpoint.url, error)

    def _map_sdk_error(
        self, request: ChatRequest, error: "openai.OpenAIError", endpoint: Endpoint, begun: bool
    ) -> BackendError:
        """The `BackendError` for an exception of the SDK; `begun`: after the first token."""
        import openai

        from .transport import transport_error, wants_https

        model, pictures = request.model, request.pictures
        if isinstance(error, openai.APIStatusError):
            if error.status_code == 401 and not endpoint.key:
                return MissingKeyError(
                    Sentence("{label} wants a key.", label=self.label),
                    "Type it on the Models tab.",
                    status=401,
                )
            sent = error.response
            if refused := wants_https(self.label, endpoint.url, sent.text):
                return refused
            response = ErrorResponse.parse(error.status_code, sent.text, sent.headers, pictures)
            mapped = self.map_error(model, response.redacted(endpoint.key))
            if isinstance(mapped, ServerError) and not self._lists(endpoint.url, model):
                mapped.hint = Sentence(
                    "It does not list “{model}”: choose a model that it has.", model=model
                )
            asked = "stream_options" in request.body
            if asked and error.status_code in (400, 422) and "stream_options" in sent.text:
                mapped.values["refuses_usage"] = True
            return mapped
        if isinstance(error, openai.APIConnectionError):
            return transport_error(self.label, endpoint.url, error.__cause__, begun, pictures)
        body = getattr(error, "body", None) or str(error)
        return self.map_error(
            model, ErrorResponse(None, body, pictures=pictures).redacted(endpoint.key)
        )


_LIST_REQUEST = ChatRequest("", {})
"""Stands for a request of the list in `_map_sdk_error`."""


async def read_stream(
    pieces: AsyncIterator[bytes], reader: StreamReader, patience: Patience
) -> AsyncGenerator[Chunk | Progress, None]:
    """The steps of a response's body. Raises `BackendError`, `ValueError` or what `pieces` does."""
    decoder = EventDecoder()
    try:
        while not reader.done and (data := await patience.next(pieces)) is not None:
            for event in decoder.feed(data):
                step = reader.read(event, patience.came)
                if step is not None:
                    yield step
                if step is not None or reader.alive:
                    patience.renew()
                if reader.done:
                    break
    finally:
        patience.end()
    if not reader.done:
        with suppress(ValueError):  # an event that was cut off
            for event in decoder.end():
                if step := reader.read(event, patience.came):
                    yield step
    yield reader.end()
    # A connection can be used again once its response was read to the end.
    with suppress(Exception):
        async with asyncio.timeout(REUSE_TIMEOUT):
            async for _ in pieces:
                pass


def _message_content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """The content of a message: a string, or a list of parts in order if it holds pictures."""
    if not any(isinstance(part, ImagePart) for part in parts):
        return "".join(part.text for part in parts if not isinstance(part, ImagePart))
    return [
        {"type": "image_url", "image_url": {"url": data_url(part)}}
        if isinstance(part, ImagePart)
        else {"type": "text", "text": part.text}
        for part in parts
        if isinstance(part, ImagePart) or part.text  # strict servers refuse an empty text
    ]


def data_url(image: ImagePart) -> str:
    """A picture as a `data:` URL."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"


def _build_client(url: str, uses_proxies: bool, guarded: bool = False) -> "openai.AsyncOpenAI":
    import openai
    from httpx2 import Timeout

    from .transport import build_client

    timeout = Timeout(first_token_timeout(), connect=CONNECT_TIMEOUT)
    client = build_client(url, timeout=timeout, uses_proxies=uses_proxies, guarded=guarded)
    return openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, timeout=timeout, http_client=client
    )
