"""Yes or no."""

import re
import unicodedata
from functools import cache

from playground.matrix.items import Item
from playground.matrix.texts import texts

from .cleaning import folded_alike, plain, unquoted, without_emphasis, without_fences
from .final_answer import after_marker, bold_parts, split_sentences
from .result import Score, right, unreadable, wrong
from .usage import usage_of

_WITHOUT_SPACES = ("ja", "ko", "th", "zh")
_BESIDE = re.compile(r"[\s,]+")
_CLOSED = re.compile(r"\s*(?:$|[^\w\s])")
_OPENING = re.compile(r"^[\s\W_]+")


def yes_no(item: Item, text: str) -> Score:
    """Score a yes or no: at the beginning, after the answer marker, or the only thing in bold.

    The words of the language count, and those of English if there are none. An answer that begins
    with one and has the other alone, in another sentence or beside it, cannot be read.
    """
    clean = without_fences(plain(text))
    for language in dict.fromkeys((item.language, "en")):
        said = _said(clean, language, item.language)
        if len(said) == 2:
            return unreadable("It says both yes and no.", clean)
        if said:
            (value,) = said
            if value == item.expected:
                return right("yes" if value else "no")
            if value:
                return wrong("yes", "It says yes, which is not so.")
            return wrong("no", "It says no, which is not so.")
    return unreadable("It says neither yes nor no.", clean)


def _said(text: str, language: str, asked_in: str) -> set[bool]:
    """What a text says in a language: both, one or nothing."""
    marked = after_marker(text, asked_in)
    heads = [without_emphasis(part) for part in split_sentences(text)]
    strong = [*bold_parts(text), *([marked] if marked else [])]
    said: set[bool] = set()
    for index, head in enumerate(heads):
        if head.rstrip().endswith(("?", "؟")):  # the question, repeated
            continue
        said |= _head(head, language, alone=index > 0 or language != asked_in)
    for part in strong:
        sentences = split_sentences(without_emphasis(part))
        if sentences:
            said |= _head(sentences[0], language, alone=language != asked_in)
    return said


def _head(sentence: str, language: str, *, alone: bool) -> set[bool]:
    """What a sentence begins with; with `alone`, only if nothing follows but a mark."""
    pattern, values = _words(language)
    lowered = folded_alike(_OPENING.sub("", unquoted(sentence)), language)
    if lowered.startswith(_neither(language)):
        return set()
    match = pattern.match(lowered)
    if match is None:
        return _unaccented(lowered, language)
    rest = lowered[match.end() :]
    if alone and _CLOSED.match(rest) is None:
        return set()
    said = {values[match[0]]}
    for joint, closed in ((_either(language), False), (_BESIDE, True)):
        joined = joint.match(rest)
        other = joined and pattern.match(rest, joined.end())
        # "Sí, no hay duda" has one answer, "Sí, no" has two.
        if other and not (closed and _CLOSED.match(rest, other.end()) is None):
            said.add(values[other[0]])
    return said


def _unaccented(lowered: str, language: str) -> set[bool]:
    """What a sentence says that is a yes or no without its accents and nothing else.

    With more behind it "si" is an "if".
    """
    match = re.fullmatch(r"(\w+)[^\w\s]*\s*", lowered)
    _, values = _words(language)
    said = {value for word, value in values.items() if match and match[1] == _plainer(word)}
    return said if len(said) == 1 else set()


def _plainer(word: str) -> str | None:
    """A word of Latin letters without its accents; `None` if it is of others."""
    bare = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
    return bare.replace(" ", "") if len(bare) == len(word) else None


@cache
def _either(language: str) -> re.Pattern[str]:
    """What stands between two answers, of which neither is given."""
    words = [folded_alike(plain(word), language) for word in usage_of(language).either]
    return re.compile(rf"\W*(?:{'|'.join(map(re.escape, [*words, 'or', '/', '|']))})\W*")


@cache
def _neither(language: str) -> tuple[str, ...]:
    return tuple(folded_alike(plain(each), language) for each in usage_of(language).neither)


@cache
def _words(language: str) -> tuple[re.Pattern[str], dict[str, bool]]:
    """A pattern for the words for yes and no, the longest first, and what they say."""
    words = texts(language)
    values = {folded_alike(plain(word), language): False for word in words.no}
    values |= {folded_alike(plain(word), language): True for word in words.yes}
    longest_first = sorted(values, key=len, reverse=True)
    end = "" if language in _WITHOUT_SPACES else r"(?![\w-])"
    return re.compile(f"(?:{'|'.join(map(re.escape, longest_first))}){end}"), values
