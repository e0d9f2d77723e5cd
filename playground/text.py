"""Cleaning of text: valid Unicode, no control characters."""

import re

_TERMINAL = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")
"""Colours and titles for a terminal (ECMA-48, CSI and OSC): without ESC, their rest would stay."""
_LONGEST_SEQUENCE = 256
# C0 and C1 control characters but tab and newline: invisible, and some servers refuse them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def valid_unicode(text: str) -> str:
    """The text as valid Unicode: a lone surrogate becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def strip_controls(text: str) -> str:
    """The text without control characters, with plain line ends, as valid Unicode."""
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    return _CONTROLS.sub("", valid_unicode(text.replace("\r\n", "\n").replace("\r", "\n")))


class ControlStripper:
    """`strip_controls` for a text that comes in pieces: what belongs together may be cut."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is clean by now."""
        text, self._held = self._held + piece, ""
        at = text.rfind("\x1b", max(0, len(text) - _LONGEST_SEQUENCE))
        if at >= 0 and not _TERMINAL.match(text, at):
            text, self._held = text[:at], text[at:]
        elif text.endswith("\r"):
            text, self._held = text[:-1], "\r"
        return strip_controls(text)

    def end(self) -> str:
        """What is left of it."""
        held, self._held = self._held, ""
        return strip_controls(held)
