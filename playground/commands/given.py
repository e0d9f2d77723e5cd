"""What is given to the commands: a prompt, pictures, settings, and a file to write."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .choices import positive
from .failure import UsageFailure

if TYPE_CHECKING:
    from backends import GenerationParams

    from ..limits import Limits
    from ..media.pictures import Picture

STDIN = "-"


def add_params(parser: argparse.ArgumentParser) -> None:
    """The settings of an answer, as the page has them."""
    parser.add_argument(
        "--max-tokens", type=positive, metavar="N", help="tokens of an answer at most"
    )
    parser.add_argument("--temperature", type=float, metavar="X", help="0 to 2; 0 is greedy")
    parser.add_argument("--top-p", type=float, metavar="X", help="0.01 to 1")
    parser.add_argument("--top-k", type=int, metavar="N", help="0 (all) to 1000")
    parser.add_argument("--seed", type=int, metavar="N", help="repeats a sampled answer")
    parser.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="ends an answer (up to four, each with its own --stop)",
    )


def params_of(options: argparse.Namespace) -> "GenerationParams":
    """The settings as they were given; their ranges are checked later."""
    from backends import GenerationParams

    return GenerationParams(
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        seed=options.seed,
        stop=tuple(options.stop),
    )


def prompt_of(given: str, most: int) -> str:
    """The prompt, from stdin for `-`. Raises `UsageFailure` for what is no text in UTF-8."""
    if given != STDIN:
        return given
    if not sys.stdin:  # started without one
        raise UsageFailure("There is no stdin to read the prompt from: write it in quotes.")
    if sys.stdin.isatty():
        key = "Ctrl+Z, Enter" if os.name == "nt" else "Ctrl+D"
        print(f"Type the prompt; {key} on a new line ends it.", file=sys.stderr)
    # A character has four bytes at most, and what is longer is refused with its length.
    data = sys.stdin.buffer.read(4 * most + 8)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(data) > 4 * most:
            return data.decode("utf-8-sig", "ignore")  # it was cut off here
        raise UsageFailure(
            f"What came on stdin is not UTF-8 (byte {error.start + 1:,} is none of it): save it "
            "as UTF-8, or convert it."
        ) from error


def pictures_of(paths: Sequence[Path], limits: "Limits") -> "tuple[Picture, ...]":
    """The pictures of some files. Raises `UsageFailure` and `BadRequestError`."""
    if not paths:
        return ()
    from ..media.pictures import check_size, display_name, read_picture

    pictures: list[Picture] = []
    for path in paths:
        try:
            check_size(path.stat().st_size, limits.picture.file_bytes, path.name)
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageFailure(f"Cannot read {path} ({reason}): check its name.") from error
        pictures.append(read_picture(data, display_name(path.name, "picture"), limits.picture))
    return tuple(pictures)


def check_new_file(path: Path | None) -> None:
    """Raise `UsageFailure` if a file cannot be made there, before anything is asked."""
    if path is None:
        return
    if path.exists():
        raise UsageFailure(f"{path} is there already: choose another name, or delete it.")
    if not path.parent.is_dir():
        raise UsageFailure(f"There is no folder {path.parent}: make it, or choose another.")
    if not os.access(path.parent, os.W_OK):
        raise UsageFailure(f"The folder {path.parent} cannot be written to: choose another.")
