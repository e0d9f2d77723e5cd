"""Text that came from somewhere else, as Unicode that can be sent on."""

from typing import Any, cast


def clean(text: str) -> str:
    """`text` as valid Unicode: a lone half of a surrogate pair becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


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
