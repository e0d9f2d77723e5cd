"""Addresses, keys and names as people paste them, without what came along with them."""

import re
import unicodedata

from .sentence import Sentence

_INVISIBLE = dict.fromkeys(
    (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)
"""Characters without a width, and marks of direction: web pages and chats put them between."""
_QUOTES = "\"'`“”„‟‘’‚‛«»‹›「」『』"
_HEADER = re.compile(r"^(?:authorization|(?:x-)?api-key)\s*:\s*", re.IGNORECASE)
_VARIABLE = re.compile(r"^(?:export\s+|set\s+)?\w*(?:KEY|TOKEN)\s*=\s*(?=[^\s=])")
_BEARER = re.compile(r"^bearer(?:[\s:]+|$)", re.IGNORECASE)


def clean_pasted(text: str) -> str:
    """The text without invisible characters, and without spaces and quotes around it."""
    return text.translate(_INVISIBLE).strip(" \t\r\n\v\f\0\u00a0\u3000").strip(_QUOTES).strip()


def clean_name(name: str) -> str:
    """A model's name without invisible characters, and without spaces around it."""
    return name.translate(_INVISIBLE).strip()


def clean_key(text: str) -> str:
    """A key without spaces, line ends and quotes, or the header or variable it was copied from.

    What remains may still hold a character that no header can: see `unsendable`.
    """
    for before in (_VARIABLE, _HEADER, _BEARER):
        text = before.sub("", clean_pasted(text))
    kept = (char for char in clean_pasted(text) if not char.isspace())
    return "".join(char for char in kept if unicodedata.category(char) != "Cc")


def unsendable(key: str) -> str:
    """The first character of a key that no header can carry, described; empty if there is none."""
    char = next((char for char in key if not "!" <= char <= "~"), "")
    if not char:
        return ""
    name = unicodedata.name(char, f"U+{ord(char):04X}").lower()
    return Sentence("“{char}” ({name})", char=char, name=name) if char.isprintable() else name
