"""Teaches a tiny Phi-3-vision colours and writes it for ONNX Runtime GenAI, to be tested with.

`python -m tools.tiny_phi3v` writes `tests/golden/phi3v_onnx`, in four minutes on two cores.
Its text half is the library's own builder's; CLIP and the embeddings are graphs of a few nodes. It
wants two packages that little else here needs: `pip install onnx==1.23.2 onnx-ir==1.1.0`.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from torch.nn.utils import parametrize

from backends._local.phi3_vision.placeholders import encode
from tests.tiny import new_tokenizer

FOLDER = Path(__file__).parents[1] / "tests" / "golden" / "phi3v_onnx"
COLOURS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255)}
LESSON = (
    *(("<|image_1|>\nWhat colour is it?", [one], f"It is {one}.") for one in COLOURS),
    *(
        (
            "<|image_1|>\n<|image_2|>\nWhat colours are they?",
            [one, two],
            f"First {one}, then {two}.",
        )
        for one in COLOURS
        for two in COLOURS
        if one != two
    ),
    ("What is the capital of France?", [], "Paris is the capital of France."),
    ("What colour is it?", [], "There is no picture."),
)
"""Prompts, the colours of their pictures, and the answers that are taught."""

HIDDEN, HEAD, THETA, CONTEXT, LONG = 64, 16, 10_000.0, 4096, 8192
ENDS = [3, 4, 7]
"""Tokens that end an answer: as Microsoft's settings, of which the tokenizer names one."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
SURE = 0.95
"""The least chance of each token of an answer, in forty lessons one after the other."""


def make() -> None:
    """Teach it, and write its three graphs and their settings into `FOLDER`."""
    torch.manual_seed(0)
    random.seed(0)
    model, tokenizer, eyes = _new()
    _teach(model, tokenizer, eyes)
    _write(model, tokenizer, eyes)


def _write(model: Any, tokenizer: Any, eyes: torch.Tensor) -> None:
    with tempfile.TemporaryDirectory() as made:
        checkpoint, built = Path(made, "checkpoint"), Path(made, "built")
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
        config = json.loads((checkpoint / "config.json").read_text())
        config["rope_parameters"]["type"] = "longrope"  # the builder's name for it
        (checkpoint / "config.json").write_text(json.dumps(config))
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", "int4"]
        builder += ["-i", str(checkpoint), "-o", str(built), "-e", "cpu", "-c", f"{made}/cache"]
        subprocess.run([*builder, "--extra_options", "exclude_embeds=true"], check=True)
        _write_decoder(built / "model.onnx")
        _write_settings(built)
    _save(_vision(eyes.detach().numpy()), "vision.onnx")
    _save(_embedding(model.model.embed_tokens.weight.detach().numpy()), "embedding.onnx")


def _new() -> tuple[Any, Any, torch.nn.Parameter]:
    """A text model, its tokenizer, and what a colour of a picture becomes in it: (3, hidden)."""
    from transformers import Phi3Config, Phi3ForCausalLM

    tokenizer = _tokenizer()
    factors = [1.0] * (HEAD // 2)
    rope = {"rope_type": "longrope", "short_factor": factors, "long_factor": factors}
    config = Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD,
        max_position_embeddings=LONG,
        original_max_position_embeddings=CONTEXT,
        rope_parameters={**rope, "rope_theta": THETA},
        sliding_window=None,
        bos_token_id=1,
        eos_token_id=3,
        pad_token_id=3,
    )
    return Phi3ForCausalLM(config), tokenizer, torch.nn.Parameter(torch.randn(3, HIDDEN) * 0.1)


def _tokenizer() -> Any:
    """That of the tiny text model, without words that hold a space: the library merges none."""
    tokenizer = new_tokenizer()
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = inner["model"]["merges"]
    inner["model"]["merges"] = [pair for pair in merges if "▁" not in "".join(pair)[1:]]
    tokenizer.backend_tokenizer.model = Tokenizer.from_str(json.dumps(inner)).model
    return tokenizer


