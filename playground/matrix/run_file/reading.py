"""Reading a run file. It may come from anybody: nothing in it is trusted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backends import Sentence

from .errors import RunFileError, cannot
from .lines import FORMAT, VERSION, Cell, Header

MAX_FILE = 256_000_000
"""Bytes of a file; 2,000 answers take about 2 MB."""
MAX_LINE = 4_000_000
"""Bytes of a line."""
MAX_CELLS = 200_000


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run as it stands in its file."""

    header: Header
    cells: tuple[Cell, ...]
    """One for each item and side that was asked: the latest, where it was asked twice."""


def read(path: Path) -> RunFile:
    """The run in a file. Raises `RunFileError`."""
    header, cells, _ = parsed(path, content_of(path))
    return RunFile(header, cells)


def parsed(path: Path, content: bytes) -> tuple[Header, tuple[Cell, ...], int]:
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
                raise RunFileError(
                    Sentence(
                        "{path} holds more than {most} answers: split it.",
                        path=str(path),
                        most=MAX_CELLS,
                    )
                )
        end += len(line) + (0 if is_last else 1)
    return header, tuple(cells.values()), end


def content_of(path: Path) -> bytes:
    """The bytes of a run file. Raises `RunFileError`."""
    try:
        if path.is_dir():
            raise RunFileError(
                Sentence("{path} is a folder: name a run file in it.", path=str(path))
            )
        size = path.stat().st_size
        if size > MAX_FILE:
            raise RunFileError(
                Sentence(
                    "{path} has {size:bytes}, more than any run: it is not a run file, or several "
                    "in one. Choose another one.",
                    path=str(path),
                    size=size,
                )
            )
        content = path.read_bytes()
    except OSError as error:
        raise RunFileError(cannot("read", path, error)) from error
    if not content.strip():
        raise RunFileError(
            Sentence("{path} is empty: its run wrote nothing. Run it again.", path=str(path))
        )
    return content


def is_half_header(content: bytes) -> bool:
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


def _header(path: Path, line: bytes) -> Header:
    foreign = Sentence(
        "{path} is not a run file of Phi Playground: its first line is not the header of one. "
        "Choose a file that “python -m playground.matrix run” wrote.",
        path=str(path),
    )
    if len(line) > MAX_LINE:
        raise RunFileError(foreign)
    try:
        tables: Any = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise RunFileError(
            Sentence(
                "{path} is not UTF-8: it is no run file, or another program has saved it in "
                "another encoding. Save it as UTF-8, or fetch it again.",
                path=str(path),
            )
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(foreign) from error
    if not isinstance(tables, dict) or tables.get("format") != FORMAT:  # pyright: ignore
        raise RunFileError(foreign)
    version: object = tables.get("version")  # pyright: ignore
    if isinstance(version, int) and version > VERSION:
        raise RunFileError(
            Sentence(
                "{path} was written by a newer Phi Playground (version {version} of the format; "
                "this one reads up to {known}): update Phi Playground.",
                path=str(path),
                version=version,
                known=VERSION,
            )
        )
    try:
        return Header.model_validate(tables)
    except ValidationError as error:
        raise RunFileError(
            Sentence(
                "{path} has a damaged header, not written by this program ({said}): fetch the file "
                "again.",
                path=str(path),
                said=_first(error),
            )
        ) from error


def _cell(path: Path, line: bytes, number: int) -> Cell:
    if len(line) > MAX_LINE:
        raise RunFileError(
            Sentence(
                "Line {number} of {path} has {bytes} bytes, more than any answer: the file is "
                "damaged or not a run. Take the line out, or fetch the file again.",
                number=number,
                path=str(path),
                bytes=len(line),
            )
        )
    try:
        line.decode()
        cell = Cell.model_validate_json(line)
        _ = cell.place
    except UnicodeDecodeError as error:
        raise RunFileError(
            Sentence(
                "Line {number} of {path} is not UTF-8: another program has saved it in another "
                "encoding. Save it as UTF-8, or fetch it again.",
                number=number,
                path=str(path),
            )
        ) from error
    except ValidationError as error:
        raise RunFileError(
            Sentence(
                "Line {number} of {path} is no answer of a run ({said}): the file was changed or "
                "damaged. Take the line out, or fetch the file again.",
                number=number,
                path=str(path),
                said=_first(error),
            )
        ) from error
    except ValueError as error:
        raise RunFileError(
            Sentence(
                "Line {number} of {path} answers no item of a run (“{item}”): the file was changed "
                "or damaged. Take the line out, or fetch the file again.",
                number=number,
                path=str(path),
                item=_item_of(line),
            )
        ) from error
    return cell


def _refuse_foreign_encodings(path: Path, content: bytes) -> None:
    start = content[:4096]
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:2]
    if wide and b"{" in start[:6]:
        raise RunFileError(
            Sentence(
                "{path} is in UTF-16: another program has saved it so (PowerShell's “>” does). "
                "Save it as UTF-8, or fetch it again.",
                path=str(path),
            )
        )
    if b"\0" in start.partition(b"\n")[0]:
        raise RunFileError(
            Sentence("{path} is a binary file, not a run file. Choose another one.", path=str(path))
        )


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in a few words."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"][:3])
    return f"{where}: {problem['msg']}"[:200] if where else problem["msg"][:200]


def _item_of(line: bytes) -> str:
    return str(json.loads(line)["item"])[:60]


def jsonl(run: RunFile) -> str:
    """A run as its file has it."""
    return "".join(f"{line.model_dump_json()}\n" for line in (run.header, *run.cells))
