"""The JSON body of a chat request to an Ollama."""

import base64
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from .._core.backend import CONTEXT_CAP
from .._core.types import GenerationParams, ImagePart, Message, Part

KEEP_ALIVE = "10m"
"""For how long Ollama keeps a model in memory after an answer."""
_TURN_MARKERS = ("<|end|>", "<|user|>", "<|assistant|>", "<|im_start|>", "<|im_end|>")
"""Control tokens of Phi models at which a turn ends. A request's stop texts replace those of the
model's own file, and without these some conversions go on with the user's next turn."""
_BYTES_PER_TOKEN = 2
"""Bytes of text to a token where there are many tokens: less than English (4) or Chinese (3)."""
_TOKENS_PER_PICTURE = 1_000


def chat_body(
    model: str, messages: Sequence[Message], params: GenerationParams, is_phi: bool
) -> dict[str, Any]:
    """A request's body, without what depends on the server's state; see `fit_to_server`."""
    numbers = count(1)
    stop = list(params.stop)
    if stop and is_phi:
        stop += [end for end in _TURN_MARKERS if end not in stop]
    options = {
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
        "stream": True,
    }


def fit_to_server(body: dict[str, Any], model: str, context: int | None) -> dict[str, Any]:
    """The body for the name that the server has for the model, and the context it was loaded with.

    `num_ctx` and `shift` are attributes of a loaded model: another value than it was loaded with
    makes Ollama load it anew, and the next program with its own values once more (`needsReload` in
    its `server/sched.go`). So a model in memory is taken as it is, and others as Ollama loads them.
    `shift` makes it forget the beginning of a conversation, so it is switched off where prompt and
    answer may not fit.
    """
    body = body | {"model": model}
    if context:
        body["options"] = {"num_ctx": context, **body["options"]}
    if _most_tokens(body) > (context or CONTEXT_CAP):
        body["shift"] = False
    return body


def _most_tokens(body: dict[str, Any]) -> float:
    """About how many tokens prompt and answer may have together."""
    answer = body["options"].get("num_predict")
    if answer is None:
        return float("inf")
    messages = body["messages"]
    text = sum(len(one["content"].encode("utf-8", "replace")) for one in messages)
    pictures = sum(len(one.get("images", ())) for one in messages)
    return text / _BYTES_PER_TOKEN + pictures * _TOKENS_PER_PICTURE + answer


def _message(message: Message, numbers: Iterator[int]) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    return {
        "role": message.role,
        "content": _text_with_pictures(message.parts, numbers),
        "images": [encoded(image) for image in message.images],
    }


def encoded(image: ImagePart) -> str:
    """A picture in Base64."""
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
