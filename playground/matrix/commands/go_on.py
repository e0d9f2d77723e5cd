"""`continue`: goes on with a run that was stopped, as its own header says."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...commands.failure import Failure
from .until_done import until_done

if TYPE_CHECKING:
    from ..plan import Plan
    from ..run_file import Header

HELP = "go on with a run that was stopped"
_DESCRIPTION = """\
Asks what a run's file does not have yet, as its header says: also what was begun on the page, which
ends with it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `continue`."""
    parser.description = _DESCRIPTION
    parser.add_argument("file", type=Path, metavar="FILE", help="the run file")


def execute(options: argparse.Namespace) -> int:
    """Go on; returns the exit code."""
    from ..run_file import read

    return until_done(_plan_of(read(options.file).header), options.file)


async def _plan_of(header: "Header") -> "Plan":
    """The plan of a run that was begun. Raises `Failure`."""
    from ..asking import items_of_header
    from ..models import find_models
    from ..plan import MAX_TOKENS, Plan

    made = items_of_header(header)
    if not made:
        raise Failure("This run's tasks are not known here: go on with the command that began it.")
    counts = {count for count in header.parallel.values() if count}
    return Plan(
        await find_models([f"{one.backend}/{one.model}" for one in header.models]),
        made,
        header.kinds,
        header.languages,
        header.items,
        header.seed,
        header.settings.max_tokens or MAX_TOKENS,
        counts.pop() if len(counts) == 1 else None,
        texts=header.texts,
    )
