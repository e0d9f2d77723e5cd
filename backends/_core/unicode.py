"""Text that came from somewhere else, as Unicode that can be sent on."""

from typing import Any, cast


def clean(text: str) -> str:
    """`text` as valid Unicode: a lone half of a surrogate pair becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Joins the halves of surrogate pairs that came in two pieces of a text.

    Some servers cut their text in UTF-16, between the halves of an emoji.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """The text that is whole by now, as valid Unicode."""
        if not text:
            return ""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return clean(text)

    def end(self) -> str:
        """What is left: a half without its other one becomes U+FFFD."""
        half, self._half = self._half, ""
        return clean(half)


def clean_json(value: Any) -> Any:
    """A decoded JSON value with every text in it `clean`, names of fields too."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {clean_json(name): clean_json(one) for name, one in pairs}
    return value
