"""Run files: what was asked, and every answer, one line of JSON each.

The first line is the header. A line is written whole and at once, so that a run that was killed
leaves at most half a line at the end: readers skip it, and who writes on cuts it off. Files come
from other people, too: nothing in them is trusted.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..text import valid_unicode
from .items import Expected, Item

FORMAT = "phi-playground-matrix"
VERSION = 1
MAX_FILE = 256_000_000
"""Bytes of a file; 2,000 answers take about 2 MB."""
MAX_LINE = 4_000_000
"""Bytes of a line."""
MAX_CELLS = 200_000
MAX_TEXT = 400_000
"""Characters of an answer that are kept."""

Outcome = Literal["right", "wrong", "unreadable"]
Stayed = Literal["stayed", "left", "undecided"]
_Name = Annotated[str, StringConstraints(max_length=300)]
_Sentence = Annotated[str, StringConstraints(max_length=4000)]
_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
_Seconds = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]


class RunFileError(Exception):
    """A run file cannot be read or written: one sentence that says why, and what to do."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class RunModel(_Line):
    """One of the models that were asked."""

    side: Annotated[str, StringConstraints(pattern=r"^[a-z]$")]
    backend: _Name
    model: _Name
    """Its name there."""
    label: _Name = ""
    """What people call it."""
    revision: _Name | None = None
    """Its revision or digest, where the backend tells it."""

    @property
    def title(self) -> str:
        """What a report calls it: `Pocket-3`."""
        return self.label or self.model


class Settings(_Line):
    """How every answer was asked for."""

    temperature: float = 0.0
    max_tokens: int | None = None
    seed: int | None = None


class Machine(_Line):
    """Where the program ran."""

    platform: _Name = ""
    processor: _Name = ""
    cores: int | None = None
    memory: int | None = None
    """In bytes."""


class Header(_Line):
    """The first line: what was asked of whom, and with what."""

    format: Literal["phi-playground-matrix"] = FORMAT
    version: int = VERSION
    id: _Name
    date: _Name
    """When it began, in ISO 8601 and UTC."""
    models: Annotated[tuple[RunModel, ...], Field(min_length=1, max_length=8)]
    settings: Settings = Settings()
    kinds: Annotated[tuple[_Name, ...], Field(max_length=100)]
    languages: Annotated[tuple[_Name, ...], Field(max_length=100)]
    items: _Count
    """At most so many of each kind in each language."""
    seed: int
    tasks_hash: _Name
    """SHA-256 of the items: the same tasks have the same one."""
    parallel: Annotated[dict[_Name, _Count], Field(max_length=8)] = {}
    """How many answers each side was asked for at once."""
    versions: Annotated[dict[_Name, _Name], Field(max_length=100)] = {}
    machine: Machine = Machine()


class Cell(_Line):
    """One answer to one item, and what it was worth."""

    item: _Name
    """The item's id: `sum_one/de/3`."""
    side: _Name
    prompt: _Text = ""
    expected: (
        bool
        | int
        | _Sentence
        | tuple[int, ...]
        | tuple[_Sentence, ...]
        | dict[_Name, int | _Sentence]
        | None
    ) = None
    answer: _Text = ""
    finish: _Name | None = None
    """Why it ended: `stop`, `length` …"""
    outcome: Outcome | None = None
    found: _Sentence = ""
    """What was read as the answer in it."""
    why: _Sentence = ""
    stayed: Stayed | None = None
    """Whether it is in the language that was to be answered in."""
    first_token: _Seconds | None = None
    """Seconds to the first token, without those that loading the model took."""
    seconds: _Seconds | None = None
    """Seconds altogether, likewise."""
    prompt_tokens: _Count | None = None
    answer_tokens: _Count | None = None
    error: _Sentence | None = None
    """Why there is no answer: nobody could be asked. A later run asks again."""
    at: _Name = ""
    """When it ended, in ISO 8601 and UTC."""

    @property
    def key(self) -> tuple[str, str]:
        """Item and side: what this answers."""
        return self.item, self.side

    @property
    def place(self) -> tuple[str, str, int]:
        """Kind, language and index, from the item's id. Raises `ValueError`."""
        kind, language, index = self.item.split("/")
        return kind, language, int(index)


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run as it stands in its file."""

    header: Header
    cells: tuple[Cell, ...]
    """One for each item and side that was asked: the latest, where it was asked twice."""


def tasks_hash(items: Sequence[Item]) -> str:
    """SHA-256 of the items in canonical JSON: prompts, right answers and their order."""
    digest = sha256()
    for item in items:
        row = [item.id, item.prompt, plain(item.expected), item.answer_language]
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def plain(expected: Expected) -> Any:
    """A right answer as JSON has it."""
    if isinstance(expected, Mapping):
        return dict(expected)
    return list(expected) if isinstance(expected, tuple) else expected


def read(path: Path) -> RunFile:
    """The run in a file. Raises `RunFileError`."""
    header, cells, _ = _parse(path, _content(path))
    return RunFile(header, cells)


class RunWriter:
    """A run file that is open for writing, by one process at a time; closes as a context."""

    def __init__(self, path: Path, header: Header) -> None:
        """Begin a file, or go on with the one that is there if it was asked for the same.

        Raises `RunFileError`: another run, another program's file, one that another process writes.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise RunFileError(_cannot("write", path, error)) from error
        try:
            _lock(self._file, path)
            content = _content(path) if path.stat().st_size else b""
            self.header, self.cells = self._begin(header, content)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, cell: Cell) -> None:
        """Write one whole line, and give it to the system at once."""
        self._write(cell)

    def _begin(self, header: Header, content: bytes) -> tuple[Header, tuple[Cell, ...]]:
        if not content or _is_half_header(content):
            self._file.truncate(0)
            self._write(header)
            return header, ()
        found, cells, end = _parse(self.path, content)
        if different := differences(found, header):
            raise RunFileError(
                f"{self.path} holds another run, which differs in {' and in '.join(different)}: "
                "go on with the same settings, or write to another file with --out."
            )
        self._file.truncate(end)
        if not content[:end].endswith(b"\n"):
            self._put(b"\n")
        return found, cells

    def _write(self, line: Header | Cell) -> None:
        self._put(line.model_dump_json().encode() + b"\n")

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise RunFileError(_cannot("write", self.path, error)) from error


