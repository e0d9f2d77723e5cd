"""Programs that make the page's requests: values written as Python that people can read."""

import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from .._core.backend import Backend

WIDTH = 72
"""Columns of a line, where its parts allow it: about as many as a pane shows."""
LONGEST_PICTURE = 2000
"""Characters of base64 that stand in a program; a larger picture is read from a file."""

_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]"
)
"""Letters that take two columns: Chinese, Japanese, Korean."""
_DATA_URL = re.compile(r"data:(image/([\w.+-]+));base64,")


NOBODYS = "\0key\0"
"""Stands for a key while a program is written: no real one goes into it."""


class Expression(str):
    """Python that stands for a value: it is written as it is, not quoted."""

    __slots__ = ()


class Pictures:
    """The pictures of a request that are too large for a program's text: each in a file."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        """The name of each file, by the data URL that it stands for."""

    def move(self, value: Any) -> Any:
        """A copy of a request in which every large data URL is a call of `data_url`."""
        if isinstance(value, Mapping):
            # A text may look like a picture's address; only where a picture stands, it is one.
            return {
                name: one
                if name in ("content", "text") and isinstance(one, str)
                else self.move(one)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.move(one) for one in value]
        if not isinstance(value, str) or len(value) <= LONGEST_PICTURE:
            return value
        if not (found := _DATA_URL.match(value)):
            return value
        kind, ending = found.groups()
        return Expression(f"data_url({quoted(self.name(value, ending))}, {quoted(kind)})")

    def name(self, picture: str, ending: str) -> str:
        """The name of the file that stands for a picture, the same for the same one."""
        return self.files.setdefault(picture, f"picture-{len(self.files) + 1}.{ending}")

    @property
    def saving(self) -> list[str]:
        """The comment that says what to save under which name."""
        names = " and ".join(self.files.values())
        return comment(f"Save the pictures beside this program first, as {names}.")

    @property
    def reader(self) -> list[str]:
        """The lines that define `data_url`; none if no picture was moved."""
        if not self.files:
            return []
        return [
            "",
            "",
            *self.saving,
            "def data_url(name, kind):",
            "    data = base64.b64encode(Path(name).read_bytes()).decode()",
            '    return f"data:{kind};base64,{data}"',
            "",
        ]

    @property
    def imports(self) -> list[str]:
        """What `data_url` needs."""
        return ["import base64", "from pathlib import Path"] if self.files else []


def opening(
    backend: Backend,
    model: str,
    *,
    warning: str = "",
    key: str | None = None,
    notes: Sequence[str] = (),
    install: str | None = None,
) -> list[str]:
    """The comment at the top: what this is, whether it still works, what it needs.

    `warning` says that it was switched off, `key` is the environment variable with the key if
    there is one, `notes` are more sentences, and `install` the command that installs what it
    needs, if that is not what the backend needs.
    """
    install = backend.install if install is None else install
    lines: list[str] = []
    if warning:
        lines += comment(f"Careful: this program no longer works. {warning}")
    lines += comment(f"{model} · {backend.label}")
    if install:
        lines += comment(f"Install first: {install}")
    if key:
        lines += comment(f"Set {key} to your key first; a key is never part of a program.")
    for note in notes:
        lines += comment(note)
    return [*lines, ""]


def retirement(backend: Backend) -> str:
    """That a service was switched off, when, and what there is instead; empty if it was not."""
    if backend.retired is None:
        return ""
    return (
        f"{backend.label} was retired on {backend.retired.on:%Y-%m-%d}. "
        f"Instead: {backend.retired.successor}."
    )


def comment(text: str, indent: int = 0) -> list[str]:
    """A comment of one sentence or two, in as many lines as it takes. No text can break out."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    before = f"{' ' * indent}# "
    return wrap(
        printable, WIDTH, initial_indent=before, subsequent_indent=before,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def call(
    start: str,
    arguments: Mapping[str, Any],
    notes: Mapping[str, str] | None = None,
    *,
    first: str = "",
) -> str:
    """A call with an argument a line: `start` is all of it up to the bracket.

    `notes` are comments above arguments, by their names; `first` stands before them all.
    """
    lines = [f"{start}(", *([f"    {first},"] if first else [])]
    for name, value in arguments.items():
        lines += comment(notes[name], 4) if notes and name in notes else []
        lines.append(f"    {name}={literal(value, 4, len(name) + 2)},")
    return "\n".join([*lines, ")"])


def literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """A value as Python, laid out to be read: a list of long things has one on each line.

    Its line begins after `indent` spaces, and `before` columns of it are taken.
    """
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, str):
        return _text(value, indent, before)
    if isinstance(value, Mapping):
        items = [(f"{quoted(str(name))}: ", one) for name, one in value.items()]
        return _bracketed("{}", items, indent, before)
    if isinstance(value, (list, tuple)):
        brackets = "[]" if isinstance(value, list) else "()"
        return _bracketed(brackets, [("", one) for one in value], indent, before)
    return repr(value)


def _bracketed(brackets: str, items: Sequence[tuple[str, Any]], indent: int, before: int) -> str:
    start, end = brackets
    flat = ", ".join(name + literal(one) for name, one in items)
    if brackets == "()" and len(items) == 1:
        flat += ","
    if "\n" not in flat and columns(flat) + indent + before + 3 <= WIDTH:
        return start + flat + end
    inner = " " * (indent + 4)
    lines = [f"{inner}{name}{literal(one, indent + 4, len(name))}," for name, one in items]
    return "\n".join([start, *lines, " " * indent + end])


def _text(text: str, indent: int, before: int) -> str:
    """A text on one line if it fits, else in brackets, a line of it on a line of the program."""
    whole = quoted(text)
    lines = text.count("\n")
    short = columns(whole) + indent + before + 1 <= WIDTH
    if (short and (lines < 2 or text.endswith("\n" * lines))) or len(text) < 2:
        return whole
    inner = " " * (indent + 4)
    pieces = _pieces(text, max(24, WIDTH - indent - 8))
    if len(pieces) == 1:
        return whole
    return "\n".join(["(", *(inner + quoted(piece) for piece in pieces), " " * indent + ")"])


def _pieces(text: str, room: int) -> list[str]:
    """A text cut after its line ends and, where lines are long, between words."""
    pieces: list[str] = []
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        rest = line
        while columns(rest) > room + 1:
            most = max(8, min(room, room * len(rest) // columns(rest)))
            cut = rest.rfind(" ", most // 2, most) + 1 or most
            pieces.append(rest[:cut])
            rest = rest[cut:]
        pieces += [rest] if rest else []
    return pieces


def quoted(text: str) -> str:
    """A text as one Python string, in double quotes unless it holds some; what cannot be seen is
    escaped."""
    if '"' in text and "'" not in text:
        return repr(text)
    # A text with a single quote and no double one is what repr() puts into double quotes.
    parts = [repr(part + "'")[1:-2] for part in text.split('"')]
    return '"' + '\\"'.join(parts) + '"'


def columns(text: str) -> int:
    """How many columns of a terminal a text takes, about."""
    return len(text) + len(_WIDE.findall(text))


def with_key(text: str, key: str, variable: str | None) -> str:
    """`text` with an environment variable in the place of `key`: `"Key " + os.environ["KEY"]`."""
    if variable is None or key not in text:
        return text
    before, _, after = text.partition(key)
    parts = (before and quoted(before), f"os.environ[{quoted(variable)}]", after and quoted(after))
    return Expression(" + ".join(part for part in parts if part))
