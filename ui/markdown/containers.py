"""Blocks around text: their direction, headings that are none of the page's, tables, folds."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, blockquote, list_block
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from .directions import direction

DEEPEST = 14
"""Levels at which a list or a quote still begins; what is deeper stays as it is written."""
_OWN_DIRECTION = tuple(
    f"{name}_open"
    for name in (
        *("paragraph", "heading", "list_item", "blockquote", "td", "th", "summary"),
        *("bullet_list", "ordered_list", "table"),  # where marks and columns stand
    )
)
_NUMBER = re.compile(r"[-+−±~≈<>≤≥]?\s*[$€£¥₹]?\s*\d[\d.,'\u202f\u00a0 ]*\s*[%‰°]?[KMBTkg]?[BsW]?")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_FOLD = re.compile(r"<details(?: open)?>\s*(?:<summary>(.*?)</summary>)?\s*(.*)", re.IGNORECASE)
_FOLD_END = re.compile(r"(.*)</details>\s*", re.IGNORECASE)
_SUMMARY = re.compile(r"\s*<summary>(.*?)</summary>\s*", re.IGNORECASE)


def add_to(md: MarkdownIt) -> None:
    """Add the rules and what draws them."""
    md.core.ruler.push("directions", _mark)
    ends = ["paragraph", "reference", "blockquote"]
    md.block.ruler.at("blockquote", _limited(blockquote), {"alt": [*ends, "list"]})
    md.block.ruler.at("list", _limited(list_block), {"alt": ends})
    md.block.ruler.before(
        "paragraph", "fold", _fold, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    md.add_render_rule("table_open", _table_open)
    md.add_render_rule("table_close", _table_close)


Rule = Callable[[StateBlock, int, int, bool], bool]


def _limited(rule: Rule) -> Rule:
    """Take a rule as it is, but not at any depth: the library drops what stands too deep."""

    def limited(state: StateBlock, first: int, last: int, silent: bool) -> bool:
        return state.level < DEEPEST and rule(state, first, last, silent)

    return limited


def _mark(state: StateCore) -> None:
    for index, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            # A heading of an answer is none of the page.
            if token.nesting == 1:
                token.attrs = {"class": f"heading {token.tag}"}
            token.tag = "p"
        written = token.type in _OWN_DIRECTION and direction(_first_text(state.tokens, index))
        if written:
            token.attrSet("dir", written)
        if token.type in ("td_open", "th_open"):
            _mark_cell(token, state.tokens[index + 1])


def _first_text(tokens: Sequence[Token], opened: int) -> str:
    """Return the first text within a block that opens."""
    for token in tokens[opened + 1 :]:
        if token.type == "inline":
            return token.content
        if token.nesting == -1 and token.level == tokens[opened].level:
            break
    return ""


def _mark_cell(cell: Token, inline: Token) -> None:
    style = str(cell.attrs.pop("style", ""))
    classes = [style.partition(":")[2]] if style else []
    if _NUMBER.fullmatch(inline.content.strip()):
        classes.append("number")
    if classes:
        cell.attrSet("class", " ".join(classes))
    children: list[Token] = []
    for token in inline.children or ():
        parts = _BREAK.split(token.content) if token.type == "text" else ()
        if len(parts) < 2:
            children.append(token)
            continue
        for n, part in enumerate(parts):
            children += [Token("hardbreak", "br", 0)] if n else []
            children.append(Token("text", "", 0, content=part))
    inline.children = children


def _table_open(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    written = tokens[index].attrGet("dir")
    attribute = f' dir="{written}"' if written else ""
    return f'<div class="table" role="group" aria-label="Table" tabindex="0"><table{attribute}>\n'


def _table_close(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    return "</table></div>\n"


def _fold(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Take `<details>`, with its summary, up to `</details>`: the only HTML that is understood."""
    if state.is_code_block(first):
        return False
    found = _FOLD.fullmatch(_line(state, first))
    if found is None or state.level >= DEEPEST:
        return False
    if silent:
        return True
    end = next((n for n in range(first, last) if _FOLD_END.fullmatch(_line(state, n))), last)
    title, body = found[1], first + 1
    if title is None and body < end and (summary := _SUMMARY.fullmatch(_line(state, body))):
        title, body = summary[1], body + 1
    opened = state.push("fold_open", "details", 1)
    opened.map = [first, min(end + 1, last)]
    opened.attrs = {"class": "fold"}
    state.push("summary_open", "summary", 1)
    _text(state, title or "Details", first)
    state.push("summary_close", "summary", -1)
    rest = found[2].removesuffix("</details>") if end == first else found[2]
    _paragraph(state, rest, first)
    if body < end:
        outer = state.lineMax
        state.lineMax = end
        state.md.block.tokenize(state, body, end)
        state.lineMax = outer
    if first < end < last and (found := _FOLD_END.fullmatch(_line(state, end))):
        _paragraph(state, found[1], end)
    state.push("fold_close", "details", -1)
    state.line = min(end + 1, last)
    return True


def _paragraph(state: StateBlock, text: str, line: int) -> None:
    if text.strip():
        state.push("paragraph_open", "p", 1)
        _text(state, text.strip(), line)
        state.push("paragraph_close", "p", -1)


def _text(state: StateBlock, text: str, line: int) -> None:
    token = state.push("inline", "", 0)
    token.content, token.children, token.map = text, [], [line, line + 1]


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
