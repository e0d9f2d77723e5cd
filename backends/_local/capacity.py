"""What this machine has for models: memory, GPUs, disk, and how fast it reads its memory."""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .machine import LOOKS, free_memory, total_memory
from .placement import gpu_memory
from .weights import hub_cache

SHARE = 0.8
"""Share of the read bandwidth that ONNX Runtime GenAI reaches while it writes an answer. Measured
with int4 weights of Phi-3.5-mini's shapes on two cores: 13.0 tokens/s of 2.3 GB each, 83 % of the
36 GB/s that were read there."""

_TIMEOUT = 20.0
"""Seconds after which the measurement is given up."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is for models, in bytes."""

    memory: int
    """Main memory that this process may use at most."""
    free_memory: int
    gpus: tuple[int, ...]
    """Memory of each NVIDIA GPU."""
    free_disk: int
    """Free where downloads go: at the Hugging Face cache."""
    bandwidth: float | None = None
    """Bytes a second that are read from main memory; `None` if that was not measured yet."""

    def tokens_per_second(self, bytes_per_token: float) -> float | None:
        """An estimate for a model that reads so many bytes for each token, alone on the processor.

        `None` while the bandwidth is not known.
        """
        return self.bandwidth * SHARE / bytes_per_token if self.bandwidth else None


class Bandwidth:
    """The read bandwidth of this machine's memory, measured once, in a child process."""

    def __init__(self) -> None:
        self.known: float | None = None
        """Bytes a second; `None` before it was measured, or if it cannot be."""
        self._measuring: asyncio.Task[float | None] | None = None

    async def measured(self) -> float | None:
        """`known`, once it was measured; the first call measures. Raises nothing."""
        if self._measuring is None:
            self._measuring = asyncio.ensure_future(_measure_in_child())
        # Shielded: whoever asked first may leave while others wait.
        self.known = await asyncio.shield(self._measuring)
        return self.known


BANDWIDTH = Bandwidth()
"""That of this process."""


async def capacity(*, measure: bool = False) -> Capacity:
    """Look at this machine; with `measure`, wait until its bandwidth is known: a second, once."""
    bandwidth = await BANDWIDTH.measured() if measure else BANDWIDTH.known
    return await asyncio.get_running_loop().run_in_executor(LOOKS, _look, bandwidth)


def free_disk() -> int:
    """Bytes that are free on the disk of the Hugging Face cache."""
    place = next(folder for folder in (hub_cache(), *hub_cache().parents) if folder.exists())
    return shutil.disk_usage(place).free


def _look(bandwidth: float | None) -> Capacity:
    return Capacity(total_memory(), free_memory(), gpu_memory(), free_disk(), bandwidth)


async def _measure_in_child() -> float | None:
    root = Path(__file__).parents[2]
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "backends._local.bandwidth"),
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, _ = await process.communicate()
        return float(output)
    except (TimeoutError, ValueError):
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
