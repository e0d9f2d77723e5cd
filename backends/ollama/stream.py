"""The lines of Ollama's responses as chunks and progress."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .._core.errors import BackendConnectionError, BackendError
from .._core.sentence import Sentence
from .._core.types import Chunk, Progress, Timings, Usage
from .._local.machine import gigabytes_of
from .._remote.answer_warnings import context_warnings, other_model_warnings, was_cut
from .._remote.failures import BROKEN_OFF, broken_off, disconnected
from .._remote.json_values import parse_count
from .._remote.message_texts import message_texts
from .._remote.stream_reader import CALLED_TOOL
from .errors import LABEL
from .models import LoadedModel, remote_host

MIN_LOAD_SECONDS = 0.1
"""A shorter `load_duration` is no load: for a model in memory it is 1 to 9 ms, and 230 to 830 ms
for one of 8 to 98 MB that is loaded anew (Ollama 0.12, 0.24 and 0.32 on two cores)."""
_REPEATS = 30
"""Equal tokens after which Ollama ends an answer (`tokenRepeat` in its `llm/llama_server.go`)."""
_LEAST_CONTEXT = 2048
"""Tokens of the smallest context that Ollama has by itself: its default until 0.6."""
_DONE_NOTES = {"load": "Ollama only loaded it", "unload": "Ollama only unloaded it"}
"""What `done_reason` says of an answer in which nothing was asked of the model."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about an answer before it begins."""

    model: str
    """The name that was asked for."""
    device: str | None
    """Where it is made; `None` if many share that."""
    host: str = ""
    """The name of the host, if it is not the one that was asked."""
    quantisation: str = ""
    """The format of the model's weights; empty if unknown."""
    fewest_tokens: int = 0
    """How many tokens the prompt has at least."""
    lacks_template: bool = False
    """Whether Ollama has no chat template for the model."""


