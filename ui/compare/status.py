"""States of backends and models in words, for lists, badges and the line under a picker."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from backends import MODELS, Offer, Sentence, Status, clean_name
from playground.health import BackendHealth, HealthMonitor, backends_for
from playground.keyring import Keyring
from playground.limits import Limits

from ..texts import code_of, say, told

_STATE_LABELS = {
    "ready": "Ready",
    "needs key": "Needs a key",
    "not installed": "Not here yet",
    "unreachable": "Unreachable",
    "retired": "Retired",
    "too_large": "Too large",
    "no_address": "Needs an address",
    "not_pulled": "Not here yet",
    "missing_dependency": "Not installed",
    "missing_packages": "Not installed",
    "no_build": "Not for this computer",
    "untried": "Not tried yet",
}


MODELS_TAB = (
    ' <a href="#models" onclick="phi.tab(\'models\'); return false">' + told("Models tab") + "</a>"
)


def state_label(status: Status) -> str:
    """Return the label of a state, more specific for some codes."""
    return _STATE_LABELS.get(status.code, _STATE_LABELS[status.state])


def state_class(status: Status) -> str:
    """Return the value of the `data-state` attribute that selects colour and shape."""
    kind = status.code if status.code in ("too_large", "no_address", "untried") else status.state
    return kind.replace(" ", "-").replace("_", "-")


def badge_html(status: Status) -> str:
    """Return a state's label with its coloured shape."""
    return f'<b><i aria-hidden="true"></i>{told(state_label(status))}</b>'


def _choice_label(label: str, status: Status, locale: str) -> str:
    plain = status.ready and status.code != "untried"
    return label if plain else f"{label} — {say(state_label(status), locale=locale).lower()}"


def allowed_backends(limits: Limits, keyring: Keyring | None = None) -> list[tuple[str, str]]:
    """Return label and id of each backend that may be used here, before any check."""
    return [(backend.label, backend.id) for backend in backends_for(limits, keyring)]


def is_usable(limits: Limits, health: BackendHealth) -> bool:
    """False if a visitor of a public page has no way to make the backend ready."""
    if not limits.public or health.status.ready:
        return True
    no_address = health.status.code == "no_address" and not limits.takes_address(health.backend)
    never_usable = health.backend.kind == "local" or no_address
    return not (never_usable or health.status.state == "retired")


def backend_choices(health: Sequence[BackendHealth], locale: str = "en") -> list[tuple[str, str]]:
    """Return backends as choices of a dropdown: ready ones first, others with their state.

    Gradio's lists are drawn as they are given: so here, and in `model_choices`, in a language.
    """
    ranked = sorted(health, key=lambda one: not one.status.ready)
    return [
        (_choice_label(one.backend.label, one.status, locale), one.backend.id) for one in ranked
    ]


def model_choices(health: BackendHealth, locale: str = "en") -> list[tuple[str, str]]:
    """Return a backend's models as choices of a dropdown, with their state if not ready."""
    labels = Counter(offer.spec.label for offer in health.offers)
    retired = {
        offer.spec.successor: offer.spec.label
        for offer in health.offers
        if offer.status.state == "retired"
    }
    choices: list[tuple[str, str]] = []
    for offer in health.offers:
        label = offer.spec.label
        if labels[label] > 1:  # copies of one model: their own names tell them apart
            label = f"{label} ({offer.model})"
        if offer.spec.key in retired and offer.status.ready:
            named = {"label": label, "old": retired[offer.spec.key]}
            label = say("{label} (replaces {old})", named, locale)
        choices.append((_choice_label(label, offer.status, locale), offer.model))
    return choices


async def health_of(monitor: HealthMonitor, backend: str, keyring: Keyring) -> BackendHealth | None:
    """The health of a backend; `None` if there is none of that name."""
    known = keyring.backend(backend)
    return await monitor.check(known, keyring) if known else None


async def find_offer(
    monitor: HealthMonitor, backend: str, model: str, keyring: Keyring
) -> Offer | None:
    """Return a backend's offer of a model, after a health check; `None` if there is none."""
    return offer_of(await health_of(monitor, backend, keyring), model)


def offer_of(health: BackendHealth | None, model: str) -> Offer | None:
    """Return the offer of a model; one that is not listed too if custom names are accepted."""
    model = clean_name(model)
    if health is None or not model:
        return None
    named = (offer for offer in health.offers if model in (offer.model, *offer.aliases))
    listed = min(named, key=lambda offer: offer.model != model, default=None)
    if listed or not health.backend.accepts_custom_models:
        return listed
    status = health.status
    if status.ready:
        status = Status("ready", "A name you typed: the server will say if it has it.", "typed")
    return Offer(model, health.backend.spec_of(model), status)


def model_label(
    monitor: HealthMonitor, backend: str, model: str, keyring: Keyring
) -> tuple[str, str]:
    """Return the labels of a side's model and backend without checking its health."""
    known = keyring.backend(backend)
    if known is None:
        return model, backend
    offer = offer_of(monitor.last(known, keyring), model)
    return offer.spec.label if offer else known.spec_of(model).label, known.label


def state_html(health: BackendHealth | None, offer: Offer | None) -> str:
    """Return the state of a model, else of its backend, with its sentence."""
    status = offer.status if offer else health.status if health else None
    if status is None or (offer is None and status.ready):
        what = "Type the name of a model." if health and not health.offers else "Choose a model."
        what = what if health else "It is not here any more. Choose another one."
        return f'<p class="state" data-state="none">{told(what)}</p>'
    sentence = _offer_sentence(offer) if offer else status.message
    return (
        f'<p class="state" data-state="{state_class(status)}">{badge_html(status)} '
        f'<span title="{escape(sentence)}" data-say-title="{code_of(sentence)}">{told(sentence)}'
        f"</span>{_next_step_html(health, offer, status)}</p>"
    )


def _next_step_html(health: BackendHealth | None, offer: Offer | None, status: Status) -> str:
    """Return a hint on what to do about a state in which nothing can be asked."""
    if status.ready or health is None or health.backend.kind == "local":
        return ""
    successor = MODELS.get(offer.spec.successor or "") if offer else None
    if status.state == "retired" and successor:
        return " " + told(Sentence("Its successor is {name}.", name=successor.label))
    return MODELS_TAB


def _offer_sentence(offer: Offer) -> str:
    values = {"parameters": format_parameters(offer.spec.parameters)}
    if offer.spec.lifecycle == "demonstration":  # the view's first sentence calls it so
        if "image" in offer.spec.modalities:
            code = "{parameters} parameters: shapes, colours, digits and little else."
            return Sentence(code, **values)
        return Sentence("{parameters} parameters: this lesson and little else.", **values)
    size = Sentence("{parameters} parameters.", **values) if offer.spec.parameters else ""
    return Sentence.chain(size, offer.status.message)


def format_parameters(parameters: float) -> str:
    """Format a number of parameters: `3.8 B`, `41.9 B`, `3.9 M`."""
    unit, scale = ("B", 1e9) if parameters >= 1e9 else ("M", 1e6)
    return f"{parameters / scale:.1f}".removesuffix(".0") + f" {unit}"
