"""HTML of the Models tab: a card for each backend, a row for each model."""

import re
from collections.abc import Sequence
from html import escape

from backends import MODELS, Backend, ModelSpec, Offer, Sentence, Status
from playground.health import BackendHealth
from playground.languages import LANGUAGES
from playground.numbers import format_bytes

from ...compare.status import badge_html, format_parameters, state_class
from ...texts import code_of, told, told_as

_KINDS = {
    "local": "Runs beside this page: no server, no key.",
    "server": "A server of your own.",
    "hosted": "On the internet, or where its address says: your prompt goes there.",
}
_URL = re.compile(r"https?://[^\s<>()]+[^\s<>().,;]")
_MAX_NAMES = 6
"""Models that a card lists; further ones are counted."""
_CHECKING = Status("unreachable", "Checking…", "asking")


def card_html(backend: Backend, health: BackendHealth | None, public: bool = False) -> str:
    """Return a backend's card: state, sentence, time of the check, and how to enable it.

    `public`: for a visitor, who cannot set the page's variables.
    """
    status = health.status if health else _CHECKING
    when = health.checked_at.isoformat(timespec="seconds") if health else ""
    checked_at = f'<time datetime="{when}">{when}</time>' if when else ""
    return (
        f'<header class="state" data-state="{state_class(status)}"><h3>{escape(backend.label)}</h3>'
        f"{badge_html(status)}{checked_at}</header>"
        f"<p>{_sentence(status.message)}{_retirement(backend, status)}</p>"
        f"{_ready_models(health)}{_loaded_models(backend)}"
        f'<p class="kind">{told(_KINDS[backend.kind])}</p>'
        f"{_setup_details(backend, status, public)}"
    )


def _sentence(text: str) -> str:
    """Return a sentence with links."""
    return f'<span data-say="{code_of(text)}">{_with_links(text)}</span>'


def _ready_models(health: BackendHealth | None) -> str:
    """Return the list of models that can answer now."""
    ready = [offer for offer in health.offers if _is_ready(offer)] if health else []
    if not ready:
        return ""
    labels = list(dict.fromkeys(offer.spec.label for offer in ready))
    code, named = "Can answer: {names}", ", ".join(labels[:_MAX_NAMES])
    code += " and {n} more" if len(labels) > _MAX_NAMES else ""
    sentence = Sentence(code, names=named, n=len(labels) - _MAX_NAMES)
    return f'<p class="names">{told(sentence)}</p>'


def _loaded_models(backend: Backend) -> str:
    """Return the models that a backend holds in this machine's memory, with their size."""
    held = [f"{label} ({format_bytes(size)})" for label, size in backend.in_memory()]
    sentence = Sentence("In memory: {names}", names=", ".join(held))
    return f'<p class="names">{told(sentence)}</p>' if held else ""


def _is_ready(offer: Offer) -> bool:
    """True if an offer is ready and has been tried, not only listed."""
    return offer.status.ready and offer.status.code != "untried"


def _retirement(backend: Backend, status: Status) -> str:
    """Return the date of a service's retirement and its source."""
    gone = backend.retired
    if gone is None:
        return ""
    values = {"date": gone.on.isoformat(), "name": gone.successor}
    said = " " + told(Sentence("Retired on {date}: use {name}.", **values))
    link = f'<a href="{escape(gone.source)}" target="_blank" rel="noreferrer">'
    source = f" {link}{told('Source')}</a>."
    # Its own sentence tells the same, as long as it is the retirement that keeps it from working.
    return ("" if status.state == "retired" else said) + source


def _setup_details(backend: Backend, status: Status, public: bool) -> str:
    """Return how to enable a backend: packages, variables, where to get it."""
    lines: list[str] = []
    if backend.missing_packages() and status.code != "no_build":
        lines.append(f"{told('Install:')} <code>{escape(backend.install)}</code>")
    if backend.help:
        lines.append(_sentence(backend.help))
    variables = [name for name in (backend.address_env, backend.key_env) if name]
    if variables and not public:
        named = ", ".join(variables)
        code = "Set {variables} before the page starts, or type below."
        lines.append(told(Sentence(code, variables=named)))
    if not lines:
        return ""
    state = "" if status.ready else " open"
    rows = "".join(f"<li>{line}</li>" for line in lines)
    return f"<details{state}><summary>{told('How to enable it')}</summary><ul>{rows}</ul></details>"


def table_html(every: Sequence[BackendHealth], downloads: bool = True) -> str:
    """Return the table of models; `downloads` adds where one can run after a download."""
    heads = ("Model", "Parameters", "Context", "Languages", "Reads", "Licence", "State", "Runs now")
    head = "".join(f'<th scope="col">{told(name)}</th>' for name in heads)
    rows = "".join(_row(spec, every, downloads) for spec in MODELS.values())
    return (
        '<div class="table" tabindex="0" role="region"'
        f"{told_as('aria-label', 'Models')}><table>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(spec: ModelSpec, every: Sequence[BackendHealth], downloads: bool) -> str:
    name = escape(spec.label)
    if spec.source.startswith("http"):
        name = f'<a href="{escape(spec.source)}" target="_blank" rel="noreferrer">{name}</a>'
    parameters = format_parameters(spec.parameters)
    if spec.active_parameters != spec.parameters:
        active = format_parameters(spec.active_parameters)
        parameters += told(Sentence(" ({parameters} active)", parameters=active))
    cells = (
        parameters,
        f"{spec.context // 1024} k" if spec.context >= 1024 else str(spec.context),
        _languages(spec),
        ", ".join(map(told, spec.modalities)),
        escape(spec.licence),
        _lifecycle(spec),
        _availability(spec, every, downloads),
    )
    return f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)


def _languages(spec: ModelSpec) -> str:
    named = [
        Sentence("{name:language}", name=LANGUAGES[code].english_name)
        for code in spec.languages
        if code in LANGUAGES
    ]
    every = Sentence.chain(*named, between=", ")
    if len(named) <= 4:
        return told(every)
    return f"<span{told_as('title', every)}>{told(Sentence('{n} languages', n=len(named)))}</span>"


def _lifecycle(spec: ModelSpec) -> str:
    day = spec.checked
    checked = told_as("title", Sentence("as of {day:date}", day=day.isoformat())) if day else ""
    said: str = spec.lifecycle
    if spec.lifecycle == "superseded" and spec.successor in MODELS:
        said = Sentence("superseded by {model}", model=MODELS[spec.successor].label)
    return f"<span{checked}>{told(said)}</span>"


def _availability(spec: ModelSpec, every: Sequence[BackendHealth], downloads: bool) -> str:
    """Return the backends that can answer with a model now, or after a download."""
    now: list[str] = []
    later: list[str] = []
    for one in every:
        offers = [offer for offer in one.offers if offer.spec.key == spec.key]
        if any(map(_is_ready, offers)):
            now.append(escape(one.backend.label))
        elif downloads and any(offer.download_size for offer in offers):
            later.append(one.backend.label)
    if now:
        return f'<b class="now">{", ".join(now)}</b>'
    if not later:
        return told("not available here")
    return told(Sentence("after a download: {names}", names=", ".join(later)))


def _with_links(text: str) -> str:
    """Return a sentence as HTML, with links for its URLs and `<code>` for its backticks."""
    html = _URL.sub(
        lambda found: f'<a href="{found[0]}" target="_blank" rel="noreferrer">{found[0]}</a>',
        escape(text),
    )
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
