"""Which of the catalog's models a name means: a guess, by whole segments."""

import pytest

from backends import MODELS, known_model

SNAPSHOT = "snapshots/2fe192450127e6a83f7441aef6e3ca586c338b77"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (
            "phi-3.5-mini",
            [
                *("phi-3.5-mini", "Phi-3.5-mini-instruct", "microsoft/Phi-3.5-mini-instruct"),
                *("phi-3.5-mini-instruct-q4_k_m.gguf", "Phi-3.5-mini-instruct.Q4_K_M.gguf"),
                *("microsoft_Phi-3.5-mini-instruct-IQ3_XXS.gguf", "Phi-3.5-mini-instruct-onnx"),
                *("Phi-3.5-mini-instruct-UD-Q4_K_XL.gguf", "phi-3.5-mini-instruct@q8_0"),
                *("unsloth/Phi-3.5-mini-instruct-bnb-4bit", "me/phi-3.5-mini-instruct-GGUF"),
                *("mlx-community/Phi-3.5-mini-instruct-4bit", "phi-3.5-mini-instruct-awq-int4"),
                *("Phi-3.5-mini-instruct-generic-gpu:3", "Phi-3.5-mini-instruct-trtrtx-gpu"),
                *("Phi-3.5-mini-instruct-int4-ov", "phi-3.5-mini-instruct-2024-08-20"),
                *("phi-3.5-mini-instruct-20240820", "phi-3.5-mini-instruct-2408-fp8"),
                *("Phi-3.5-mini-instruct-w4a16", "phi3.5-mini", "phi3_5_mini", "Phi 3.5 mini"),
                *("phi3.5", "phi3.5:latest", "phi-3.5-mini-128k-instruct", "phi-3.5-mini-3.8b"),
                "/models/Phi-3.5-mini-instruct",
                r"C:\Users\me\models\Phi-3.5-mini-instruct-Q4_0.gguf",
                "Phi-3.5-mini-instruct-Q8_0-00001-of-00002.gguf",
                f"/root/.cache/huggingface/hub/models--microsoft--Phi-3.5-mini-instruct/{SNAPSHOT}",
                "Phi-3.5-mini-instruct/cpu_and_mobile/cpu-int4-awq-block-128-acc-level-4",
                "Phi-3.5-mini-instruct/ggml-model-q4_0.gguf",
                " microsoft/Phi-3.5-mini-instruct ",
            ],
        ),
        (
            "phi-3-mini-4k",
            [
                *("Phi-3-mini-4k-instruct", "Phi-3-mini-4k-instruct-q4.gguf", "phi3", "phi3:mini"),
                "hf.co/microsoft/Phi-3-mini-4k-instruct-gguf:latest",
            ],
        ),
        ("phi-3-medium-4k", ["phi3:medium", "phi3:14b", "Phi-3-medium-4k-instruct"]),
        ("phi-3-mini-128k", ["microsoft/phi-3-mini-128k-instruct"]),
        ("phi-4", ["phi-4", "phi4:latest", "microsoft/phi-4:free", "Phi-4-14b-Q4_K_M.gguf"]),
        ("phi-4-mini", ["phi4-mini", "Phi-4-mini-instruct-fp16"]),
        ("phi-4-mini-reasoning", ["phi4-mini-reasoning:latest", "Phi-4-mini-reasoning-GGUF"]),
        ("phi-4-reasoning-plus", ["Phi-4-reasoning-plus", "phi4-reasoning:plus"]),
        ("phi-4-reasoning-vision-15b", ["microsoft/Phi-4-reasoning-vision-15B"]),
        ("phi-3.5-moe", ["Phi-3.5-MoE-instruct-Q4_K_S.gguf"]),
        ("phi-3.5-vision", ["OpenVINO/Phi-3.5-vision-instruct-int4-ov"]),
        ("pocket-3.5", ["pocket-3.5", "Pocket-3.5-Q4_0.gguf", "pocket_3.5-f16"]),
        ("pocket-3", ["Pocket-3"]),
    ],
)
def test_names_of_a_model(key: str, names: list[str]) -> None:
    assert {name: known_model(name).key for name in names} == dict.fromkeys(names, key)


@pytest.mark.parametrize(
    "name",
    [
        *("llava-phi-3.5-mini", "llava-phi-3-mini-4k-instruct", "my-phi-4", "tinyphi-3"),
        *("tiny-phi-3-mini-4k", "phi-3.5-mini-abliterated-v2", "phi-3.5-mini-instruct-uncensored"),
        *("Phi-3.5-mini-instruct_Uncensored-Q4_K_M.gguf", "phi-3.5-mini-ITA", "phi-4-lora-mine"),
        *("phi-4.5", "phi-4-5", "phi-40", "phi-3.5-mini2", "phi-3.5-minimal", "phi-35", "phi-3"),
        *("phi-4-turbo", "phi-4-mini-turbo", "sphinx-4", "delphi-4", "graphi-4-mini", "phi"),
        *("phi-4/adapters/my-lora", "microsoft/Phi-4-mini-instruct/my-lora", "pocket-30"),
        *("pocketful-3", "SmolLM2-135M-Instruct", "gpt-4", "", "q4_k_m.gguf", "/", "instruct"),
        *("not-microsoft-phi-4-at-all", "draft-of-phi-3.5-mini-instruct", "phi3:pirate"),
    ],
)
def test_names_of_other_models(name: str) -> None:
    spec = known_model(name)
    assert (spec.label, spec.parameters, spec.context) == (name, 0, 0)
    assert "image" in spec.modalities, "nobody knows what it reads"


@pytest.mark.parametrize("key", MODELS)
def test_a_model_goes_by_its_own_names(key: str) -> None:
    spec = MODELS[key]
    for name in (key, spec.hub_id or key, f"{spec.hub_id or key}-Q4_K_M.gguf"):
        assert known_model(name) is spec


@pytest.mark.parametrize("piece", ["-q4_k_m", "-int4-", "-2024-0820", "-04-20240820", "block-1-"])
def test_a_hostile_name_is_read_in_time_that_grows_as_it_does(piece: str) -> None:
    """If its pieces could be cut in two ways each, this would take for ever."""
    name = f"phi-4{piece * 60}!"
    assert known_model(name).label == name
