"""`report`: says what came out of a run."""

import argparse
import sys
from pathlib import Path

from ...commands.failure import Failure

HELP = "say what came out, in Markdown, CSV or HTML"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `report`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a run file")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a table of all answers")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page that stands alone and prints well"
    )


def execute(options: argparse.Namespace) -> int:
    """Print the report and write the files that were asked for; returns the exit code."""
    from ..report import markdown, write_csv, write_html
    from ..run_file import read

    run = read(options.file)
    for path, write in ((options.csv, write_csv), (options.html, write_html)):
        if path is not None:
            try:
                write(run, path)
            except OSError as error:
                reason = error.strerror or error
                raise Failure(
                    f"Cannot write {path} ({reason}): check the disk and the rights to the folder."
                ) from error
            print(f"Wrote {path}.", file=sys.stderr)
    print(markdown(run))
    return 0