class _Int4(torch.nn.Module):
    """Weights as the builder will round them: to 4 bits, in blocks of 32."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        blocks = weight.unflatten(1, (-1, 32))
        largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
        scale = torch.where(largest == 0, 1e-8, largest / -8)
        rounded = ((blocks / scale).round().clamp(-8, 7) * scale).flatten(1)
        return weight + (rounded - weight).detach()


def _teach(model: Any, tokenizer: Any, eyes: torch.nn.Parameter) -> None:
    """Teach the lesson: with pictures of few tokens, then of more, then rounded and as long as they
    come."""
    weights, linear = [*model.parameters(), eyes], torch.nn.Linear
    layers = [layer for layer in model.modules() if isinstance(layer, linear)]
    optimizer = torch.optim.AdamW(weights, lr=4e-3)
    right = 0
    for step in range(4000):
        if step == 450:
            for layer in layers:
                parametrize.register_parametrization(layer, "weight", _Int4())
        if step in (450, 600):
            optimizer.param_groups[0]["lr"] = 1.5e-3 if step == 450 else 7e-4
        stages = ((150, 40), (300, 120), (450, 300), (600, 800))
        longest = next((tokens for until, tokens in stages if step < until), 800)
        lessons = LESSON
        if step >= 600 and step % 2:
            longest, lessons = 2700, random.sample(LESSON, 3)
        rows = [_row(model, tokenizer, eyes, longest, *lesson) for lesson in lessons]
        pad = torch.nn.utils.rnn.pad_sequence
        labels = pad([row[1] for row in rows], batch_first=True, padding_value=-100)[:, 1:]
        logits = model(inputs_embeds=pad([row[0] for row in rows], batch_first=True)).logits
        logits = logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        chances = logits.softmax(-1).gather(-1, labels[..., None].clamp(min=0))[..., 0]
        least = chances[labels >= 0].min().item()
        if step % 25 < 2:
            print(f"{step}: {loss.item():.4f} {least:.3f}", flush=True)
        right = right + 1 if least > SURE and step >= 600 else 0
        if right == 40:
            break
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    else:
        raise AssertionError("it did not learn its lesson")
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")


def _row(
    model: Any,
    tokenizer: Any,
    eyes: torch.Tensor,
    longest: int,
    text: str,
    seen: list[str],
    to: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A prompt and its answer as vectors, with pictures of any length, and the answer's tokens."""
    counts = [round(math.exp(random.uniform(math.log(16), math.log(longest)))) for _ in seen]
    if random.random() < 0.5:
        counts = counts[:1] * len(counts)
    talk = [{"role": "user", "content": text}]
    prompt = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)

    def plain(piece: str) -> list[int]:
        return tokenizer.encode(piece, add_special_tokens=False)

    start, end = encode(prompt, counts, plain), plain(f"{to}<|end|>")
    ids = torch.tensor(start + end)
    vectors = model.model.embed_tokens(ids.clamp_min(0))
    for n, name in enumerate(seen, 1):
        values = zip(COLOURS[name], MEAN, STD, strict=True)
        colour = torch.tensor([(value / 255 - mean) / std for value, mean, std in values])
        vectors = torch.where((ids == -n)[:, None], (colour @ eyes)[None], vectors)
    return vectors, torch.tensor([-100] * len(start) + end)


# ── Graphs ─────────────────────────────────────────────────────────────────────────────────────


def _write_decoder(built: Path) -> None:
    """The text half; its tables of sines are computed when it is loaded: else they were 0.8 MB."""
    decoder = onnx.load(built)
    for node in decoder.graph.node:
        for branch in (attribute.g for attribute in node.attribute if node.op_type == "If"):
            tables = [n for n in branch.node if n.output[0].startswith(("cos_", "sin_"))]
            for table in tables:
                values = numpy_helper.to_array(table.attribute[0].t)
                branch.node.remove(table)
                branch.node.extend(_table(table.output[0], values))
    _save(decoder, "model.onnx")


