"""Backends' models as plain data, for programs."""

from collections.abc import Sequence
from typing import Any

from backends import Offer

from .health import BackendHealth


def rows(health: BackendHealth, offers: Sequence[Offer] | None = None) -> list[dict[str, Any]]:
    """A backend's models, or some of them: names as `find_model` takes them, states and sizes."""
    return [
        {
            "name": f"{health.backend.id}/{offer.model}",
            "label": offer.spec.label,
            "backend": health.backend.label,
            "state": offer.status.state,
            "message": offer.status.message,
            "pictures": "image" in offer.spec.modalities,
            "download_bytes": to_fetch(offer),
            "memory_bytes": offer.memory,
            "context": offer.context,
        }
        for offer in (health.offers if offers is None else offers)
    ]


def to_fetch(offer: Offer) -> int | None:
    """Bytes that are left to be downloaded; `None` where nothing is."""
    if offer.download_size is None or offer.status.ready:
        return None
    return max(0, offer.download_size - offer.kept_size)
