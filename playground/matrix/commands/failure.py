"""What a command cannot do, said to the reader."""

INTERRUPTED = 130
"""The exit code after Ctrl+C."""
_SENTENCES = frozenset(
    ("LanguageFileError", "ModelError", "RunFileError", "RunStopped", "SetError", "TokensError")
)
"""Errors that are made for the reader, by name: to import them would load what they come from."""


class Failure(Exception):
    """Something that the command cannot do: one sentence for the reader."""


def is_sentence(error: Exception) -> bool:
    """Whether an error was made for the reader."""
    return isinstance(error, Failure) or type(error).__name__ in _SENTENCES