def differences(found: Header, wanted: Header) -> list[str]:
    """What two headers differ in, in words; what only says when and where it ran does not count."""
    different: list[str] = []
    for name, words in (
        ("models", "its models"),
        ("settings", "its settings"),
        ("kinds", "its tasks"),
        ("languages", "its languages"),
        ("items", "its number of items"),
        ("seed", "its seed"),
    ):
        one, other = getattr(found, name), getattr(wanted, name)
        if one != other and not (name == "seed" and found.settings != wanted.settings):
            different.append(f"{words} ({_short(one)} there, {_short(other)} here)")
    if not different and found.tasks_hash != wanted.tasks_hash:
        different.append("the wording of its tasks (another version of Phi Playground)")
    engines = [
        f"{name} {found.versions.get(name, 'none')} there, {wanted.versions.get(name, 'none')} here"
        for name in sorted({*found.versions, *wanted.versions} - {"playground", "python"})
        if found.versions.get(name) != wanted.versions.get(name)
    ]
    if engines:
        different.append(f"the versions of its engines ({'; '.join(engines)})")
    return different


def cell_text(text: str) -> str:
    """A text as a cell may hold it: valid Unicode, and not longer than a cell."""
    return valid_unicode(text)[:MAX_TEXT]


def sentence(text: str) -> str:
    """The same for a sentence of a cell."""
    return valid_unicode(text)[:4000]


def _parse(path: Path, content: bytes) -> tuple[Header, tuple[Cell, ...], int]:
    """Header and cells, and the place where the last whole line ends."""
    _refuse_foreign_encodings(path, content)
    first, *rest = content.split(b"\n")
    header = _header(path, first.removeprefix(b"\xef\xbb\xbf"))
    cells: dict[tuple[str, str], Cell] = {}
    end = len(first) + (1 if rest else 0)
    for number, line in enumerate(rest, 2):
        is_last = number == len(rest) + 1
        if line.strip():
            try:
                cell = _cell(path, line, number)
            except RunFileError:
                if is_last:  # the rest of a run that was killed while it wrote
                    break
                raise
            cells[cell.key] = cell
            if len(cells) > MAX_CELLS:
                raise RunFileError(f"{path} holds more than {MAX_CELLS:,} answers: split it.")
        end += len(line) + (0 if is_last else 1)
    return header, tuple(cells.values()), end


