"""Code: coloured by class, with its language named, scrolling in a box of its own.

A button copies it. Its word is drawn by the style sheet, so that no copy of the answer holds it;
the transcript's script hears it (`acts.js`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml, unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

_COPY = '<button type="button" data-act="copy-code" aria-label="Copy code"></button>'
LONGEST, WIDEST = 20_000, 1000
"""Characters of code, and of a line of it, that are coloured: odd ones take Pygments seconds."""


def add_to(md: MarkdownIt) -> None:
    """Add what draws code."""
    for kind in ("fence", "code_block"):
        md.add_render_rule(kind, _draw)


def _draw(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    token = tokens[index]
    language = unescapeAll(token.info).strip().split(maxsplit=1)[0] if token.info.strip() else ""
    # While it grows it is not coloured: each new character would colour all of it anew.
    open_ = bool(env.get("grows")) and token is env.get("last")
    html = None if open_ else _coloured(token.content, language)
    named = f' data-language="{escapeHtml(language)}"' if language else ""
    return (
        f'<div class="code" dir="ltr"{named}>{_COPY}<pre tabindex="0"><code>'
        f"{escapeHtml(token.content) if html is None else html}</code></pre></div>\n"
    )


@lru_cache(maxsize=256)
def _coloured(text: str, language: str) -> str | None:
    """Return code with spans of Pygments' classes; `None` if it does not know the language."""
    if not language or len(text) > LONGEST or max(map(len, text.split("\n"))) > WIDEST:
        return None
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    return highlight(text, lexer, HtmlFormatter(nowrap=True))
