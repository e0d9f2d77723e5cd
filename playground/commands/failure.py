"""How a command ends: its exit codes, and what it cannot do, said to the reader."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

DONE = 0
FAILED = 1
"""Something could not be done, or not all of it."""
USAGE = 2
"""It was asked for in a way that cannot be understood, as `argparse` says, too."""
INTERRUPTED = 130
"""After Ctrl+C."""
_SENTENCES = frozenset(
    (
        "BackendError",
        "LanguageFileError",
        "ModelError",
        "RunFileError",
        "RunStopped",
        "SetError",
        "TokensError",
    )
)
"""Errors that are made for the reader, by name: to import them would load what they come from."""


class Failure(Exception):
    """Something that the command cannot do: one sentence for the reader."""

    code: ClassVar[int] = FAILED


class UsageFailure(Failure):
    """It was asked for something that there is not, or that cannot be: nothing was done."""

    code: ClassVar[int] = USAGE


def is_sentence(error: Exception) -> bool:
    """Whether an error was made for the reader."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, Failure) or bool(names & _SENTENCES)


@contextmanager
def usage() -> Generator[None, None, None]:
    """Turn what is refused before anything was asked into a `UsageFailure`."""
    from backends import BackendError

    try:
        yield
    except BackendError as error:
        raise UsageFailure(str(error)) from error