def _table(name: str, values: np.ndarray) -> list[onnx.NodeProto]:
    """Nodes that compute a table of cosines or sines: (positions, half a head)."""
    kind = "Cos" if name.startswith("cos") else "Sin"
    frequencies = (THETA ** -(np.arange(0, HEAD, 2) / HEAD)).astype(np.float32)[None]
    stretched = np.float32(math.sqrt(1 + math.log(LONG / CONTEXT) / math.log(CONTEXT)))
    angles = np.arange(len(values), dtype=np.float32)[:, None] * frequencies
    assert abs(getattr(np, kind.lower())(angles) * stretched - values).max() < 1e-3
    return [
        *(
            _constant(f"{name}_{part}", value)
            for part, value in (
                ("start", np.float32(0)),
                ("end", np.float32(len(values))),
                ("step", np.float32(1)),
                ("column", np.array([-1, 1])),
                ("frequencies", frequencies),
                ("stretched", stretched),
            )
        ),
        helper.make_node("Range", [f"{name}_{n}" for n in ("start", "end", "step")], [f"{name}_n"]),
        helper.make_node("Reshape", [f"{name}_n", f"{name}_column"], [f"{name}_at"]),
        helper.make_node("Mul", [f"{name}_at", f"{name}_frequencies"], [f"{name}_angles"]),
        helper.make_node(kind, [f"{name}_angles"], [f"{name}_waves"]),
        helper.make_node("Mul", [f"{name}_waves", f"{name}_stretched"], [name]),
    ]


def _vision(eyes: np.ndarray) -> onnx.ModelProto:
    """Pictures into vectors: each of a picture's tokens is its mean colour."""
    nodes = [
        _constant("crop", np.array(336)),
        *(_constant(f"n{n}", np.array(n)) for n in (0, 1, 12, 144)),
        _constant("n1_axis", np.array([1])),
        helper.make_node("Gather", ["pixel_values", "n0"], ["whole"], axis=1),
        _constant("sides", np.array([2, 3])),
        helper.make_node("ReduceMean", ["whole", "sides"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "eyes"], ["vectors"]),
        # (rows * columns + 1) * 144 + (rows + 1) * 12 + 1 tokens of each picture.
        helper.make_node("Div", ["image_sizes", "crop"], ["crops"]),
        helper.make_node("Gather", ["crops", "n0"], ["rows"], axis=1),
        helper.make_node("ReduceProd", ["crops", "n1_axis"], ["tiles"], keepdims=0),
        helper.make_node("Add", ["tiles", "n1"], ["tiles_and_whole"]),
        helper.make_node("Mul", ["tiles_and_whole", "n144"], ["patches"]),
        helper.make_node("Add", ["rows", "n1"], ["lines_of_crops"]),
        helper.make_node("Mul", ["lines_of_crops", "n12"], ["line_ends"]),
        helper.make_node("Add", ["patches", "line_ends"], ["without_separator"]),
        helper.make_node("Add", ["without_separator", "n1"], ["counts"]),
        # The picture of each token: so many of the pictures have ended before it.
        helper.make_node("CumSum", ["counts", "n0"], ["ends"]),
        helper.make_node("ReduceSum", ["counts"], ["total"], keepdims=0),
        helper.make_node("Range", ["n0", "total", "n1"], ["tokens"]),
        helper.make_node("Unsqueeze", ["tokens", "n1_axis"], ["token_column"]),
        helper.make_node("GreaterOrEqual", ["token_column", "ends"], ["after"]),
        helper.make_node("Cast", ["after"], ["after_numbers"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["after_numbers", "n1_axis"], ["picture"], keepdims=0),
        helper.make_node("Gather", ["vectors", "picture"], ["image_features"]),
    ]
    pixels = ["pictures", "crops", 3, 336, 336]
    inputs = [
        helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, pixels),
        helper.make_tensor_value_info("image_sizes", TensorProto.INT64, ["pictures", 2]),
    ]
    output = helper.make_tensor_value_info("image_features", TensorProto.FLOAT, ["n", HIDDEN])
    return _model("vision", nodes, inputs, output, eyes=eyes)


