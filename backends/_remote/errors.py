"""What the error responses of servers mean: status, words and pictures, each with its error."""

from collections.abc import Callable, Iterable
from typing import cast

from .._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    ModelNotFoundError,
    RateLimitError,
    RetiredError,
    ServerError,
)
from .._core.sentence import Sentence
from .error_response import MAX_DEPTH, ErrorResponse
from .json_values import parse_count, parse_mapping
from .rules import Refusal, Rule, first_error, words

ErrorMapper = Callable[[ErrorResponse], BackendError]
"""Makes the error that a response stands for."""

_PICTURES = frozenset({"pictures"})
"""The request held pictures."""
_KINDS = frozenset({"kinds"})
"""The server says which kinds of content it filters."""
_SUNSET = frozenset({"sunset"})
"""The response has the header of a service that is switched off (RFC 8594)."""

_TOO_LONG = words(
    "context (length|size|window)",
    "maximum context",
    "tokens_limit_reached",
    "exceed_context_size",
    "context_length_exceeded",
    "too many tokens",
    "(prompt|input) (is )?too (long|large)",
    "exceeds? (the )?model max length",  # OpenVINO Model Server
    "maximum model length",
    "maximum (input|sequence|prompt) length",
    r"input(s)?`? tokens \+ `?max_new_tokens",  # Text Generation Inference
    "max_(input|seq)_len",  # TensorRT-LLM
)
"""A prompt, or a prompt and its answer, beyond what the model or the service takes."""
_NO_VISION = words(
    r"not a multimodal model|at most 0 (image|vision_chunk)",  # vLLM
    r"image input is not supported|not compiled for (multimodal|vision)",  # llama.cpp, llamafile
    r"does not support (image|vision|multimodal)",  # LM Studio, Ollama
    r"missing data required for image input",  # Ollama's own engine
    r"image_url is (not supported|only supported by)",  # OpenAI, Azure
    r"(images?|vision|multimodal) (input |content )?(is|are) not supported|support image input",
    r"only .{0,3}text.{0,3} content",  # mlx_lm.server
)
"""A picture for a model without vision, or one that was started without its vision part.

Sources: studio-dots-ai/dots.ocr#61 (vLLM), ggml-org/llama.cpp#13566 and its `server`,
lmstudio-bug-tracker#908, `ErrNoVisionModel` in ollama/ollama, browser-use/web-ui#274 (Azure).
"""
_TOO_MANY_PICTURES = (
    r"at most (?P<limit>\d{1,6}) (image|vision_chunk)\(s\)",  # vLLM, and NVIDIA's models on it
    r"set image=(?P<limit>\d{1,6}) .{0,300}limit-mm-per-prompt",  # vLLM of early 2025
    r"only supports one image|not support multi-?image|(multiple|too many) images",
)
"""More pictures than a request may hold, with the number of those that it may, else one.

Sources: vllm#13513 and `parse_mm_data` in vLLM, xorbitsai/inference#3054, `mllama` in
ollama/ollama's `server/prompt.go`, `prompt_utils.py` of mlx-vlm.
"""
_UNREADABLE_PICTURE = words(
    r"cannot identify image|must be a base64 encoded image|invalid (image|base64)|illegal base64",
    r"(failed|unable|error) (to|in) (load|decode|open|process)(ing)? (the |an? )?image",
    r"unsupported image|image: unknown format",
)
"""A picture that cannot be decoded.

Sources: Pillow, lmstudio-bug-tracker#1752, Go's `image`, llama.cpp.
"""
_NO_SUCH_MODEL = words(
    "model_not_found",
    "invalid model name",  # LiteLLM
    r"model .{0,200}(does not exist|not found)",
    r"no such model|no models? (is |are )?loaded",  # Cloudflare, LM Studio
)
_BAD_KEY = words(r"(invalid|incorrect|wrong) api.?key|api.?key (is )?(not valid|invalid)")
_USED_UP = words(
    "insufficient_quota|exceeded your current quota|insufficient[ _]balance|in arrears"
)
_FILTERED = words(r"content[_ ](filter|management)|responsible ?ai")
_FILTERED_SENTENCE = "A content filter at {label} stopped {what}.{quoted}"
_FILTERED_FOR = "A content filter at {label} stopped {what} ({kinds}).{quoted}"
_FILTERED_HINT = "Say it in other words."

