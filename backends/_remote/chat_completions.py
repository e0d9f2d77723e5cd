"""The chat/completions wire, which several backends speak."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .._core.backend import (
    CONTEXT_CAP,
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
    Address,
    Served,
    count,
    hung_up,
    once_again,
    silence_timeout,
    timed_out,
    unreachable,
)
from .errors import Refusal, error_of, filtered, filtered_for
from .http import Clients, carrying, only_ours

if TYPE_CHECKING:
    import openai

_STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""What every request asks for: the answer in pieces, and at the end the count of its tokens."""

_NOT_ABOUT_THE_LIST = frozenset({401, 403, 410, 429, 502, 503, 504})

LONGEST_NAME, MOST_MODELS = 200, 2_000
"""Characters of a model's name, and models of a list, that are taken from a server."""

_FINISHES: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what its reader should know about it."""

    model: str
    """The model that it is for."""
    body: Mapping[str, Any] = field(repr=False)
    pictures: int = 0
    """How many it holds."""


class ChatCompletions(Served):
    """The wire: what every service that speaks chat/completions shares. Its children name them.

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
    known: ClassVar[tuple[str, ...]] = ()
    """The ids to show where no list can be had."""

    # ── What a service may say differently ─────────────────────────────────────────────────────

    def credentials(self, key: str | None) -> dict[str, str]:
        """The headers that carry the key."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def device_of(self, url: str) -> str | None:
        """Where answers from this address are made: two with the same one share it."""
        return url if self.kind == "server" else None

    def list_url(self, url: str) -> str:
        """Where the list of models is: a path below the address, or an address in full."""
        return "/models"

    def answering(self, listed: Sequence[str] | None, url: str) -> Status:
        """The status of a server that answers, with the ids that it lists if it does."""
        if listed is None:
            return Status(
                "ready", "It answers, but lists no models: type a model's name.", "ready_unlisted"
            )
        models = "1 model" if len(listed) == 1 else f"{len(listed)} models"
        return Status("ready", f"It answers and lists {models}.", "ready_server")

    def offers(self, listed: Sequence[str] | None, url: str) -> list[Offer]:
        """What a server that answers has, by the ids that it lists, in any order."""
        ready = Status("ready", "The server has it.", "ready_listed")
        return [Offer(model, self.spec_of(model), ready) for model in listed or ()]

    def refused(self, model: str, refusal: Refusal) -> BackendError:
        """What a refusal means here."""
        return error_of(self.label, model, refusal)

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """The request as it goes over the wire, but for streaming."""
        knobs = {
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": params.seed,
            "stop": list(params.stop) or None,
        }
        return {
            "model": model,
            "messages": [
                {"role": message.role, "content": _content(message.parts)} for message in messages
            ],
            **{name: value for name, value in knobs.items() if value is not None},
        }

    def request(self, model: str, messages: Sequence[Message], params: GenerationParams) -> Request:
        """What is asked of a model. May take a moment if there are pictures."""
        return Request(
            model,
            self.body(model, messages, params) | _STREAMED,
            pictures=count_pictures(messages),
        )

    # ── The contract ───────────────────────────────────────────────────────────────────────────

    async def load(self, connection: Connection | None = None) -> None:
        """The package and a client, where somebody would be asked."""
        with suppress(Exception):
            await _clients.at(self.reach(connection).url)

    async def check(self, connection: Connection | None = None) -> tuple[Status, Sequence[Offer]]:
        """Status and models from one request: the server's list, or that it has none."""
        try:
            self.check_packages()
            address = self.reach(connection)
            listed = await self.list_models(connection)
        except BackendError as error:
            status = self.unreached(error)
            return status, [Offer(model, self.spec_of(model), status) for model in self.known]
        offers = sorted(
            self.offers(listed, address.url),
            key=lambda offer: (not offer.status.ready, offer.spec.key not in MODELS),
        )
        return self.answering(listed, address.url), offers

    async def status(self, connection: Connection | None = None) -> Status:
        """Ready if the server answers; one that lists no models is asked for one by name."""
        return (await self.check(connection))[0]

    async def models(self, connection: Connection | None = None) -> Sequence[Offer]:
        """The models that the server lists, those of the Phi family first."""
        return (await self.check(connection))[1]

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation over the wire; see `Backend.stream`."""
        self.check_packages()
        check_pictures(self.spec_of(model), messages)
        address = self.reach(connection)
        ask = self.request, model, messages, params
        # Encoding pictures would hold up everybody else's answers.
        pictures = count_pictures(messages)
        request = await asyncio.to_thread(*ask) if pictures else ask[0](*ask[1:])
        async with aclosing(once_again(lambda: self._ask(address, request))) as steps:
            async for step in steps:
                yield step

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str:
        """The same request with the `openai` package; see `Backend.snippet`."""
        url, has_key = self.destination(connection)
        variable = (self.key_env or "API_KEY") if has_key else None
        headers, key = self.credentials(KEY_PLACEHOLDER if variable else None), "none"
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
            self.reach(connection)
        except RetiredError:
            if gone := self.retired:
                day = f"{gone.on:%Y-%m-%d}"
                return f"{self.label} was retired on {day}. Instead: {gone.successor}."
        except BackendError:
            pass  # what else is missing is no matter here
        offers = (offer for offer in self.offers([model], url) if offer.model == model)
        status = next((offer.status for offer in offers), None)
        return status.message if status and status.state == "retired" else ""

    # ── The wire ───────────────────────────────────────────────────────────────────────────────

    async def _ask(self, address: Address, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request and its stream. Every way in which it can fail is a `BackendError`."""
        client = await _clients.at(address.url)
        reading = _Reading(self.label, self.device_of(address.url))
        import openai

        try:
            with carrying(self.credentials(address.key)):
                # As plain data: the SDK's types cost five times the rest of the wire.
                events = await client.post(
                    "/chat/completions",
                    body=request.body,
                    cast_to=object,
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
                events = await self.promised(client, events)
            async with events:
                async for event in events:
                    if chunk := reading.read(event):
                        yield chunk
            yield reading.end()
        except openai.OpenAIError as error:
            raise self._failure(request, error, address, reading.begun) from error
        except (ValueError, RecursionError) as error:  # an event that is no JSON, or no UTF-8
            raise ServerError(
                f"{self.label} sent something that cannot be read.",
                "It is not your fault. Try again, or check that the address is right.",
            ) from error

    async def promised(
        self, client: "openai.AsyncOpenAI", events: "openai.AsyncStream[object]"
    ) -> "openai.AsyncStream[object]":
        """The stream itself, where a service may first say only that it will come."""
        return events

    async def list_models(self, connection: Connection | None) -> list[str] | None:
        """The ids that the server lists; `None` if it answers, but has no list that can be read.

        Raises `BackendError`.
        """
        import openai

        address = self.reach(connection)
        client = await _clients.at(address.url)
        try:
            with carrying(self.credentials(address.key)):
                # As text: the SDK's own type fails where the list has another shape.
                listed = await client.get(self.list_url(address.url), cast_to=str)
            return _ids(clean_json(json.loads(listed)))
        except openai.APIStatusError as error:
            # A list that is not there is no failure; a proxy whose server is away, is one.
            if error.status_code in _NOT_ABOUT_THE_LIST or 300 <= error.status_code < 400:
                raise self._failure(_LISTING, error, address, False) from error
            return None
        except openai.OpenAIError as error:
            raise self._failure(_LISTING, error, address, False) from error
        except (ValueError, RecursionError):
            return None

    def _failure(
        self, request: Request, error: "openai.OpenAIError", address: Address, begun: bool
    ) -> BackendError:
        """The error of ours that stands for one of the SDK's."""
        import openai

        model, pictures = request.model, request.pictures

        if isinstance(error, openai.APIStatusError):
            if error.status_code == 401 and not address.key:
                return MissingKeyError(
                    f"{self.label} wants a key.", "Type it on the Models tab.", status=401
                )
            response = error.response
            refusal = Refusal.of(error.status_code, response.text, response.headers, pictures)
            return self.refused(model, refusal.without(address.key))
        if isinstance(error, openai.APITimeoutError):
            connecting = "connect" in type(error.__cause__).__name__.lower()
            return timed_out(self.label, connecting, begun)
        if isinstance(error, openai.APIConnectionError):
            if begun:
                return hung_up(self.label)
            return unreachable(self.label, address.url, error.__cause__, pictures)
        body = getattr(error, "body", None) or str(error)
        return self.refused(model, Refusal(None, body, pictures=pictures).without(address.key))


_LISTING = Request("", {})
"""Stands for the request of a list."""


class _Reading:
    """Makes chunks of what the server sends, whatever it leaves out."""

    def __init__(self, label: str, device: str | None) -> None:
        self._label, self._device = label, device
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._filtered: tuple[str, ...] = ()
        self.begun = False

    def read(self, event: Any) -> Chunk | None:
        """The new text of one event; `None` if there is none in it."""
        at = time.monotonic()
        if not isinstance(event, dict):
            return None
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = Usage(
                count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
            )
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        choice: Any = choices[0] if isinstance(choices[0], dict) else {}
        finish = choice.get("finish_reason") or None
        if not isinstance(finish, str | None):
            raise ValueError("a reason to finish that is no text")
        self._finish = finish or self._finish
        self._filtered += filtered_for(choice.get("content_filter_results"))
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
        """The last chunk. Raises if the server never said that the answer was finished."""
        if self._finish is None:
            raise hung_up(self._label)
        if self._finish == "content_filter":
            raise filtered(self._label, "the answer", tuple(dict.fromkeys(self._filtered)))
        return Chunk(
            at=time.monotonic(),
            finish_reason=_FINISHES.get(self._finish, "stop"),
            usage=self._usage,
            timings=Timings(device=self._device),
            warnings=self._beyond(),
        )

    def _beyond(self) -> tuple[str, ...]:
        """That prompt and answer were longer than what other engines here keep to."""
        counts = (self._usage.input_tokens, self._usage.output_tokens) if self._usage else ()
        if sum(count or 0 for count in counts) <= CONTEXT_CAP:
            return ()
        return (
            f"Longer than {CONTEXT_CAP:,} tokens: do not compare it with engines that stop there",
        )


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """A message's content: a plain string unless it holds pictures, else everything in order."""
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
    """A picture as the address that holds it."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"


def _ids(listed: Any) -> list[str] | None:
    """The models' names in a list of any of the shapes that were seen; `None` if it is none."""
    rows = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    if not isinstance(rows, list):
        return None
    names = [row.get("id") or row.get("name") if isinstance(row, dict) else row for row in rows]
    names = [name for name in names if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME]
    return names[:MOST_MODELS]


def _build(url: str) -> "openai.AsyncOpenAI":
    import openai

    timeout = openai.Timeout(silence_timeout(), connect=CONNECT_TIMEOUT)
    return openai.AsyncOpenAI(
        base_url=url,
        api_key="none",
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(
            timeout=timeout, follow_redirects=False, event_hooks={"request": [only_ours]}
        ),
    )


_clients: "Clients[openai.AsyncOpenAI]" = Clients(_build)
