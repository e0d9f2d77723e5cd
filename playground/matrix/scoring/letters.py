"""The letter in an answer, without what a model says about it before and after."""

import re
from functools import cache

from .cleaning import fenced, folded, plain, without_emphasis
from .usage import usage_of

_RULE = re.compile(r"^[ \t]*(?:(?:[-*_][ \t]*){3,}|—{2,}|={3,})$", re.MULTILINE)
_QUOTED_LINE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_OPENING = re.compile(r"[:：]\s*[\"“„«「『](?=\S)")
_CLOSING = re.compile(r"[\"”“»」』]\s*(?:\n|$)")
_WITHOUT_SPACES = ("ja", "ko", "th", "zh")
_SHORTEST = 20
"""Characters that a letter has at least."""


def letter_of(text: str, language: str) -> str:
    """The letter itself: in a code block, between rules, quoted, or what remains without remarks.

    A remark speaks to whoever asked, often in the familiar form: “Here is a draft for your mail”.
    """
    for inside in (_fenced(text), _between_rules(text), _quoted_lines(text), _in_quotes(text)):
        if inside is not None and len(inside.strip()) >= _SHORTEST:
            return _without_remarks(inside.strip(), language)
    return _without_remarks(text.strip(), language)


def _fenced(text: str) -> str | None:
    return max(fenced(text), key=len, default=None)


def _between_rules(text: str) -> str | None:
    parts = _RULE.split(text)
    return max(parts, key=len) if len(parts) > 1 else None


def _quoted_lines(text: str) -> str | None:
    quoted = [line for line in text.splitlines() if _QUOTED_LINE.match(line)]
    return "\n".join(_QUOTED_LINE.sub("", line) for line in quoted) if len(quoted) > 1 else None


def _in_quotes(text: str) -> str | None:
    """What stands in quotation marks after a colon, where it is most of the text."""
    opening = _OPENING.search(text)
    if opening is None:
        return None
    closings = [match.start() for match in _CLOSING.finditer(text, opening.end())]
    inside = text[opening.end() : closings[-1]] if closings else text[opening.end() :]
    return inside if 2 * len(inside) > len(text) else None


def _without_remarks(text: str, language: str) -> str:
    """A text without remarks in its first lines and its last paragraphs, if more than that is left.

    A subject or a salutation may end in a colon, too: only what begins like a remark is one.
    """
    lines = text.splitlines()
    while len(lines) > 1 and (not lines[0].strip() or _is_remark(lines[0], language)):
        lines = lines[1:]
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    while len(paragraphs) > 1 and _is_remark(paragraphs[-1], language):
        paragraphs = paragraphs[:-1]
    return "\n\n".join(paragraphs)


def _is_remark(line: str, language: str) -> bool:
    bare = without_emphasis(plain(line)).strip(" \t\n([（")
    return any(_remark(code).match(folded(bare, code)) for code in (language, "en"))


@cache
def _remark(language: str) -> re.Pattern[str]:
    phrases = "|".join(re.escape(folded(plain(each), language)) for each in _phrases(language))
    return re.compile(rf"(?:{phrases})" + ("" if language in _WITHOUT_SPACES else r"(?!\w)"))


def _phrases(language: str) -> tuple[str, ...]:
    return usage_of(language).remarks or usage_of("en").remarks
