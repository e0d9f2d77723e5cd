"""The two models that a view opens with, and the sentence that explains the choice."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from backends import MODELS, REGISTRY, Offer
from playground.health import BackendHealth
from playground.keyring import Keyring
from playground.limits import Limits
from playground.services import Services

_CHECK_TIMEOUT = 0.4
"""Seconds that an opening page waits for health checks: local servers answer in less."""

Side = tuple[BackendHealth, Offer]


@dataclass(frozen=True)
class DefaultPair:
    """Two models to open a view with; `sentence` says so if even built-in ones cannot answer."""

    left: Side
    right: Side
    sentence: str
    """Explains the choice, as HTML."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings to open with, by field of a `Form`, unless the address has its own."""


PairChooser = Callable[[Services, Keyring], Awaitable[DefaultPair]]


async def default_text_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3-mini and Phi-3.5-mini if they are ready, else the built-in pair."""
    every = await services.health.check_all(keyring, within=_CHECK_TIMEOUT)
    known = {one.backend.id: one for one in every}
    for backend, why in (
        ("onnx_genai", "both are on this computer"),
        ("transformers", "both are on this computer"),
        ("ollama", "your Ollama has both"),
    ):
        sides = _ready_sides(known.get(backend), ("phi-3-mini", "phi-3.5-mini"))
        if len(sides) == 2:
            left, right = sides
            return DefaultPair(left, right, _comparison(left, right, why))
    left, right = await _pocket(services, "pocket-3"), await _pocket(services, "pocket-3.5")
    ways = _alternatives(
        services.limits, f"for a real Phi model, {_DOWNLOAD.format('ONNX Runtime')}"
    )
    return DefaultPair(left, right, _BUILT_IN_TEXT + _why_not_ready(left, right) + ways)


async def default_vision_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3-vision and Phi-3.5-vision if ready; if one is, compare it with itself.

    If neither is, compare the built-in one with itself: in 1 crop and in 4.
    """
    here = await services.health.check(REGISTRY["transformers"], keyring)
    families = ("phi-3-vision", "phi-3.5-vision")
    sides = _ready_sides(here, families)
    if len(sides) == 2:
        left, right = sides
        return DefaultPair(left, right, _comparison(left, right, "both are on this computer"))
    if sides:
        (one,) = sides
        sentence = (
            f"Comparing <b>{escape(one[1].spec.label)}</b> with itself: the left side sees a "
            "picture in up to 4 crops, the right side in up to 16."
        )
        return DefaultPair(one, one, sentence, {"left_crops": "4", "right_crops": "16"})
    one = await _pocket(services, "pocket-vision")
    sentence = _BUILT_IN_VISION + _why_not_ready(one)
    sentence += _alternatives(
        services.limits, f"for Phi-3.5-vision, {_DOWNLOAD.format('Transformers')}"
    )
    return DefaultPair(
        one, one, sentence, {"left_crops": "1", "right_crops": "4", "temperature": "0"}
    )


async def default_moe_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3.5-MoE and Phi-3.5-mini if ready, else the built-in MoE and dense model."""
    here = await services.health.check(REGISTRY["transformers"], keyring)
    sides = _ready_sides(here, ("phi-3.5-moe", "phi-3.5-mini"))
    left, right = await _pocket(services, "pocket-moe"), await _pocket(services, "pocket-3.5")
    if sides and sides[0][1].spec.is_mixture:
        # A mixture that fills all GPUs leaves no room for a second model.
        dense_is_built_in = len(sides) == 1 or sides[0][1].status.values.get("uses_device_map")
        left, right = sides[0], right if dense_is_built_in else sides[1]
        return DefaultPair(
            left, right, _comparison(left, right, "both can answer on this computer")
        )
    way = (
        "for Phi-3.5-MoE, choose <b>Transformers</b> if its 84 GB fit here, or a server that has "
        "it (that one does not tell its routing)."
    )
    sentence = _BUILT_IN_MOE + _why_not_ready(left, right) + _alternatives(services.limits, way)
    return DefaultPair(left, right, sentence, {"temperature": "0"})


_BUILT_IN_TEXT = (
    "Comparing the two built-in <b>Pocket</b> models: tiny demonstrations that know this "
    "lesson and little else, not Microsoft models. "
)
_BUILT_IN_VISION = (
    "Comparing the built-in <b>Pocket-Vision</b> with itself: the left side sees a picture in 1 "
    "crop, the right side in up to 4. It is a tiny demonstration that tells shapes, colours "
    "and digits, and little else, not a Microsoft model. "
)
_BUILT_IN_MOE = (
    "Comparing the built-in <b>Pocket-MoE</b>, a mixture of 16 experts, with the dense "
    "<b>Pocket-3.5</b>: tiny demonstrations that know this lesson and little else, not Microsoft "
    "models. Pocket-MoE's routing is real, and only it learned to play the course's agent. "
)
_DOWNLOAD = "choose <b>{}</b> under “Runs on”, pick one and press Download."


async def _pocket(services: Services, key: str) -> Side:
    """Return a built-in model even if its check is late or failed: there is no other fallback."""
    health = await services.health.check(REGISTRY["pocket"])
    listed = (offer for offer in health.offers if offer.spec.key == key)
    return health, next(listed, Offer(key, MODELS[key], health.status))


def _why_not_ready(*sides: Side) -> str:
    """Return the reasons why sides are not ready, as HTML; empty if all are."""
    reasons = dict.fromkeys(offer.status.message for _, offer in sides if not offer.status.ready)
    return "".join(f"<b>Not yet:</b> {escape(reason)} " for reason in reasons)


def _ready_sides(health: BackendHealth | None, families: Sequence[str]) -> list[Side]:
    """Return the first ready model of each family; families are prefixes of catalog keys."""
    if health is None:
        return []
    offers = [offer for offer in health.offers if offer.status.ready]
    found = [
        next((offer for offer in offers if offer.spec.key.startswith(family)), None)
        for family in families
    ]
    return [(health, offer) for offer in found if offer]


def _comparison(left: Side, right: Side, why: str) -> str:
    return (
        f"Comparing <b>{escape(left[1].spec.label)}</b> with "
        f"<b>{escape(right[1].spec.label)}</b>: {escape(why)}."
    )


def _alternatives(limits: Limits, nearest: str) -> str:
    """Return a sentence on how to get the real models; `nearest` is the nearest way."""
    if limits.public:
        return "For the real Phi models, run this page on your own computer."
    return (
        f"{nearest[0].upper()}{nearest[1:]} Every way is on the "
        '<a href="#models" onclick="phi.tab(\'models\'); return false">Models tab</a>.'
    )
