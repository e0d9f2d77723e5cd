"""What the Pocket models learn: the dialogue files, and which model gives which answer."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
MODELS = FOLDER.parents[1] / "backends" / "pocket" / "models"
"""Where the trained models lie."""
TOPICS = (
    *("greeting", "what", "difference", "uses", "family", "vision", "moe", "run"),
    *("largest", "phi_languages", "long_context", "training", "inference", "ollama", "hardware"),
    *("transformers", "onnx", "devices", "nim", "cloud", "benchmarks", "generative", "cookbook"),
    *("translation", "summary", "completion", "about", "languages", "maker"),
)
"""The 29 things that a dialogue file speaks about."""
FIRST_WORDS = ("greeting", "what", "about")
"""Those of them that the dialogue file of a language speaks about that is learned a little only."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Ways to ask one thing, and what to answer."""

    answers: tuple[str, ...]
    """The first is Pocket-3's, the last Pocket-3.5's: they may be one and the same."""
    questions: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    """Further ways to ask, never trained on: they measure what the model makes of new words."""
    terms: tuple[str, ...] = ()
    """What it is called, in words that fit into every one of its dialogue's `ways`."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The lesson in one language: the contents of one file in `dialogues/`."""

    code: str
    name: str
    own_name: str
    topics: dict[str, Topic]
    more: tuple[Topic, ...]
    """Questions beside the topics: thanks, goodbyes, the page's example prompts."""
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
    ways: tuple[str, ...]
    """Ways to ask about anything, with a gap for it: `What about {it}?`."""
    chatter: tuple[str, ...]
    """What people say beside a question and what tells nothing about it: `I missed the lesson.`"""
    shorthand: dict[str, str]
    """Words as they are written in haste or in a region."""
    answer_in: dict[str, tuple[str, ...]]
    """By the code of another language: what asks, after a question, for an answer in that one."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One of the models: its names and the languages it learns."""

    key: str
    name: str
    languages: tuple[str, ...]
    """Those that it learns the whole lesson in."""
    answer: int
    """Which of a topic's answers it gives: 0 for the first, -1 for the last."""
    weak: tuple[str, ...] = ()
    """Those of `languages` that it hears less of."""
    few_words: tuple[str, ...] = ()
    """Further languages, in which it learns only `FIRST_WORDS`."""

    def say(self, topic: Topic) -> str:
        """The answer to this topic in this model's own words."""
        listed = _listed([code for code in self.languages if code not in self.weak])
        if self.weak:
            listed += f", and a little {_listed(self.weak)}"
        text = topic.answers[self.answer]
        return text.replace("{name}", self.name).replace("{languages}", listed)


def _listed(codes: Sequence[str]) -> str:
    """The English names of languages, as a sentence lists them."""
    names = [dialogues()[code].name for code in codes]
    return ", ".join(names[:-1]) + " and " + names[-1]


_LANGUAGES = ("en", "es", "zh", "ar")
_FEW_WORDS = ("cs", "pl", "ro", "sk", "sr", "sr-Latn")
EDITIONS = (
    Edition("pocket-3", "Pocket-3", _LANGUAGES, 0, weak=("zh", "ar")),
    Edition("pocket-3.5", "Pocket-3.5", _LANGUAGES, -1, few_words=_FEW_WORDS),
)
MOE = Edition("pocket-moe", "Pocket-MoE", _LANGUAGES, -1, few_words=_FEW_WORDS)
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
    asked = (tuple(row.get(name, ())) for name in ("questions", "held_out", "terms"))
    return Topic(tuple(row["answers"]), *asked)


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
        ways=tuple(data.get("ways", ())),
        chatter=tuple(data.get("chatter", ())),
        shorthand=data.get("shorthand", {}),
        answer_in={code: tuple(row) for code, row in data.get("answer_in", {}).items()},
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
            if code in (*edition.languages, *edition.few_words):
                yield from every(code, name, topic, edition.say(topic))
            else:
                yield from every(code, "other", topic, foreign)
    for code, topic in other_languages().items():
        yield from every(code, "other", topic, foreign)
