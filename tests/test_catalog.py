"""The catalog: every Phi-3, Phi-3.5 and Phi-4 model, with facts that agree with each other."""

from dataclasses import FrozenInstanceError

import pytest

from backends import MODELS, ModelSpec
from playground.languages import LANGUAGES

PUBLISHED = [spec for spec in MODELS.values() if spec.hub_id]

HUB_IDS = {
    "microsoft/Phi-3-mini-4k-instruct",
    "microsoft/Phi-3-mini-128k-instruct",
    "microsoft/Phi-3-small-8k-instruct",
    "microsoft/Phi-3-small-128k-instruct",
    "microsoft/Phi-3-medium-4k-instruct",
    "microsoft/Phi-3-medium-128k-instruct",
    "microsoft/Phi-3-vision-128k-instruct",
    "microsoft/Phi-3.5-mini-instruct",
    "microsoft/Phi-3.5-vision-instruct",
    "microsoft/Phi-3.5-MoE-instruct",
    "microsoft/phi-4",
    "microsoft/Phi-4-mini-instruct",
    "microsoft/Phi-4-multimodal-instruct",
    "microsoft/Phi-4-reasoning",
    "microsoft/Phi-4-reasoning-plus",
    "microsoft/Phi-4-mini-reasoning",
    "microsoft/Phi-4-mini-flash-reasoning",
    "microsoft/Phi-4-reasoning-vision-15B",
}


def test_every_published_phi_model_is_here_once() -> None:
    ids = [spec.hub_id for spec in PUBLISHED]
    assert len(ids) == len(set(ids))
    assert set(ids) == HUB_IDS


def test_pickers_begin_with_the_mini_models() -> None:
    assert list(MODELS)[:3] == ["phi-3.5-mini", "phi-3-mini-4k", "phi-3-mini-128k"]


def test_labels_are_distinct() -> None:
    assert len({spec.label for spec in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_facts_agree(spec: ModelSpec) -> None:
    assert MODELS[spec.key] is spec
    assert spec.key == spec.key.lower().replace(" ", "-")
    assert 0 < spec.active_parameters <= spec.parameters
    assert spec.context % 1024 == 0
    assert spec.modalities[0] == "text"
    assert spec.languages and set(spec.languages) <= set(LANGUAGES)
    assert spec.licence and spec.source


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.key)
def test_published_models_name_their_source_family_and_architecture(spec: ModelSpec) -> None:
    assert spec.source == f"https://huggingface.co/{spec.hub_id}"
    assert spec.label.startswith(spec.family + "-") or spec.label == spec.family
    assert spec.family in ("Phi-3", "Phi-3.5", "Phi-4")
    assert spec.licence == "MIT"
    assert spec.architecture


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.key)
def test_superseded_models_lead_to_a_current_one(spec: ModelSpec) -> None:
    assert (spec.lifecycle == "superseded") == (spec.successor is not None)
    assert (spec.lifecycle == "current") == (spec.family == "Phi-4")
    seen = [spec]
    while successor := seen[-1].successor:
        seen.append(MODELS[successor])
        assert len(seen) < 4
    assert seen[-1].lifecycle == "current"


def dense_phi_parameters(
    *, layers: int, hidden: int, key_value: int, inner: int, vocabulary: int, tied: bool = False
) -> int:
    """Parameters of a `phi3` model, counted from the numbers of its configuration."""
    attention = hidden * (hidden + 2 * key_value) + hidden * hidden
    block = attention + 3 * hidden * inner + 2 * hidden
    return layers * block + hidden + vocabulary * hidden * (1 if tied else 2)


def test_parameter_counts_follow_from_the_configurations() -> None:
    mini = dense_phi_parameters(
        layers=32, hidden=3072, key_value=3072, inner=8192, vocabulary=32_064
    )
    medium = dense_phi_parameters(
        layers=40, hidden=5120, key_value=1280, inner=17_920, vocabulary=32_064
    )
    phi_4 = dense_phi_parameters(
        layers=40, hidden=5120, key_value=1280, inner=17_920, vocabulary=100_352
    )
    phi_4_mini = dense_phi_parameters(
        layers=32, hidden=3072, key_value=1024, inner=8192, vocabulary=200_064, tied=True
    )
    assert MODELS["phi-3.5-mini"].parameters == MODELS["phi-3-mini-4k"].parameters == mini
    assert MODELS["phi-3-medium-4k"].parameters == medium
    assert MODELS["phi-4"].parameters == MODELS["phi-4-reasoning"].parameters == phi_4
    assert MODELS["phi-4-mini"].parameters == MODELS["phi-4-mini-reasoning"].parameters
    assert MODELS["phi-4-mini"].parameters == phi_4_mini


def test_weights_of_mini_take_7_64_gb() -> None:
    assert MODELS["phi-3.5-mini"].weights_size == pytest.approx(7.64e9, rel=1e-3)


def test_only_the_mixture_of_experts_leaves_parameters_idle() -> None:
    idle = [spec.key for spec in PUBLISHED if spec.active_parameters < spec.parameters]
    assert idle == ["phi-3.5-moe"]
    assert MODELS["phi-3.5-moe"].active_parameters == 6.6e9


def test_the_23_languages_came_with_phi_35() -> None:
    many = {spec.key for spec in PUBLISHED if len(spec.languages) == 23}
    assert many == {"phi-3.5-mini", "phi-3.5-moe", "phi-4-mini", "phi-4-multimodal"}


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        MODELS["phi-4"].context = 1  # pyright: ignore[reportAttributeAccessIssue]
