"""Text as it can be sent anywhere and shown to anybody."""

import re

# C0 and C1 control characters but tab and newline: no reader sees them, and some servers choke.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def valid_unicode(text: str) -> str:
    """The text as valid Unicode: half of a surrogate pair alone becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def strip_controls(text: str) -> str:
    """The text without control characters, with plain line ends, as valid Unicode."""
    return _CONTROLS.sub("", valid_unicode(text.replace("\r\n", "\n").replace("\r", "\n")))
