"""The models of a run, by their names, with a side for each."""

from collections.abc import Sequence

from backends import ModelNotFoundError

from ..errors import ReaderError
from ..health import HealthMonitor
from ..model_names import find_model
from .plan import Asked


class ModelError(ReaderError):
    """A model cannot be asked: one sentence that says why, and what to do."""


async def find_models(names: Sequence[str]) -> tuple[Asked, ...]:
    """The models of a run, the first as side `a`. Raises `ModelError`."""
    monitor = HealthMonitor()
    found: list[Asked] = []
    for side, name in zip("abcdefgh", names, strict=False):
        try:
            named = await find_model(name, monitor)
        except ModelNotFoundError as error:
            raise ModelError(str(error)) from error
        if not named.status.ready:
            raise ModelError(f"{name.strip()} cannot be asked: {named.status.message}")
        revision = named.offer.revision if named.offer else None
        found.append(Asked(side, named.backend, named.model, named.label, revision))
    return tuple(found)
