"""Example prompts: seven tasks in each language, one data file per language."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast, get_args

from ..languages import LANGUAGES

Task = Literal[
    "generation",
    "completion",
    "translation",
    "summarisation",
    "chat",
    "education",
    "accessibility",
    "course",
]
"""The task of a prompt. `course` marks the course's own comparison, only in Chinese: lesson 19 of
`microsoft/generative-ai-for-beginners`, `19-slm/python/phi35-instruct-demo.ipynb`."""

TASKS: tuple[Task, ...] = get_args(Task)[:-1]
"""The seven tasks that every language has, in the order in which the page shows them."""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt to try, complete in itself."""

    language: str
    """Code of the language it is written in, a key of `LANGUAGES`."""
    task: Task
    title: str
    """A few words for a button, in the same language."""
    prompt: str
    system: str | None = None
    """The system prompt it needs; `None` for none."""
    answer_in: str | None = None
    """Code of the language that it asks its answer to be in; `None` for its own."""


def load_examples(language: str) -> tuple[Example, ...]:
    """The examples of one language, in the order of its file; empty if there is no file.

    Raises `ValueError` for a task that is not a `Task`, `TypeError` for a missing or unknown field.
    """
    file = files(__name__).joinpath(f"{language}.json")
    if not file.is_file():
        return ()
    rows = cast("list[dict[str, str]]", json.loads(file.read_text(encoding="utf-8")))
    for row in rows:
        if row.get("task") not in get_args(Task):
            raise ValueError(f"{language}.json: {row.get('task')!r} is not a task")
    return tuple(Example(language=language, **row) for row in rows)  # pyright: ignore[reportArgumentType]


EXAMPLES: tuple[Example, ...] = tuple(
    example for language in LANGUAGES for example in load_examples(language)
)
"""Every example, by language in the order of `LANGUAGES`."""


def answer_language(prompt: str) -> str | None:
    """The language that an example asks its answer to be in; `None` for any other prompt."""
    return _ANSWER_IN.get(prompt.strip())


_ANSWER_IN = {example.prompt: example.answer_in for example in EXAMPLES if example.answer_in}
