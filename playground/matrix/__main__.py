"""The command line: run the matrix, report a run, count tokens, check the scoring."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress

from .commands import go_on, report, run, selfcheck, tokens
from .commands.failure import INTERRUPTED, Failure, is_sentence

__all__ = ["Failure", "main"]

_COMMANDS = {
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
    for stream in (sys.stdout, sys.stderr):
        # A Windows console's own encoding lacks most of the scripts that answers are in.
        with suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8", errors="replace")  # pyright: ignore
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return _COMMANDS[options.command].execute(options)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # as by `… | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        if not is_sentence(error):
            raise
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m playground.matrix",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for name, command in _COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.HELP))
    return parser


if __name__ == "__main__":
    sys.exit(main())
