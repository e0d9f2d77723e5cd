"""Models as programs name them, `backend/model`, found among what the backends offer."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from backends import Backend, Health, ModelNotFoundError, Offer, Status

from .health import HealthMonitor, backends_for
from .keyring import Keyring

SUGGESTIONS = 3
SUGGEST_WITHIN = 2.5
"""Seconds for looking at all backends, when a name is known nowhere."""


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that a program has named, and whether it can be asked."""

    backend: Backend
    model: str
    """Its id there: what `Backend.stream` takes."""
    label: str
    status: Status
    offer: Offer | None = None
    """As the backend lists it; `None` where it does not."""

    @property
    def name(self) -> str:
        """As `find_model` takes it."""
        return f"{self.backend.id}/{self.model}"


async def find_model(
    name: str, monitor: HealthMonitor, keyring: Keyring | None = None
) -> NamedModel:
    """The model of a name, ready or not. Raises `ModelNotFoundError`, and suggests what is near.

    The model is named by its id at the backend, another id of it there, or its key in the catalog.
    """
    place, slash, model = name.strip().partition("/")
    allowed = {backend.id: backend for backend in backends_for(monitor.limits, keyring)}
    backend = allowed.get(place)
    if backend is None or not slash or not model:
        every = await monitor.check_all(keyring, within=SUGGEST_WITHIN)
        near = _near(name, [f"{one.backend.id}/{o.model}" for one in every for o in one.offers])
        raise ModelNotFoundError(
            f"There is no model “{name}”: write backend/model, such as pocket/pocket-3.5, with one "
            f"of the backends {', '.join(allowed)}.",
            _did_you_mean(near),
        )
    health = await monitor.check(backend, keyring)
    if offer := _offer(health, model):
        return NamedModel(backend, offer.model, offer.spec.label, offer.status, offer)
    if backend.accepts_custom_models or not health.status.ready:
        return NamedModel(backend, model, model, health.status)
    known = [offer.model for offer in health.offers]
    ready = [offer.model for offer in health.offers if offer.status.ready]
    what = f": choose one of {', '.join(ready)}." if ready else ", nor any other that is ready."
    raise ModelNotFoundError(
        f"{backend.label} has no model “{model}”{what}",
        _did_you_mean([f"{backend.id}/{one}" for one in _near(model, known)]),
    )


def _offer(health: Health, model: str) -> Offer | None:
    by_id = [offer for offer in health.offers if model in (offer.model, *offer.aliases)]
    by_key = [offer for offer in health.offers if model == offer.spec.key]
    return min(by_id or by_key, key=lambda offer: not offer.status.ready, default=None)


def _near(name: str, known: Sequence[str]) -> list[str]:
    """Names that are spelled almost so, with or without their backend."""
    given = name.strip().casefold()
    ends = [one for one in known if given and one.casefold().endswith(f"/{given}")]
    spelled = {one.casefold(): one for one in known}
    close = [spelled[one] for one in get_close_matches(given, spelled, SUGGESTIONS)]
    return list(dict.fromkeys([*ends, *close]))[:SUGGESTIONS]


def _did_you_mean(names: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(names)}?" if names else ""
