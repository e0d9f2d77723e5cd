"""How a command ends: its exit codes, and what it cannot do, said to the reader."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

from ..errors import ReaderError

DONE = 0
FAILED = 1
"""Something could not be done, or not all of it."""
USAGE = 2
"""It was asked for in a way that cannot be understood, as `argparse` says, too."""
INTERRUPTED = 130
"""After Ctrl+C."""


class Failure(ReaderError):
    """Something that the command cannot do: one sentence for the reader."""

    code: ClassVar[int] = FAILED


class UsageFailure(Failure):
    """It was asked for something that there is not, or that cannot be: nothing was done."""

    code: ClassVar[int] = USAGE


def is_sentence(error: Exception) -> bool:
    """Whether an error was made for the reader."""
    from backends import BackendError

    return isinstance(error, ReaderError | BackendError)


@contextmanager
def usage() -> Generator[None, None, None]:
    """Turn what is refused before anything was asked into a `UsageFailure`."""
    from backends import BackendError

    try:
        yield
    except BackendError as error:
        raise UsageFailure(str(error)) from error
