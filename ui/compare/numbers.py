"""The line below an answer, and the numbers behind it, as HTML."""

from collections.abc import Iterable
from html import escape

from backends import Progress, Sentence
from playground.answer import AnswerSnapshot
from playground.clock import TokenSource
from playground.conversation import AnswerRecord, Turn
from playground.languages import count_words
from playground.numbers import (
    count_tokens,
    describe_empty,
    describe_marks,
    describe_numbers,
    describe_progress,
    describe_speed,
    other_language,
    progress_percent,
    speed,
)

from ..texts import code_of, told

_MEANINGS = {
    "first token": "How long the first piece of the answer took",
    "cold start": "The model had to be loaded first: do not compare with one that was ready",
    "shared device": "Both models ran on the same processor and slowed each other down; how fast "
    "it would have been alone is an estimate from the processor time it got",
    "tokens/s": "How fast the answer was written",
    "continued": "It goes on with an earlier version: the numbers are of what was added",
    "came at once": "Its tokens came in one or two packets: how fast they were made is not known",
    "thought for": "How long the model thought before it answered; that is no part of the answer",
    "weights": "How its numbers were rounded to fewer bits: smaller, faster, a little less exact",
    "waited": "Waiting for its turn, before the model began",
    "one after the other": "This side was asked when another one had ended",
}


def live_line(snapshot: AnswerSnapshot) -> str:
    """Return the line below an answer of which nothing has come yet, and none below one that grows.

    The numbers of that one stand above it, where they keep their place (`live_pace`).
    """
    if snapshot.state == "waiting":
        return _waiting_html(snapshot.progress, snapshot.clock.total)
    return ""


def live_pace(snapshot: AnswerSnapshot) -> str:
    """Return how an answer comes that has begun, the most important last; empty before that."""
    if snapshot.state == "waiting":
        return ""
    clock = snapshot.clock
    pieces = [
        count_tokens(clock.tokens, clock.token_source),
        Sentence("{time:duration}", time=clock.total),
    ]
    if snapshot.thinking and not snapshot.text:
        pieces.insert(0, Sentence("Thinking"))
    if fast := clock.tokens_per_second:
        pieces.append(speed(fast, clock.token_source))
    return _spans(pieces)


def final_line(record: AnswerRecord, turn: Turn) -> str:
    """Return the line of a finished answer: how fast, how long, and what one has to know."""
    failure = (
        f'<span class="failure" role="alert">{told(record.failure)}</span>' if record.error else ""
    )
    if record.state == "failed" and not record.text:
        return failure
    empty = "" if record.text else told(describe_empty(record))
    mismatch = other_language(record, turn)
    marks = [("mismatch", mismatch)] if mismatch else []
    marks += [("warning", warning) for warning in record.warnings]
    marks += [("note", note) for note in describe_marks(record)]
    return (
        empty
        + (_spans(describe_speed(record)) if record.text or record.thinking else "")
        + "".join(
            f'<span class="{kind}"{_title_attribute(text)}>{told(text)}</span>'
            for kind, text in marks
        )
        + failure
    )


def all_numbers(record: AnswerRecord) -> str:
    """Return all numbers of a finished answer, each with what it means; empty without any."""
    facts = list(describe_numbers(record))
    if context := _context_used(record):
        facts.append(context)
    if not facts:
        return ""
    rows = "".join(f"<dt>{told(fact)}</dt><dd>{told(_meaning(fact))}</dd>" for fact in facts)
    return f"<dl>{rows}</dl>"


def length_in_words(text: str) -> Sentence:
    """Return the length of a text: `61 words`."""
    length = count_words(text)
    if length.unit == "characters":
        return Sentence("{n} characters", one="{n} character", n=length.number)
    return Sentence("{n} words", one="{n} word", n=length.number)


def thought(tokens: int, seconds: float, source: TokenSource, *, ended: bool) -> Sentence:
    """Return the title of what a model thought: `Thought for 3.1 s (120 tokens)`."""
    values = {"time": seconds, "tokens": count_tokens(tokens, source)}
    if not tokens:
        return Sentence("Thought for {time:duration}", **values) if ended else Sentence("Thinking")
    code = "Thought for {time:duration} ({tokens})" if ended else "Thinking ({tokens})"
    return Sentence(code, **values)


def _spans(pieces: Iterable[str]) -> str:
    return "".join(f"<span{_title_attribute(piece)}>{told(piece)}</span>" for piece in pieces)


def _title_attribute(piece: str) -> str:
    """Return a `title` attribute that explains a number, or nothing."""
    meaning = _meaning(piece)
    return f' title="{escape(meaning)}" data-say-title="{code_of(meaning)}"' if meaning else ""


def _meaning(piece: str) -> str:
    return next((meaning for words, meaning in _MEANINGS.items() if words in piece), "")


def _waiting_html(progress: Progress | None, waited: float) -> str:
    bar = ""
    if (percent := progress_percent(progress)) is not None:
        bar = f'<progress max="100" value="{percent}" aria-hidden="true"></progress>'
    seconds = Sentence("{time:seconds}", time=waited) if waited >= 1 else ""
    return told(Sentence("{text}…", text=describe_progress(progress))) + bar + told(seconds)


def _context_used(record: AnswerRecord) -> str:
    """Return how much of the context the conversation uses, if its size is known."""
    if record.input_tokens is None or not record.context:
        return ""
    used = record.input_tokens + record.output_tokens
    return Sentence("{used} of {context} tokens of context used", used=used, context=record.context)
