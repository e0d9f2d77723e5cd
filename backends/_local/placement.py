"""Placement of a model on this machine: one GPU, several, main memory, or GPUs and main memory."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .._core.sentence import Sentence
from .machine import has_gpu

Where = Literal["single_gpu", "multi_gpu", "cpu", "cpu_offload"]

RESERVE = 1.5e9
"""Bytes of a GPU that no weights get: its context, the work space of a forward pass."""
PCIE_BANDWIDTH = 25e9
"""Bytes a second from main memory to a GPU, over PCIe 4.0 x16 (31.5e9 in theory)."""
RAM_BANDWIDTH = 50e9
"""Bytes a second that a processor reads from main memory, of two channels."""

DRIVER_RETRY_AFTER = 60.0
"""Seconds until a driver that did not answer is asked again."""

ACCELERATE = "pip install accelerate==1.15.0"
"""The command that installs what lays a model over several devices; no requirement."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The memory that a model takes, in bytes."""

    need: float
    """Of all its weights, and of one answer's cache."""
    active: float
    """Of those weights that are read for one token: fewer than all in a mixture of experts."""
    layers: int = 32
    """The equal parts in which they can be laid out: a layer is never split."""
    supports_device_map: bool = True
    """Whether its code runs with its layers on several devices."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices of a model, and how much of it does not fit into the GPUs."""

    where: Where
    gpus: int = 0
    """GPUs that there are."""
    offloaded: float = 0
    """Bytes that stay in main memory and are moved to a GPU for every token."""

    @property
    def uses_device_map(self) -> bool:
        """True if Accelerate has to lay it over several devices."""
        return self.where in ("multi_gpu", "cpu_offload")

    @property
    def description(self) -> str:
        """A sentence for visitors; empty if there is nothing to say."""
        if self.where == "multi_gpu":
            return Sentence("It is laid over {n} GPUs.", n=self.gpus)
        if self.where == "cpu" and self.gpus:
            if self.gpus > 1:
                return "It does not fit into the GPUs, and runs on the processor."
            return "It does not fit into the GPU, and runs on the processor."
        if self.where == "cpu_offload":
            return Sentence(
                "About {size:bytes} of it do not fit into the GPU memory and are moved there for "
                "every token, which takes some {seconds:tenths} s.",
                size=self.offloaded,
                seconds=self.offloaded / PCIE_BANDWIDTH,
            )
        return ""


def place(model: ModelSize, gpus: Sequence[float], memory: float) -> Placement | None:
    """The placement in which a model runs fastest; `None` if it does not fit.

    `gpus` are the bytes of each GPU, `memory` those of main memory. A processor reads only what
    works on a token, while Accelerate moves all that is offloaded to a GPU for every token: which
    of the two is faster depends on how much that is.
    """
    room = [max(0.0, gpu - RESERVE) for gpu in gpus]
    if room and model.need <= max(room):
        return Placement("single_gpu", len(gpus))
    layer = model.need / model.layers
    held = sum(int(one / layer) for one in room)
    if model.supports_device_map and held >= model.layers:
        return Placement("multi_gpu", len(gpus))
    found: list[tuple[float, Placement]] = []
    if model.need <= memory:
        found.append((model.active / RAM_BANDWIDTH, Placement("cpu", len(gpus))))
    # Accelerate keeps room for one more layer on the first GPU, where the offloaded ones run.
    offloaded = (model.layers - max(0, held - 1)) * layer
    if model.supports_device_map and held > 1 and offloaded <= memory:
        found.append((offloaded / PCIE_BANDWIDTH, Placement("cpu_offload", len(gpus), offloaded)))
    return min(found, key=lambda one: one[0])[1] if found else None


def gpu_memory() -> tuple[int, ...]:
    """Bytes of each NVIDIA GPU that this process may use, without torch; empty if none is known."""
    every = _driver()
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return every
    names = [name.strip() for name in shown.split(",") if name.strip()]
    if all(name.isdecimal() for name in names):
        return tuple(every[int(name)] for name in names if int(name) < len(every))
    return every[: len([name for name in names if name != "-1"])]  # named by their UUIDs


_known: tuple[int, ...] = ()
_failed = float("-inf")
"""When the driver last failed to answer: the board asks for every model, and it may be slow."""


def _driver() -> tuple[int, ...]:
    """Bytes of each GPU, as the driver says. Asked until it has answered once, and then no more."""
    global _known, _failed
    if _known or not has_gpu() or time.monotonic() - _failed < DRIVER_RETRY_AFTER:
        return _known
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        _known = tuple(int(line) * 2**20 for line in answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        _failed = time.monotonic()
    return _known
