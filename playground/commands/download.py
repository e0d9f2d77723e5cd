"""`download`: fetches a model's files."""

import argparse
import asyncio
import sys
import time
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Protocol

from .failure import DONE, FAILED, INTERRUPTED, Failure, usage

if TYPE_CHECKING:
    from backends import Progress

    from ..model_names import NamedModel

HELP = "fetch a model's files"
_DESCRIPTION = """\
Fetches the files of a model that “python app.py models” lists with a download. Ctrl+C stops; the
same command goes on from there.

  python app.py download onnx_genai/phi-3.5-mini
"""
_SECONDS = 30.0
"""Between two lines where there is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `download`."""
    parser.description = _DESCRIPTION
    parser.add_argument("model", metavar="MODEL", help="as backend/model")


def execute(options: argparse.Namespace) -> int:
    """Fetch it; returns the exit code."""
    try:
        return asyncio.run(_download(options.model))
    except KeyboardInterrupt:
        print(
            "\nStopped. What came so far is kept; the same command goes on from there.",
            file=sys.stderr,
        )
        return INTERRUPTED


async def _download(name: str) -> int:
    from backends import BackendError

    from ..health import HealthMonitor
    from ..model_list import to_fetch
    from ..model_names import find_model
    from ..numbers import format_bytes

    with usage():
        named = await find_model(name, HealthMonitor())
    if named.status.ready:
        print(f"{named.label} is here already. To ask it: {_ask_line(named)}")
        return DONE
    left = to_fetch(named.offer) if named.offer else None
    if left is None:
        raise Failure(f"{named.name} cannot be downloaded: {named.status.message}")
    source = named.backend.downloads_from
    print(f"Fetching {named.label} from {source}: {format_bytes(left)}.", file=sys.stderr)
    try:
        with _teller(named.label) as tell:
            async with aclosing(named.backend.download(named.model)) as steps:
                async for step in steps:
                    tell(step)
    except BackendError as error:
        print(error, file=sys.stderr)
        return FAILED
    print(f"{named.label} is here. To ask it: {_ask_line(named)}")
    return DONE


def _ask_line(named: "NamedModel") -> str:
    return f'python app.py ask "…" --models {named.name}'


class _Tell(Protocol):
    def __call__(self, step: "Progress") -> None: ...


@contextmanager
def _teller(label: str) -> Generator[_Tell, None, None]:
    """Says how far it is: a bar on a terminal, else a line every half minute."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(None),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=None, detail="")

        def tell(step: "Progress") -> None:
            done = step.fraction
            bars.update(
                task, total=None if done is None else 1.0, completed=done or 0.0, detail=step.detail
            )

        yield tell


class _Lines:
    """Lines for a file or another program."""

    def __init__(self) -> None:
        self._at = 0.0

    def __call__(self, step: "Progress") -> None:
        from ..numbers import describe_progress

        now = time.monotonic()
        if now - self._at >= _SECONDS:
            self._at = now
            print(describe_progress(step), file=sys.stderr, flush=True)
