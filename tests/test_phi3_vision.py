"""Phi-3-vision in today's Transformers: the published code's numbers, and all that is done there.

The reference values in `golden/phi3_vision/` come from that code itself, run where it still runs.
"""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from backends._local.phi3_vision import (
    Phi3VConfig,
    Phi3VForCausalLM,
    Phi3VImageProcessor,
    Phi3VModel,
    Phi3VProcessor,
)
from tests import tiny
from tests.golden.phi3_vision import checkpoint
from tests.rounding import ROUNDING, lead

pytestmark = pytest.mark.engine

GOLDEN = Path(checkpoint.__file__).parent
ROOT = Path(__file__).parent.parent
RECIPE = json.loads((GOLDEN / "cases.json").read_text())
CASES = RECIPE["cases"]
CHAT_ENDS = [32007, 32000]  # <|end|>, <|endoftext|>


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny checkpoint as the published ones are, with the settings that point to their code."""
    folder = checkpoint.write(tmp_path_factory.mktemp("phi3v") / "checkpoint", RECIPE["seed"])
    _change(
        folder / "config.json",
        auto_map={
            "AutoConfig": "configuration_phi3_v.Phi3VConfig",
            "AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM",
        },
    )
    _change(
        folder / "preprocessor_config.json",
        processor_class="Phi3VProcessor",
        auto_map={
            "AutoProcessor": "processing_phi3_v.Phi3VProcessor",
            "AutoImageProcessor": "image_processing_phi3_v.Phi3VImageProcessor",
        },
    )
    settings = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 32000}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    for file in tiny.checkpoint().iterdir():
        if file.name.startswith(("tokenizer", "chat_template")):
            shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Phi3VForCausalLM:
    return Phi3VForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def processor(folder: Path) -> Phi3VProcessor:
    return Phi3VProcessor.from_pretrained(folder, num_crops=1)


def _change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def _pictures(*sizes: tuple[int, int]) -> list:
    return [checkpoint.picture(*size, RECIPE["seed"] + k) for k, size in enumerate(sizes)]


def _seen(*sizes: tuple[int, int], num_crops: int = 1, length: int = 0) -> dict[str, torch.Tensor]:
    """A prompt with pictures, without a tokenizer; filled up with words to `length` tokens."""
    pictures = Phi3VImageProcessor(num_crops=num_crops)(_pictures(*sizes), return_tensors="pt")
    ids = [1, 32010]
    for k, count in enumerate(pictures.pop("num_img_tokens").tolist(), 1):
        ids += [-k] * count + [13]
    ids += [100 + k % 900 for k in range(max(5, length - len(ids)))]
    return {"input_ids": torch.tensor([ids]), **pictures}


def _next(model: Phi3VForCausalLM, prompt: dict, tokens: int = 4, **settings) -> list[list[int]]:
    """The tokens that a model adds to a prompt at temperature 0, none of them a close call."""
    settings |= {"return_dict_in_generate": True, "output_logits": True}
    made = model.generate(**prompt, max_new_tokens=tokens, do_sample=False, **settings)
    # So another way of computing must come to the same: the weights are the same on any machine.
    assert lead(torch.stack(made.logits)).min() > 10 * ROUNDING
    return made.sequences[:, prompt["input_ids"].shape[1] :].tolist()


def _runs(model: Phi3VForCausalLM, prompt: dict) -> bool:
    """Whether it answers at all, with whatever tokens."""
    made = model.generate(**prompt, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    return made.shape[1] - prompt["input_ids"].shape[1] == 4


def _logits(model: torch.nn.Module, **inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(**inputs).logits.float()


# What the published code computes


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_published_model(name: str, folder: Path, model: Phi3VForCausalLM) -> None:
    sizes, num_crops = CASES[name]["sizes"], CASES[name]["num_crops"]
    golden = np.load(GOLDEN / "cases.npz")
    ids = torch.tensor(golden[f"{name}.input_ids"])[None]
    prompt = {"input_ids": ids}
    if sizes:
        eye = Phi3VImageProcessor.from_pretrained(folder, num_crops=num_crops)
        pictures = _pictures(*sizes)
        seen = eye(pictures, return_tensors="pt")
        pixels = seen["pixel_values"].reshape(-1)
        sample = pixels[:: max(1, len(pixels) // 4096)][:4096]
        assert tuple(seen["pixel_values"].shape) == tuple(golden[f"{name}.pixel_shape"])
        # Values of -2 to 3, the whole picture's out of torch's bicubic sums of 16 of them.
        assert np.abs(sample.numpy() - golden[f"{name}.pixel_sample"]).max() <= 1e-5
        counts = golden[f"{name}.num_img_tokens"].tolist()
        assert seen["num_img_tokens"].tolist() == eye.calc_num_image_tokens(pictures) == counts
        assert [eye.calc_num_image_tokens_from_image_size(*size) for size in sizes] == counts
        assert seen["image_sizes"].tolist() == golden[f"{name}.image_sizes"].tolist()
        prompt |= {key: seen[key] for key in ("pixel_values", "image_sizes")}

    embedded: list[torch.Tensor] = []
    hook = model.model.vision_embed_tokens.register_forward_hook(
        lambda module, inputs, output: embedded.append(output)
    )
    logits = _logits(model, **prompt)[0]
    hook.remove()
    if sizes:
        vectors = embedded[0][ids < 0]
        sample = vectors[:: max(1, len(vectors) // 64)][:64]
        assert np.abs(sample.numpy() - golden[f"{name}.image_embeds_sample"]).max() <= ROUNDING
    rows = logits[:: max(1, len(logits) // 16), ::501]
    assert np.abs(rows.numpy() - golden[f"{name}.logits_rows"]).max() <= ROUNDING
    assert np.abs(logits[-1, :512].numpy() - golden[f"{name}.last_logits"]).max() <= ROUNDING
    assert _next(model, prompt) == [golden[f"{name}.greedy"].tolist()]
    if name == "text":
        assert _next(model, prompt, use_cache=False) == [golden[f"{name}.greedy"].tolist()]


# The model


@pytest.mark.parametrize("length", [0, 4093, 4096, 4097])
def test_a_cache_changes_nothing_before_and_after_token_4096(length: int, model) -> None:
    prompt = _seen((300, 200), length=length)
    alone = _next(model, prompt, 6, use_cache=False)
    assert _next(model, prompt, 6) == alone
    assert _next(model, prompt, 6, cache_implementation="static") == alone


def test_without_pictures_it_is_phi3(model: Phi3VForCausalLM) -> None:
    settings = {name: value for name, value in model.config.to_dict().items() if "type" not in name}
    phi3 = transformers.Phi3ForCausalLM(transformers.Phi3Config.from_dict(settings)).eval()
    words = {k: v for k, v in model.state_dict().items() if "vision_embed_tokens" not in k}
    phi3.load_state_dict(words)
    for length in (40, 4200):
        ids = torch.arange(length)[None] * 7 % 32000
        ours, theirs = (_logits(it, input_ids=ids, logits_to_keep=3) for it in (model, phi3))
        torch.testing.assert_close(ours, theirs, atol=ROUNDING, rtol=0)


def test_rows_with_different_pictures_do_not_disturb_each_other(model) -> None:
    rows = [_seen((300, 200), (90, 200)), _seen((90, 300))]
    alone = [_next(model, row)[0] for row in rows]
    length = max(row["input_ids"].shape[1] for row in rows)
    padding = [length - row["input_ids"].shape[1] for row in rows]
    batch = {
        "input_ids": torch.cat(
            [
                torch.nn.functional.pad(row["input_ids"], (n, 0), value=32000)
                for row, n in zip(rows, padding, strict=True)
            ]
        ),
        "attention_mask": torch.tensor([[0] * n + [1] * (length - n) for n in padding]),
        "pixel_values": torch.cat([row["pixel_values"] for row in rows]),
        "image_sizes": torch.cat([row["image_sizes"] for row in rows]),
    }
    assert _next(model, batch) == alone
    twice = model.generate(
        **batch, max_new_tokens=4, do_sample=True, top_k=1, num_return_sequences=2
    )
    assert twice[:, length:].tolist() == [alone[0], alone[0], alone[1], alone[1]]


def test_a_picture_is_known_by_its_number(model: Phi3VForCausalLM) -> None:
    prompt = _seen((300, 200), (310, 210))
    ids = prompt["input_ids"]
    other = torch.where(ids < 0, -3 - ids, ids)  # <|image_2|> before <|image_1|>
    turned = {name: prompt[name].flip(0) for name in ("pixel_values", "image_sizes")}
    there = _logits(model, **prompt)
    # CLIP sees them in another order, but each by itself; the wrong one would be seen at once.
    here = _logits(model, input_ids=other, **turned)
    torch.testing.assert_close(here, there, atol=ROUNDING, rtol=0)
    assert (_logits(model, **{**prompt, "input_ids": other}) - there).abs().max() > 1


def test_embedding_first_and_reading_then_is_the_same(model: Phi3VForCausalLM) -> None:
    prompt = _seen((300, 200))
    with torch.inference_mode():
        vectors = model.model.vision_embed_tokens(**prompt)
        bare = model.lm_head(model.model(**prompt).last_hidden_state)
    assert torch.equal(_logits(model, inputs_embeds=vectors), _logits(model, **prompt))
    assert torch.equal(bare, _logits(model, **prompt))


@pytest.mark.parametrize("change", ["pixel_values", "image_sizes", "fewer", "smaller"])
def test_pictures_that_do_not_fit_the_prompt_are_refused(change: str, model) -> None:
    prompt = _seen((300, 200), (90, 200), num_crops=4)
    if change == "fewer":
        prompt |= {name: prompt[name][:1] for name in ("pixel_values", "image_sizes")}
    elif change == "smaller":
        prompt["image_sizes"] = prompt["image_sizes"].clamp_max(336)
    else:
        del prompt[change]
    with pytest.raises(ValueError, match="picture"):
        model.model.vision_embed_tokens(**prompt)


def test_eager_attention_sees_the_same(folder: Path, model: Phi3VForCausalLM) -> None:
    eager = Phi3VForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    tower = eager.model.vision_embed_tokens.img_processor
    assert (tower.config._attn_implementation, model.config._attn_implementation) == (
        "eager",
        "sdpa",
    )
    prompt = _seen((300, 200))
    assert (_logits(eager, **prompt) - _logits(model, **prompt)).abs().max() <= ROUNDING


def test_it_runs_in_bfloat16(folder: Path, model: Phi3VForCausalLM) -> None:
    half = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    prompt = _seen((300, 200))
    with torch.inference_mode():
        assert half(**prompt).logits.dtype == torch.bfloat16
    # Three digits of each number are left; they were 0.05 apart, and a fault moves logits by 0.5.
    assert (_logits(half, **prompt) - _logits(model, **prompt)).abs().max() <= 0.2
    assert _runs(half, prompt)


# Its files


def test_what_it_saves_is_what_was_published(tmp_path: Path, folder: Path, model) -> None:
    model.save_pretrained(tmp_path)
    published, saved = (load_file(at / "model.safetensors") for at in (folder, tmp_path))
    assert published.keys() == saved.keys()
    assert all(torch.equal(saved[name], published[name]) for name in saved)
    again, info = Phi3VForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    prompt = _seen((300, 200))
    # The same weights, but mapped from another place of another file: sums may differ in order.
    ours, theirs = (_logits(it, **prompt) for it in (again.eval(), model))
    torch.testing.assert_close(ours, theirs, atol=ROUNDING, rtol=0)
    assert again.generation_config.eos_token_id == CHAT_ENDS


@pytest.mark.parametrize("both", [True, False])
def test_the_words_may_stand_under_their_second_name(tmp_path: Path, both, folder, model) -> None:
    weights = load_file(folder / "model.safetensors")
    words = weights["model.embed_tokens.weight"]
    weights["model.vision_embed_tokens.wte.weight"] = words.clone()
    if not both:
        del weights["model.embed_tokens.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(folder / "config.json", tmp_path)
    loaded, info = Phi3VForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(loaded.model.embed_tokens.weight, words)
    assert loaded.model.vision_embed_tokens.wte.weight is loaded.model.embed_tokens.weight


def test_a_model_made_of_settings_alone() -> None:
    settings = copy.deepcopy(checkpoint.CONFIG)
    made = Phi3VForCausalLM(Phi3VConfig(**settings))
    assert settings == checkpoint.CONFIG
    assert made.config.rope_parameters["rope_type"] == "longrope"
    assert made.generation_config.eos_token_id == made.config.eos_token_id == CHAT_ENDS
    assert not made.model.vision_embed_tokens.sub_GN.any()
    assert _runs(made.eval(), _seen((300, 200)))
    made.resize_token_embeddings(32100)
    assert made.model.vision_embed_tokens.wte is made.get_input_embeddings()


def test_weights_of_either_naming_can_be_put_into_it(folder: Path, model) -> None:
    published = load_file(folder / "model.safetensors")
    for weights in (published, model.state_dict()):
        made = Phi3VForCausalLM(model.config)
        made.load_state_dict(weights)
        assert all(map(torch.equal, made.state_dict().values(), model.state_dict().values()))
    assert published.keys() == checkpoint.shapes().keys()  # as it was


def test_the_published_settings_mean_clip_vit_l_14_336() -> None:
    tower = Phi3VConfig(img_processor={"name": "clip_vision_model"}).vision_config
    assert (tower.num_hidden_layers, tower.hidden_size, tower.intermediate_size) == (24, 1024, 4096)
    assert (tower.image_size, tower.patch_size, tower.num_attention_heads) == (336, 14, 16)
    with pytest.raises(ValueError, match="sub_glb"):
        Phi3VConfig(embd_layer={"hd_transform_order": "glb_sub"})


def test_the_auto_classes_know_it(folder: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(folder)
    eye = transformers.AutoImageProcessor.from_pretrained(folder, num_crops=2)
    processor = transformers.AutoProcessor.from_pretrained(folder, num_crops=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert [type(it) for it in (config, eye, processor, model, model.model)] == [
        *(Phi3VConfig, Phi3VImageProcessor, Phi3VProcessor, Phi3VForCausalLM, Phi3VModel)
    ]
    assert (eye.num_crops, processor.image_processor.num_crops) == (2, 2)
    assert model.generation_config.eos_token_id == CHAT_ENDS  # though the file says 2


def test_importing_the_folder_loads_no_engine() -> None:
    code = (
        "import sys, backends._local.phi3_vision as it; assert 'torch' not in sys.modules;"
        "it.Phi3VConfig; assert 'torch' in sys.modules; it.nonsense"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "has no attribute 'nonsense'" in done.stderr


# Its processors


def test_two_pictures_stand_where_the_prompt_names_them(processor, model) -> None:
    pictures = _pictures((300, 200), (90, 200))
    talk = [{"role": "user", "content": "<|image_1|>\nand <|image_2|>, what?"}]
    prompt = processor.apply_chat_template(talk, add_generation_prompt=True)
    inputs = processor(prompt, pictures, return_tensors="pt")
    pieces = ["<|user|>\n", "\nand ", ", what?<|end|>\n<|assistant|>\n"]
    first, second, third = (processor.tokenizer(piece).input_ids for piece in pieces)
    expected = [*first, *[-1] * 313, *second, *[-2] * 313, *third]
    assert inputs["input_ids"].tolist() == [expected]
    assert inputs["attention_mask"].tolist() == [[1] * len(expected)]
    assert inputs["num_img_tokens"].tolist() == processor.calc_num_image_tokens(pictures)
    assert tuple(inputs["pixel_values"].shape) == (2, 2, 3, 336, 336)
    assert _runs(model, inputs)
    more = processor(text=[prompt], images=pictures, num_crops=4)
    assert tuple(more["pixel_values"].shape) == (2, 5, 3, 336, 336)
    assert more["num_img_tokens"].tolist() == [757, 469]


def test_prompts_without_pictures_are_the_tokenizers(processor: Phi3VProcessor) -> None:
    prompts = ["Count to twelve.", "Count on and on."]
    inputs = processor(prompts, padding=True)
    assert inputs.keys() == {"input_ids", "attention_mask"}
    assert inputs["input_ids"].tolist() == processor.tokenizer(prompts, padding=True).input_ids


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("<|image_1|>", 0),
        ("<|image_1|>", 2),
        ("<|image_1|><|image_2|>", 1),
        ("<|image_2|>", 1),
        ("<|image_0|>", 1),
        ("<|image_1|><|image_3|>", 2),
        ("<|image_1|><|image_1|>", 2),
        ("no picture", 1),
        (["<|image_1|>", "<|image_2|>"], 2),
    ],
)
def test_pictures_that_a_prompt_does_not_name_are_refused(processor, prompt, count) -> None:
    with pytest.raises(ValueError, match=r"one prompt at a time|names each of its pictures once"):
        processor(prompt, _pictures((20, 20), (30, 30))[:count] or None)


@pytest.mark.parametrize("num_crops", [1, 4, 16])
@pytest.mark.parametrize("size", [(1, 1), (10_000, 3), (3, 10_000), (337, 336), (5, 4000)])
def test_odd_sizes(size: tuple[int, int], num_crops: int) -> None:
    seen = Phi3VImageProcessor()(_pictures(size), num_crops=num_crops, return_tensors="pt")
    assert tuple(seen["pixel_values"].shape) == (1, num_crops + 1, 3, 336, 336)
    (height, width), count = seen["image_sizes"][0].tolist(), seen["num_img_tokens"].item()
    rows, columns = height // 336, width // 336
    assert rows * columns <= num_crops and (height % 336, width % 336) == (0, 0)
    assert count == (rows * columns + 1) * 144 + (rows + 1) * 12 + 1
    # A line at least is left of the picture on its white, and what no crop fills is nothing at all.
    assert seen["pixel_values"][0, 1 : 1 + rows * columns].min() < 1
    assert not seen["pixel_values"][0, 1 + rows * columns :].any()


def test_a_picture_may_be_an_array_of_any_kind() -> None:
    (picture,) = _pictures((40, 30))
    eye = Phi3VImageProcessor(num_crops=4)
    as_array, as_picture = (
        eye(it, return_tensors="np")["pixel_values"] for it in (np.array(picture), picture)
    )
    assert np.array_equal(as_array, as_picture)
    grey = eye([picture.convert("L"), picture.convert("RGBA")], return_tensors="pt")
    assert tuple(grey["pixel_values"].shape) == (2, 5, 3, 336, 336)


@pytest.mark.parametrize("num_crops", [0, -1])
def test_no_crops_at_all_are_refused(num_crops: int) -> None:
    with pytest.raises(ValueError, match="at least 1 crop"):
        Phi3VImageProcessor()(_pictures((20, 20)), num_crops=num_crops)


def test_processors_are_saved_and_loaded(tmp_path: Path, processor: Phi3VProcessor) -> None:
    processor.save_pretrained(tmp_path)
    again = transformers.AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, Phi3VProcessor) and again.image_processor.num_crops == 1
    inputs = [it("<|image_1|>\nWhat?", _pictures((300, 200))) for it in (processor, again)]
    assert all(torch.equal(inputs[0][key], inputs[1][key]) for key in inputs[0])
