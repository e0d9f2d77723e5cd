"""The chat/completions protocol of OpenAI, which several backends share."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .._core.backend import (
    CONTEXT_CAP,
    Health,
    Offer,
    Status,
    check_pictures,
    count_pictures,
)
from .._core.catalog import MODELS
from .._core.errors import BackendError, MissingKeyError, RetiredError, ServerError
from .._core.types import (
    Chunk,
    Connection,
    FinishReason,
    GenerationParams,
    ImagePart,
    Message,
    Part,
    Progress,
    Timings,
    Usage,
)
from .._core.unicode import clean_json
from .._snippets import KEY_PLACEHOLDER, Source, picture_files, quoted, render, replaced, with_key
from .endpoint import (
    CONNECT_TIMEOUT,
    Endpoint,
    RemoteBackend,
    connection_failed,
    disconnected,
    parse_count,
    retry_once,
    silence_timeout,
    timed_out,
)
from .errors import ErrorResponse, content_filter_error, filtered_categories, map_error
from .http import ClientCache, replace_sdk_headers, use_credentials

if TYPE_CHECKING:
    import openai

_STREAM_OPTIONS: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""Part of every request: stream the answer, and report the token counts at its end."""

_UNUSABLE_STATUSES = frozenset({401, 403, 410, 429, 502, 503, 504})
"""Statuses of a list request that mean that the server is unusable, not that it has no list."""

MAX_MODEL_NAME, MAX_LISTED_MODELS = 200, 2_000
"""Characters of a model's id and models of a list that are read at most."""

