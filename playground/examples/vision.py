"""Example questions about pictures and a clip, which this repository draws itself."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, cast, get_args

VisionTask = Literal[
    "shape",
    "count",
    "digit",
    "detail",
    "describe",
    "read",
    "table",
    "chart",
    "code",
    "compare",
    "several",
    "clip",
    "frames",
]
"""The task of a question. `code` and `frames` are the course's own demonstrations."""

VISION_TASKS: tuple[VisionTask, ...] = get_args(VisionTask)
"""Every task once, in the order in which the page shows them."""

Spacing = Literal["even", "scenes"]
"""The choice of frames from a clip: at equal distances, or where the picture changes."""

_FOLDER = files("playground.examples").joinpath("pictures")


@dataclass(frozen=True, slots=True)
class VisionExample:
    """One question about pictures or about a clip."""

    language: str
    """Code of the language it is written in, a key of `LANGUAGES`."""
    task: VisionTask
    title: str
    """A few words for a button, in the same language."""
    prompt: str
    """In the same language; the course's own words, in English, where it has a `source`."""
    pictures: tuple[str, ...] = ()
    """Names for `picture_bytes`, in the order in which they are shown; none beside a clip."""
    clip: str | None = None
    """Name for `picture_bytes` of an MP4 file."""
    frames: int | None = None
    """Number of frames to take from the clip, the most with `scenes`; `None` without a clip."""
    spacing: Spacing = "even"
    pocket: bool = False
    """True if Pocket-Vision, the built-in model, can answer it."""
    source: str | None = None
    """The demonstration of the course it is, a path in `microsoft/generative-ai-for-beginners`."""


def load_vision(language: str) -> tuple[VisionExample, ...]:
    """The examples of one language, those for Pocket-Vision first; empty if there are none.

    Raises `ValueError` for a task or a spacing that is none, `TypeError` for an unknown field.
    """
    return tuple(_example(row, language) for row in _rows() if language in row["title"])


def picture_bytes(name: str) -> bytes:
    """The file of a picture or a clip. Raises `ValueError` for a name that no example has."""
    if not any(name in (*row.get("pictures", ()), row.get("clip")) for row in _rows()):
        raise ValueError(f"no example has a picture {name!r}")
    return _FOLDER.joinpath(name).read_bytes()


def _rows() -> list[dict[str, Any]]:
    """The rows of `vision.json`: the facts of each task, its titles and prompts by language."""
    text = _FOLDER.joinpath("vision.json").read_text(encoding="utf-8")
    return cast("list[dict[str, Any]]", json.loads(text))


def _example(row: dict[str, Any], language: str) -> VisionExample:
    if row["task"] not in VISION_TASKS:
        raise ValueError(f"vision.json: {row['task']!r} is not a task")
    if row.get("spacing", "even") not in get_args(Spacing):
        raise ValueError(f"vision.json: {row['spacing']!r} is not a spacing")
    prompt = row["prompt"]
    facts: dict[str, Any] = row | {
        "title": row["title"][language],
        "prompt": prompt if isinstance(prompt, str) else prompt[language],
        "pictures": tuple(row.get("pictures", ())),
    }
    return VisionExample(language=language, **facts)
