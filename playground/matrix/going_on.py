"""A run that was begun and not ended: what it still has to ask, from its header alone."""

from collections.abc import Sequence

from .asking import items_of_header
from .plan import MAX_TOKENS, Asked, Plan
from .run_file import Header, RunFile


def plan_of_header(header: Header, models: Sequence[Asked]) -> Plan | None:
    """The plan of a run that was begun; `None` if its tasks are not known here."""
    made = items_of_header(header)
    if not made:
        return None
    counts = {count for count in header.parallel.values() if count}
    return Plan(
        tuple(models),
        made,
        header.kinds,
        header.languages,
        header.items,
        header.seed,
        header.settings.max_tokens or MAX_TOKENS,
        counts.pop() if len(counts) == 1 else None,
        texts=header.texts,
    )


def answers_left(run: RunFile) -> int:
    """How many answers a run does not have yet; 0 if its tasks are not known here."""
    items = {item.id for item in items_of_header(run.header)}
    sides = {model.side for model in run.header.models}
    done = {cell.key for cell in run.cells if cell.error is None}
    return sum((item, side) not in done for item in items for side in sides)
