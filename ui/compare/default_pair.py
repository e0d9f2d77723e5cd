"""The two models that a view opens with, and the sentence that explains the choice."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from backends import MODELS, REGISTRY, Capacity, Offer, Sentence, Status, capacity
from playground.health import BackendHealth, HealthMonitor
from playground.keyring import Keyring
from playground.limits import Limits
from playground.services import Services

from ..texts import told, words
from .proposal import FAMILIES, fit_gpus, fit_memory
from .status import health_of, offer_of

OPENING_TIMEOUT = 0.4
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
    side_settings: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
    """Those of each side, by field of a `SideForm`."""


PairChooser = Callable[[Services, Keyring], Awaitable[DefaultPair]]


async def default_text_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3-mini and Phi-3.5-mini if they are ready, else the built-in pair.

    In this order: a ZeroGPU Space's GPU, ONNX Runtime, Ollama, Transformers on a GPU, Transformers
    on a processor if main memory holds both (slow, but somebody fetched them). If ONNX Runtime has
    one of them, that is compared with a built-in model.
    """
    every, has = await asyncio.gather(
        services.health.check_all(keyring, within=OPENING_TIMEOUT), _capacity()
    )
    known = {one.backend.id: one for one in every}
    families = [family for family, _ in FAMILIES]
    gpu, onnx, ollama, torch = (
        _ready_sides(known.get(backend), families)
        for backend in ("zerogpu", "onnx_genai", "ollama", "transformers")
    )
    lent = known.get("zerogpu")
    spent = _lent_sentence(lent.status) if lent and lent.status.code == "gpu_quota" else ""
    in_bf16 = [offer for _, offer in torch]
    on_gpu = torch if has is None or fit_gpus(in_bf16, has) else []
    on_processor = torch if has and fit_memory(in_bf16, has) else []
    for sides in (gpu, onnx, ollama, on_gpu, on_processor):
        if len(sides) == 2:
            left, right = sides
            return DefaultPair(left, right, spent + text_sentence(sides, services.limits))
    left, right = await _pocket(services, "pocket-3"), await _pocket(services, "pocket-3.5")
    for real in onnx:  # one of them
        if real[1].spec.key.startswith(families[0]):
            left = real
        else:
            right = real
    return DefaultPair(left, right, spent + text_sentence((left, right), services.limits))


def text_sentence(sides: Sequence[Side], limits: Limits) -> str:
    """What the chosen models are, as HTML: demonstrations are called so, of others nothing is said.

    Empty if all are real models, but for those on a GPU that is lent: how long it still is.
    """
    if lent := [offer.status for _, offer in sides if offer.status.code in _LENT]:
        return _lent_sentence(lent[0])
    demonstrations = [side for side in sides if is_demonstration(side)]
    if not demonstrations:
        return ""
    if len(demonstrations) == len(sides) > 1 and limits.public:
        return _BUILT_IN_TEXT + _why_not_ready(*demonstrations) + _PUBLIC
    names = list(dict.fromkeys(offer.spec.label for _, offer in demonstrations))
    if len(demonstrations) == len(sides) > 1 and len(names) > 1:
        what: str = _COUNTS[len(sides)]
    elif len(names) > 1:
        what = Sentence(
            "{names} are tiny built-in demonstrations, not Microsoft models.",
            names=", ".join(names),
        )
    else:
        what = Sentence(
            "{name} is a tiny built-in demonstration, not a Microsoft model.", name=names[0]
        )
    return told(what) + " " + _why_not_ready(*demonstrations)


_LENT = ("gpu_free", "gpu_left", "gpu_quota")


def _lent_sentence(status: Status) -> str:
    """What is left of the time on a GPU that is lent, as HTML; and where to get more."""
    sentence = told(status.message)
    if status.code != "gpu_quota":
        return sentence
    space = quote(os.environ.get("SPACE_ID", ""))
    return (
        f'{sentence} <a href="#models" onclick="phi.tab(\'models\'); return false">Models tab</a>'
        f' · <a href="https://huggingface.co/spaces/{space}?duplicate=true" target="_blank" '
        'rel="noopener">Duplicate this Space</a> '
    )


_COUNTS = {
    2: "Two tiny built-in demonstrations, not Microsoft models.",
    3: "Three tiny built-in demonstrations, not Microsoft models.",
    4: "Four tiny built-in demonstrations, not Microsoft models.",
}


async def chosen_side(
    monitor: HealthMonitor, keyring: Keyring, backend: str, model: str
) -> Side | None:
    """Return what is known of a side's choice; `None` if there is no such backend, or no model."""
    health = await health_of(monitor, backend, keyring)
    if health is None or not model:
        return None
    spec = health.backend.spec_of(model)
    return health, offer_of(health, model) or Offer(model, spec, health.status)


def is_demonstration(side: Side) -> bool:
    """True for a built-in model."""
    return side[1].spec.lifecycle == "demonstration"


