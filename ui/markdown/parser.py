"""The parser: CommonMark with tables, strikethrough, formulas and links, and no HTML of its own."""

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from . import code, containers, emphasis, formulas, links

LONGEST_INLINE = 20_000
"""Characters of a paragraph, or of a cell, in which marks are looked for."""
MOST_BRACKETS = 400
"""Brackets in it: looking for links takes time with the square of their number."""


@cache
def parser() -> MarkdownIt:
    """Return the one parser; it holds no state of a text."""
    md = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": True})
    md.disable(["html_block", "html_inline"])
    md.enable(["table", "strikethrough", "linkify"])
    for part in (emphasis, formulas, links, code, containers):
        part.add_to(md)
    md.core.ruler.at("inline", _inline)
    return md


def _inline(state: StateCore) -> None:
    """Parse what stands in blocks; what is too long or too odd for that stays as it is written."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        if len(token.content) > LONGEST_INLINE or token.content.count("[") > MOST_BRACKETS:
            token.children = _as_written(token.content)
        else:
            token.children = []
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _as_written(text: str) -> list[Token]:
    tokens: list[Token] = []
    for line in text.split("\n"):
        if tokens:
            tokens.append(Token("softbreak", "br", 0))
        tokens.append(Token("text", "", 0, content=line))
    return tokens
