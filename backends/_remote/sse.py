"""Server-sent events (WHATWG HTML, 9.2), and what servers write between them that is none."""

import json
from dataclasses import dataclass

from .lines import MAX_LINE, LineDecoder

_FIELDS = frozenset({"data", "event", "id", "retry"})


@dataclass(frozen=True, slots=True)
class Event:
    """One event with data. Comments, pings and events without data are left out."""

    data: str
    name: str = ""
    """Its type, such as `error`; empty if it has none."""
    framed: bool = True
    """False for text that is in no field: an error that a server wrote into its stream as it is,
    or a body that is no event stream at all."""


class EventDecoder:
    """Turns a response's bytes into events; more tolerant than the standard where servers are lax.

    Events whose empty line is missing are told apart by their JSON. The last one needs no end.
    """

    def __init__(self) -> None:
        self._lines = LineDecoder(any_end=True)
        self._begun = False
        self._data: list[str] = []
        self._name = ""
        self._data_size = 0
        self._unframed: list[str] = []
        self._unframed_size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. Raises `ValueError` if one is beyond `MAX_LINE`."""
        found: list[Event] = []
        for line in self._lines.feed(data):
            self._read(line, found)
        return found

    def end(self) -> list[Event]:
        """The events that the end of the response completes."""
        found: list[Event] = []
        self._read(self._lines.end(), found)
        self._dispatch(found)
        if text := "\n".join(self._unframed).strip():
            found.append(Event(text, framed=False))
        return found

    def _read(self, line: str, found: list[Event]) -> None:
        if not self._begun:
            line, self._begun = line.removeprefix("\ufeff"), True
        if not line:
            self._dispatch(found)
            return
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            if len(self._data) == 1 and _is_whole(self._data[0]):
                self._dispatch(found)
            self._data.append(value)
            self._data_size = _bounded(self._data_size + len(value) + 1)  # with its line feed
        elif field == "event":
            if self._data:  # the event before it has no empty line
                self._dispatch(found)
            self._name = value
        elif field == "error" and colon:  # llama.cpp's server (ggml-org/llama.cpp#16109)
            self._dispatch(found)
            found.append(Event(value, "error"))
        elif field and field not in _FIELDS:
            if not self._unframed and _is_whole(line):
                found.append(Event(line, framed=False))
                return
            self._unframed.append(line)
            self._unframed_size = _bounded(self._unframed_size + len(line) + 1)

    def _dispatch(self, found: list[Event]) -> None:
        """End the event that is being read."""
        if self._data:
            data = "\n".join(self._data)
            if data.strip():
                found.append(Event(data, self._name))
            self._data.clear()
        self._data_size, self._name = 0, ""


def _bounded(size: int) -> int:
    if size > MAX_LINE:
        raise ValueError(f"an event of more than {MAX_LINE:,} characters")
    return size


def _is_whole(text: str) -> bool:
    """Whether a text is a JSON value by itself, or the mark of the end."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text.strip() == "[DONE]"
    return True
