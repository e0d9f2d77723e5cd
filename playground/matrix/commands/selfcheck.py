"""`selfcheck`: scores answers whose worth is known, and counts the errors."""

import argparse

HELP = "score answers whose worth is known, and count errors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing can be said after `selfcheck`."""


def execute(options: argparse.Namespace) -> int:
    """Print what is scored otherwise than it should be; returns the exit code."""
    from .. import selfcheck

    for miss in selfcheck.selfcheck():
        print(miss)
    print(selfcheck.summary())
    return 1 if selfcheck.error_rate() > selfcheck.LIMIT else 0
