"""How people ask: with a greeting before, a slip of the finger inside, and about anything."""

import re
import unicodedata
from collections.abc import Sequence
from random import Random

from .lesson import Dialogue, Topic

BARE = frozenset({"greeting", "completion", "more"})
"""Topics whose words stand alone: a greeting before a greeting, or thanks after half a sentence
to complete, would be another question."""

CHATTER, TERMS, LOST_WORD = 0.4, 0.6, 0.1
"""The shares of questions with a remark beside them, of those that name a topic by one of its
terms, and of those that lack a word."""

_IDEOGRAPHS = (0x4E00, 0x9FA5)
_HAMZA = str.maketrans("أإآةى", "ااا" + "هي")


def _slip(text: str, rng: Random) -> str:
    """`text` with one letter lost, doubled or swapped with its neighbour."""
    if len(text) < 5:
        return text
    at = rng.randrange(1, len(text) - 1)
    if not (text[at].isalpha() and text[at + 1].isalpha()):
        return text
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return rng.choice((text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:], swapped))


def _lose_word(text: str, rng: Random) -> str:
    words = text.split(" ")
    if len(words) > 3:
        del words[rng.randrange(len(words))]
    return " ".join(words)


def _lose_marks(text: str) -> str:
    """`text` as typed in a hurry: no accents, no hamzas."""
    plain = unicodedata.normalize("NFD", text.translate(_HAMZA))
    return "".join(c for c in plain if not unicodedata.combining(c))


def _abbreviate(text: str, shorthand: dict[str, str], rng: Random) -> str:
    """`text` with about half of its words that have a shorthand written so."""
    for word, short in shorthand.items():
        if word in text and rng.random() < 0.5:
            edge = "" if word[0] >= "一" else r"\b"  # whole words, where words stand apart
            text = re.sub(f"{edge}{re.escape(word)}{edge}", short, text)
    return text


def _chat(text: str, chatter: Sequence[str], rng: Random) -> str:
    """`text` with a remark before it or after it, or both."""
    before = rng.random() < 0.6
    if before:
        text = f"{rng.choice(chatter)} {text}"
    if not before or rng.random() < 0.3:
        text = f"{text} {rng.choice(chatter)}"
    return text


def about(topic: Topic, dialogue: Dialogue, rng: Random) -> str:
    """A question about a topic: one of its own, or one of its terms in one of the many ways."""
    if topic.terms and rng.random() < TERMS:
        return rng.choice(dialogue.ways).replace("{it}", rng.choice(topic.terms))
    return rng.choice(topic.questions)


def ask(question: str, topic: str, dialogue: Dialogue | None, rng: Random) -> str:
    """`question` as somebody might type it. `dialogue` lends the greetings of its language."""
    text = question
    if dialogue is not None and topic not in BARE:
        if dialogue.chatter and rng.random() < CHATTER:
            text = _chat(text, dialogue.chatter, rng)
        if dialogue.shorthand and rng.random() < 0.3:
            text = _abbreviate(text, dialogue.shorthand, rng)
    if rng.random() < 0.25:
        return _lose_marks(text.lower()).strip("¿?؟!¡！.。… ") or text
    if rng.random() < LOST_WORD:
        text = _lose_word(text, rng)
    if rng.random() < 0.3:
        text = text.strip("¿?？؟!¡！.。… ") or text
    elif rng.random() < 0.1:
        text = text.translate(str.maketrans("？؟。！，", "??.!,"))
    if rng.random() < 0.25:
        text = rng.choice((str.lower, str.lower, str.upper, str.capitalize))(text)
    if rng.random() < 0.15 and dialogue is not None:
        text = _lose_marks(text)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        text = _slip(text, rng)
    if dialogue is not None and topic not in BARE:
        if rng.random() < 0.2:
            text = rng.choice(dialogue.prefixes) + text
        if rng.random() < 0.2:
            text = text + rng.choice(dialogue.suffixes)
    return text


def _invented(dialogue: Dialogue, rng: Random) -> str:
    """A word that does not exist, in the letters of this language."""
    letters = "".join(c for word in dialogue.words["thing"] for c in word if c.isalpha())
    if any(c >= "一" for c in letters):
        return "".join(chr(rng.randint(*_IDEOGRAPHS)) for _ in range(rng.randint(1, 3)))
    return "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))


def _salad(dialogue: Dialogue, rng: Random) -> str:
    """Words of this language in an order that says nothing."""
    taken = " ".join(rng.choice(dialogue.unknown.questions) for _ in range(3))
    pieces = taken.split() if taken.count(" ") > 5 else list(taken)
    return " ".join(rng.sample(pieces, min(len(pieces), rng.randint(1, 7))))


def unknown(dialogue: Dialogue, rng: Random) -> str:
    """A question that the lesson does not answer."""
    draw = rng.random()
    if draw < 0.3:
        return rng.choice(dialogue.unknown.questions)
    if draw < 0.37:
        return _salad(dialogue, rng)

    def fill(gap: re.Match[str]) -> str:
        made_up = gap[1] in {"thing", "person", "place"} and rng.random() < 0.15
        return _invented(dialogue, rng) if made_up else rng.choice(dialogue.words[gap[1]])

    pattern = rng.choice(dialogue.patterns)
    if dialogue.ways and draw > 0.85:  # so that these ways of asking tell nothing by themselves
        gap = rng.choice(("{tech}", "{thing}", "{person}", "{place}", "{food}"))
        pattern = rng.choice(dialogue.ways).replace("{it}", gap)
    question = re.sub(r"\{(\w+)\}", fill, pattern)
    # By chance it may be one that is held out: then it is not for training.
    return unknown(dialogue, rng) if question in dialogue.unknown.held_out else question
