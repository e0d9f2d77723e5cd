"""How fast models were in an earlier run on this machine: how long another one would take."""

from collections import defaultdict
from collections.abc import Sequence

from .items import Item
from .plan import Asked, Plan
from .run_file import Machine, RunFile

ENOUGH = 10
"""Answers of a model from which its pace is known."""


def seconds_of(plan: Plan, runs: Sequence[RunFile], here: Machine) -> float | None:
    """How long a plan takes, by the pace of its models in earlier runs on the same machine.

    `None` if one of its models was not timed here.
    """
    lanes: dict[str, float] = defaultdict(float)
    work = sum(plan.work(item) for item in plan.items)
    for asked in plan.models:
        known = (_pace(plan, run, asked) for run in runs if _here(run, here))
        pace = next((one for one in known if one is not None), None)
        if pace is None:
            return None
        lanes[asked.lane] += work * pace / plan.at_once(asked)
    return max(lanes.values(), default=None)


def _here(run: RunFile, here: Machine) -> bool:
    there = run.header.machine
    return (there.processor, there.cores) == (here.processor, here.cores)


def _pace(plan: Plan, run: RunFile, asked: Asked) -> float | None:
    """Seconds of an answer for each unit of `Plan.work`."""
    wanted = (asked.backend.id, asked.model)
    sides = {one.side for one in run.header.models if (one.backend, one.model) == wanted}
    seconds = work = 0.0
    count = 0
    for cell in run.cells:
        if cell.side in sides and cell.seconds is not None and cell.error is None:
            kind, language, index = cell.place
            work += plan.work(Item(kind, language, index, cell.prompt, ""))  # type: ignore[arg-type]
            seconds += cell.seconds
            count += 1
    return seconds / work if count >= ENOUGH and work else None
