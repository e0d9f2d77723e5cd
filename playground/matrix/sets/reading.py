"""Items made of a set's files, which lie in a folder as they do on the Hub."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from ...errors import ReaderError
from ..items import Item
from .declaration import Row, SetOfOthers


class SetError(ReaderError):
    """A set cannot be asked: one sentence that says why, and what to do."""


def items_of(
    one: SetOfOthers, folder: Path, languages: Sequence[str], count: int, seed: int
) -> Iterator[Item]:
    """Items of a set: `count` questions, the same in every language, drawn by the seed.

    They come question by question over all languages. Raises `SetError`.
    """
    rows = {code: _rows(one, folder, code) for code in languages if code in one.files}
    if not rows:
        return
    shared = set[tuple[str, int]].intersection(*({*each} for each in rows.values()))
    keys = sorted(shared)
    chosen = Random(f"{seed}/{one.name}").sample(keys, min(count, len(keys)))
    english = rows.get("en", {})
    for index, key in enumerate(chosen):
        for code, each in rows.items():
            row = each[key]
            shown = english[key].prompt if key in english else ""
            yield Item(one.kind, code, index, row.prompt, shown, row.expected)


def _rows(one: SetOfOthers, folder: Path, code: str) -> dict[tuple[str, int], Row]:
    path = folder / one.files[code]
    try:
        rows = one.read(path.read_text("utf-8-sig"), code)
    except FileNotFoundError as error:
        raise SetError(f"There is no file {path}: fetch {one.name} again.") from error
    except (OSError, UnicodeError) as error:
        raise SetError(f"{path} cannot be read ({error}): fetch {one.name} again.") from error
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise SetError(
            f"{path} is not in the form of {one.name} that is known here ({error!r}): its authors "
            "may have changed it."
        ) from error
    return {row.key: row for row in rows}
