"""Examples for a mixture of experts: questions about it, the course's agent, a mix of languages."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TypedDict, cast

_FILE = "moe.json"


class _Data(TypedDict):
    systems: dict[str, str]
    """System prompts by name, as several examples share one."""
    examples: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class MoeExample:
    """One prompt for a mixture of experts."""

    language: str
    """Code of the language of its title, a key of `LANGUAGES`."""
    title: str
    """A few words for a button."""
    prompt: str
    """In the same language; the course's own words, in English, where it has a `system`."""
    system: str | None = None
    """The system prompt it needs; `None` for none.

    The course's agent, lesson 19 of `microsoft/generative-ai-for-beginners` (MIT),
    `19-slm/python/phi35_moe_demo.ipynb`: once corrected, so that its JSON is JSON and all tools in
    it are its own, and once as it stands there.
    """


def load_moe(language: str) -> tuple[MoeExample, ...]:
    """The examples of one language, in the order of the file; empty if there are none.

    Raises `KeyError` for a system prompt that is not there, `TypeError` for a missing or unknown
    field.
    """
    data = _data()
    rows = (row for row in data["examples"] if row.get("language") == language)
    return tuple(_example(row, data["systems"]) for row in rows)


def system_prompt(name: str) -> str:
    """One of the system prompts that the examples share; `KeyError` if there is none."""
    return _data()["systems"][name]


def _data() -> _Data:
    text = files("playground.examples").joinpath(_FILE).read_text(encoding="utf-8")
    return cast("_Data", json.loads(text))


def _example(row: dict[str, str], systems: dict[str, str]) -> MoeExample:
    system = {"system": systems[row["system"]]} if "system" in row else {}
    return MoeExample(**(row | system))
