"""Values in a server's JSON, which may be of another type than they should."""

from typing import Any, cast


def parse_mapping(value: object) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def parse_count(value: object) -> int | None:
    """A count as a non-negative integer; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 2**53 else None
