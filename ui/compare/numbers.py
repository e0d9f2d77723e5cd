"""The status line under an answer: progress, speed, context used and language, as HTML."""

from collections.abc import Iterable
from html import escape

from backends import Progress
from playground.answer import AnswerSnapshot
from playground.conversation import (
    AnswerRecord,
    Turn,
)
from playground.languages import count_words
from playground.numbers import (
    describe_empty,
    describe_numbers,
    format_count,
    format_duration,
    other_language,
)

_STAGE_TEXTS = {
    "queued": "{model} is waiting",
    "loading": "Loading {model}",
    "prefill": "{model} is reading your prompt",
    "retrying": "{model} is busy",
    "downloading": "Downloading {model}",
}

_TOOLTIPS = {
    "first token": "How long the first piece of the answer took",
    "cold start": "The model had to be loaded first: do not compare with one that was ready",
    "shared device": "Both models ran on the same processor and slowed each other down; how fast "
    "it would have been alone is an estimate from the processor time it got",
    "tokens/s": "How fast the answer was written",
    "came at once": "Its tokens came in one or two packets: how fast they were made is not known",
    "thought for": "How long the model thought before it answered; that is no part of the answer",
    "weights": "How its numbers were rounded to fewer bits: smaller, faster, a little less exact",
    "waited": "Waiting for its turn, before the model began",
    "one after the other": "The second side was asked when the first had ended",
}


def live_line(snapshot: AnswerSnapshot, model: str) -> str:
    """Return the line of an unfinished answer, as HTML."""
    clock = snapshot.clock
    if snapshot.state == "waiting":
        return _line("waiting", _waiting_html(snapshot.progress, model, clock.total))
    about = "about " if clock.token_source == "estimate" else ""
    speed = clock.tokens_per_second
    pieces = [about + format_count(clock.tokens, "token"), format_duration(clock.total)]
    if snapshot.thinking and not snapshot.text:
        pieces.insert(0, f"{model} is thinking")
    if speed:
        pieces.insert(1, f"{about}{speed:.1f} tokens/s")
    return _line(snapshot.state, _spans(pieces))


def final_line(record: AnswerRecord, turn: Turn) -> str:
    """Return the line of a finished answer, as HTML."""
    if record.state == "failed":
        return _line(
            "failed",
            f'<span class="failure" role="alert">{escape(record.error)}</span>',
            words=record.error,
        )
    name = f'<span class="who">{escape(record.model)}</span>'
    pieces = _spans(describe_numbers(record))
    if not record.text:
        pieces = f"<span>{describe_empty(record)}</span>{pieces if record.thinking else ''}"
    return _line(
        record.state,
        name
        + pieces
        + _notes_html(record)
        + _language_mismatch(record, turn)
        + _context_gauge(record),
        words=_length(record.text),
    )


def _length(text: str) -> str:
    length = count_words(text)
    return format_count(length.number, length.unit.removesuffix("s"))


def _line(state: str, body: str, words: str = "") -> str:
    return f'<div class="numbers" data-state="{state}" data-words="{escape(words)}">{body}</div>'


def _spans(pieces: Iterable[str]) -> str:
    return "".join(f"<span{_title_attribute(piece)}>{escape(piece)}</span>" for piece in pieces)


def _title_attribute(piece: str) -> str:
    """Return a `title` attribute that explains a number, or nothing."""
    for words, meaning in _TOOLTIPS.items():
        if words in piece:
            return f' title="{meaning}"'
    return ""


def _waiting_html(progress: Progress | None, model: str, waited: float) -> str:
    sentence = _STAGE_TEXTS[progress.stage] if progress else "Waiting for {model}"
    text = sentence.format(model=model)
    if progress and progress.detail:
        text += f" ({progress.detail})"
    bar = ""
    if progress and progress.fraction is not None:
        percent = round(min(1.0, max(0.0, progress.fraction)) * 100)
        text += f" {percent} %"
        bar = f'<span class="bar"><i style="width:{percent}%"></i></span>'
    return f'<span class="pulse" aria-hidden="true"></span><span>{escape(text)}…</span>{bar}' + (
        f"<span>{waited:.0f} s</span>" if waited >= 1 else ""
    )


def _notes_html(record: AnswerRecord) -> str:
    """Return an answer's notes and warnings."""
    notes = (
        f'<span class="note"{_title_attribute(note)}>{escape(note)}</span>' for note in record.notes
    )
    warnings = (f'<span class="note warning">{escape(text)}</span>' for text in record.warnings)
    return "".join((*notes, *warnings))


def _language_mismatch(record: AnswerRecord, turn: Turn) -> str:
    """Return a warning if the answer is in another language than the prompt."""
    sentence = other_language(record, turn)
    return f'<span class="mismatch">{escape(sentence)}</span>' if sentence else ""


def _context_gauge(record: AnswerRecord) -> str:
    """Return the share of the context that the conversation uses, if its size is known."""
    if record.input_tokens is None or not record.context:
        return ""
    used = record.input_tokens + record.output_tokens
    percent = min(100, round(100 * used / record.context))
    label = f"{used:,} of {record.context:,} tokens of context used"
    return (
        f'<span class="used" title="{label}"><span class="gauge" aria-hidden="true">'
        f'<i style="width:{max(1, percent)}%"></i></span>'
        f"{used:,} / {record.context:,} context</span>"
    )
