"""A program of several commands: finds the one that was asked for, runs it, says how it ended."""

import argparse
import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from .failure import FAILED, INTERRUPTED, USAGE, Failure, is_sentence


class Command(Protocol):
    """A module that is one command. It loads what it takes when it is run: help is quick."""

    @property
    def HELP(self) -> str:
        """What it does, in a few words."""
        ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """What can be said after its name."""
        ...

    def execute(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit code. Raises `Failure` and what is made for the reader."""
        ...


def run_program(
    parser: argparse.ArgumentParser,
    commands: Mapping[str, Command],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows console's own encoding lacks most of the scripts that answers are in.
        with suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8", errors="replace")  # pyright: ignore
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return USAGE
    try:
        code = commands[options.command].execute(options)
        sys.stdout.flush()  # here a closed pipe can still be told from a failure
        return code
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if is_closed_pipe(error):
            _discard_output()
            return FAILED
        if not is_sentence(error):
            raise
        print(error, file=sys.stderr)
        return error.code if isinstance(error, Failure) else FAILED


def is_closed_pipe(error: Exception) -> bool:
    """Whether nobody reads what is printed any more, as behind `… | head`."""
    if isinstance(error, BrokenPipeError):
        return True
    # Windows calls it an invalid argument.
    return isinstance(error, OSError) and error.errno == errno.EINVAL and os.name == "nt"


def _discard_output() -> None:
    """Let Python end without a word about what it could not print."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())


def parser_of(
    program: str, description: str, commands: Mapping[str, Command]
) -> argparse.ArgumentParser:
    """The arguments of all commands."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(program, description=description, formatter_class=formatter)
    group = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for name, command in commands.items():
        command.add_arguments(group.add_parser(name, help=command.HELP, formatter_class=formatter))
    return parser
