"""The command line: run the matrix, report a run, count tokens, check the scoring."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from ..commands.program import Command, parser_of, run_program
from .commands import go_on, report, run, selfcheck, tokens

_COMMANDS: Mapping[str, Command] = {
    "run": run,
    "continue": go_on,
    "report": report,
    "tokens": tokens,
    "selfcheck": selfcheck,
}
_DESCRIPTION = """\
Ask small language models the same things in many languages, and report who answered what.

  python -m playground.matrix run --models pocket/pocket-3,pocket/pocket-3.5 --out runs/pocket.jsonl
  python -m playground.matrix report runs/pocket.jsonl --html pocket.html
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return run_program(parser(), _COMMANDS, arguments)


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    return parser_of("python -m playground.matrix", _DESCRIPTION, _COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
