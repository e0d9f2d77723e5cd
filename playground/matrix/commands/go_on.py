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
    from ..going_on import plan_of_header
    from ..models import find_models

    models = await find_models([f"{one.backend}/{one.model}" for one in header.models])
    plan = plan_of_header(header, models)
    if plan is None:
        raise Failure("This run's tasks are not known here: go on with the command that began it.")
    return plan
