"""The lines of Ollama's responses as chunks and progress; detection of lost context."""

import time
from collections.abc import Mapping
from typing import Any

from .._core.backend import CONTEXT_CAP
from .._core.types import Chunk, Progress, Timings, Usage
from .._local.machine import gigabytes_of
from .._remote.endpoint import disconnected, parse_count

_MIN_LOAD_SECONDS = 1.0
"""A shorter `load_duration` is no load: it is some tenths for a model in memory, too."""


class StreamReader:
    """Turns the lines of an answer into chunks; `loading` if the model was not in memory."""

    def __init__(self, label: str, url: str, loading: bool) -> None:
        self._label, self._url, self._loading = label, url, loading
        self._begun = False
        self._last: Mapping[str, Any] | None = None

    def read(self, line: Mapping[str, Any]) -> Chunk | None:
        """The chunk with a line's text; `None` if it has none."""
        at = time.monotonic()
        if line.get("done"):
            self._last = line
        message = line.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str):
            return None
        if not self._begun:
            text = text.lstrip(" ")  # llama.cpp begins with a space
        if not text:
            return None
        self._begun = True
        return Chunk(text=text, at=at)

    def end(self, sent: str, quantisation: str) -> Chunk:
        """The last chunk. Raises `BackendError` if the stream ended without a `done` line.

        `sent` is the text of the conversation, `quantisation` the format of the model's weights.
        """
        last = self._last
        if last is None:
            raise disconnected(self._label)
        usage = Usage(
            parse_count(last.get("prompt_eval_count")), parse_count(last.get("eval_count"))
        )
        load = _seconds(last, "load_duration")
        if load is not None and load < _MIN_LOAD_SECONDS and not self._loading:
            load = 0.0
        return Chunk(
            at=time.monotonic(),
            finish_reason="length" if last.get("done_reason") == "length" else "stop",
            usage=usage,
            timings=Timings(
                load=load,
                prefill=_seconds(last, "prompt_eval_duration"),
                decode=_seconds(last, "eval_duration"),
                device=self._url,
            ),
            notes=(f"{quantisation} weights",) if quantisation else (),
            warnings=(CONTEXT_LOST_WARNING,) if may_have_lost_context(sent, usage) else (),
        )


CONTEXT_LOST_WARNING = (
    f"Prompt and answer are longer than {CONTEXT_CAP:,} tokens: Ollama may have forgotten the"
    " beginning of the conversation."
)


def may_have_lost_context(sent: str, usage: Usage) -> bool:
    """Whether Ollama, before 0.12.6, silently dropped old turns or the beginning of the prompt.

    It read fewer tokens than there are words in what was sent (a word is at least one token; two
    Chinese or Japanese characters too), and that is more than fits: versions of mid-2024 did not
    count what they remembered from the turn before (ollama#5371), so fewer tokens alone prove
    nothing. Or it wrote on beyond the context, which it does by forgetting the beginning.
    """
    if usage.input_tokens is None:
        return False
    if usage.input_tokens + (usage.output_tokens or 0) > CONTEXT_CAP:
        return True
    fewest = len(sent.split()) + sum(char > "\u2e7f" for char in sent) // 2
    about = max(fewest, len(sent.encode("utf-8", "surrogatepass")) // 4)
    return fewest > usage.input_tokens and about > CONTEXT_CAP


def pull_progress(layers: dict[str, tuple[int, int]], line: Mapping[str, Any]) -> Progress:
    """Update `layers` (done and total bytes by digest) by a line; the progress over all of them."""
    digest, total = line.get("digest"), parse_count(line.get("total"))
    if isinstance(digest, str) and total:
        layers[digest] = (min(total, parse_count(line.get("completed")) or 0), total)
    if not layers:
        return Progress("downloading", detail="looking it up")
    done, whole = (sum(numbers) for numbers in zip(*layers.values(), strict=True))
    return Progress("downloading", done / whole, gigabytes_of(done, whole))


def _seconds(line: Mapping[str, Any], name: str) -> float | None:
    """A duration in seconds; Ollama gives nanoseconds."""
    value = parse_count(line.get(name))
    return None if value is None else value / 1e9