_FINISH_REASONS: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The body of one request, and what its error messages name."""

    model: str
    """The model's id; empty if the request names none."""
    body: Mapping[str, Any] = field(repr=False)
    pictures: int = 0
    """Number of pictures in it."""


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
    install: ClassVar[str] = "pip install openai"
    fallback_models: ClassVar[tuple[str, ...]] = ()
    """Model ids that are shown when the server cannot be asked for its list."""
    uses_proxies: ClassVar[bool] = True
    """Whether requests go through the proxies that the environment names."""

    def __init__(self) -> None:
        self.clients: ClientCache[openai.AsyncOpenAI] = ClientCache(
            partial(_build_client, uses_proxies=self.uses_proxies),
            close=lambda client: client.close(),
        )
        """The SDK's clients, by base URL."""

    # ── Differences between services ───────────────────────────────────────────────────────────

    def auth_headers(self, key: str | None) -> dict[str, str]:
        """The headers that carry the key; empty without one."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def device_of(self, url: str) -> str | None:
        """Names the device behind a base URL; answers from the same device share its speed.

        `None` if it serves many users anyway.
        """
        return url if self.kind == "server" else None

    def models_url(self, url: str) -> str:
        """The list of models: a path below the base URL, or a whole URL."""
        return "/models"

    def reachable_status(self, listed: Sequence[str] | None, url: str) -> Status:
        """The status of a server that answers; `listed` are its ids, `None` if it has no list."""
        if listed is None:
            return Status(
                "ready", "It answers, but lists no models: type a model's name.", "ready_unlisted"
            )
        models = "1 model" if len(listed) == 1 else f"{len(listed)} models"
        return Status("ready", f"It answers and lists {models}.", "ready_server")

    def offers(self, listed: Sequence[str] | None, url: str) -> list[Offer]:
        """The models of a server that answers, in any order; `listed` as above."""
        ready = Status("ready", "The server has it.", "ready_listed")
        return [Offer(model, self.spec_of(model), ready) for model in listed or ()]

    def reader(self, url: str) -> "StreamReader":
        """What reads the events of a response from this base URL."""
        return StreamReader(self.label, self.device_of(url))

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """The error for an error response of this service."""
        return map_error(self.label, model, response)

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The JSON body of a request, without the streaming options."""
        settings = {
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": params.seed,
            "stop": list(params.stop) or None,
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
        )

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """Import the SDK and build the client; see `Backend.load`."""
        with suppress(Exception):
            async with self.clients.use(self.resolve_endpoint(connection).url):
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
        check_pictures(self.spec_of(model), messages)
        endpoint = self.resolve_endpoint(connection)
        ask = self.request, model, messages, params
        # Encoding pictures on the event loop would delay all other answers.
        pictures = count_pictures(messages)
        request = await asyncio.to_thread(*ask) if pictures else ask[0](*ask[1:])
        async with aclosing(retry_once(lambda: self._stream_once(endpoint, request))) as items:
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
        offers = (offer for offer in self.offers([model], url) if offer.model == model)
        status = next((offer.status for offer in offers), None)
        return status.message if status and status.state == "retired" else ""

    # ── HTTP ───────────────────────────────────────────────────────────────────────────────

    async def _stream_once(
        self, endpoint: Endpoint, request: ChatRequest
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Send one request and yield the steps of its response. Raises `BackendError` only."""
        reader = self.reader(endpoint.url)
        import openai

        async with self.clients.use(endpoint.url) as client:
            try:
                with use_credentials(self.auth_headers(endpoint.key)):
                    # As plain data: the SDK's types cost five times everything else here.
                    events = await client.post(
                        "/chat/completions",
                        body=request.body,
                        cast_to=object,
                        stream=True,
                        stream_cls=openai.AsyncStream[object],
                    )
                    events = await self.await_deferred_stream(client, events)
                async with events:
                    async for event in events:
                        if step := reader.read(event):
                            yield step
                yield reader.end()
            except openai.OpenAIError as error:
                raise self._map_sdk_error(request, error, endpoint, reader.begun) from error
            except (ValueError, RecursionError) as error:  # an event that is no JSON, or no UTF-8
                raise ServerError(
                    f"{self.label} sent something that cannot be read.",
                    "It is not your fault. Try again, or check that the address is right.",
                ) from error

    async def await_deferred_stream(
        self, client: "openai.AsyncOpenAI", events: "openai.AsyncStream[object]"
    ) -> "openai.AsyncStream[object]":
        """The response's stream, for services that may first answer that it comes later."""
        return events

    async def list_models(self, connection: Connection | None) -> list[str] | None:
        """The model ids that the server lists; `None` if it answers without a readable list.

        Raises `BackendError`.
        """
        import openai

        endpoint = self.resolve_endpoint(connection)
        async with self.clients.use(endpoint.url) as client:
            try:
                with use_credentials(self.auth_headers(endpoint.key)):
                    # As text: the SDK's own type fails where the list has another shape.
                    listed = await client.get(self.models_url(endpoint.url), cast_to=str)
                return _parse_model_ids(clean_json(json.loads(listed)))
            except openai.APIStatusError as error:
                # A missing list is no failure; a proxy whose server is away is one.
                if error.status_code in _UNUSABLE_STATUSES or 300 <= error.status_code < 400:
                    raise self._map_sdk_error(_LIST_REQUEST, error, endpoint, False) from error
                return None
            except openai.OpenAIError as error:
                raise self._map_sdk_error(_LIST_REQUEST, error, endpoint, False) from error
            except (ValueError, RecursionError):
                return None

    def _map_sdk_error(
        self, request: ChatRequest, error: "openai.OpenAIError", endpoint: Endpoint, begun: bool
    ) -> BackendError:
        """The `BackendError` for an exception of the SDK; `begun`: after the first token."""
        import openai

        model, pictures = request.model, request.pictures

        if isinstance(error, openai.APIStatusError):
            if error.status_code == 401 and not endpoint.key:
                return MissingKeyError(
                    f"{self.label} wants a key.", "Type it on the Models tab.", status=401
                )
            sent = error.response
            response = ErrorResponse.parse(error.status_code, sent.text, sent.headers, pictures)
            return self.map_error(model, response.redacted(endpoint.key))
        if isinstance(error, openai.APITimeoutError):
            connecting = "connect" in type(error.__cause__).__name__.lower()
            return timed_out(self.label, connecting, begun)
        if isinstance(error, openai.APIConnectionError):
            if begun:
                return disconnected(self.label)
            return connection_failed(self.label, endpoint.url, error.__cause__, pictures)
        body = getattr(error, "body", None) or str(error)
        return self.map_error(
            model, ErrorResponse(None, body, pictures=pictures).redacted(endpoint.key)
        )


_LIST_REQUEST = ChatRequest("", {})
"""Stands for a request of the list in `_map_sdk_error`."""


class StreamReader:
    """Turns the events of a stream into chunks; tolerates missing and malformed fields."""

    def __init__(self, label: str, device: str | None) -> None:
        self._label, self._device = label, device
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._filtered: tuple[str, ...] = ()
        self.begun = False

    def read(self, event: Any) -> Chunk | Progress | None:
        """The chunk with an event's text; `None` if it has none."""
        return self.read_text(event)

    def read_text(self, event: Any) -> Chunk | None:
        """The same, of what every server of this protocol sends."""
        at = time.monotonic()
        if not isinstance(event, dict):
            return None
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = Usage(
                parse_count(usage.get("prompt_tokens")), parse_count(usage.get("completion_tokens"))
            )
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        choice: Any = choices[0] if isinstance(choices[0], dict) else {}
        finish = choice.get("finish_reason") or None
        if not isinstance(finish, str | None):
            raise ValueError("a finish reason that is no string")
        self._finish = finish or self._finish
        self._filtered += filtered_categories(choice.get("content_filter_results"))
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        if not isinstance(text, str):
            return None
        if not self.begun:
            text = text.lstrip(" ")  # llama.cpp begins with a space
        if not text:
            return None
        self.begun = True
        return Chunk(text=text, at=at)

    def end(self) -> Chunk:
        """The last chunk. Raises `BackendError` if the stream ended without a finish reason."""
        if self._finish is None:
            raise disconnected(self._label)
        if self._finish == "content_filter":
            raise content_filter_error(
                self._label, "the answer", tuple(dict.fromkeys(self._filtered))
            )
        return Chunk(
            at=time.monotonic(),
            finish_reason=_FINISH_REASONS.get(self._finish, "stop"),
            usage=self._usage,
            timings=Timings(device=self._device),
            warnings=self._context_warnings(),
        )

    def _context_warnings(self) -> tuple[str, ...]:
        """A warning if prompt and answer are longer than `CONTEXT_CAP`, which others keep to."""
        counts = (self._usage.input_tokens, self._usage.output_tokens) if self._usage else ()
        if sum(tokens or 0 for tokens in counts) <= CONTEXT_CAP:
            return ()
        return (
            f"Longer than {CONTEXT_CAP:,} tokens: do not compare it with engines that stop there",
        )


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


def _parse_model_ids(listed: Any) -> list[str] | None:
    """The model ids in a list of any shape that servers send; `None` if it is none."""
    rows = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    if not isinstance(rows, list):
        return None
    names = [row.get("id") or row.get("name") if isinstance(row, dict) else row for row in rows]
    names = [name for name in names if isinstance(name, str) and 0 < len(name) <= MAX_MODEL_NAME]
    return names[:MAX_LISTED_MODELS]


def _build_client(url: str, uses_proxies: bool) -> "openai.AsyncOpenAI":
    import openai

    timeout = openai.Timeout(silence_timeout(), connect=CONNECT_TIMEOUT)
    return openai.AsyncOpenAI(
        base_url=url,
        api_key="none",
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(
            timeout=timeout,
            follow_redirects=False,
            event_hooks={"request": [replace_sdk_headers]},
            trust_env=uses_proxies,
        ),
    )
