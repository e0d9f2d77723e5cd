"""What Pocket-Vision learns: questions about a scene and true answers, in four languages."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from ..lesson import dialogues
from .drawing import DIGITS, Scene, Thing

FOLDER = Path(__file__).parent / "questions"
TASKS = (
    *("colour", "shape", "count", "position", "digit", "description", "one of two"),
    *("small colour", "small shape", "small digit", "small position", "small description"),
    *("no digit", "no picture", "anything else"),
)
"""What is asked and reported; each belongs to one or several topics of the question files."""


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Ways to ask one thing."""

    learned: tuple[str, ...]
    held_out: tuple[str, ...]
    """Never trained on: they measure what the model makes of new words."""


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language: the contents of one file in `questions/`."""

    code: str
    name: str
    answers: dict[str, str]
    colours: dict[str, list[str]]
    places: dict[str, str]
    kinds: dict[str, dict[str, Any]]
    questions: dict[str, Phrasings]

    def kind(self, thing: Thing) -> dict[str, Any]:
        """What this thing is called, in all the forms that sentences need."""
        return self.kinds["digit" if thing.kind in DIGITS else thing.kind]

    def colour(self, thing: Thing) -> str:
        """Its colour, in the gender of its noun."""
        forms = self.colours[thing.colour]
        return forms[-1 if self.kind(thing).get("feminine") else 0]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question about a scene, or about none, and the right answer to it."""

    language: str
    task: str
    question: str
    answer: str
    truth: str
    """What the answer tells, whatever the words: `red`, `3`, `top_left`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that can be asked about a scene."""

    task: str
    topic: str
    """The table of the question file that asks it."""
    things: tuple[Thing, ...]
    by_name: bool = False
    """Whether the question must name the thing, because there is another."""


@cache
def languages() -> dict[str, Language]:
    """Every question file, by its language's code."""
    found = {}
    for file in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        questions = {
            topic: Phrasings(tuple(row["learned"]), tuple(row["held_out"]))
            for topic, row in data.pop("questions").items()
        }
        found[data["code"]] = Language(questions=questions, **data)
    return found


def points(scene: Scene) -> list[Point]:
    """All that can be asked about a scene."""
    things, first = scene.things, scene.things[:1]
    if scene.layout == "patchwork":  # where it is would be another place in the whole picture
        topics = ["colour", *(["digit", "shape"] if first[0].kind in DIGITS else ["shape"] * 2)]
        return [Point(topic, topic, first) for topic in topics]
    small = "small " if scene.layout == "small" else ""
    told = Point(f"{small}description", "description", things)
    counted = Point("count", "count", things)
    if scene.layout == "many":
        return [counted, counted, Point("colour", "colours", things), told]
    if scene.layout == "two":
        named = [
            Point("one of two", topic, (thing,), by_name=True)
            for thing in things
            for topic in ("colour", "position")
        ]
        return [*named, counted, told]
    asked = [Point(f"{small}colour", "colour", first)]
    asked += [Point(f"{small}position", "position", first)] * 2
    if things[0].kind in DIGITS:
        asked += [Point(f"{small}digit", topic, first) for topic in ("digit", "digit", "shape")]
    else:
        asked += [Point(f"{small}shape", "shape", first)] * 2
        if not small:
            asked.append(Point("no digit", "digit", first))
    return [*asked, told, told] if small else [*asked, counted, counted, told, told]


def ask(
    scene: Scene, point: Point, language: Language, rng: Random, *, held_out: bool = False
) -> Exchange | None:
    """The point as a question in this language; None if no phrasing fits."""
    phrasings = language.questions[point.topic]
    one = language.kind(point.things[0])
    fitting = [
        phrase
        for phrase in (phrasings.held_out if held_out else phrasings.learned)
        if ("{the}" in phrase or not point.by_name)
        and ("plural" not in phrase.lower() or ("plural" in one and scene.layout != "two"))
    ]
    if not fitting:
        return None
    question = _filled(rng.choice(fitting), one)
    answer, truth = _answer(scene, point, language)
    return Exchange(language.code, point.task, question, answer, truth)


