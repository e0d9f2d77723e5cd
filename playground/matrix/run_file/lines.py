"""What stands in a run file: the header in its first line, and an answer in every other."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from backends import Said, Sentence

from ...machine import Machine
from ...text import valid_unicode
from ..items import Expected, Item

FORMAT = "phi-playground-matrix"
VERSION = 1
MAX_TEXT = 400_000
"""Characters of an answer that are kept."""
Outcome = Literal["right", "wrong", "unreadable"]
Stayed = Literal["stayed", "left", "undecided"]
_Name = Annotated[str, StringConstraints(max_length=300)]
MAX_SENTENCE = 4000
"""Characters of a sentence, with its values as JSON has them: few values fill little text."""
_Sentence = Annotated[str, StringConstraints(max_length=MAX_SENTENCE)]
_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
_Seconds = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]


def _length(value: object) -> int:
    return len(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _is_short(value: object) -> object:
    if _length(value) > MAX_SENTENCE:
        raise ValueError(f"a sentence has at most {MAX_SENTENCE} characters")
    return value


_Said = Annotated[Said, BeforeValidator(_is_short)]
"""A sentence in English; with its values, so that a page can say it in any language."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class RunModel(_Line):
    """One of the models that were asked."""

    side: Annotated[str, StringConstraints(pattern=r"^[a-z]$")]
    backend: _Name
    model: _Name
    """Its name there."""
    label: _Name = ""
    """What people call it."""
    revision: _Name | None = None
    """Its revision or digest, where the backend tells it."""

    @property
    def title(self) -> str:
        """What a report calls it: `Pocket-3`."""
        return self.label or self.model


class Settings(_Line):
    """How every answer was asked for."""

    temperature: float = 0.0
    max_tokens: int | None = None
    seed: int | None = None


class Source(_Line):
    """The set of others that was asked: theirs are the prompts in the file."""

    name: _Name
    repository: _Name = ""
    revision: _Name = ""
    """The commit that was asked."""
    licence: _Name = ""
    citation: _Sentence = ""


class Header(_Line):
    """The first line: what was asked of whom, and with what."""

    format: Literal["phi-playground-matrix"] = FORMAT
    version: int = VERSION
    id: _Name
    date: _Name
    """When it began, in ISO 8601 and UTC."""
    models: Annotated[tuple[RunModel, ...], Field(min_length=1, max_length=8)]
    settings: Settings = Settings()
    kinds: Annotated[tuple[_Name, ...], Field(max_length=100)]
    languages: Annotated[tuple[_Name, ...], Field(max_length=100)]
    items: Annotated[int, Field(ge=0, le=10_000)]
    """At most so many of each kind in each language."""
    seed: int
    source: Source | None = None
    """`None`: the tasks are our own, or a visitor's."""
    tasks_hash: _Name
    """SHA-256 of the items: the same tasks have the same one."""
    parallel: Annotated[dict[_Name, _Count], Field(max_length=8)] = {}
    """How many answers each side was asked for at once."""
    versions: Annotated[dict[_Name, _Name], Field(max_length=100)] = {}
    machine: Machine = Machine()
    texts: Annotated[dict[_Name, _Text], Field(max_length=100)] = {}
    """What a visitor wrote, by language code, where that is what was asked."""


class Cell(_Line):
    """One answer to one item, and what it was worth."""

    item: _Name
    """The item's id: `sum_one/de/3`."""
    side: _Name
    prompt: _Text = ""
    expected: (
        bool
        | int
        | _Sentence
        | tuple[int, ...]
        | tuple[_Sentence, ...]
        | dict[_Name, int | _Sentence]
        | None
    ) = None
    answer: _Text = ""
    finish: _Name | None = None
    """Why it ended: `stop`, `length` …"""
    outcome: Outcome | None = None
    found: _Sentence = ""
    """What was read as the answer in it."""
    why: _Said = ""
    """Why it is not right, or a remark."""
    stayed: Stayed | None = None
    """Whether it is in the language that was to be answered in."""
    first_token: _Seconds | None = None
    """Seconds to the first token, without those that loading the model took."""
    seconds: _Seconds | None = None
    """Seconds altogether, likewise."""
    prompt_tokens: _Count | None = None
    answer_tokens: _Count | None = None
    chunks: _Text = ""
    """When its pieces came: see `playground.matrix.chunks`. Empty in runs of an earlier version."""
    error: _Said | None = None
    """Why there is no answer: nobody could be asked. A later run asks again."""
    at: _Name = ""
    """When it ended, in ISO 8601 and UTC."""

    @property
    def key(self) -> tuple[str, str]:
        """Item and side: what this answers."""
        return self.item, self.side

    @property
    def place(self) -> tuple[str, str, int]:
        """Kind, language and index, from the item's id. Raises `ValueError`."""
        kind, language, index = self.item.split("/")
        return kind, language, int(index)


def tasks_hash(items: Sequence[Item]) -> str:
    """SHA-256 of the items in canonical JSON: prompts, right answers and their order."""
    digest = sha256()
    for item in items:
        row = [item.id, item.prompt, plain(item.expected), item.answer_language]
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def plain(expected: Expected) -> Any:
    """A right answer as JSON has it."""
    if isinstance(expected, Mapping):
        return dict(expected)
    return list(expected) if isinstance(expected, tuple) else expected


def cell_text(text: str) -> str:
    """A text as a cell may hold it: valid Unicode, and not longer than a cell."""
    return valid_unicode(text)[:MAX_TEXT]


def sentence(text: str) -> str:
    """The same for a sentence of a cell: one that is too long is only English."""
    clean = valid_unicode(text)
    if isinstance(text, Sentence) and clean == text and _length(text.dump()) <= MAX_SENTENCE:
        return text
    return clean[:MAX_SENTENCE]
