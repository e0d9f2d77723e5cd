"""What a chat/completions response says, event by event, as chunks: also the odd ones."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .._core.errors import BackendConnectionError, BackendError
from .._core.sentence import Sentence
from .._core.stop import StopStrings
from .._core.types import Chunk, FinishReason, Progress, Timings, Usage
from .._core.unicode import SurrogateJoiner
from .answer_warnings import context_warnings, other_model_warnings
from .error_response import ErrorResponse
from .errors import ErrorMapper, content_filter_error, filtered_categories
from .failures import BROKEN_OFF, broken_off, disconnected, other_protocol, web_page
from .json_values import parse_count, parse_mapping
from .message_texts import message_texts
from .sse import Event

_FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_length": "length",
    "limit": "length",
    "token_limit": "length",
    "context_length": "length",
    "model_context_window_exceeded": "length",  # Anthropic's, through gateways
    "model_length": "length",  # Mistral's for the context
    "content_filter": "content_filter",
    **dict.fromkeys(  # Gemini's and Zhipu's
        ("safety", "recitation", "blocklist", "prohibited_content", "spii", "sensitive"),
        "content_filter",
    ),
}
"""Finish reasons that are no plain stop. Others (`stop`, `eos`, `tool_calls` …) are."""
CALLED_TOOL = "it called a tool"
"""The note of an answer that calls a tool, which nobody offered."""
_END_EVENTS = frozenset({"done", "end"})
"""Names of the last event where it is no `[DONE]`."""
_BESIDE_TEXT = frozenset({"usage", "timings"})
"""What an event without text may hold, and is no other protocol's for that."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about an answer before it begins."""

    model: str = ""
    """The name that was asked for; empty where names are not compared."""
    listed: bool = True
    """Whether the server's list has it, as far as there is one."""
    context: int | None = None
    """Tokens of prompt and answer together that the server takes; `None` where it does not tell."""
    fewest_tokens: int = 0
    """How many tokens the prompt has at least."""
    pictures: int = 0
    stop: Sequence[str] = ()
    """The stop strings. Not every server ends before them: `transformers serve` sends them, too."""


