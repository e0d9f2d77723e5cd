"""`tokens`: what each language costs a model before anything is asked."""

import argparse
import asyncio

HELP = "tokens of the same prompts in each language, relative to English"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `tokens`."""
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="pocket-3.5, phi-3.5-mini, phi-4 …"
    )


def execute(options: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    from ..tokens import token_table

    print(asyncio.run(token_table(options.model)))
    return 0
