"""Emphasis beside Chinese, Japanese and Korean: `**“引号”**后` is bold, as it is meant.

By CommonMark a closing run after punctuation must be followed by a space or more punctuation, which
those scripts do not write. Here, as in the amendment that several parsers share
(github.com/tats-u/markdown-cjk-friendly), their characters count like spaces beside punctuation.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u303f\u3040-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00016fe0-\U0001b2ff\U00020000-\U0003ffff]"
)


_DUNDER = re.compile(r"(?<!\w)__[a-z][a-z0-9_]*[a-z0-9]__(?!\w)")


def add_to(md: MarkdownIt) -> None:
    """Replace the library's rule."""
    md.inline.ruler.at("emphasis", _tokenize)


def _tokenize(state: StateInline, silent: bool) -> bool:
    """Push a run of `*` or `_`, each with whether it may open and close emphasis."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    end = state.pos
    while end < state.posMax and state.src[end] == marker:
        end += 1
    length = end - state.pos
    if _is_no_mark(state, end):
        state.push("text", "", 0).content = state.src[state.pos : end]
        state.pos = end
        return True
    can_open, can_close = _flanks(
        state.src[state.pos - 1] if state.pos else " ",
        state.src[end] if end < state.posMax else " ",
        in_words=marker == "*",
    )
    for _ in range(length):
        state.push("text", "", 0).content = marker
        at = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), length, at, -1, can_open, can_close))
    state.pos = end
    return True


def _is_no_mark(state: StateInline, end: int) -> bool:
    """Whether a run multiplies, as in `2*3*4`, or is part of a name, as in `__init__`."""
    src, start = state.src, state.pos
    if src[start] == "*":
        around = src[start - 1 : start] + src[end : end + 1]
        return end - start == 1 and len(around) == 2 and around.isdecimal()
    opened = end - start == 2 and _DUNDER.match(src, start)
    closed = src[start:end] == "__" and _DUNDER.match(src, max(0, src.rfind("__", 0, start)))
    return bool(opened or (closed and closed.end() == end))


def _flanks(before: str, after: str, *, in_words: bool) -> tuple[bool, bool]:
    """Return whether a run between two characters may open emphasis, and close it."""
    space_before, space_after = isWhiteSpace(ord(before)), isWhiteSpace(ord(after))
    cjk_before, cjk_after = bool(_CJK.match(before)), bool(_CJK.match(after))
    mark_before = not cjk_before and _is_mark(before)
    mark_after = not cjk_after and _is_mark(after)
    left = not space_after and (not mark_after or space_before or mark_before or cjk_before)
    right = not space_before and (not mark_before or space_after or mark_after or cjk_after)
    can_open = left and (in_words or not right or _is_mark(before))
    can_close = right and (in_words or not left or _is_mark(after))
    return can_open, can_close


def _is_mark(character: str) -> bool:
    return isMdAsciiPunct(ord(character)) or isPunctChar(character)
