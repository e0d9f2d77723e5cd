"""The catalog: facts about each model, whoever serves it."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Modality = Literal["text", "image", "audio"]
Lifecycle = Literal["current", "superseded", "demonstration"]
"""`superseded`: its makers name a successor; its weights are still there to download."""

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
    """All its parameters: exact where the published configuration tells, else as the card says."""
    active_parameters: float
    """Those that work on one token: fewer than all in a mixture of experts."""
    context: int
    """Tokens of its full window; what a backend keeps to may be less, as `CONTEXT_CAP`."""
    languages: tuple[str, ...]
    """ISO 639-1 codes of the languages its makers intend it for, in text."""
    modalities: tuple[Modality, ...]
    """What it reads."""
    licence: str
    source: str
    """Where these facts stand: the model card."""
    hub_id: str | None = None
    """Its repository on the Hugging Face Hub; `None` for the built-in models."""
    lifecycle: Lifecycle = "current"
    successor: str | None = None
    """Key of the model that its makers name instead."""
    checked: date | None = None
    """When these facts were last compared with their source; `None` for never."""
    architecture: str | None = None
    """`model_type` in its published `config.json`; `None` if that is not known."""

    @property
    def is_mixture(self) -> bool:
        """True if only some of its parameters work on each token: a mixture of experts."""
        return self.active_parameters < self.parameters

    @property
    def weights_size(self) -> int:
        """Bytes of its weights in bf16, two for each parameter: about what a download takes."""
        return round(2 * self.parameters)


_4K, _8K, _16K, _32K, _64K, _128K = (1024 * k for k in (4, 8, 16, 32, 64, 128))

_CHECKED = date(2026, 11, 20)


def _published(
    key: str,
    repository: str,
    *,
    parameters: float,
    context: int,
    active_parameters: float | None = None,
    languages: tuple[str, ...] = ("en",),
    modalities: tuple[Modality, ...] = ("text",),
    successor: str | None = None,
    architecture: str = "phi3",
) -> ModelSpec:
    """A model that Microsoft publishes on the Hugging Face Hub, all under the MIT licence.

    Successors are those of the retirement table of Azure AI Foundry, which retired all Phi-3 and
    Phi-3.5 models on 2025-08-30 (`concepts-retired-models-content.md` in azure-ai-docs).
    """
    label = repository.removesuffix("-instruct").replace("phi-4", "Phi-4")
    return ModelSpec(
        key=key,
        label=label,
        family="-".join(label.split("-")[:2]),
        parameters=parameters,
        active_parameters=active_parameters or parameters,
        context=context,
        languages=languages,
        modalities=modalities,
        licence="MIT",
        source=f"https://huggingface.co/microsoft/{repository}",
        checked=_CHECKED,
        hub_id=f"microsoft/{repository}",
        lifecycle="superseded" if successor else "current",
        successor=successor,
        architecture=architecture,
    )


MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        _published(
            "phi-3.5-mini",
            "Phi-3.5-mini-instruct",
            parameters=3_821_079_552,
            context=_128K,
            languages=PHI_35_LANGUAGES,
            successor="phi-4-mini",
        ),
        _published(
            "phi-3-mini-4k",
            "Phi-3-mini-4k-instruct",
            parameters=3_821_079_552,
            context=_4K,
            successor="phi-4-mini",
        ),
        _published(
            "phi-3-mini-128k",
            "Phi-3-mini-128k-instruct",
            parameters=3_821_079_552,
            context=_128K,
            successor="phi-4-mini",
        ),
        _published(
            "phi-4-mini",
            "Phi-4-mini-instruct",
            parameters=3_836_021_760,
            context=_128K,
            languages=PHI_35_LANGUAGES,
        ),
        _published(
            "phi-3-small-8k",
            "Phi-3-small-8k-instruct",
            parameters=7.39e9,
            context=_8K,
            successor="phi-4-mini",
            architecture="phi3small",
        ),
        _published(
            "phi-3-small-128k",
            "Phi-3-small-128k-instruct",
            parameters=7.39e9,
            context=_128K,
            successor="phi-4-mini",
            architecture="phi3small",
        ),
        _published(
            "phi-3-medium-4k",
            "Phi-3-medium-4k-instruct",
            parameters=13_960_238_080,
            context=_4K,
            successor="phi-4",
        ),
        _published(
            "phi-3-medium-128k",
            "Phi-3-medium-128k-instruct",
            parameters=13_960_238_080,
            context=_128K,
            successor="phi-4",
        ),
        _published(
            "phi-4",
            "phi-4",
            parameters=14_659_507_200,
            context=_16K,
        ),
        _published(
            "phi-3.5-moe",
            "Phi-3.5-MoE-instruct",
            parameters=41.87e9,
            active_parameters=6.6e9,
            context=_128K,
            languages=PHI_35_LANGUAGES,
            successor="phi-4-mini",
            architecture="phimoe",
        ),
        _published(
            "phi-3-vision",
            "Phi-3-vision-128k-instruct",
            parameters=4.15e9,
            context=_128K,
            modalities=("text", "image"),
            # Not in that table, as Azure never had it serverless; the course goes on to this one.
            successor="phi-3.5-vision",
            architecture="phi3_v",
        ),
        _published(
            "phi-3.5-vision",
            "Phi-3.5-vision-instruct",
            parameters=4.15e9,
            context=_128K,
            modalities=("text", "image"),
            successor="phi-4-mini",  # as the table says, though it reads no pictures
            architecture="phi3_v",
        ),
        _published(
            "phi-4-multimodal",
            "Phi-4-multimodal-instruct",
            parameters=5_574_460_224,
            context=_128K,
            languages=PHI_35_LANGUAGES,  # pictures: English; speech: eight languages
            modalities=("text", "image", "audio"),
            # Transformers has `phi4_multimodal`, for weights converted in a pull request there.
            architecture="phi4mm",
        ),
        _published(
            "phi-4-reasoning",
            "Phi-4-reasoning",
            parameters=14_659_507_200,
            context=_32K,
        ),
        _published(
            "phi-4-reasoning-plus",
            "Phi-4-reasoning-plus",
            parameters=14_659_507_200,
            context=_32K,
        ),
        _published(
            "phi-4-mini-reasoning",
            "Phi-4-mini-reasoning",
            parameters=3_836_021_760,
            context=_128K,
        ),
        _published(
            "phi-4-mini-flash-reasoning",
            "Phi-4-mini-flash-reasoning",
            parameters=3.8e9,
            context=_64K,
            architecture="phi4flash",
        ),
        _published(
            "phi-4-reasoning-vision-15b",
            "Phi-4-reasoning-vision-15B",
            parameters=15e9,
            context=_16K,
            modalities=("text", "image"),
            architecture="phi4-siglip",
        ),
        ModelSpec(
            key="pocket-3",
            label="Pocket-3",
            family="Pocket",
            parameters=3_016_448,
            active_parameters=3_016_448,
            context=4096,
            languages=("en", "es", "zh", "ar"),
            modalities=("text",),
            licence="MIT",
            source="backends/pocket/README.md",
            lifecycle="demonstration",
            successor="pocket-3.5",
            architecture="phi3",
        ),
        ModelSpec(
            key="pocket-3.5",
            label="Pocket-3.5",
            family="Pocket",
            parameters=3_016_448,
            active_parameters=3_016_448,
            context=4096,
            languages=("en", "es", "zh", "ar"),
            modalities=("text",),
            licence="MIT",
            source="backends/pocket/README.md",
            lifecycle="demonstration",
            architecture="phi3",
        ),
        ModelSpec(
            key="pocket-vision",
            label="Pocket-Vision",
            family="Pocket",
            parameters=3_393_472,
            active_parameters=3_393_472,
            context=4096,
            languages=("en", "es", "zh", "ar"),
            modalities=("text", "image"),
            licence="MIT",
            source="backends/pocket/README.md",
            lifecycle="demonstration",
            architecture="phi3_v",
        ),
        ModelSpec(
            key="pocket-moe",
            label="Pocket-MoE",
            family="Pocket",
            parameters=4_144_512,
            active_parameters=1_564_032,
            context=4096,
            languages=("en", "es", "zh", "ar"),
            modalities=("text",),
            licence="MIT",
            source="backends/pocket/README.md",
            lifecycle="demonstration",
            architecture="phimoe",
        ),
    )
}
"""Every model the playground knows, by key, in the order in which pickers show them."""