class StreamReader:
    """Turns the events of one response into chunks; tolerates missing and malformed fields.

    `map_error` makes the error of what a server says of itself in the stream.
    """

    def __init__(
        self,
        label: str,
        device: str | None,
        map_error: ErrorMapper,
        about: Circumstances = Circumstances(),
    ) -> None:
        self._label, self._device, self._map_error, self._about = label, device, map_error, about
        self._text, self._thinking = SurrogateJoiner(), SurrogateJoiner()
        self._stop = StopStrings(about.stop)
        self._finish = ""
        self._usage: Usage | None = None
        self._clock: object = None
        """llama.cpp's own, as it last came: with each event or the last one, as it was asked."""
        self._filtered: tuple[str, ...] = ()
        self._served = ""
        self._called_tool = self._in_deltas = False
        self._stray = ""
        """Text of the response that is no event."""
        self.begun = False
        """Whether any text or thought has come."""
        self.alive = False
        """Whether the last event had something of an answer in it, be it no text."""
        self.done = False
        """Whether the server has said that nothing more comes."""

    def read(self, event: Event, at: float) -> Chunk | Progress | None:
        """The chunk with an event's text; `None` if it has none. Raises `BackendError`.

        `at` is when it came, in `time.monotonic()`: the same for all events of one packet.
        Raises `ValueError` for an event that is no JSON.
        """
        self.alive = False
        data = event.data.strip()
        while data.startswith("data:"):  # framed twice, by a proxy
            data = data[5:].lstrip()
        if len(data) < 10 and data.strip('"').lower() == "[done]":
            self.done = True
            return None
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            if event.framed and event.name != "error" and data.startswith(("{", "[", '"')):
                raise
            value = data
        if event.name == "error" or is_error(value):
            raise self._map_error(ErrorResponse(None, _error_body(value)))
        if event.name in _END_EVENTS and not parse_mapping(value).get("choices"):
            self.done = True
            return None
        if not isinstance(value, dict):
            if not event.framed or isinstance(value, str):  # else a sign of life
                self._stray = self._stray or data
            return None
        return self.read_object(cast("dict[str, Any]", value), at)

    def read_object(self, event: dict[str, Any], at: float) -> Chunk | Progress | None:
        """The same, of an event that is a JSON object and no error."""
        if not self._served and isinstance(name := event.get("model"), str):
            self._served = name
        told = event.get("usage")
        if told or (told := parse_mapping(event.get("x_groq")).get("usage")):
            self._read_usage(told)
        self._clock = event.get("timings") or self._clock
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            is_beside = event.keys() & _BESIDE_TEXT or event.get("type") == "ping"
            if event and not (is_beside or isinstance(choices, list)):
                self._stray = self._stray or json.dumps(event)
            return None
        choice = parse_mapping(choices[0])
        if choice.get("index"):  # a second answer, which nobody asked for
            others = (one for one in map(parse_mapping, choices) if not one.get("index"))
            if (choice := next(others, None)) is None:
                return None
        if choice.get("error"):
            raise self._map_error(ErrorResponse(None, _error_body(choice)))
        if told := choice.get("usage"):  # Moonshot's place for it
            self._read_usage(told)
        piece = choice.get("delta") or choice.get("message")
        delta = parse_mapping(piece) or {"content": piece or choice.get("text")}
        finish = choice.get("finish_reason") or delta.get("finish_reason")
        if finish or (finish := choice.get("stop_reason")):
            self._read_finish(finish)
        if told := choice.get("content_filter_results"):
            self._filtered += filtered_categories(told)
        text, thinking = message_texts(delta)
        if choice.get("delta"):
            self._in_deltas = self._in_deltas or bool(text)
        elif self._in_deltas:
            text = thinking = ""  # the whole answer once more, at the end
        text = self._text.feed(text)
        thinking = self._thinking.feed(thinking)
        if delta.get("tool_calls") or delta.get("function_call"):
            self._called_tool = self.alive = True
        if not self.begun and text.startswith(" ") and not text.startswith("  "):
            text = text[1:]  # llama.cpp begins with a space; more of them are an indentation
        if text and self._stop.found:  # the server goes on: no more of it is wanted
            self.done = True
            return None
        text = self._stop.push(text)
        if not text and not thinking:
            return None
        self.begun = self.alive = True
        return Chunk(text=text, thinking=thinking, at=at)

    def end(self) -> Chunk:
        """The last chunk. Raises `BackendError` if the stream broke off."""
        is_other = self._stray.startswith("{") and not self.begun
        if not self._finish and (is_other or not self.done):
            raise self._ended_early()
        if self._finish in BROKEN_OFF:
            raise broken_off(self._label, self._finish)
        finish = "stop" if self._stop.found else _FINISH_REASONS.get(self._finish, "stop")
        if finish == "content_filter":
            raise content_filter_error(
                self._label, "the answer", tuple(dict.fromkeys(self._filtered))
            )
        about = self._about
        rest = self._stop.push(self._text.end()) + self._stop.flush()
        return Chunk(
            text=rest,
            thinking=self._thinking.end(),
            at=time.monotonic(),
            finish_reason=finish,
            usage=self._usage,
            timings=self._timings(),
            notes=(CALLED_TOOL,) if self._called_tool else (),
            warnings=(
                *other_model_warnings(about.model, self._served, about.listed),
                *context_warnings(self._label, self._usage, about.fewest_tokens),
            ),
        )

    @property
    def finished(self) -> bool:
        """Whether the server has said why its answer ended."""
        return bool(self._finish)

    def _read_finish(self, told: object) -> None:
        # An object with its kind, as some gateways have it, or the kind alone.
        finish = parse_mapping(told).get("type") if isinstance(told, dict) else told
        self._finish = finish.lower() if isinstance(finish, str) and finish else "stop"

    def _read_usage(self, told: object) -> None:
        if usage := parse_mapping(told):
            # The last name of each is the one that the Responses API and Anthropic have.
            details = {
                **usage,
                **parse_mapping(usage.get("output_tokens_details")),
                **parse_mapping(usage.get("completion_tokens_details")),
            }
            self._usage = Usage(
                _count(usage, "prompt_tokens", "input_tokens"),
                _count(usage, "completion_tokens", "output_tokens"),
                _count(details, "reasoning_tokens"),
                self._about.context,
            )

    def _timings(self) -> Timings:
        clock = parse_mapping(self._clock)
        prefill, decode = (_seconds(clock.get(name)) for name in ("prompt_ms", "predicted_ms"))
        return Timings(prefill=prefill, decode=decode, device=self._device)

    def _ended_early(self) -> BackendError:
        if self.begun:
            return disconnected(self._label)
        if self._stray.lstrip().startswith("<"):
            return web_page(self._label)
        if self._stray:
            told = ErrorResponse(None, self._parsed_stray())
            return self._map_error(told) if told.server_message else other_protocol(self._label)
        # llama_cpp.server 0.3.36 ends so when its chat template fails on a message with a picture.
        blind = "The model may not read pictures: ask without." if self._about.pictures else ""
        return BackendConnectionError(
            Sentence("{label} ended its answer before it had begun.", label=self._label),
            Sentence.chain(
                blind,
                "The prompt may be too long for it. Or it answers one request at a time and "
                "dropped this one for another (`llama_cpp.server`: start it with "
                "--interrupt_requests false).",
            ),
        )

    def _parsed_stray(self) -> object:
        try:
            return json.loads(self._stray)
        except (ValueError, RecursionError):
            return self._stray


def is_error(value: object) -> bool:
    """Whether a JSON value is an error: OpenAI's, an older vLLM's, FastChat's or Cloudflare's."""
    event = parse_mapping(value)
    if event.get("choices") and not event.get("error"):  # the usual case, without more questions
        return False
    return bool(
        event.get("error")
        or event.get("object") == "error"
        or event.get("type") == "error"
        or event.get("error_code")
        or event.get("errors")
        or event.get("success") is False
    )


def _error_body(value: object) -> object:
    """An error as others send it: FastChat has its words where text would be."""
    event = parse_mapping(value)
    if event.get("error_code") and not event.get("message"):
        return {"code": event["error_code"], "message": event.get("text")}
    return value


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """The first count under one of these names."""
    counts = (parse_count(usage.get(name)) for name in names)
    return next((count for count in counts if count is not None), None)


def _seconds(milliseconds: object) -> float | None:
    if not isinstance(milliseconds, int | float) or not 0 <= milliseconds < math.inf:
        return None
    return milliseconds / 1000
