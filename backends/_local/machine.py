"""This machine: its free memory, its cores, and the number formats it computes natively."""

import ctypes
import gc
import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from .._core.sentence import Sentence

LOOKS = ThreadPoolExecutor(2, "looks")
"""Looks at the disk, and starts of processes, have threads of their own: behind other people's work
they come too late."""

_CGROUP = Path("/sys/fs/cgroup")


def total_memory() -> int:
    """Bytes of memory this process may use at most: the machine's, or its container's limit."""
    import psutil

    limit = _cgroup("memory.max")
    return min(psutil.virtual_memory().total, limit) if limit else psutil.virtual_memory().total


def free_memory() -> int:
    """Bytes of memory that can be taken now without swapping, within a container's limit."""
    import psutil

    free = psutil.virtual_memory().available
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit and used:
        # The page cache is counted as used there, but is given back when memory is asked for.
        free = min(free, limit - used + _cgroup_cached())
    return free


def release_memory() -> None:
    """Return what was freed to the system: Python, glibc and CUDA would rather keep it."""
    gc.collect()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@cache
def physical_cores() -> int:
    """Cores that compute: hyper-threads only get in each other's way."""
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # a container may have been given fewer
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores


@cache
def has_native_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX, Arm's BF16).

    Known on Linux; elsewhere the answer is no, which costs memory and is never wrong.
    """
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


@cache
def has_gpu() -> bool:
    """Whether there is a GPU with memory of its own, as far as can be told without torch."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def gigabytes(count: float) -> str:
    """A number of bytes for people: `7.6 GB`."""
    if count < 1e8:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB"


def gigabytes_of(done: int, total: int) -> Sentence:
    """How much of a number of bytes is done, for people: `1.2 of 7.6 GB`."""
    if total < 1e8:
        done, total = round(done / 1e6), round(total / 1e6)
        return Sentence("{done} of {total} MB", done=done, total=total)
    return Sentence("{done:tenths} of {total:tenths} GB", done=done / 1e9, total=total / 1e9)


def _cgroup(name: str) -> int | None:
    try:
        return int((_CGROUP / name).read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None


def _cgroup_cached() -> int:
    try:
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
