"""Markdown that leaves nothing open: what follows a stopped answer is not swallowed by it."""

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MAY_OPEN = re.compile("```|~~~|<")
_BLOCKS = MarkdownIt("commonmark").disable("inline")
_INLINE = MarkdownIt("commonmark")

_RAW_NAMES = ("script", "pre", "style", "textarea")
_RAW_END = re.compile("</(script|pre|style|textarea)>", re.IGNORECASE)
# The first match counts: how a block of HTML begins that ends only with a certain text, what that
# is, and what else ends it (CommonMark 0.31, section 4.6, kinds 1 to 5). Others end with an empty
# line.
_RAW_BLOCKS = (
    (re.compile("<!--"), "-->", re.compile("-->")),
    (re.compile(r"<\?"), "?>", re.compile(r"\?>")),
    (re.compile(r"<!\[CDATA\["), "]]>", re.compile("]]>")),
    (re.compile("<![a-z]", re.IGNORECASE), ">", re.compile(">")),
    *(
        (re.compile(rf"<{name}(?=[\s>]|$)", re.IGNORECASE), f"</{name}>", _RAW_END)
        for name in _RAW_NAMES
    ),
)
_ELEMENTS = frozenset(
    (
        # what folds, hides or frames what follows it
        *("article", "aside", "blockquote", "button", "center", "details", "dialog", "div", "dl"),
        *("fieldset", "figure", "footer", "form", "header", "iframe", "main", "math", "nav"),
        *("noscript", "object", "ol", "pre", "script", "section", "select", "style", "summary"),
        *("svg", "table", "template", "textarea", "title", "ul"),
        # what changes its look
        *("a", "b", "big", "code", "del", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "i"),
        *("ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub"),
        *("sup", "tt", "u"),
    )
)
"""Elements that go on until they are closed. `vector<int>` is none, nor is one without content."""


def close_markdown(text: str) -> str:
    """A Markdown text with all closed that it leaves open: at its end, nothing else is changed.

    That is a fence of code, wherever it stands, a comment or another block of HTML, and elements
    such as `<details>`. Line ends are `\n`.
    """
    if not _MAY_OPEN.search(text):
        return text
    tokens = _parse(text)
    leaves = [token for token in tokens if token.nesting != -1]
    if leaves and (end := _missing_line(leaves[-1], text)):
        lines = text.split("\n")
        lines.insert(leaves[-1].map[1] if leaves[-1].map else len(lines), end)
        text = "\n".join(lines)
        tokens = _parse(text)
    elements = _OpenElements()
    for token in tokens:
        elements.read(token)
    closing = "<!-- -->" if elements.in_comment else ""
    closing += "".join(f"</{name}>" for name in reversed(elements.names))
    return f"{text}\n\n{closing}" if closing else text


def _parse(text: str) -> list[Token]:
    return _BLOCKS.parse(text if text.endswith("\n") else text + "\n")


def _missing_line(block: Token, text: str) -> str:
    """The line that would close a block; empty if it is closed."""
    first, after = block.map or (0, 0)
    if block.type == "fence":
        # All its lines but the first are content; of one that is closed, all but two.
        is_open = block.content.count("\n") > after - first - 2
        end, start = block.markup if is_open else "", block.markup
    elif block.type == "html_block":
        end, start = _missing_end(block.content), "<"
    else:
        return ""
    # In quotes and lists the end stands in them too: behind marks of quotes, each with its space,
    # and spaces for bullets.
    line = text.split("\n")[first]
    margin = re.sub(r">(?!\s)", "> ", line[: line.index(start)])
    return re.sub(r"[^>\s]", " ", margin) + end if end else ""


def _missing_end(html: str) -> str:
    """What a block of HTML would have to contain to be closed; empty if it is."""
    for start, end, ending in _RAW_BLOCKS:
        if start.match(html.lstrip()):
            return "" if ending.search(html) else end
    return ""


class _OpenElements(HTMLParser):
    """What is open after some tokens: a comment, and elements, the outermost first."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.in_comment = False

    def read(self, token: Token) -> None:
        """Go on with the HTML of a token."""
        if token.type == "html_block":
            self._read(token.content)
        elif token.type == "inline" and "<" in token.content:
            for part in _INLINE.parseInline(token.content)[0].children or ():
                if part.type == "html_inline":
                    self._read(part.content)

    def _read(self, html: str) -> None:
        if self.in_comment:
            _, end, html = html.partition("-->")
            if not end:
                return
        self.in_comment = html.rfind("<!--") > html.rfind("-->")
        end = "-->" if self.in_comment else _missing_end(html)
        self.feed(html + ("" if end.startswith("</") else end))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that goes on until it is closed."""
        if tag in _ELEMENTS:
            self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Forget an element.

        What was opened after it stays: the element may have ended before, with the quote or the
        list that it stood in, and to close once too often does nothing.
        """
        if tag in self.names:
            del self.names[len(self.names) - 1 - self.names[::-1].index(tag)]
