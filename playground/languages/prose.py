"""The prose of a text: what says its language, without code, addresses, quotes and names."""

import re
import unicodedata

MAX_READ = 10_000
"""Characters of a text that are read: more would not change the result."""
MAX_CLASSIFIED = 2_000
"""Characters of prose that are classified, which takes one to five milliseconds."""

_FENCED = re.compile(
    r"^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1|\Z)|`[^`\n]+`|\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)",
    re.DOTALL | re.MULTILINE,
)
"""Code in Markdown, and formulas in TeX."""
_MARKUP = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
_ADDRESS = re.compile(r"(?:https?://|www\.)[!-~]+|[\w.+-]{1,64}@[\w.-]{1,255}")
_NOISE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\d_]+")

_CODE_LINE = re.compile(
    r"""
    \s*+(?:
        (?:import|from|package|using|def|class|function|func|fn|const|let|var|public|private|static
          |for|while|if|elif|else|try|except|return|switch|case|do|end|local|echo|SELECT|INSERT
          |UPDATE|DELETE|CREATE)\b.*[;:{}()=<]\s*
      | (?:from\s[\w.]+\s)?import\s[\w.,*\ ]+
      | (?:>>>|\$|\#!|//|\#include|/\*|\*/|<\?|<!).*
      | [\w.\[\]'"]+(?:\s*,\s*[\w.\[\]'"]+){0,4}\s*[-+*/]?=[^=].*       # an assignment
      | [A-Za-z_][\w.]*(?:::|->|\.)?[\w]*\(.*\)\s*[;{:]?\s*             # a call
      | [^\s].*[;{}]\s*
      | [{}()\[\],;]+\s*
    )""",
    re.VERBOSE,
)
_DATA_LINE = re.compile(r"""\s*+(?:[\[{]\s*+["'{\[]|["'][\w -]{1,40}["']\s*+:).*""")
"""A line of JSON."""
_ASCII_WORDS = re.compile(r"[A-Za-z_]\w*")
_COMMENT = re.compile(r"\s*+(?:#|--|//|;).*")

_QUOTE = re.compile(
    r"“[^”“\n]{1,300}[”“]|„[^“”\n]{1,300}[“”]|”[^”“\n]{1,300}[”“]|«[^»\n]{1,300}»|»[^«\n]{1,300}«"
    r"|「[^」\n]{1,300}」|『[^』\n]{1,300}』|《[^》\n]{1,300}》|〈[^〉\n]{1,300}〉|‹[^›\n]{1,300}›"
    r'|‘[^’\n]{1,300}’(?!\w)|"[^"\n]{1,300}"|(?<!\w)\'[^\'\n]{1,300}\'(?!\w)'
    r"|(?<![\w*])\*(?=[^\s*])[^*\n]{1,100}\*(?![\w*])"
)
"""A quotation, a title in its marks, or words in italics."""
_VERSIONED = re.compile(
    r"[A-Za-z][A-Za-z.]*-?\d[A-Za-z\d.]*(?:-[A-Za-z\d.]+)*|\d[\d.,]*[A-Za-z]+\b"
)
"""The name of a model or a file: `Phi-3.5-mini`, `7B`, `mp3`."""
_CAPITAL = r"[A-ZÀ-ÖØ-ÞŒŠŽŁŚŻŹĆČĎŘŤŇĽŐŰĞİŞȘȚА-ЯЁІЇЄҐЂЈЉЊЋЏ][\w’'-]*"
_JOINING = "of the and in on for to with a an at by de du des di da do dos del der y e et und la le"
_NAME = re.compile(
    rf"\b{_CAPITAL}(?:[ ]+(?:(?:{'|'.join(_JOINING.split())})[ ]+){{0,2}}{_CAPITAL})+"
    rf"|(?<=[\w,)] ){_CAPITAL}"
)
"""A capitalised word within a sentence, or several of them in a row: a name or a title."""
_ENOUGH = 12
"""Letters that must remain for a part of a text to be judged without the rest."""


def running_text(text: str) -> str:
    """The beginning of `text` without code, formulas, addresses, digits and control characters."""
    text = text[:MAX_READ].replace("\r", "\n")
    for pattern in (_FENCED, _ADDRESS, _MARKUP):
        text = pattern.sub("\n" if pattern is _FENCED else " ", text)
    lines = (_NOISE.sub(" ", _VERSIONED.sub(" ", line)).strip() for line in _without_code(text))
    return unicodedata.normalize("NFC", "\n".join(filter(None, lines))[:MAX_CLASSIFIED])


def without_quotes(prose: str) -> str:
    """Prose without quotations, titles in their marks and words in italics.

    If hardly anything else is there, the quotations are the text: an answer in quotation marks.
    """
    return _unless_empty(_QUOTE.sub(" ", prose), prose)


def without_code_and_quotes(text: str) -> str:
    """A text without code, addresses and quotations, its other lines as they are."""
    for pattern in (_FENCED, _ADDRESS):
        text = pattern.sub(" ", text)
    return _QUOTE.sub(" “” ", "\n".join(_without_code(text)))


def without_names(prose: str) -> str:
    """Prose without capitalised names; empty if it is nothing else."""
    return _NAME.sub(" ", prose)


def quotations(prose: str) -> list[str]:
    """What stands in quotation marks."""
    return [quote[1:-1] for quote in _QUOTE.findall(prose)]


def letter_count(text: str) -> int:
    """The number of letters, in any script."""
    return sum(map(str.isalpha, text))


def _unless_empty(rest: str, whole: str) -> str:
    letters = letter_count(rest)
    return rest if letters >= _ENOUGH or 3 * letters >= letter_count(whole) else whole


def _without_code(text: str) -> list[str]:
    """The lines that are no code; code may stand without any fence around it."""
    lines = text.split("\n")
    code = [_is_code(line) for line in lines]
    for n, line in enumerate(lines):
        beside = (n and code[n - 1]) or (n + 1 < len(lines) and code[n + 1])
        code[n] = code[n] or bool(beside and _COMMENT.fullmatch(line))
    return [line for line, is_code in zip(lines, code, strict=True) if not is_code]


def _is_code(line: str) -> bool:
    if _DATA_LINE.fullmatch(line):
        return True
    return len(line) <= 400 and bool(_ASCII_WORDS.search(line) and _CODE_LINE.fullmatch(line))
