"""JSON objects, one to a line."""

import json
from typing import Any, cast

from .._core.unicode import clean_json
from .lines import LineDecoder


class ObjectDecoder:
    """Turns a response's bytes into JSON objects, split at line feeds only: others may stand in
    JSON. Empty lines are left out. All that is raised is `ValueError`, for a line that is no object
    or too long.
    """

    def __init__(self) -> None:
        self._lines = LineDecoder()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that these bytes complete."""
        return [parse_object(line) for line in self._lines.feed(data) if line.strip()]

    def end(self) -> list[dict[str, Any]]:
        """The object of a last line without its line feed, if it is whole."""
        line = self._lines.end()
        return [parse_object(line)] if line.rstrip().endswith("}") else []


def parse_object(line: str) -> dict[str, Any]:
    """A JSON object. Raises `ValueError` if a text is none."""
    try:
        value = json.loads(line)
        if "\\u" in line:  # only an escape can be half of a surrogate pair
            value = clean_json(value)
    except RecursionError as error:
        raise ValueError("a line that is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("a line that is no JSON object")
    return cast("dict[str, Any]", value)
