"""The lines of a response's bytes, however they were cut on their way."""

import re

MAX_LINE = 1_000_000
"""Bytes of a line, and characters of an event, at most: an answer's are some hundred."""

_ANY_END = re.compile(rb"\r\n|\r|\n")


class LineDecoder:
    """Splits bytes at line feeds, or at any of the three line ends that `text/event-stream` has.

    A line is decoded as a whole, so that a character that was cut is not torn; bytes that are no
    UTF-8 become U+FFFD. Time is linear in the number of bytes.
    """

    def __init__(self, *, any_end: bool = False) -> None:
        self._any_end = any_end
        self._rest: list[bytes] = []
        self._size = 0
        self._after_return = False
        """The last bytes ended in a carriage return: a line feed now belongs to it."""

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete. Raises `ValueError` if one exceeds `MAX_LINE`."""
        if not data:
            return []
        if self._any_end:
            start = 1 if self._after_return and data.startswith(b"\n") else 0
            self._after_return = data.endswith(b"\r")
            data = data[start:]
            first, *others = _ANY_END.split(data) if b"\r" in data else data.split(b"\n")
        else:
            first, *others = data.split(b"\n")
        self._rest.append(first)
        self._size += len(first)
        if self._size > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE:,} bytes")
        if not others:
            return []
        *whole, rest = others
        lines = [self.end(), *(line.decode("utf-8", "replace") for line in whole)]
        self._rest, self._size = [rest], len(rest)
        return lines

    def end(self) -> str:
        """What came after the last line end; empty if nothing did."""
        line, self._rest, self._size = b"".join(self._rest), [], 0
        return line.decode("utf-8", "replace")