def ask_without_picture(language: Language, rng: Random, *, held_out: bool = False) -> Exchange:
    """A question about a picture that was not given."""
    topics = [topic for topic in language.questions if topic != "unknown"]
    phrasings = language.questions[rng.choice(topics)]
    kinds = [kind for kind in language.kinds.values() if "plural" in kind]
    question = _filled(
        rng.choice(phrasings.held_out if held_out else phrasings.learned), rng.choice(kinds)
    )
    answer = language.answers["no_picture"]
    return Exchange(language.code, "no picture", question, answer, "no picture")


def ask_anything_else(language: Language, rng: Random, *, held_out: bool = False) -> Exchange:
    """A question that the lesson does not cover, with or without a picture."""
    phrasings = language.questions["unknown"]
    questions = phrasings.held_out if held_out else phrasings.learned
    if not held_out and rng.random() < 0.4:
        questions = _elsewhere(language.code)
    answer = language.answers["unknown"]
    return Exchange(language.code, "anything else", rng.choice(questions), answer, "unknown")


@cache
def _elsewhere(code: str) -> Sequence[str]:
    """What the text models are asked: none of it is about a picture's shapes."""
    dialogue = dialogues()[code]
    topics = [dialogue.topics["greeting"], dialogue.topics["what"], dialogue.unknown]
    return [question for topic in topics for question in topic.questions]


def varied(question: str, code: str, rng: Random) -> str:
    """The question as people type it now and then: with a greeting or thanks, or in a hurry."""
    if rng.random() < 0.2:
        question = rng.choice(dialogues()[code].prefixes) + question
    if rng.random() < 0.1:
        question += rng.choice(dialogues()[code].suffixes)
    if rng.random() < 0.15:
        question = question.lower()
    if rng.random() < 0.15:
        question = question.strip("¿?.؟？。")
    return question


def _filled(phrase: str, kind: dict[str, Any]) -> str:
    plural = kind.get("plural", "")
    text = phrase.format(the=kind["the"], plural=plural, Plural=_capital(plural))
    return _capital(text.replace(" de el ", " del "))  # Spanish has one word for the two


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _answer(scene: Scene, point: Point, language: Language) -> tuple[str, str]:
    words, thing = language.answers, point.things[0]
    kind, colour = language.kind(thing), language.colour(thing)
    place = scene.place(thing)
    named = {
        "The": _capital(kind["the"]),
        "colour": colour,
        "place": language.places[place],
        "digit": thing.kind,
    }
    match point.topic:
        case "colour":
            return words["colour"].format(**named), thing.colour
        case "colours":
            text = words["colours"].format(colour=language.colours[thing.colour][0])
            return text, thing.colour
        case "position":
            return words["position"].format(**named), place
        case "shape" | "digit" if thing.kind in DIGITS:
            return words["digit"].format(**named), thing.kind
        case "shape":
            return kind["it_is"], thing.kind
        case "digit":
            return words["no_digit"].format(it_is=kind["it_is"]), thing.kind
        case "count":
            text = words["two"] if scene.layout == "two" else kind["counted"][len(point.things) - 1]
            return text, str(len(point.things))
    return _description(scene, point.things, language, named)


def _description(
    scene: Scene, things: Sequence[Thing], language: Language, named: dict[str, str]
) -> tuple[str, str]:
    words, first, last = language.answers, things[0], things[-1]
    kind = language.kind(first)
    truth = "; ".join(f"{thing.colour} {thing.kind} {scene.place(thing)}" for thing in things)
    if first.kind in DIGITS:
        return _capital(words["describe_digit"].format(**named)), truth
    if scene.layout == "many":
        counted = kind["counted"][len(things) - 1]
        colour = language.colours[first.colour][0]
        text = words["describe_many"].format(counted=counted, colour=colour)
        return text, f"{len(things)} {first.colour} {first.kind}"
    a = kind["a"].format(colour=language.colour(first))
    if len(things) == 1:
        return _capital(words["describe"].format(A=_capital(a), a=a, place=named["place"])), truth
    text = words["describe_two"].format(
        A=_capital(a),
        a=a,
        place=named["place"],
        a2=language.kind(last)["a"].format(colour=language.colour(last)),
        place2=language.places[scene.place(last)],
    )
    return _capital(text), truth


def exam_questions(scene: Scene, rng: Random) -> Iterator[Exchange]:
    """Each point of a scene once in each language, in words never trained on."""
    for language in languages().values():
        for point in dict.fromkeys(points(scene)):
            if point.task.endswith("digit") and point.topic == "shape":
                continue
            if exchange := ask(scene, point, language, rng, held_out=True):
                yield exchange
