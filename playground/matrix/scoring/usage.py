"""Words by which answers are read that a language's own file does not hold: `usage.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """The entries of one language; the file says what each is."""

    either: tuple[str, ...] = ()
    articles: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])


@cache
def usage_of(code: str) -> Usage:
    """The entries of a language, none for an unknown one."""
    data: dict[str, Any] = _file().get(code, {})
    return Usage(
        either=tuple(data.get("or", ())),
        articles=tuple(data.get("articles", ())),
        refusals=tuple(data.get("refusals", ())),
        remarks=tuple(data.get("remarks", ())),
        neither=tuple(data.get("neither", ())),
        questions=tuple(data.get("questions", ())),
        numbers=dict(data.get("numbers", {})),
    )


@cache
def _file() -> dict[str, dict[str, Any]]:
    path = Path(__file__).with_name("usage.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
