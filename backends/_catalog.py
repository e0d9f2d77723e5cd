"""The catalog: facts about each model, whoever serves it."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Modality = Literal["text", "image"]
Lifecycle = Literal["current", "superseded", "demonstration"]

PHI_35_LANGUAGES = (
    *("ar", "zh", "cs", "da", "nl", "en", "fi", "fr", "de", "he", "hu", "it"),
    *("ja", "ko", "no", "pl", "pt", "ru", "es", "sv", "th", "tr", "uk"),
)
"""ISO 639-1 codes of the 23 languages of Phi-3.5 (model card of Phi-3.5-mini-instruct)."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Facts about one model."""

    key: str
    """Our name for it in URLs and files, such as `phi-3.5-mini`."""
    label: str
    """What people call it: `Phi-3.5-mini`."""
    family: str
    parameters: float
    """All its parameters, as a number: 3.8e9."""
    active_parameters: float
    """Those that work on one token; the same number but for a mixture of experts."""
    context: int
    """Tokens of its full window. Backends keep to `CONTEXT_CAP` unless asked otherwise."""
    languages: tuple[str, ...]
    """ISO 639-1 codes of the languages its makers name."""
    modalities: tuple[Modality, ...]
    """What it reads."""
    licence: str
    source: str
    """Where these facts stand."""
    hub_id: str | None = None
    """Its repository on the Hugging Face Hub; `None` for the built-in models."""
    lifecycle: Lifecycle = "current"
    released: date | None = None
    successor: str | None = None
    """Key of the model that its makers, or the course, name instead."""
    checked: date = date(2026, 11, 20)
    """When these facts were last compared with their source."""


_CARD = "https://huggingface.co/microsoft/"

MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        ModelSpec(
            key="phi-3.5-mini",
            label="Phi-3.5-mini",
            family="Phi-3.5",
            parameters=3.8e9,
            active_parameters=3.8e9,
            context=131_072,
            languages=PHI_35_LANGUAGES,
            modalities=("text",),
            licence="MIT",
            source=_CARD + "Phi-3.5-mini-instruct",
            hub_id="microsoft/Phi-3.5-mini-instruct",
            released=date(2024, 8, 20),
            successor="phi-4-mini",
        ),
    )
}
"""Every model the playground knows, by key, in the order in which pickers show them."""
