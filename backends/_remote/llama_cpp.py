"""llama.cpp's server, as a worker of ours runs it: what it takes and tells beyond the protocol.

Names of fields: `tools/server/README.md` in ggml-org/llama.cpp, and `xllamacpp` 2026.10.11549, with
which each was tried.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from .._core.backend import Kind
from .._core.types import Chunk, GenerationParams, Message, Progress, Usage
from .chat_completions import ChatCompletions
from .errors import ErrorMapper
from .json_values import parse_count
from .stream_reader import Circumstances, StreamReader

_SEEDS = 2**32 - 1
"""How many there are: one more would be its word for none."""


class LlamaCppReader(StreamReader):
    """Reads how far a prompt is, and the server's own counts, from its events."""

    def __init__(
        self,
        label: str,
        device: str | None,
        map_error: ErrorMapper,
        about: Circumstances = Circumstances(),  # noqa: B008  (it is frozen)
    ) -> None:
        super().__init__(label, device, map_error, about)
        self._made: int | None = None
        self._told = 0
        """Tokens of the answer that the chunks so far told of."""

    def read_object(self, event: dict[str, Any], at: float) -> Chunk | Progress | None:
        """See `StreamReader.read_object`."""
        if isinstance(timings := event.get("timings"), dict):
            self._made = parse_count(cast("dict[str, Any]", timings).get("predicted_n"))
        chunk = super().read_object(event, at)
        if isinstance(chunk, Chunk):
            return replace(chunk, tokens=self._new_tokens())
        if isinstance(progress := event.get("prompt_progress"), dict):
            progress = cast("dict[str, Any]", progress)
            total, done = (parse_count(progress.get(name)) for name in ("total", "processed"))
            if total and done is not None:
                return Progress("prefill", min(1.0, done / total))
        return None

    def end(self) -> Chunk:
        """See `StreamReader.end`."""
        chunk = super().end()
        return replace(chunk, tokens=self._new_tokens(chunk.usage))

    def _new_tokens(self, usage: Usage | None = None) -> int | None:
        """Tokens since the last chunk: some give no text, others half a character."""
        made = self._made
        if usage and usage.output_tokens is not None:
            made = usage.output_tokens
        if made is None:
            return None
        new, self._told = max(0, made - self._told), max(made, self._told)
        return new


class LlamaCppServer(ChatCompletions):
    """A llama.cpp server on loopback. All knobs of a request are to be set: it has others."""

    id: ClassVar[str] = "llama_cpp"
    ignored_params: ClassVar[frozenset[str]] = frozenset({"num_crops"})
    label: ClassVar[str] = "llama.cpp"
    kind: ClassVar[Kind] = "server"
    uses_proxies: ClassVar[bool] = False

    def body(
        self, model: str, messages: Sequence[Message], params: GenerationParams
    ) -> dict[str, Any]:
        """See `ChatCompletions.body`."""
        extra: dict[str, Any] = {
            # As our own engines draw: by temperature, then top-k, then top-p, and nothing else.
            "samplers": ["temperature", "top_k", "top_p"],
            "top_k": params.top_k,
            # What was read is used again, unless the same text is to come again: the same
            # prompt in other pieces gives logits that differ a little.
            "cache_prompt": params.seed is None,
            "reasoning_format": "none",  # what a model thinks is part of its text
            "return_progress": True,
            "timings_per_token": True,
        }
        if params.seed is not None:
            extra["seed"] = params.seed % _SEEDS
        return super().body(model, messages, params) | extra

    reader_type: ClassVar[type[StreamReader]] = LlamaCppReader
