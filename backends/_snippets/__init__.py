"""Programs that make the page's requests: a template for each client package, and filters."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any
from unicodedata import east_asian_width

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .._core.types import ImagePart, Message

WIDTH = 72
"""Columns of a line, where its parts allow it: about as many as a pane shows."""
LONGEST_PICTURE = 2000
"""Characters of base64 that stand in a program; a larger picture is read from a file."""
KEY_PLACEHOLDER = "\0key\0"
"""Stands for a key while a program is written: no real one goes into it."""


class Source(str):
    """Python source text, as the filters write it; the only text that a template writes out."""

    __slots__ = ()


# ── Values as Python ───────────────────────────────────────────────────────────────────────────


def comment(text: str, indent: int = 0) -> Source:
    """A comment of one sentence or two, in as many lines as it takes. No text can break out."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    before = f"{' ' * indent}# "
    lines = wrap(
        printable, WIDTH, initial_indent=before, subsequent_indent=before,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return Source("\n".join(lines))


def literal(value: Any, start: str = "") -> Source:
    """`start` and a value, laid out to be read: a list of long things has one on each line.

    `start` is what stands before the value in its line, such as `name = `.
    Raises `TypeError` for what is no JSON, such as a name that a template's context lacks.
    """
    inner = " " * (len(start) - len(start.lstrip(" ")) + 4)
    if isinstance(value, str) and not isinstance(value, Source):
        brackets, flat = "()", quoted(value)
        lines = [inner + quoted(piece) for piece in _pieces(value, max(24, WIDTH - len(inner) - 4))]
        breaks = value.count("\n")
        may_be_flat = breaks < 2 or value.endswith("\n" * breaks)
    elif isinstance(value, dict | list):
        if isinstance(value, dict):
            brackets, items = "{}", [(f"{quoted(name)}: ", one) for name, one in value.items()]
        else:
            brackets, items = "[]", [("", one) for one in value]
        flat = brackets[0] + ", ".join(literal(one, name) for name, one in items) + brackets[1]
        lines = [literal(one, inner + name) + "," for name, one in items]
        may_be_flat = "\n" not in flat
    elif value is None or isinstance(value, Source | int | float):
        return Source(f"{start}{value}")
    else:
        raise TypeError(f"{type(value).__name__} is not what a request is made of")
    if (may_be_flat and _columns(start + flat) < WIDTH) or (brackets == "()" and len(lines) < 2):
        return Source(start + flat)
    return Source("\n".join([start + brackets[0], *lines, inner[4:] + brackets[1]]))


def arguments(values: Mapping[str, Any]) -> Source:
    """The keyword arguments of a call, one on each line."""
    return Source("\n".join(f"{literal(one, f'    {name}=')}," for name, one in values.items()))


def quoted(text: str) -> str:
    """A text as one Python string, in double quotes unless it holds some; what cannot be seen is
    escaped."""
    # repr() puts a text with a single quote and no double one into double quotes.
    return repr(text) if '"' in text else repr(f"{text}'")[:-2] + '"'


def _pieces(text: str, room: int) -> list[str]:
    """A text cut after its line ends and, where lines are long, between words."""
    pieces: list[str] = []
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        most = max(8, room * len(line) // _columns(line))
        cut = rf".{{1,{most + 1}}}\Z|.{{{most // 2},{most - 1}}} |.{{1,{most}}}"
        pieces += re.findall(cut, line, re.DOTALL)
    return pieces


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes, about: some letters take two."""
    return len(text) + sum(east_asian_width(letter) in "FW" for letter in text)


# ── What does not stand in a program ───────────────────────────────────────────────────────────


def with_key(text: str, variable: str | None) -> str:
    """`text` with an environment variable in the place of the key: `"Key " + os.environ["KEY"]`."""
    if variable is None or KEY_PLACEHOLDER not in text:
        return text
    before, _, after = text.partition(KEY_PLACEHOLDER)
    parts = (before and quoted(before), f"os.environ[{quoted(variable)}]", after and quoted(after))
    return Source(" + ".join(part for part in parts if part))


def picture_files(
    messages: Iterable[Message], longest: int = LONGEST_PICTURE
) -> dict[ImagePart, str]:
    """A file's name for each picture of more than `longest` characters of base64."""
    pictures = dict.fromkeys(picture for message in messages for picture in message.images)
    large = [picture for picture in pictures if len(picture.data) * 4 / 3 > longest]
    return {
        picture: f"picture-{n}.{picture.media_type.rpartition('/')[2]}"
        for n, picture in enumerate(large, 1)
    }


def replaced(value: Any, by: Mapping[str, str]) -> Any:
    """A copy of a request with other texts in the place of some."""
    if isinstance(value, dict):
        return {name: replaced(one, by) for name, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, by) for one in value]
    return by.get(value, value) if isinstance(value, str) else value


# ── Templates ──────────────────────────────────────────────────────────────────────────────────


def _only_source(value: Any) -> Source:
    """What a template writes out. Raises `TypeError` for a value that no filter has written."""
    if not isinstance(value, Source):
        raise TypeError(f"a template writes out {type(value).__name__}, not source text")
    return value


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    finalize=_only_source,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""What the templates are read by: it refuses every value that no filter has written as Python."""

ENVIRONMENT.filters |= {"arguments": arguments, "comment": comment, "literal": literal}
ENVIRONMENT.globals |= {"warning": "", "variable": None, "notes": ()}


def render(template: str, **context: Any) -> str:
    """The program that `templates/{template}.py.jinja` makes of a context.

    All take `title` and `install`, the command that installs what the program needs, and may take
    `warning` (why it no longer works), `variable` (of the environment, with the key) and `notes`.
    """
    return ENVIRONMENT.get_template(f"{template}.py.jinja").render(context)