class StreamReader:
    """Turns the lines of an answer into chunks."""

    def __init__(self, about: Circumstances, loaded: LoadedModel | None = None) -> None:
        self._about = about
        self.loaded = loaded
        """The model in memory; `None` if it is not known to be there."""
        self._begun = self._called_tool = False
        self._served = ""
        self._host = about.host
        self._token, self._repeats = "", 0
        self._last: Mapping[str, Any] | None = None

    def read(self, line: Mapping[str, Any], at: float) -> Chunk | None:
        """The chunk with a line's text or thoughts; `None` if it has none.

        `at` is when it came, in `time.monotonic()`.
        """
        if line.get("done"):
            self._last = line
        if not self._served and isinstance(name := line.get("model"), str):
            self._served = name
        self._host = self._host or remote_host(line)
        told = line.get("message")
        message = cast("Mapping[str, Any]", told) if isinstance(told, dict) else {}
        text, thinking = message_texts(message)
        self._called_tool = self._called_tool or bool(message.get("tool_calls"))
        self._count_repeats(text or thinking)
        if not self._begun and text.startswith(" ") and not text.startswith("  "):
            text = text[1:]  # llama.cpp begins with a space; more of them are an indentation
        if not text and not thinking:
            return None
        self._begun = True
        return Chunk(text=text, thinking=thinking, at=at)

    @property
    def usage(self) -> Usage:
        """The tokens that the last line counts."""
        last = self._last or {}
        return Usage(
            parse_count(last.get("prompt_eval_count")),
            parse_count(last.get("eval_count")),
            context=self._context,
        )

    @property
    def _context(self) -> int | None:
        return self.loaded.context if self.loaded else None

    @property
    def _device(self) -> str | None:
        device = None if self._host else self._about.device
        return f"cpu of {device}" if device and self.loaded and self.loaded.on_cpu else device

    @property
    def load_seconds(self) -> float | None:
        """How long the model was loaded, 0 if it was in memory; `None` before the end."""
        load = _seconds(self._last or {}, "load_duration")
        return 0.0 if load is not None and load < MIN_LOAD_SECONDS else load

    def end(self, *, waited_to_load: bool = False) -> Chunk:
        """The last chunk. Raises `BackendError` if the stream broke off.

        `waited_to_load` is whether another model had to leave before this one was loaded.
        """
        about, last = self._about, self._last
        if last is None and self._repeats < _REPEATS:
            raise disconnected(LABEL) if self._begun else _ended_before_it_began()
        last, stopped = last or {}, last is None
        reason = str(last.get("done_reason"))
        if reason in BROKEN_OFF:
            raise broken_off(LABEL, reason)
        weights = Sentence("{kind} weights", kind=about.quantisation) if about.quantisation else ""
        answered = Sentence("answered at {host}", host=self._host) if self._host else ""
        nothing = _DONE_NOTES.get(reason, "")
        tool = CALLED_TOOL if self._called_tool else ""
        return Chunk(
            at=time.monotonic(),
            finish_reason="length" if reason == "length" else "stop",
            usage=None if stopped else self.usage,
            timings=Timings(
                queued=self._queued_seconds(),
                load=self.load_seconds,
                waited_to_load=waited_to_load,
                prefill=_seconds(last, "prompt_eval_duration"),
                decode=_seconds(last, "eval_duration"),
                device=self._device,
            ),
            notes=tuple(filter(None, (weights, answered, nothing, tool))),
            warnings=(
                *([_REPEATED] if stopped else []),
                *([_NO_TEMPLATE] if about.lacks_template else []),
                *other_model_warnings(about.model, self._served),
                *self._context_warnings(),
            ),
        )

    def _count_repeats(self, token: str) -> None:
        """Count how often the last token came, as Ollama does: without the spaces around it."""
        if token:
            self._repeats = self._repeats + 1 if token.strip() == self._token else 0
            self._token = token.strip()

    def _queued_seconds(self) -> float | None:
        """The time in line, which Ollama tells as what is left of the whole.

        Of a prompt that was cut it is the time that the cutting took: seconds, before 0.24.
        """
        last = self._last or {}
        parts = [
            _seconds(last, name)
            for name in ("load_duration", "prompt_eval_duration", "eval_duration")
        ]
        total = _seconds(last, "total_duration")
        if total is None or None in parts or self._was_cut():
            return None
        return max(0.0, total - sum(part or 0.0 for part in parts))

    def _was_cut(self) -> bool:
        read, context = self.usage.input_tokens or 0, self._likely_context()
        return was_cut(self._about.fewest_tokens, read) or bool(context and read >= context)

    def _likely_context(self) -> int | None:
        """The context as Ollama tells it, or as a prompt shows that fills one to the last token.

        Before 0.24 a prompt was cut to exactly the context, which is a multiple of 1,024.
        """
        read = self.usage.input_tokens or 0
        fills = read >= _LEAST_CONTEXT and read % 1024 == 0
        return self._context or (read if fills else None)

    def _context_warnings(self) -> tuple[str, ...]:
        """Warnings if a part of the conversation was not read, or was forgotten on the way."""
        usage, context = self.usage, self._likely_context()
        together = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        if context and together > context:
            return (
                Sentence(
                    "Prompt and answer are longer than the {context} tokens that Ollama keeps: it "
                    "forgot the beginning of the conversation.",
                    context=context,
                ),
            )
        return context_warnings(LABEL, usage, self._about.fewest_tokens)


_REPEATED = "Ollama ended the answer: the model said the same again and again."
_NO_TEMPLATE = (
    "Ollama gives this model your words without its chat template: do not judge it by this answer."
)


def _ended_before_it_began() -> BackendError:
    return BackendConnectionError(
        Sentence("{label} ended its answer before it had begun.", label=LABEL),
        "Try again, or look at Ollama's log.",
    )


_PULL_STAGES = (("verifying", "verifying"), ("writing", "writing manifest"))
"""The start of a status after the last byte has come, and what is said of it."""


def pull_progress(layers: dict[str, tuple[int, int]], line: Mapping[str, Any]) -> Progress:
    """Update `layers` (done and total bytes by digest) by a line; the progress over all of them."""
    digest, total = line.get("digest"), parse_count(line.get("total"))
    if isinstance(digest, str) and total:
        layers[digest] = (min(total, parse_count(line.get("completed")) or 0), total)
    status = str(line.get("status"))
    stage = next((words for start, words in _PULL_STAGES if status.startswith(start)), "")
    if not layers:
        return Progress("downloading", detail=stage or "looking it up")
    done, whole = (sum(numbers) for numbers in zip(*layers.values(), strict=True))
    return Progress("downloading", done / whole, stage or gigabytes_of(done, whole))


def _seconds(line: Mapping[str, Any], name: str) -> float | None:
    """A duration in seconds; Ollama gives nanoseconds."""
    value = parse_count(line.get(name))
    return None if value is None else value / 1e9