async def _capacity() -> Capacity | None:
    """What this machine has; `None` if that takes too long, as a GPU's driver may."""
    try:
        async with asyncio.timeout(OPENING_TIMEOUT):
            return await capacity()
    except TimeoutError:
        return None


async def default_vision_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3-vision and Phi-3.5-vision if ready; if one is, compare it with itself.

    ONNX Runtime cuts pictures as it likes: one model there is compared with the built-in one. If
    neither is ready, compare that one with itself: in 1 crop and in 4.
    """
    families = ("phi-3-vision", "phi-3.5-vision")
    found = [
        _ready_sides(await services.health.check(REGISTRY[backend], keyring), families)
        for backend in ("onnx_genai", "zerogpu" if "zerogpu" in REGISTRY else "transformers")
    ]
    if both := next((sides for sides in found if len(sides) == 2), None):
        left, right = both
        return DefaultPair(left, right, "")
    in_onnx, in_torch = found
    if in_torch:
        (one,) = in_torch
        sentence = told(
            Sentence(
                "Comparing {name} with itself: side A sees a picture in up to 4 crops, side B in "
                "up to 16.",
                name=one[1].spec.label,
            )
        )
        return DefaultPair(one, one, sentence, {}, ({"crops": "4"}, {"crops": "16"}))
    one = await _pocket(services, "pocket-vision")
    if in_onnx:
        (real,) = in_onnx
        return DefaultPair(one, real, text_sentence((one, real), services.limits))
    sentence = _BUILT_IN_VISION + _why_not_ready(one)
    sentence += _alternatives(
        services.limits,
        "For Phi-3.5-vision, choose ONNX Runtime in the first list of a side, pick the model and "
        "press Download.",
    )
    return DefaultPair(one, one, sentence, {"temperature": "0"}, ({"crops": "1"}, {"crops": "4"}))


async def default_moe_pair(services: Services, keyring: Keyring) -> DefaultPair:
    """Choose Phi-3.5-MoE and Phi-3.5-mini if ready, else the built-in MoE and dense model."""
    here = await services.health.check(REGISTRY["transformers"], keyring)
    sides = _ready_sides(here, ("phi-3.5-moe", "phi-3.5-mini"))
    left, right = await _pocket(services, "pocket-moe"), await _pocket(services, "pocket-3.5")
    if sides and sides[0][1].spec.is_mixture:
        # A mixture that fills all GPUs leaves no room for a second model.
        dense_is_built_in = len(sides) == 1 or sides[0][1].status.values.get("uses_device_map")
        left, right = sides[0], right if dense_is_built_in else sides[1]
        return DefaultPair(left, right, text_sentence((left, right), services.limits))
    way = (
        "For Phi-3.5-MoE, choose Transformers if its 84 GB fit here, or a server that has "
        "it (that one does not tell its routing)."
    )
    sentence = _BUILT_IN_MOE + _why_not_ready(left, right) + _alternatives(services.limits, way)
    return DefaultPair(left, right, sentence, {"temperature": "0"})


_BUILT_IN_TEXT = (
    told(
        "Comparing the two built-in Pocket models: tiny demonstrations that know this "
        "lesson and little else, not Microsoft models. Pocket-3 is weaker than Pocket-3.5 in "
        "Chinese and Arabic, as Phi-3-mini is weaker than Phi-3.5-mini."
    )
    + " "
)
_PUBLIC = told("For the real Phi models, run this page on your own computer.")
_BUILT_IN_VISION = (
    told(
        "Comparing the built-in Pocket-Vision with itself: side A sees a picture in 1 "
        "crop, side B in up to 4. It is a tiny demonstration that tells shapes, colours "
        "and digits, and little else, not a Microsoft model."
    )
    + " "
)
_BUILT_IN_MOE = (
    told(
        "Comparing the built-in Pocket-MoE, a mixture of 16 experts, with the dense "
        "Pocket-3.5: tiny demonstrations that know this lesson and little else, not Microsoft "
        "models. Pocket-MoE's routing is real, and only it learned to play the course's agent."
    )
    + " "
)


async def _pocket(services: Services, key: str) -> Side:
    """Return a built-in model even if its check is late or failed: there is no other fallback."""
    health = await services.health.check(REGISTRY["pocket"])
    listed = (offer for offer in health.offers if offer.spec.key == key)
    return health, next(listed, Offer(key, MODELS[key], health.status))


def _why_not_ready(*sides: Side) -> str:
    """Return the reasons why sides are not ready, as HTML; empty if all are."""
    reasons = dict.fromkeys(offer.status.message for _, offer in sides if not offer.status.ready)
    return "".join(f"<b>{told('Not yet:')}</b> {told(reason)} " for reason in reasons)


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


def _alternatives(limits: Limits, nearest: str) -> str:
    """Return a sentence on how to get the real models; `nearest` is the nearest way."""
    if limits.public:
        return _PUBLIC
    every = '<a href="#models" onclick="phi.tab(\'models\'); return false">'
    return f"{told(nearest)} {every}{words('other_ways')}</a>"
