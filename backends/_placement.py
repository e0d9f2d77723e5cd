"""Where a model goes on this machine: a GPU, several, main memory, or GPUs and main memory."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ._machine import gigabytes

Where = Literal["gpu", "memory", "gpus", "spread"]

BUS = 25e9
"""Bytes a second from main memory to a GPU over PCIe 4.0 x16, at the best: of its 31.5e9."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model goes, and what of it does not find room in the GPUs."""

    where: Where
    gpus: int = 0
    """How many GPUs hold a part of it."""
    waiting: int = 0
    """Bytes that wait in main memory and are moved to a GPU for every token."""

    @property
    def spread(self) -> bool:
        """Whether Accelerate has to lay it over several devices."""
        return self.where in ("gpus", "spread")

    @property
    def words(self) -> str:
        """What a visitor should know about it beforehand, in a sentence; empty if nothing."""
        if self.where == "gpus":
            return f"It is laid over {self.gpus} GPUs."
        if self.where == "spread":
            return (
                f"{gigabytes(self.waiting)} of it do not fit into the GPU memory and are moved "
                f"there for every token: at least {self.waiting / BUS:.1f} s each."
            )
        return ""


def place(need: int, gpus: Sequence[int], memory: int, *, spreads: bool = True) -> Placement | None:
    """Where a model that needs so many bytes runs fastest; `None` where it does not fit.

    `gpus` are the bytes of each GPU, `memory` those of main memory; a model that does not spread
    stays in one piece. Main memory alone comes before
    a model spread over both: a processor reads only the experts that work on a token, while
    Accelerate moves all that waits to a GPU, for every token.
    """
    if gpus and need <= max(gpus):
        return Placement("gpu", 1)
    if spreads and need <= sum(gpus):
        return Placement("gpus", len(gpus))
    if need <= memory:
        return Placement("memory")
    if spreads and gpus and need <= sum(gpus) + memory:
        return Placement("spread", len(gpus), need - sum(gpus))
    return None


@cache
def gpu_memory() -> tuple[int, ...]:
    """Bytes of each NVIDIA GPU, as the driver says, without torch; empty if there is none."""
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
        return tuple(int(line) * 2**20 for line in told.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
