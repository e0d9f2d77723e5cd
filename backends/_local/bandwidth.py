"""How fast this machine reads its memory: `python -m backends._local.bandwidth` prints bytes/s."""

import time
from concurrent.futures import ThreadPoolExecutor

from .machine import physical_cores

_BYTES = 2**28
"""Of what is read: far more than any cache holds."""
_PASSES = 12
_PAUSE = 0.04
"""Seconds between two passes: what else is at work just now is not in the way of all of them."""


def measure() -> float:
    """Bytes a second of the best of some passes over 256 MB, with a thread for each core."""
    import numpy as np

    threads = physical_cores()
    parts = np.array_split(np.ones(_BYTES // 8, np.int64), threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_PASSES):
            started = time.perf_counter()
            list(pool.map(np.sum, parts))  # NumPy lets the other threads run meanwhile
            best = min(best, time.perf_counter() - started)
            time.sleep(_PAUSE)
    return _BYTES / best


if __name__ == "__main__":
    print(measure())
