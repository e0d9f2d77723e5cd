"""A visitor's own prompts, a line for each language: from a file, a spreadsheet or a text box."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from backends import Sentence

from ..languages.table import LANGUAGES
from ..text import strip_controls

MAX_PROMPT = 8000
"""Characters of one prompt, where nobody says otherwise."""
MAX_TABLE = 400_000
"""Characters of all together."""
_DELIMITERS = "\t;,"
_HEADS = frozenset(("language", "lang", "code", "locale", "sprache", "langue", "idioma"))
"""What the first cell of a line of headings says."""


@dataclass(frozen=True, slots=True)
class OwnPrompts:
    """What was read."""

    rows: Mapping[str, str]
    """Prompts by language code, in the order they came in."""
    problems: tuple[Sentence, ...]
    """A sentence for each line that cannot be used, and what to do about it."""


def parse(text: str, most: int = MAX_PROMPT) -> OwnPrompts:
    """Read lines of a language and its prompt, with a tab, comma or semicolon between them.

    A language is named by its code (`de`, `pt-BR`), its English name or its own one. A prompt may
    hold commas, and line breaks if it stands in quotation marks. A byte order mark, empty lines and
    a line of headings are passed over. A prompt has at most so many characters. Raises nothing.
    """
    if len(text) > MAX_TABLE:
        much = Sentence(
            "This table has {n} characters; at most {limit} fit here: take fewer or shorter "
            "prompts.",
            n=len(text),
            limit=MAX_TABLE,
        )
        return OwnPrompts({}, (much,))
    text = strip_controls(text.removeprefix("\ufeff"))
    rows: dict[str, str] = {}
    problems: list[Sentence] = []
    for place, cells in _records(text):
        code = language_code(cells[0])
        prompt = cells[1].strip() if len(cells) > 1 else ""
        if code is None and not rows and not problems and cells[0].strip().lower() in _HEADS:
            continue
        problem = _problem(cells, code, prompt, rows, most)
        if problem or code is None:
            what = Sentence("Line {number}: {what}", number=place, what=problem)
            problems.append(what)
        else:
            rows[code] = prompt
    return OwnPrompts(rows, tuple(problems))


def language_code(name: str) -> str | None:
    """The code of a language by its code, English name or own name; `None` if there is none."""
    wanted = name.strip().casefold()
    bare = re.split(r"[-_]", wanted)[0]
    bare = {"nb": "no", "nn": "no", "iw": "he"}.get(bare, bare)
    if bare in LANGUAGES and (bare == wanted or len(wanted) > 3 or wanted in ("nb", "nn", "iw")):
        return bare
    return _codes_by_name().get(wanted)


@cache
def _codes_by_name() -> Mapping[str, str]:
    return {
        name.casefold(): one.code
        for one in LANGUAGES.values()
        for name in (one.english_name, one.own_name)
    }


def _problem(
    cells: list[str], code: str | None, prompt: str, rows: Mapping[str, str], most: int
) -> Sentence:
    """What is wrong with a line, in a sentence; empty if nothing is."""
    name = cells[0].strip()
    if len(cells) < 2:
        return Sentence(
            "“{name}” has no tab, comma or semicolon between language and prompt: write “de, Was "
            "ist ein Sprachmodell?”.",
            name=_short(name),
        )
    if code is None:
        return Sentence(
            "“{name}” is no language that is known here: write its code or its name, such as de, "
            "German or Deutsch.",
            name=_short(name),
        )
    language = LANGUAGES[code].english_name
    if not prompt:
        return Sentence(
            "The prompt in {language:language} is empty: write it behind the language.",
            language=language,
        )
    if len(prompt) > most:
        return Sentence(
            "The prompt in {language:language} has more than {most} characters: shorten it.",
            language=language,
            most=most,
        )
    if code in rows:
        return Sentence(
            "There is a prompt in {language:language} already: take one of them out.",
            language=language,
        )
    return Sentence("")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a text with the number of their first line: language, and prompt if any."""
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    while True:
        place = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a cell beyond all bounds
            cells = ["…", "x" * MAX_TABLE]
        while cells and not cells[-1].strip():
            # A spreadsheet fills short rows with empty cells, of which the prompt's own is told.
            if len(cells) == 2:
                break
            cells.pop()
        if len(cells) == 1:  # a line that somebody wrote otherwise than the others
            parts = (cells[0].partition(other) for other in _DELIMITERS)
            named = ([name, prompt] for name, found, prompt in parts if found)
            cells = next((two for two in named if language_code(two[0])), cells)
        if any(cell.strip() for cell in cells):
            yield place, [cells[0], delimiter.join(cells[1:])] if len(cells) > 1 else cells


def _delimiter(text: str) -> str:
    """The one that stands first behind most languages; else in most lines.

    A prompt in quotation marks may have many lines, and commas of its own in each.
    """
    firsts = [
        (line[: found.start()], found[0])
        for line in text.splitlines()
        if (found := re.search(f"[{_DELIMITERS}]", line)) is not None
    ]
    behind = [mark for name, mark in firsts if language_code(name)] or [mark for _, mark in firsts]
    return max(_DELIMITERS, key=behind.count) if behind else ","


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
