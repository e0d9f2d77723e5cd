"""What is running where: the states in the pickers, and the sentence above it all."""

from collections.abc import Sequence
from html import escape

from backends import REGISTRY, Backend, Offer, Status
from playground.limits import Limits

_WORDS = {
    "ready": "Ready",
    "needs key": "Needs a key",
    "not installed": "Not here yet",
    "unreachable": "Unreachable",
    "retired": "Retired",
    "too_large": "Too large",
}


def _word(status: Status) -> str:
    """A state in a word; its code where that says more."""
    return _WORDS.get(status.code, _WORDS[status.state])


def backend_choices(limits: Limits) -> list[tuple[str, str]]:
    """The backends that may be used here, as a dropdown takes them."""
    return [(backend.label, key) for key, backend in REGISTRY.items() if limits.allows(backend)]


async def model_choices(backend: str) -> list[tuple[str, str]]:
    """A backend's models as a dropdown takes them, each with its state if it is not ready."""
    return [(_label(offer), offer.model) for offer in await _offers(backend)]


async def find_offer(backend: str, model: str) -> Offer | None:
    """One model of one backend."""
    return next((offer for offer in await _offers(backend) if offer.model == model), None)


async def _offers(backend: str) -> Sequence[Offer]:
    return await REGISTRY[backend].models() if backend in REGISTRY else ()


def _label(offer: Offer) -> str:
    if offer.status.ready:
        return offer.spec.label
    return f"{offer.spec.label} — {_word(offer.status).lower()}"


def model_label(backend: str, offer: Offer | None, model: str) -> tuple[str, str]:
    """What to call a side: its model and its backend."""
    known = REGISTRY.get(backend)
    return offer.spec.label if offer else model, known.label if known else backend


def state_html(offer: Offer | None) -> str:
    """A model's state as a word, a colour and a shape, and the sentence behind it."""
    if offer is None:
        return '<p class="state" data-state="none">Choose a model.</p>'
    word = _word(offer.status)
    shape = "too-large" if word == "Too large" else offer.status.state.replace(" ", "-")
    sentence = escape(_sentence_of(offer))
    return (
        f'<p class="state" data-state="{shape}"><b><i aria-hidden="true"></i>{word}</b> '
        f'<span title="{sentence}">{sentence}</span></p>'
    )


def _sentence_of(offer: Offer) -> str:
    if offer.spec.lifecycle == "demonstration":
        return (
            f"A demonstration with {size(offer.spec.parameters)} parameters: knows this lesson "
            "and little else. Not a Microsoft model."
        )
    return f"{size(offer.spec.parameters)} parameters. {offer.status.message}"


def size(parameters: float) -> str:
    """A number of parameters as people write it: `3.8 B`, `41.9 B`, `3.9 M`."""
    unit, scale = ("B", 1e9) if parameters >= 1e9 else ("M", 1e6)
    return f"{parameters / scale:.1f}".removesuffix(".0") + f" {unit}"


async def opening_pair(limits: Limits) -> tuple[tuple[Backend, Offer], tuple[Backend, Offer], str]:
    """The best two models that can answer now, and one sentence that says which and why."""
    ready: list[tuple[Backend, Offer]] = []
    for backend in REGISTRY.values():
        if limits.allows(backend) and backend.id != "pocket":
            ready += [(backend, offer) for offer in await backend.models() if offer.status.ready]
    older = [pair for pair in ready if pair[1].spec.key.startswith("phi-3-mini")]
    newer = [pair for pair in ready if pair[1].spec.key.startswith("phi-3.5-mini")]
    if older and newer:
        left, right = older[0], newer[0]
        return left, right, _sentence(left, right, "both are on this computer")
    pocket = REGISTRY["pocket"]
    offers = {offer.model: offer for offer in await pocket.models()}
    left, right = (pocket, offers["pocket-3"]), (pocket, offers["pocket-3.5"])
    return left, right, _pocket_sentence(limits)


def _sentence(left: tuple[Backend, Offer], right: tuple[Backend, Offer], why: str) -> str:
    return (
        f"Comparing <b>{escape(left[1].spec.label)}</b> with "
        f"<b>{escape(right[1].spec.label)}</b>: {escape(why)}."
    )


def _pocket_sentence(limits: Limits) -> str:
    head = (
        "Comparing the two built-in <b>Pocket</b> models: tiny demonstrations that know this "
        "lesson and little else, not Microsoft models. "
    )
    if limits.public:
        return head + "For the real Phi models, run this page on your own computer."
    return head + (
        "For real Phi models, choose <b>Transformers</b> under “Runs on”, pick one and press "
        "Download."
    )