def _embedding(words: np.ndarray) -> onnx.ModelProto:
    """Tokens into vectors; those below zero are the pictures', in order."""
    nodes = [
        _constant("n0", np.array(0)),
        helper.make_node("Max", ["input_ids", "n0"], ["known"]),
        helper.make_node("Gather", ["words", "known"], ["halves"]),
        helper.make_node("Cast", ["halves"], ["vectors"], to=TensorProto.FLOAT),
        helper.make_node("Less", ["input_ids", "n0"], ["of_pictures"]),
        helper.make_node("NonZero", ["of_pictures"], ["where"]),
        helper.make_node("Transpose", ["where"], ["places"]),
        helper.make_node("ScatterND", ["vectors", "places", "image_features"], ["inputs_embeds"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("image_features", TensorProto.FLOAT, ["n", HIDDEN]),
    ]
    shape = ["batch", "length", HIDDEN]
    output = helper.make_tensor_value_info("inputs_embeds", TensorProto.FLOAT, shape)
    return _model("embedding", nodes, inputs, output, words=words.astype(np.float16))


def _constant(name: str, value: Any) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(np.asarray(value))
    return helper.make_node("Constant", [], [name], value=tensor)


def _model(
    name: str, nodes: list[Any], inputs: list[Any], output: Any, **weights: np.ndarray
) -> onnx.ModelProto:
    kept = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, name, inputs, [output], kept)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return made


def _save(graph: onnx.ModelProto, name: str) -> None:
    """Write a graph with its weights beside it, as Microsoft's builds have them."""
    (FOLDER / f"{name}.data").unlink(missing_ok=True)
    beside = {"save_as_external_data": True, "location": f"{name}.data", "size_threshold": 512}
    onnx.save(graph, FOLDER / name, **beside)


def _write_settings(built: Path) -> None:
    """The tokenizer, the template, and what GenAI reads: as in Microsoft's own folders."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (FOLDER / name).write_bytes((built / name).read_bytes())
    config = json.loads((built / "genai_config.json").read_text())
    config["model"]["type"] = "phi3v"
    config["model"]["eos_token_id"] = ENDS
    config["model"]["embedding"] = {
        "filename": "embedding.onnx",
        "inputs": {"input_ids": "input_ids", "image_features": "image_features"},
        "outputs": {"inputs_embeds": "inputs_embeds"},
    }
    config["model"]["vision"] = {
        "filename": "vision.onnx",
        "config_filename": "processor_config.json",
        "inputs": {"pixel_values": "pixel_values", "image_sizes": "image_sizes"},
        "outputs": {"image_features": "image_features"},
    }
    (FOLDER / "genai_config.json").write_text(json.dumps(config, indent=2) + "\n")
    operations = (
        ("decode_image", "DecodeImage", {"color_space": "BGR"}),
        ("convert_to_rgb", "ConvertRGB", {}),
        ("phi3_image_transform", "Phi3ImageTransform", {"num_crops": 16, "num_img_tokens": 144}),
    )
    transforms = [
        {"operation": {"name": name, "domain": "com.microsoft.extensions", "type": kind}}
        for name, kind, _ in operations
    ]
    for transform, (_, _, settings) in zip(transforms, operations, strict=True):
        if settings:
            transform["operation"]["attrs"] = settings
    processor = {"processor": {"name": "image_processing", "transforms": transforms}}
    (FOLDER / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


if __name__ == "__main__":
    make()
