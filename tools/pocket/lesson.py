"""What the Pocket models learn: the dialogue files, and which model gives which answer."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
MODELS = FOLDER.parents[1] / "backends" / "pocket" / "models"
"""Where the trained models lie."""
TOPICS = (
    *("greeting", "what", "difference", "uses", "family", "vision", "moe", "run"),
    *("translation", "summary", "completion", "about"),
)
"""The twelve things that every dialogue file speaks about."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Ways to ask one thing, and what to answer."""

    answers: tuple[str, ...]
    """The first is Pocket-3's, the last Pocket-3.5's: they may be one and the same."""
    questions: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    """Further ways to ask, never trained on: they measure what the model makes of new words."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The lesson in one language: the contents of one file in `dialogues/`."""

    code: str
    name: str
    own_name: str
    topics: dict[str, Topic]
    more: tuple[Topic, ...]
    """Questions beside the twelve: thanks, goodbyes, the page's example prompts."""
    unknown: Topic
    """What the lesson does not cover."""
    patterns: tuple[str, ...]
    """More of the same with gaps, such as `Where is {place}?`."""
    words: dict[str, tuple[str, ...]]
    """What fills the gaps."""
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    systems: tuple[str, ...]
    """System prompts; none of them changes an answer."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One of the models: its names and the languages it learns."""

    key: str
    name: str
    languages: tuple[str, ...]
    answer: int
    """Which of a topic's answers it gives: 0 for the first, -1 for the last."""

    def say(self, topic: Topic) -> str:
        """The answer to this topic in this model's own words."""
        names = [dialogues()[code].name for code in self.languages]
        listed = ", ".join(names[:-1]) + " and " + names[-1]
        text = topic.answers[self.answer]
        return text.replace("{name}", self.name).replace("{languages}", listed)


EDITIONS = (
    Edition("pocket-3", "Pocket-3", ("en", "es"), 0),
    Edition("pocket-3.5", "Pocket-3.5", ("en", "es", "zh", "ar"), -1),
)
MOE = Edition("pocket-moe", "Pocket-MoE", ("en", "es", "zh", "ar"), -1)
"""Pocket-MoE's: what Pocket-3.5 learns, in an architecture of its own."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and the right answer to it."""

    language: str
    topic: str
    """One of `TOPICS`, or `more`, `unknown`, `other` (a language the model did not learn)."""
    question: str
    answer: str


def _topic(row: dict[str, Any]) -> Topic:
    return Topic(tuple(row["answers"]), tuple(row["questions"]), tuple(row.get("held_out", ())))


def _read(file: Path) -> Dialogue:
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    unknown = data["unknown"]
    words = {name: tuple(row) for name, row in unknown["words"].items()}
    return Dialogue(
        code=data["code"],
        name=data["name"],
        own_name=data["own_name"],
        topics={name: _topic(row) for name, row in data["topics"].items()},
        more=tuple(_topic(row) for row in data["more"]),
        unknown=_topic(unknown),
        patterns=tuple(unknown["patterns"]),
        words={**words, "scrap": tuple(data["scraps"])},
        prefixes=tuple(data["prefixes"]),
        suffixes=tuple(data["suffixes"]),
        systems=tuple(data["systems"]),
    )


@cache
def dialogues() -> dict[str, Dialogue]:
    """Every dialogue file, by its language's code."""
    files = sorted((FOLDER / "dialogues").glob("*.toml"))
    return {dialogue.code: dialogue for dialogue in map(_read, files)}


@cache
def other_languages() -> dict[str, Topic]:
    """Questions in languages that no model learns, each with the English answer to them all."""
    english = tomllib.loads((FOLDER / "dialogues" / "en.toml").read_text(encoding="utf-8"))
    answers = tuple(english["other_language"]["answers"])
    rows = tomllib.loads((FOLDER / "other_languages.toml").read_text(encoding="utf-8"))
    return {code: _topic({**row, "answers": answers}) for code, row in rows.items()}


def other_language() -> Topic:
    """What to say in English to a question in a language that the model does not know."""
    return next(iter(other_languages().values()))


def exchanges(edition: Edition, *, held_out: bool = False) -> Iterator[Exchange]:
    """Every question with the answer that this model is to give; those held out, or the others."""

    def every(language: str, name: str, asked: Topic, answer: str) -> Iterator[Exchange]:
        for question in asked.held_out if held_out else asked.questions:
            yield Exchange(language, name, question, answer)

    foreign = edition.say(other_language())
    for code, dialogue in dialogues().items():
        named = [*dialogue.topics.items(), *(("more", topic) for topic in dialogue.more)]
        for name, topic in [*named, ("unknown", dialogue.unknown)]:
            if code in edition.languages:
                yield from every(code, name, topic, edition.say(topic))
            else:
                yield from every(code, "other", topic, foreign)
    for code, topic in other_languages().items():
        yield from every(code, "other", topic, foreign)