_RULES = (
    Rule(
        AuthenticationError,
        "{label} refused the key.",
        "Check it on the Models tab.",
        status={401},
    ),
    Rule(
        AuthenticationError,
        "{label} refused the key.{quoted}",
        "Check it on the Models tab.",
        status={400, 403},
        text=_BAD_KEY,
    ),
    *(
        Rule(
            RetiredError,
            "{label} has switched {subject} off.{quoted}",
            "Choose another model.",
            status=status,
            traits=traits,
        )
        for status, traits in ((None, _SUNSET), ({410}, frozenset[str]()))
    ),
    Rule(
        AuthenticationError,
        "{label} does not let this key use {subject}.{quoted}",
        "Check what the key may do, or choose another model.",
        status={403},
    ),
    *(
        Rule(
            BadRequestError,
            "The credit at {label} is used up, or this model costs money there.{quoted}",
            "Look at the account that the key belongs to, or choose another backend.",
            status=status,
            text=text,
        )
        for status, text in (({402}, None), (None, _USED_UP))
    ),
    Rule(
        RateLimitError,
        "{label} gets too many requests at the moment.{quoted}",
        "Try again in {wait}.",
        status={429},
    ),
    Rule(ContentFilterError, _FILTERED_FOR, _FILTERED_HINT, text=_FILTERED, traits=_KINDS),
    Rule(ContentFilterError, _FILTERED_SENTENCE, _FILTERED_HINT, text=_FILTERED),
    Rule(
        BadRequestError,
        "At {label}, {subject} cannot look at pictures.{quoted}",
        "Choose a vision model there, or remove the picture. If it is one, it was started without "
        "its vision part (for llama.cpp: --mmproj).",
        text=_NO_VISION,
        traits=_PICTURES,
        reason="no_vision",
    ),
    *(
        Rule(
            BadRequestError,
            "{label} takes at most {limit} of the {pictures} pictures in this conversation."
            "{quoted}",
            "That is the server's limit, not the page's. Send fewer pictures or frames, or clear "
            "the conversation: earlier ones are sent again. Who runs a vLLM raises it with "
            "--limit-mm-per-prompt '{\"image\": {pictures}}'.",
            text=words(pattern),
            traits=_PICTURES,
            reason="too_many_pictures",
        )
        for pattern in _TOO_MANY_PICTURES
    ),
    Rule(
        BadRequestError,
        "{label} cannot read a picture that was sent.{quoted}",
        "Save it as PNG or JPEG and add it again.",
        text=_UNREADABLE_PICTURE,
        traits=_PICTURES,
        reason="unreadable_picture",
    ),
    Rule(
        ContextLengthError,
        "{label} has no room for {which} beside the text and the answer.{quoted}",
        "A picture can take more tokens than a page of text. Send fewer or smaller ones, lower "
        "“Max tokens”, or clear the conversation.",
        text=_TOO_LONG,
        traits=_PICTURES,
    ),
    Rule(
        BadRequestError,
        "The request is too large for {label}, with {which} in it.{quoted}",
        "That is the server's limit for one request, not the page's. Send fewer or smaller "
        "pictures, or clear the conversation: earlier ones are sent again.",
        status={413},
        traits=_PICTURES,
        reason="pictures_too_large",
    ),
    *(
        Rule(
            ContextLengthError,
            "Prompt and answer do not fit into what {label} takes.{quoted}",
            "Shorten the prompt, lower “Max tokens”, or clear the conversation.",
            status=status,
            text=text,
        )
        for status, text in (({413}, None), (None, _TOO_LONG))
    ),
    *(
        Rule(
            ModelNotFoundError,
            "{label} does not have the model “{model}”.{quoted}",
            "Choose another model, or check the server's address.",
            status=status,
            text=text,
        )
        for status, text in (({404}, None), ({400, 422}, _NO_SUCH_MODEL))
    ),
    Rule(
        ServerError,
        "{label}, or a proxy before it, gave up waiting ({status}).{quoted}",
        "Try again. A shorter prompt or answer takes less time.",
        status={408, 425, 499, 504, 524},
    ),
    Rule(
        BackendConnectionError,
        "The server behind {label}'s address is away, says a proxy before it ({status}).{quoted}",
        "It is not your fault. Is it running there, and its tunnel?",
        status={520, 521, 522, 523, 525, 526, 530},  # Cloudflare's
    ),
    Rule(
        BackendConnectionError,
        "What answers at {label}'s address takes no questions there.{quoted}",
        "Is the address right? An OpenAI-compatible one mostly ends in /v1.",
        status={405},
    ),
    Rule(
        BackendConnectionError,
        "{label} redirects to another address; your key is not sent there.",
        "Type the new address on the Models tab.",
        status=range(300, 400),
    ),
    Rule(
        BadRequestError,
        "{label} refused the request.{quoted}",
        "Change the settings or the model.",
        status=range(500),
    ),
    Rule(
        ServerError,
        "{label} failed{shown_status}.{quoted}",
        "It is not your fault. Try again later.",
    ),
)
"""The first that matches holds."""


