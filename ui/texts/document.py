"""HTML with sentences in it: a text of several paragraphs, which reads well where it is written.

An element with `data-told` holds one sentence and nothing else; `data-told="5"` gives it the value
`{number}`. What stands between `**` is strong.
"""

import re
from html import escape, unescape
from typing import Any

from backends import Sentence

from .say import code_of

_TOLD = re.compile(r' data-told(?:="(\d+)")?>([^<]*)<')
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


def codes_in(document: str) -> list[str]:
    """Return the sentences of a document, in their order, with the names of values in braces."""
    return [unescape(text) for _, text in _TOLD.findall(document)]


def told_in(document: str, **values: Any) -> str:
    """Return a document in English, which the page's script says in other languages."""

    def tell(found: re.Match[str]) -> str:
        number: dict[str, Any] = {"number": int(found[1])} if found[1] else {}
        sentence = Sentence(unescape(found[2]), **number, **values)
        shown = sentence.filled(_STRONG.sub(r"<b>\1</b>", found[2]), _show)
        return f' data-say="{code_of(sentence)}">{shown}<'

    return _TOLD.sub(tell, document)


def _show(value: object, kind: str) -> str:
    shown = escape(Sentence.show(value, kind), quote=False)
    return f"<bdi>{shown}</bdi>" if isinstance(value, str) else shown


__all__ = ["codes_in", "told_in"]
