"""Which real Phi models to offer instead of the built-in ones: what fits this computer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends import Capacity, Offer, Sentence
from playground.health import BackendHealth
from playground.numbers import format_bytes

FAMILIES = (("phi-3-mini", "Phi-3-mini"), ("phi-3.5-mini", "Phi-3.5-mini"))
"""What the Text tab is about, by side: the beginning of catalog keys, and the name."""
_BUILDS = {"phi-3-mini": "phi-3-mini-128k"}
"""The one to fetch where a family has several: Phi-3.5-mini came of this one, and the int4 build of
the other turns to nonsense beyond half of its context."""

_FETCHED = ("not_downloaded", "too_large")
"""Codes of offers that a download would make ready; the memory is looked at here."""
_SYSTEM = 2e9
"""Bytes of memory that the system, a browser and this page take beside models."""
_GPU_RESERVE = 1.5e9
"""Bytes of a GPU that no model gets."""
_GPU_WORKSPACE = 2e9
"""Bytes that a mini model takes on a GPU beside its weights: the cache of 4,096 tokens is 1.6e9."""
_SPARE_DISK = 2e8
"""Bytes that a download leaves free."""


@dataclass(frozen=True, slots=True)
class RealModel:
    """A real model, and the side on which it is to be compared."""

    side: int
    name: str
    backend: BackendHealth
    offer: Offer

    @property
    def here(self) -> bool:
        """True if it needs no download."""
        return self.offer.status.ready

    @property
    def missing_size(self) -> int:
        """Bytes that are still to be fetched."""
        return 0 if self.here else (self.offer.download_size or 0) - self.offer.kept_size


@dataclass(frozen=True, slots=True)
class Proposal:
    """The real models that this computer can compare: two, or one, or none and why."""

    models: tuple[RealModel, ...] = ()
    reason: str = ""
    """Why there is no more, in a sentence with numbers; empty if there are two."""

    @property
    def missing(self) -> tuple[RealModel, ...]:
        """Those that have to be fetched first."""
        return tuple(model for model in self.models if not model.here)


def propose(known: Mapping[str, BackendHealth], has: Capacity) -> Proposal:
    """Choose what to compare here: both on a GPU, else both in int4, else one.

    `known` is the health of backends by id.
    """
    torch, onnx = known.get("transformers"), known.get("onnx_genai")
    on_gpu, in_int4 = _models(torch), _models(onnx)
    for models in (_fitting_gpus(on_gpu, has), _fitting_memory(in_int4, has)):
        if len(models) == 2 and _fits_disk(models, has):
            return Proposal(models)
    for models in (_fitting_gpus(on_gpu, has), _fitting_memory(in_int4, has)):
        for model in sorted(models, key=lambda one: (not one.here, -one.side)):
            if _fits_disk((model,), has):
                return Proposal((model,), _why_not(in_int4, has))
    return Proposal(reason=_why_not(in_int4[-1:], has) or _why_no_backend(onnx))


def fit_gpus(offers: Sequence[Offer], has: Capacity) -> bool:
    """True if all these models in bf16 fit into the GPUs together."""
    if not offers:
        return False
    need = [offer.spec.weights_size + _GPU_WORKSPACE for offer in offers]
    room = sum(int((gpu - _GPU_RESERVE) / max(need)) for gpu in has.gpus if gpu > _GPU_RESERVE)
    return room >= len(need)


def fit_memory(offers: Sequence[Offer], has: Capacity) -> bool:
    """True if all these models fit into main memory together; in bf16 where nothing is said."""
    return _memory(offers) <= has.memory - _SYSTEM


def _memory(offers: Sequence[Offer]) -> float:
    return sum(offer.memory or offer.spec.weights_size + _GPU_WORKSPACE for offer in offers)


def _models(health: BackendHealth | None) -> tuple[RealModel, ...]:
    """A model of each family that the backend has, or would fetch."""
    found: list[RealModel] = []
    for side, (family, name) in enumerate(FAMILIES if health else ()):
        assert health
        ours = [one for one in health.offers if one.spec.key.startswith(family)]
        ready = next((one for one in ours if one.status.ready), None)
        wanted = [one for one in ours if one.spec.key == _BUILDS.get(family, family)]
        fetched = next((one for one in wanted if one.status.code in _FETCHED), None)
        if offer := ready or fetched:
            found.append(RealModel(side, name, health, offer))
    return tuple(found)


def _fitting_gpus(models: tuple[RealModel, ...], has: Capacity) -> tuple[RealModel, ...]:
    """Those that fit into the GPUs together: all, or each alone, or none."""
    if models and fit_gpus([one.offer for one in models], has):
        return models
    return tuple(one for one in models if fit_gpus([one.offer], has))[-1:]


def _fitting_memory(models: tuple[RealModel, ...], has: Capacity) -> tuple[RealModel, ...]:
    if fit_memory([one.offer for one in models], has):
        return models
    alone = [one for one in models if fit_memory([one.offer], has)]
    return tuple(sorted(alone, key=lambda one: (one.here, one.side))[-1:])


def _fits_disk(models: Sequence[RealModel], has: Capacity) -> bool:
    missing = sum(one.missing_size for one in models)
    return not missing or missing + _SPARE_DISK <= has.free_disk


def _why_not(models: Sequence[RealModel], has: Capacity) -> str:
    """Why not all of some models can be had here, in a sentence with numbers."""
    if not models:
        return ""
    names = _names(models)
    values = {"names": names, "memory": _memory([one.offer for one in models])}
    if not fit_memory([one.offer for one in models], has):
        return Sentence(
            "{names} together need {memory:bytes} of memory beside {system:bytes} for the system; "
            "this computer has {total:bytes}.",
            one="{names} needs {memory:bytes} of memory beside {system:bytes} for the system; this "
            "computer has {total:bytes}.",
            n=len(models),
            system=_SYSTEM,
            total=has.memory,
            **values,
        )
    if not _fits_disk(models, has):
        return Sentence(
            "{names} need {size:bytes} on the disk; {free:bytes} is free. Make room, or point "
            "HF_HOME to a larger disk.",
            one="{names} needs {size:bytes} on the disk; {free:bytes} is free. Make room, or point "
            "HF_HOME to a larger disk.",
            n=len(models),
            names=names,
            size=sum(one.missing_size for one in models),
            free=has.free_disk,
        )
    return ""


def _why_no_backend(onnx: BackendHealth | None) -> str:
    """Why no model in int4 is offered at all, if packages are missing."""
    missing = onnx is not None and onnx.status.code == "missing_packages"
    if not onnx or not missing:
        return ""
    return Sentence("Real Phi models: {message}", message=Sentence.of(onnx.status.message))


# ── In words ────────────────────────────────────────────────────────────────────────────────────


def button_label(proposal: Proposal, has: Capacity) -> Sentence:
    """`Get Phi-3-mini and Phi-3.5-mini (2.7 + 2.8 GB, about 13 tokens/s here)`."""
    missing = proposal.missing
    if not missing:
        return Sentence("Compare {names}", names=_names(proposal.models))
    values = {"names": _names(missing), "sizes": _sizes(missing)}
    if speed := speed_of(missing, has):
        return Sentence("Get {names} ({sizes}, {speed} here)", speed=speed, **values)
    return Sentence("Get {names} ({sizes})", **values)


def question(proposal: Proposal, has: Capacity) -> tuple[str, str]:
    """What is asked before anything is fetched, and what to know: disk, speed, memory."""
    missing, both = proposal.missing, len(proposal.models) > 1
    named = _both(
        *(f"{one.name} ({format_bytes(one.offer.download_size or 0)})" for one in missing)
    )
    source = Sentence.of(missing[0].backend.backend.downloads_from)
    kept = sum(one.offer.kept_size for one in missing)
    parts: list[str] = []
    if kept >= 5e7:
        parts.append(Sentence("{kept:bytes} of it came before.", kept=kept))
    parts.append(Sentence("{free:bytes} is free on this disk.", free=has.free_disk))
    if speed := speed_of(missing, has):
        code = "One writes {speed} here, half of that while both do."
        parts.append(Sentence(code if both else "One writes {speed} here.", speed=speed))
    memory = sum(one.offer.memory or 0 for one in proposal.models)
    if memory > has.free_memory:
        parts.append(
            Sentence(
                "Together they need {memory:bytes} of memory; {free:bytes} is free now: close "
                "other programs before you ask.",
                one="It needs {memory:bytes} of memory; {free:bytes} is free now: close other "
                "programs before you ask.",
                n=len(proposal.models),
                memory=memory,
                free=has.free_memory,
            )
        )
    if proposal.reason:
        parts.append(proposal.reason)
    what = Sentence("Download {named} from {source}?", named=named, source=source)
    return what, Sentence.chain(*parts)


def speed_of(models: Sequence[RealModel], has: Capacity) -> Sentence:
    """`about 13 tokens/s`: an estimate of the slowest one alone; empty where none can be made."""
    read = [one.offer.bytes_per_token for one in models]
    if not read or None in read:
        return Sentence("")
    speed = has.tokens_per_second(max(one or 0 for one in read))
    if not speed:
        return Sentence("")
    return Sentence("about {speed} tokens/s", speed=_rounded(speed))


def _names(models: Sequence[RealModel]) -> Sentence:
    return _both(*(one.name for one in models))


def _both(first: str, *second: str) -> Sentence:
    return Sentence("{a} and {b}", a=first, b=second[0]) if second else Sentence("{a}", a=first)


def _sizes(models: Sequence[RealModel]) -> str:
    """`2.8 GB`, `2 × 7.6 GB`, `2.7 + 2.8 GB`."""
    sizes = [format_bytes(one.offer.download_size or 0) for one in models]
    if len(sizes) > 1 and len(set(sizes)) == 1:
        return f"{len(sizes)} × {sizes[0]}"
    return " + ".join([*(size.removesuffix(" GB") for size in sizes[:-1]), sizes[-1]])


def _rounded(speed: float) -> float:
    """At most two digits: an estimate knows no more. Below three, halves matter."""
    return round(speed, 1) if speed < 3 else round(float(f"{speed:.2g}"))
