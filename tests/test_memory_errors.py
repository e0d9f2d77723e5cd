"""Memory that ran out, in the words of each engine, and what only sounds like it."""

import pytest

from backends import OutOfMemoryError
from backends._local.memory_errors import memory_errors, tells_of_memory

SAID = (
    "CUDA out of memory. Tried to allocate 2.00 GiB.",
    "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
    "std::bad_alloc",
    "bad allocation",
    "Could not allocate the key-value cache buffer of shape: [1, 4, 3072, 64]",
    "Failed to allocate memory for requested buffer of size 1073741824",
    "memory allocation of 262144 bytes failed",
    "[CPU] Transpose node with name 'Transpose_73' can't alloc",
    "PlainTensor call posix_memalign failed: 12",
    "Failed to allocate 1070080 bytes of memory",
    "[malloc] Unable to allocate 400000000 bytes.",
    "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPUCommand",
    "[metal::malloc] Attempting to allocate 9 bytes which is greater than the maximum allowed",
    "ggml_aligned_malloc: insufficient memory (attempted to allocate 1440.00 MB)",
    "alloc_tensor_range: failed to allocate buffer of size 1509949440",
)
OTHER = ("a bug", "allocated 3 sessions", "the allocator is ready", "cannot allocate a port")


@pytest.mark.parametrize("said", SAID)
def test_it_is_told_as_memory(said: str) -> None:
    assert tells_of_memory(f"a line before\n{said}\nstack backtrace:")
    with pytest.raises(OutOfMemoryError, match="It ran out"), memory_errors("It ran out."):
        raise RuntimeError(said)


@pytest.mark.parametrize("said", OTHER)
def test_other_errors_stay_what_they_are(said: str) -> None:
    assert not tells_of_memory(said)
    with pytest.raises(RuntimeError, match=said), memory_errors("It ran out."):
        raise RuntimeError(said)


def test_python_own_error_needs_no_words() -> None:
    with pytest.raises(OutOfMemoryError), memory_errors("It ran out."):
        raise MemoryError
