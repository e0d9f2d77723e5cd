"""What may be chosen on the command line: numbers and models."""

import argparse
from collections.abc import Callable

BUILT_IN = ("pocket/pocket-3", "pocket/pocket-3.5")
"""Who is asked where nobody was named: they are on every machine."""
SEEING = ("pocket/pocket-vision",)
"""The same about pictures."""
MAX_MODELS = 4
"""In one comparison; `MAX_SIDES` of `playground.conversation`, which help does not wait for."""


def positive(text: str) -> int:
    """A number that is at least 1."""
    if not text.isdecimal() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000")
    return int(text)


def model_names(most: int) -> Callable[[str], tuple[str, ...]]:
    """Reads the names of one to `most` models, with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        if not 0 < len(names) <= most:
            raise argparse.ArgumentTypeError(
                f"name one to {most} models, with commas between them: backend/model"
            )
        if len(set(names)) < len(names):
            raise argparse.ArgumentTypeError("the same model is named twice")
        return names

    return read
