"""What grows on the page: values that know since which message they are what they are."""

from collections import deque
from typing import Any

WINDOW = 8
"""Messages that a page may skip: each holds what has changed since the one so many before it."""


def common_prefix(one: str, other: str) -> int:
    """Return the length of what two texts begin with alike."""
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Growing:
    """A text that mostly grows at its end, sent as what to keep of it and what follows."""

    __slots__ = ("_kept", "changed", "text")

    def __init__(self) -> None:
        self.text = ""
        self.changed = 0
        """The message that first has the text as it is."""
        self._kept: deque[tuple[int, int]] = deque(maxlen=WINDOW + 1)

    def become(self, text: str, message: int) -> None:
        """Replace the text, from a message on."""
        if text is self.text or text == self.text:
            return
        self._kept.append((message, common_prefix(self.text, text)))
        self.text, self.changed = text, message

    def since(self, message: int) -> tuple[int, str]:
        """Return how many characters a page keeps that has any text since a message, and the rest.

        The characters are counted as the page counts them: in UTF-16 code units.
        """
        complete = len(self._kept) < WINDOW + 1 or self._kept[0][0] <= message + 1
        keep = 0
        if message and complete:
            keep = min((kept for at, kept in self._kept if at > message), default=len(self.text))
        head = self.text[:keep]
        units = keep if head.isascii() else len(head.encode("utf-16-le")) // 2
        return units, self.text[keep:]


class Fields:
    """Named values, each with the message since which it is what it is."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, int]] = {}
        self.changed = 0

    def set(self, message: int, **values: Any) -> None:
        """Set some of the values, from a message on."""
        for name, value in values.items():
            if name not in self._values or self._values[name][0] != value:
                self._values[name] = (value, message)
                self.changed = message

    def since(self, message: int) -> dict[str, Any]:
        """Return the values that have changed after a message."""
        if self.changed <= message:
            return {}
        return {name: value for name, (value, at) in self._values.items() if at > message}
