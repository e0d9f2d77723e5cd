"""Models as the command line names them, `backend/model`, found among what the backends offer."""

from collections.abc import Sequence

from backends import REGISTRY, Backend, Health, Offer

from .plan import Asked


class ModelError(Exception):
    """A model cannot be asked: one sentence that says why, and what to do."""


async def find_models(names: Sequence[str]) -> tuple[Asked, ...]:
    """The models of a run, the first as side `a`. Raises `ModelError`."""
    healths: dict[str, Health] = {}
    found: list[Asked] = []
    for place, name in enumerate(names):
        found.append(await _find(chr(ord("a") + place), name.strip(), healths))
    return tuple(found)


async def _find(side: str, name: str, healths: dict[str, Health]) -> Asked:
    place, slash, model = name.partition("/")
    backend = REGISTRY.get(place)
    if not slash or not model or backend is None:
        raise ModelError(
            f"There is no model “{name}”: write backend/model, such as pocket/pocket-3.5, with one "
            f"of the backends {', '.join(REGISTRY)}."
        )
    if place not in healths:
        await backend.load(None)
        healths[place] = await backend.check(None)
    health = healths[place]
    offer = _offer(health, model)
    if offer is None:
        return _typed(side, backend, model, health)
    if not offer.status.ready:
        raise ModelError(f"{name} cannot be asked: {offer.status.message}")
    return Asked(side, backend, offer.model, offer.spec.label, offer.revision)


def _offer(health: Health, model: str) -> Offer | None:
    """The offer of a model by its id there, another id of it, or its key in the catalog."""
    by_id = [offer for offer in health.offers if model in (offer.model, *offer.aliases)]
    by_key = [offer for offer in health.offers if model == offer.spec.key]
    return min(by_id or by_key, key=lambda offer: not offer.status.ready, default=None)


def _typed(side: str, backend: Backend, model: str, health: Health) -> Asked:
    """A model that a backend does not list, where it may be asked for it all the same."""
    if backend.accepts_custom_models and health.status.ready:
        return Asked(side, backend, model, model)
    if not health.status.ready:
        raise ModelError(f"{backend.label} cannot be asked: {health.status.message}")
    known = ", ".join(offer.model for offer in health.offers if offer.status.ready)
    raise ModelError(
        f"{backend.label} has no model “{model}”"
        + (f": choose one of {known}." if known else ", nor any other that is ready.")
    )