def _header(path: Path, line: bytes) -> Header:
    foreign = (
        f"{path} is not a run file of Phi Playground: its first line is not the header of one. "
        "Choose a file that “python -m playground.matrix run” wrote."
    )
    if len(line) > MAX_LINE:
        raise RunFileError(foreign)
    try:
        tables: Any = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise RunFileError(
            f"{path} is not UTF-8: it is no run file, or another program has saved it in another "
            "encoding. Save it as UTF-8, or fetch it again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(foreign) from error
    if not isinstance(tables, dict) or tables.get("format") != FORMAT:  # pyright: ignore
        raise RunFileError(foreign)
    version: object = tables.get("version")  # pyright: ignore
    if isinstance(version, int) and version > VERSION:
        raise RunFileError(
            f"{path} was written by a newer Phi Playground (version {version} of the format; this "
            f"one reads up to {VERSION}): update Phi Playground."
        )
    try:
        return Header.model_validate(tables)
    except ValidationError as error:
        raise RunFileError(
            f"{path} has a damaged header, not written by this program ({_first(error)}): fetch "
            "the file again."
        ) from error


def _cell(path: Path, line: bytes, number: int) -> Cell:
    if len(line) > MAX_LINE:
        raise RunFileError(
            f"Line {number} of {path} has {len(line):,} bytes, more than any answer: the file is "
            "damaged or not a run. Take the line out, or fetch the file again."
        )
    try:
        line.decode()
        cell = Cell.model_validate_json(line)
        _ = cell.place
    except UnicodeDecodeError as error:
        raise RunFileError(
            f"Line {number} of {path} is not UTF-8: another program has saved it in another "
            "encoding. Save it as UTF-8, or fetch it again."
        ) from error
    except ValidationError as error:
        raise RunFileError(
            f"Line {number} of {path} is no answer of a run ({_first(error)}): the file was "
            "changed or damaged. Take the line out, or fetch the file again."
        ) from error
    except ValueError as error:
        raise RunFileError(
            f"Line {number} of {path} answers no item of a run (“{_item_of(line)}”): the file was "
            "changed or damaged. Take the line out, or fetch the file again."
        ) from error
    return cell


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise RunFileError(f"{path} is a folder: name a run file in it.")
        size = path.stat().st_size
        if size > MAX_FILE:
            raise RunFileError(
                f"{path} has {size / 1e6:,.0f} MB, more than any run: it is not a run file, or "
                "several in one. Choose another one."
            )
        content = path.read_bytes()
    except OSError as error:
        raise RunFileError(_cannot("read", path, error)) from error
    if not content.strip():
        raise RunFileError(f"{path} is empty: its run wrote nothing. Run it again.")
    return content


def _refuse_foreign_encodings(path: Path, content: bytes) -> None:
    start = content[:4096]
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:2]
    if wide and b"{" in start[:6]:
        raise RunFileError(
            f"{path} is in UTF-16: another program has saved it so (PowerShell's “>” does). "
            "Save it as UTF-8, or fetch it again."
        )
    if b"\0" in start.partition(b"\n")[0]:
        raise RunFileError(f"{path} is a binary file, not a run file. Choose another one.")


def _is_half_header(content: bytes) -> bool:
    """Whether a run was killed while it wrote the first line."""
    if b"\n" in content:
        return False
    start = f'{{"format":"{FORMAT}"'.encode()
    if not (content.startswith(start) or start.startswith(content)):
        return False
    try:
        json.loads(content)
    except ValueError:
        return True
    return False


def _lock(file: BinaryIO, path: Path) -> None:
    """Let no second process write into a file. The lock ends with the process, in any way."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # A byte far behind the end: what is locked cannot be read by others there.
            file.seek(2**40)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RunFileError(
            f"{path} is being written by another run: wait for it, or write to another file."
        ) from error
    except OSError:  # a file system without locks
        return
    finally:
        file.seek(0, os.SEEK_END)


def _cannot(what: str, path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if what == "read" and isinstance(error, FileNotFoundError):
        return f"There is no file {path}: check its name."
    return f"Cannot {what} {path} ({reason}): check the disk and the rights to the file."


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in a few words."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"][:3])
    return f"{where}: {problem['msg']}"[:200] if where else problem["msg"][:200]


def _short(value: object) -> str:
    """A setting in a few words."""
    if isinstance(value, Settings):
        return (
            f"temperature {value.temperature:g}, max tokens {value.max_tokens}, seed {value.seed}"
        )
    if not isinstance(value, tuple):
        return str(value)
    every: list[str] = [
        f"{one.backend}/{one.model}" + (f" at {one.revision}" if one.revision else "")
        if isinstance(one, RunModel)
        else str(one)  # pyright: ignore
        for one in value  # pyright: ignore
    ]
    text = ", ".join(every)
    return text if len(text) <= 120 else f"{len(every)} of them: {text[:100]}…"


def _item_of(line: bytes) -> str:
    return str(json.loads(line)["item"])[:60]
