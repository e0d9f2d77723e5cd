"""Asks the Pocket models in visitors' words: `python -m tools.pocket.exam`.

The questions of `visitors.toml` were written apart from the lesson, by somebody who had not seen
its questions, and are never trained on. Each answer is compared with all that the model was
taught: it is the right one, an honest "I do not know", the answer to something else, or none that
was taught. A model is asked as the page asks it: greedily, in the form that answers there.
"""

import argparse
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from backends import Chunk, GenerationParams, Message
from backends._local import decode, onnx_moe, onnx_text
from backends._local.seam import Loaded

from .lesson import EDITIONS, FOLDER, MODELS, MOE, Edition, dialogues, other_language

Verdict = Literal["right", "declined", "wrong", "garbled"]
"""`declined`: an honest refusal where there was something to say. `wrong`: the answer to something
else. `garbled`: nothing that was taught."""
BEGINNING = 40
"""Characters by which a taught answer is recognised: the first ones of no two are the same."""


def load(edition: Edition, models: Path = MODELS) -> Loaded:
    """A trained model in the form in which the page asks it."""
    engine, folder = (onnx_moe, "") if edition == MOE else (onnx_text, "onnx")
    return engine.plan(edition.name, str(models / edition.key / folder)).load(lambda done: None)


def ask(model: Loaded, question: str) -> str:
    """Its greedy answer."""
    steps = decode.answer(model, (Message.of("user", question),), GenerationParams(temperature=0))
    return "".join(step.text for step in steps if isinstance(step, Chunk))


@cache
def visitors() -> dict[str, list[tuple[str, str]]]:
    """By language: questions, and the topics that a right answer is about."""
    rows = tomllib.loads((FOLDER / "visitors.toml").read_text(encoding="utf-8"))
    return {
        code: [(question, topic) for question, topic in row["questions"]]
        for code, row in rows.items()
    }


def taught(edition: Edition) -> Iterator[tuple[str, str, str]]:
    """Language, topic and answer of all that a model was taught to say."""
    for code in (*edition.languages, *edition.few_words):
        dialogue = dialogues()[code]
        for name, topic in dialogue.topics.items():
            yield code, name, edition.say(topic)
        for topic, name in zip(dialogue.more, ("thanks", "bye"), strict=False):
            yield code, name, edition.say(topic)
        for topic in dialogue.more[2:]:
            yield code, "more", edition.say(topic)
        yield code, "unknown", edition.say(dialogue.unknown)
    yield "en", "other", edition.say(other_language())


def judge(edition: Edition, language: str, topic: str, answer: str) -> Verdict:
    """What an answer to a question in this language, about this topic, is worth."""
    known = {said[:BEGINNING]: (code, name) for code, name, said in taught(edition)}
    said = known.get(answer[:BEGINNING])
    if said is None:
        return "garbled"
    code, name = said
    learned = language in (*edition.languages, *edition.few_words)
    if not learned:
        return "right" if name == "other" else "wrong"
    if name in ("unknown", "other") and topic != "unknown":
        return "declined"
    return "right" if name == topic and code.partition("-")[0] == language else "wrong"


def exam(edition: Edition, model: Loaded, *, tell: bool = False) -> dict[str, Counter[Verdict]]:
    """By language: how many answers are worth what. Perhaps print those that are not right."""
    found: dict[str, Counter[Verdict]] = {}
    for language, questions in visitors().items():
        found[language] = Counter()
        for question, topic in questions:
            answer = ask(model, question)
            verdict = judge(edition, language, topic, answer)
            found[language][verdict] += 1
            if tell and verdict != "right":
                print(f"    {verdict}: {language} {topic}: {question!r} → {answer[:60]!r}")
    return found


def main() -> None:
    """Parse the command line, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR")
    parser.add_argument("--tell", action="store_true", help="print the answers that are not right")
    given = parser.parse_args()
    print("| | language | asked | " + " | ".join(get_args(Verdict)) + " |")
    print("| --- | --- |" + " ---: |" * (1 + len(get_args(Verdict))))
    for edition in (*EDITIONS, MOE):
        for language, counts in exam(edition, load(edition, given.models), tell=given.tell).items():
            told = " | ".join(str(counts[verdict]) for verdict in get_args(Verdict))
            print(f"| {edition.name} | {language} | {counts.total()} | {told} |", flush=True)


if __name__ == "__main__":
    main()
