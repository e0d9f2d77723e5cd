"""The engine of PyTorch: where a checkpoint goes, as what, and how it is loaded."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .._core.backend import CONTEXT_CAP
from . import torch_model, weights
from .machine import free_memory, total_memory
from .placement import ModelSize, Placement, place
from .seam import Plan
from .sessions import cache_bytes
from .torch_model import TorchModel
from .torch_moe import MoeModel
from .torch_vision import VisionModel

OVERHEAD = 300e6
"""Bytes that torch and a forward pass take beside weights and cache."""

CLASSES: dict[str, type[TorchModel]] = {
    "phi3": TorchModel,
    "phi3_v": VisionModel,
    "phimoe": MoeModel,
}
"""How each architecture is run: `phi3` and `phimoe` by Transformers' own code, `phi3_v` by code
here. Code from the Hub never runs."""


def plan(label: str, folder: str, active_parameters: float) -> Plan:
    """How to load a checkpoint. Imports torch.

    `active_parameters` are those that are read for one token. Raises `MissingDependencyError` if
    the files are damaged.
    """
    path = Path(folder)
    try:
        parameters = weights.parameter_count(path)
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise weights.damaged(label, path) from error
    kind = CLASSES.get(config.get("model_type"), TorchModel)
    tokens = min(CONTEXT_CAP, config.get("max_position_embeddings", CONTEXT_CAP))
    # The number format depends on where it goes, and where it goes on how wide its numbers are.
    need = parameters * 2 + cache_bytes(config, tokens, 2) + OVERHEAD
    layers = config["num_hidden_layers"]
    size = ModelSize(need, 2 * active_parameters, layers, kind.supports_device_map)
    placement, gpus = placed(size)
    device = torch_model.device_for(placement, gpus)
    dtype = torch_model.best_dtype(device, parameters)
    width = 4 if dtype == "float32" else 2
    per_answer = cache_bytes(config, tokens, width)
    need = int(parameters * width + per_answer + OVERHEAD)
    multi_device = placement if placement and placement.uses_device_map else None
    return Plan(
        device=device,
        need=need,
        # Where the GPUs are full of weights there is room for one answer.
        per_answer=need if multi_device else per_answer,
        free=partial(torch_model.free_over, device, multi_device),
        load=lambda report: kind.load(path, label, device, dtype, report, multi_device),
    )


def placed(size: ModelSize) -> tuple[Placement | None, Sequence[int]]:
    """The placement of a model now, and the bytes of the GPUs by which that was decided.

    By what is free, unless models that this process has loaded could make room.
    """
    gpus = torch_model.gpus()
    free = [torch_model.free_on(f"cuda:{n}") for n in range(len(gpus))]
    now = place(size, free, free_memory())
    if now and not torch_model.used_on_gpus():
        return now, free
    return place(size, gpus, total_memory()), gpus
