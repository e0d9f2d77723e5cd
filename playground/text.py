"""Cleaning of text: valid Unicode, no control characters."""

import re

# C0 and C1 control characters but tab and newline: invisible, and some servers refuse them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def valid_unicode(text: str) -> str:
    """The text as valid Unicode: a lone surrogate becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def strip_controls(text: str) -> str:
    """The text without control characters, with plain line ends, as valid Unicode."""
    return _CONTROLS.sub("", valid_unicode(text.replace("\r\n", "\n").replace("\r", "\n")))
