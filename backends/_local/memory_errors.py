"""The memory ran out: the many words that engines have for it, as one error of ours."""

from collections.abc import Generator
from contextlib import contextmanager

from .._core.errors import OutOfMemoryError

_WORDS = (
    *("out of memory", "allocate memory", "not enough memory"),  # PyTorch, ONNX Runtime
    *("bad_alloc", "bad allocation"),  # C++
    "could not allocate the",  # ONNX Runtime GenAI, of its cache
    "memory allocation of",  # Rust
    *("can't alloc", "posix_memalign failed", "bytes of memory"),  # OpenVINO
    *("unable to allocate", "insufficient memory", "attempting to allocate"),  # MLX
    "failed to allocate buffer",  # llama.cpp, which also says “insufficient memory”
)
"""Whole phrases: what a process said before it crashed may speak of allocations, too."""

HINT = "Try a shorter prompt, a smaller model, or closing other programs."


def tells_of_memory(text: str) -> bool:
    """Whether an error's text, or what a process said last, is about memory that ran out."""
    return any(word in text.lower() for word in _WORDS)


@contextmanager
def memory_errors(message: str) -> Generator[None, None, None]:
    """Turn what an engine raises when the memory is full into an `OutOfMemoryError`."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(message, HINT) from error
    except RuntimeError as error:  # engines have no class of their own for it, or a subclass
        if not tells_of_memory(str(error)):
            raise
        raise OutOfMemoryError(message, HINT) from error
