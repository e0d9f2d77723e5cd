"""The context of the template for programs that run a local model with Transformers' `generate`."""

import re
from collections.abc import Sequence
from typing import Any

from .._core.types import GenerationParams, Message
from .._snippets import Source, picture_files, quoted
from .chat_text import DEFAULT_PARAMS, STOP_TOKENS, ImagePlaceholders, to_template_messages
from .sampling import GREEDY_BELOW

_CONTROL = re.compile(r"<\|\w+\|>|</?s>|<unk>")
"""What the Phi models' control tokens look like."""


def snippet_context(
    messages: Sequence[Message], params: GenerationParams, *, system_slot: bool
) -> dict[str, Any]:
    """What `transformers.py.jinja` takes of a conversation and its knobs.

    `system_slot` says whether the model's template has a place for a system prompt.
    Raises `BadRequestError` if there is nothing to answer.
    """

    def knob(name: str) -> Any:
        value = getattr(params, name)
        return getattr(DEFAULT_PARAMS, name) if value is None else value

    write = ImagePlaceholders({c for message in messages for c in _CONTROL.findall(message.text)})
    talk = to_template_messages(messages, system_slot=system_slot, write=write)
    files = picture_files(messages, longest=0)
    samples = knob("temperature") >= GREEDY_BELOW
    knobs = {"max_new_tokens": max(1, knob("max_tokens")), "do_sample": samples}
    if samples:
        knobs |= {name: knob(name) for name in ("temperature", "top_p", "top_k")}
    return {
        "messages": talk,
        "escaped": any("\u2060" in turn["content"] for turn in talk),
        "images": [Source(f"Image.open({quoted(files[image])})") for image in write.images],
        "image_files": [files[image] for image in write.images],
        "pictures": list(files.values()),
        "stop_tokens": list(STOP_TOKENS),
        "seed": params.seed % 2**32 if samples and params.seed is not None else None,
        "knobs": knobs,
        "stop": [text for text in params.stop if text],
    }
