"""Whether a text stayed in a language: a closed question, decided more often than an open one."""

from typing import Literal

from .detection import (
    FOREIGN,
    FOREIGN_LETTERS,
    Likelihood,
    chinese_or_japanese,
    likelihood,
    only,
    sentences,
    word_shares,
)
from .prose import letter_count, quotations, running_text, without_names, without_quotes
from .scripts import LETTERS
from .table import LANGUAGES, Script

Verdict = Literal["stayed", "left", "undecided"]
"""`undecided`: too little text, text in both languages, or names alone."""

STAYED = 0.4
"""Share of probability from which on a text is in the language it was expected in."""
LEFT = 0.6
"""Share of probability that another language must have."""
LEFT_EXPECTED = 0.2
"""Share of probability below which the expected language is ruled out."""
LEFT_LETTERS = 10
"""Letters of prose below which no text has left a language."""
SCRIPT_STAYED, SCRIPT_LEFT = 0.6, 0.15
"""Shares of words in the expected script, from which on a text stayed, and below which it left."""
MIXED = 0.3
"""Share of a text in another language from which on the text is in two languages."""


def stays(text: str, expected: str, *, demanded: bool = False) -> Verdict:
    """Decide whether `text` stayed in a language, by its code; `undecided` for an unknown code.

    Code, addresses, quotations and names do not count. With `demanded`, the language was asked for,
    as in a translation: then a text has not left it that holds anything in it, even in quotation
    marks. Takes as long as `detect`.
    """
    if expected not in LANGUAGES:
        return "undecided"
    running = running_text(text)
    prose = without_quotes(running)
    verdict = _by_script(prose, expected)
    if verdict == "left" and demanded and _holds(running, expected):
        return "undecided"
    return verdict


def _scripts(expected: str) -> tuple[Script, ...]:
    """The scripts of a language, as `word_shares` names them."""
    script = LANGUAGES[expected].script
    return (
        ("Cyrillic", "Latin") if expected == "sr" else ("Japanese" if script == "Han" else script,)
    )


def _by_script(prose: str, expected: str) -> Verdict:
    shares = word_shares(prose)
    if not shares:
        return "undecided"
    script = max(_scripts(expected), key=lambda each: shares[each])
    share = shares[script]
    if share < SCRIPT_STAYED:
        enough = letter_count(without_names(prose)) >= LEFT_LETTERS or shares["Latin"] < 0.5
        return "left" if share < SCRIPT_LEFT and enough else "undecided"
    match script:
        case "Japanese":
            found = chinese_or_japanese(prose)
            return "stayed" if found in (expected, None) else "left"
        case "Hangul" | "Hebrew" | "Thai":
            return "stayed"
        case _:
            return _by_model(only(prose, script), expected, latin_serbian=script == "Latin")


def _by_model(prose: str, expected: str, *, latin_serbian: bool) -> Verdict:
    as_serbian = latin_serbian and expected == "sr"
    whole = likelihood(prose, latin_serbian=as_serbian)
    rest = without_names(prose)
    verdicts = {
        _closed(whole, prose, expected),
        _closed(likelihood(rest, latin_serbian=as_serbian), rest, expected),
    }
    if verdicts == {"stayed", "left"}:
        return "undecided"
    if verdicts == {"left"} or "stayed" in verdicts:
        verdict: Verdict = "stayed" if "stayed" in verdicts else "left"
        mixed = _contradicting(verdict, whole.best, prose, expected, as_serbian)
        return "undecided" if mixed > MIXED else verdict
    return "undecided"


def _closed(found: Likelihood, prose: str, expected: str) -> Verdict:
    share, best = found.shares[expected], found.shares[found.best]
    if share >= STAYED or found.best == expected:
        return "stayed"
    if best >= LEFT and share < LEFT_EXPECTED and letter_count(prose) >= LEFT_LETTERS:
        return "left"
    return "undecided"


def _contradicting(
    verdict: Verdict, best: str, prose: str, expected: str, as_serbian: bool
) -> float:
    """The share of sentences that contradict the verdict; `best` is the whole text's language."""
    parts = [part for part in sentences(prose) if letter_count(part) >= FOREIGN_LETTERS]
    if len(parts) < 2:
        return 0.0
    against = 0
    for part in parts:
        found = likelihood(part, latin_serbian=as_serbian)
        if verdict == "stayed":
            contradicts = _closed(found, part, expected) == "left"
        else:  # a sentence in a near language may be in both
            contradicts = found.shares[expected] >= STAYED and found.shares[best] < FOREIGN
        against += letter_count(part) if contradicts else 0
    return against / sum(map(letter_count, parts))


def _holds(prose: str, expected: str) -> bool:
    """True if any quotation, line or sentence may be in a language."""
    scripts = _scripts(expected)
    if LANGUAGES[expected].script != "Latin":
        return any(LETTERS[part].search(prose) for script in scripts for part in _parts(script))
    parts = [*quotations(prose), *sentences(prose)]
    return any(likelihood(part).shares[expected] >= STAYED for part in parts)


def _parts(script: Script) -> tuple[Script, ...]:
    if script == "Latin":
        return ()
    return ("Han", "Kana") if script == "Japanese" else (script,)
