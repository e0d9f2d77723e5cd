"""Links: where they lead is seen, none runs anything, and pictures are not fetched."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from linkify_it import LinkifyIt
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

_ALLOWED = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_CJK_END = re.compile("[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]")
"""Punctuation that ends an address which stands in Chinese or Japanese."""


class _Linkify(LinkifyIt):
    """Finds addresses in text, each up to the first full-width punctuation mark."""

    def match(self, text: str) -> list[Any] | None:
        found = super().match(text)
        for link in found or ():
            _cut(link)
        return found

    def match_at_start(self, text: str) -> Any | None:
        link = super().match_at_start(text)
        if link:
            _cut(link)
        return link


def _cut(link: Any) -> None:
    """End a match before the first full-width punctuation mark in it."""
    if end := _CJK_END.search(link.text):
        cut = len(link.text) - end.start()
        link.text, link.raw = link.text[: end.start()], link.raw[: len(link.raw) - cut]
        link.url, link.last_index = link.url[: len(link.url) - cut], link.last_index - cut


def add_to(md: MarkdownIt) -> None:
    """Add what finds links, and what draws them."""
    # Names such as `readme.md` or `config.py` are files, not hosts.
    md.linkify = _Linkify().set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    md.validateLink = _is_allowed  # type: ignore[method-assign]
    md.core.ruler.push("link_targets", _tell_targets)
    md.add_render_rule("image", _draw_image)


def _is_allowed(url: str) -> bool:
    return bool(_ALLOWED.match(url.strip()))


def _tell_targets(state: StateCore) -> None:
    """Give links their attributes; a text that does not say where one leads is followed by that."""
    for block in state.tokens:
        children = block.children or []
        for index, token in enumerate(children):
            if token.type == "link_open":
                href = str(token.attrGet("href") or "")
                host = urlsplit(href).hostname or href.removeprefix("mailto:")
                token.attrs = _attributes(href)
                if host not in _text_of(children, index).lower():
                    token.attrs["data-host"] = host


def _text_of(tokens: Sequence[Token], opened: int) -> str:
    text = ""
    for token in tokens[opened + 1 :]:
        if token.type == "link_close":
            break
        text += token.content
    return text


def _attributes(href: str) -> dict[str, str | int | float]:
    return {
        "href": href,
        "title": href,
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }


def _draw_image(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    """Draw a picture as a link to it: fetching one would tell others that the answer was read."""
    token = tokens[index]
    href = str(token.attrGet("src") or "")
    text = token.content or href
    if not _is_allowed(href):
        return escapeHtml(text)
    host = urlsplit(href).hostname or ""
    attributes = {**_attributes(href), "class": "picture"} | ({"data-host": host} if host else {})
    written = "".join(f' {name}="{escapeHtml(str(value))}"' for name, value in attributes.items())
    return f"<a{written}>{escapeHtml(text)}</a>"
