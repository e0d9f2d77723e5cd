"""Writes the Pocket text models for ONNX Runtime GenAI: `python -m tools.pocket.export_onnx`.

With `exam` it only asks those that are there, every question of the lesson; Pocket-MoE too, whose
graph `tools.pocket.export_graphs` writes.

int4 weights in blocks of 32, 2.9 MB each, from the checkpoints that `tools.pocket.train` made. The
library's own builder does it; it wants two packages that nothing else here needs:
`pip install onnx==1.23.2 onnx-ir==1.1.0`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from backends import Chunk, GenerationParams, Message
from backends._local import decode, onnx_moe, onnx_text

from .lesson import EDITIONS, MODELS, MOE, Edition, exchanges

FILES = ("genai_config.json", "model.onnx", "model.onnx.data")
"""What ONNX Runtime GenAI needs; template and tokenizer stand in the folder above."""


def export(checkpoint: Path) -> None:
    """Write the folder `onnx` of one checkpoint. Raises `CalledProcessError`."""
    with tempfile.TemporaryDirectory() as made:
        builder = "onnxruntime_genai.models.builder"
        command = [sys.executable, "-m", builder, "-i", str(checkpoint), "-o", made]
        subprocess.run([*command, "-p", "int4", "-e", "cpu", "-c", f"{made}/cache"], check=True)
        target = checkpoint / "onnx"
        target.mkdir(exist_ok=True)
        for name in FILES:
            (target / name).write_bytes(Path(made, name).read_bytes())


def exam(edition: Edition, *, held_out: bool) -> tuple[int, int]:
    """How many questions are answered exactly right, greedily, and how many there are."""
    engine, folder = (onnx_moe, "") if edition == MOE else (onnx_text, "onnx")
    plan = engine.plan(edition.name, str(MODELS / edition.key / folder))
    model = plan.load(lambda done: None)
    greedy, right, every = GenerationParams(temperature=0.0), 0, 0
    for asked in exchanges(edition, held_out=held_out):
        steps = decode.answer(model, (Message.of("user", asked.question),), greedy)
        text = "".join(step.text for step in steps if isinstance(step, Chunk))
        right, every = right + (text == asked.answer), every + 1
    return right, every


if __name__ == "__main__":
    if sys.argv[1:] != ["exam"]:
        for edition in EDITIONS:
            export(MODELS / edition.key)
    for edition in (*EDITIONS, MOE):
        for held_out in (False, True):
            right, every = exam(edition, held_out=held_out)
            label = "held-out" if held_out else "trained"
            print(f"{edition.name}: {right} of {every} {label} questions exactly right", flush=True)
