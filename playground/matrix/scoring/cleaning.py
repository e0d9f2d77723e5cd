"""Text before it is read: marks that nobody sees, forms of one character, case, quotes, fences."""

import re
import unicodedata

_UNSEEN = re.compile("[\u200b\u200e\u200f\u061c\u2060\u2066-\u2069\u202a-\u202e\ufeff\u00ad]")
"""Marks of direction, zero-width spaces and soft hyphens."""
_POWERS = re.compile("[⁰¹²³⁴-⁹₀-₉]+")
_FENCE = re.compile(r"^[ \t]*(?:```+|~~~+)[^\n`]*$", re.MULTILINE)
_FENCED = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)[^\n]*\n(?P<inside>.*?)(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_PAIRS = (
    ('"', '"'),
    ("'", "'"),
    ("`", "`"),
    ("“", "”"),
    ("„", "“"),
    ("„", "”"),
    ("”", "”"),
    ("‘", "’"),
    ("‚", "‘"),
    ("’", "’"),
    ("«", "»"),
    ("»", "«"),
    ("‹", "›"),
    ("「", "」"),
    ("『", "』"),
    ("《", "》"),
    ("״", "״"),
)
QUOTED = re.compile(
    "|".join(
        f"{re.escape(opening)}([^{re.escape(opening)}{re.escape(closing)}\\n]{{1,60}})"
        f"{re.escape(closing)}"
        for opening, closing in _PAIRS
        if opening not in "'’"
    )
    + r"|(?<!\w)['’]([^'’\n]{1,60})['’](?![^\W가-힣])"
)
"""Something short in quotation marks of any language."""
_VOWELS = re.compile("[\u064b-\u0652\u0640\u05b0-\u05bd\u05bf-\u05c7]")
"""Vowel signs of Arabic and Hebrew, which are rarely written."""
_CYRILLIC = "абвгдђежзијклљмнњопрстћуфхцчџш"
_SERBIAN = str.maketrans(
    dict(
        zip(
            _CYRILLIC,
            (*"abvgdđežzijkl", "lj", "m", "n", "nj", *"oprstćufhcč", "dž", "š"),
            strict=True,
        )
    )
)
POLITE_ENDINGS = re.compile(r"(?:です|だ|である|입니다|이에요|예요|ครับ|ค่ะ|คะ)$")
"""What makes a sentence of a word where no spaces stand between words."""
_TURKISH = str.maketrans({"İ": "i", "I": "ı"})


def without_unseen(text: str) -> str:
    """A text without marks of direction and characters of no width."""
    return _UNSEEN.sub("", text)


def plain(text: str) -> str:
    """A text in one form (NFKC), every digit as 0 to 9, without marks that nobody sees."""
    text = unicodedata.normalize("NFKC", _POWERS.sub(" ", without_unseen(text)))
    return "".join(map(_digit, text)).replace("\r\n", "\n").replace("\r", "\n")


def _digit(character: str) -> str:
    if character.isascii() or unicodedata.category(character) != "Nd":
        return character
    return str(unicodedata.digit(character))


def folded(text: str, language: str) -> str:
    """A text without regard to case, by the language's rules, and with one kind of apostrophe.

    Serbian is in Latin letters, Arabic and Hebrew without signs for vowels.
    """
    if language == "tr":
        text = text.translate(_TURKISH)
    text = text.replace("İ", "i").casefold().replace("’", "'").replace("ʼ", "'")
    if language == "sr":  # written in both
        text = text.translate(_SERBIAN)
    return unicodedata.normalize("NFKC", _VOWELS.sub("", text))


def folded_alike(text: str, language: str) -> str:
    """A `folded` text whose characters stand where they stood."""
    return "".join(
        lowered if len(lowered := folded(character, language)) == 1 else character
        for character in text
    )


def without_fences(text: str) -> str:
    """A text whose code blocks are lines as others are."""
    return _FENCE.sub("", text)


def fenced(text: str) -> list[str]:
    """The contents of a text's code blocks."""
    return [match["inside"] for match in _FENCED.finditer(text)]


def unquoted(text: str) -> str:
    """A text without one pair of quotation marks around all of it, if there is one."""
    text = text.strip()
    for opening, closing in _PAIRS:
        if len(text) > 2 and text.startswith(opening) and text.endswith(closing):
            return text[1:-1].strip()
    return text


def quotations(text: str) -> list[str]:
    """What stands in quotation marks in a text."""
    return [
        next(group for group in match.groups() if group is not None).strip()
        for match in QUOTED.finditer(text)
    ]


def without_emphasis(text: str) -> str:
    """A text without the asterisks, underscores and backticks of Markdown."""
    return re.sub(r"\*+|`+|(?<!\w)_+|_+(?!\w)", "", text)
