"""The command line: ask models, list them, fetch one, time them. `python app.py` leads here."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from . import ask, download, models, race
from .program import Command, parser_of, run_program

COMMANDS: Mapping[str, Command] = {
    "ask": ask,
    "models": models,
    "download": download,
    "race": race,
}
PROGRAM = "python app.py"
_DESCRIPTION = "Phi Playground in a terminal; without a command, it serves the page."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return run_program(parser(), COMMANDS, arguments)


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    return parser_of(PROGRAM, _DESCRIPTION, COMMANDS)


def summary() -> str:
    """The commands with what each does, for the help of the page's own arguments."""
    rows = "\n".join(f"  {name:<10}{command.HELP}" for name, command in COMMANDS.items())
    return f"in a terminal, without the page ({PROGRAM} COMMAND --help):\n{rows}"


if __name__ == "__main__":
    sys.exit(main())