def map_error(
    label: str, model: str, response: ErrorResponse, first: Iterable[Rule] = ()
) -> BackendError:
    """The `BackendError` for an error response, with the server's own message where it helps.

    `first` are a service's own rules, before those of all. `label` is the backend's name, `model`
    the model of the request; empty if it named none.
    `values["status"]` of the error is the HTTP status.
    """
    status, pictures, wait = response.meant_status, response.pictures, response.retry_after
    categories = filtered_categories(response.body)
    traits = {
        "pictures": bool(pictures),
        "kinds": bool(categories),
        "sunset": "sunset" in response.headers,
    }
    told = {"retry_after": wait, "categories": categories or None}
    refusal = Refusal(
        status,
        f"{response.code} {response.server_message}",
        frozenset(name for name, holds in traits.items() if holds),
        facts={
            "label": label,
            "model": model,
            "status": status,
            "subject": f"“{model}”" if model else Sentence("this"),
            "quoted": response.quoted,
            "shown_status": f" ({status})" if status else "",
            "wait": _format_duration(wait) if wait else Sentence("a minute"),
            "limit": 1,
            "pictures": pictures,
            "which": _which_pictures(pictures),
            "what": Sentence("this"),
            "kinds": _list_kinds(categories),
        },
        values={"status": status, **{name: it for name, it in told.items() if it is not None}},
    )
    error = first_error((*first, *_RULES), refusal)
    assert error is not None  # the last rule takes all
    if isinstance(error, ContextLengthError):
        error.values.update(_lengths(response.body))
    return error


def _lengths(body: object) -> dict[str, int]:
    """How long a prompt is that was refused, and how long it may be, as llama.cpp tells it."""
    told = parse_mapping(parse_mapping(body).get("error")) or parse_mapping(body)
    counts = {"tokens": told.get("n_prompt_tokens"), "context": told.get("n_ctx")}
    return {name: n for name, one in counts.items() if (n := parse_count(one)) is not None}


def content_filter_error(label: str, what: str, categories: tuple[str, ...]) -> ContentFilterError:
    """The error for a prompt or an answer (`what`) that a content filter stopped.

    `categories` are the kinds of content it names.
    """
    code = _FILTERED_FOR if categories else _FILTERED_SENTENCE
    kinds = _list_kinds(categories)
    return ContentFilterError(
        Sentence(code, label=label, what=Sentence(what), kinds=kinds, quoted=""),
        _FILTERED_HINT,
        categories=categories,
    )


def _list_kinds(categories: tuple[str, ...]) -> str:
    return ", ".join(categories)


def _which_pictures(pictures: int) -> Sentence:
    return Sentence("{n} pictures", n=pictures) if pictures > 1 else Sentence("a picture")


def filtered_categories(body: object, depth: int = 0) -> tuple[str, ...]:
    """Names of the filtered categories in a content filter's report, however deep they stand.

    Such a report looks like `{"violence": {"filtered": true, "severity": "medium"}}`.
    """
    if depth > MAX_DEPTH:
        return ()
    if isinstance(body, list):
        rows = [filtered_categories(row, depth + 1) for row in cast("list[object]", body)]
        return tuple(dict.fromkeys(name for row in rows for name in row))
    found: list[str] = []
    for name, value in parse_mapping(body).items():
        if parse_mapping(value).get("filtered") is True:
            found.append(name.replace("self_harm", "self-harm").replace("_", " "))
        else:
            found += filtered_categories(value, depth + 1)
    return tuple(dict.fromkeys(found))


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return Sentence("{wait:seconds}", wait=max(1, round(seconds)))
    if seconds < 5400:
        return Sentence("{n} minutes", n=round(seconds / 60))
    return Sentence("{n} hours", n=round(seconds / 3600))
