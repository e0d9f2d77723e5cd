r"""Formulas in LaTeX as MathML: `\(…\)`, `\[…\]`, `$$…$$`, and `$…$` where it is no price.

One that cannot be read, or is not complete yet, stays as it was written.
"""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.utils import OptionsDict
    from math_core import LatexToMathML

LONGEST = 4000
"""Characters of a formula that is drawn."""
DEEPEST = 40
"""Braces and environments within each other; at some thousands math-core 0.9 ends the process."""
MOST = 300
"""Commands in a formula."""
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_MACRO = re.compile(r"\\(?:def|let|newcommand|renewcommand|gdef|edef)\b")
_PAIRS = (("\\(", "\\)", False), ("\\[", "\\]", True), ("$$", "$$", True))
"""How a formula in a paragraph begins and ends, and whether it is displayed."""
_DOLLARS = re.compile(r"\$(?![\s$])([^$\n]*?[^\s$\\])\$(?![\w$])")
_RUN = re.compile(r"\$+")
_BLOCKS = (("\\[", "\\]"), ("$$", "$$"))
_MATHEMATICAL = re.compile(r"[\\^_=<>{}]|^[A-Za-z][A-Za-z0-9+\-*/().,']*$|^\S*[+*/=]\S*$")
"""What is in a formula and not between two prices."""
_OPENS = re.compile(r"[{(\[]|\\begin|\\left")
_CLOSES = re.compile(r"[})\]]|\\end|\\right")


def add_to(md: MarkdownIt) -> None:
    """Add the rules."""
    md.inline.ruler.before("escape", "formula", _inline)
    md.block.ruler.before(
        "paragraph", "formula", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    md.add_render_rule("formula", _draw)


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$":
        return False
    if found := _find(state):
        formula, end, display = found
        if not silent:
            token = state.push("formula", "", 0)
            token.content, token.markup = formula, state.src[state.pos : end]
            token.meta = {"display": display}
        state.pos = end
        return True
    if state.src[state.pos : state.pos + 2] in ("\\(", "\\)", "\\[", "\\]"):
        if not silent:  # the library would take it for a bracket that is escaped
            state.pending += state.src[state.pos : state.pos + 2]
        state.pos += 2
        return True
    if state.src[state.pos] == "$":  # all of a run, so that none of it opens one
        run = _RUN.match(state.src, state.pos, state.posMax)
        if run and len(run[0]) > 1:
            if not silent:
                state.pending += run[0]
            state.pos = run.end()
            return True
    return False


def _find(state: StateInline) -> tuple[str, int, bool] | None:
    """Return the formula that begins here, where it ends, and whether it is displayed."""
    src, start = state.src, state.pos
    for opened, closed, display in _PAIRS:
        if not src.startswith(opened, start):
            continue
        end = src.find(closed, start + 2, min(state.posMax, start + LONGEST))
        formula = src[start + 2 : end]
        if end < 0 or not formula.strip():
            return None
        after = end + len(closed)
        if opened == "$$" and (src.startswith("$", after) or not _is_formula(state, formula)):
            return None
        return formula, after, display
    found = _DOLLARS.match(src, start, min(state.posMax, start + LONGEST))
    if found is None or not _is_formula(state, found[1]):
        return None
    return found[1], found.end(), False


def _is_formula(state: StateInline, formula: str) -> bool:
    before = state.src[state.pos - 1] if state.pos else " "
    if before.isalnum() or before in "\\$":
        return False
    return bool(_MATHEMATICAL.search(formula.strip()))


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Take lines from `\\[` or `$$` to its end, without an empty one: TeX allows none."""
    if state.is_code_block(first):
        return False
    line = _line(state, first)
    for opened, closed in _BLOCKS:
        if not line.startswith(opened):
            continue
        text, after = line[len(opened) :], first
        while closed not in text:
            after += 1
            if after >= last or state.isEmpty(after) or state.sCount[after] < state.blkIndent:
                return False
            more = _line(state, after)
            if len(text) > LONGEST or (more.startswith(opened) and closed not in more):
                return False
            text += f"\n{more}"
        formula, _, rest = text.partition(closed)
        if rest.strip() or not formula.strip():
            return False
        if not silent:
            token = state.push("formula", "", 0)
            token.block, token.map, token.content = True, [first, after + 1], formula
            token.markup, token.meta = f"{opened}{formula}{closed}", {"display": True}
            state.line = after + 1
        return True
    return False


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()


def _draw(
    _: RendererHTML, tokens: "Sequence[Token]", index: int, options: "OptionsDict", env: Any
) -> str:
    token = tokens[index]
    html = _mathml(token.content.strip(), bool(token.meta["display"]))
    if html is None:
        html = f'<code class="tex" dir="ltr">{escapeHtml(token.markup)}</code>'
    return f'<div class="formula" dir="ltr" tabindex="0">{html}</div>\n' if token.block else html


@lru_cache(maxsize=2048)
def _mathml(latex: str, display: bool) -> str | None:
    """Return a formula as MathML; `None` if it cannot be read."""
    if len(latex) > LONGEST or _depth(latex) > DEEPEST or len(_COMMAND.findall(latex)) > MOST:
        return None
    if _MACRO.search(latex):  # one may stand for millions of others
        return None
    from math_core import LatexError

    try:
        return _converter().convert_with_local_state(latex, displaystyle=display)
    except LatexError:
        return None


def _depth(latex: str) -> int:
    marks = sorted(
        [(found.start(), 1) for found in _OPENS.finditer(latex)]
        + [(found.start(), -1) for found in _CLOSES.finditer(latex)]
    )
    deepest = depth = 0
    for _, step in marks:
        depth = max(0, depth + step)
        deepest = max(deepest, depth)
    # What has no closing mark, as `\sqrt\sqrt\sqrt…` or `^^^`, is nested too.
    return max(deepest, len(re.findall(r"\\[a-z]*(?:frac|sqrt|hat|bar|vec|dot|text)", latex)) // 8)


@cache
def _converter() -> "LatexToMathML":
    from math_core import LatexToMathML

    return LatexToMathML()
