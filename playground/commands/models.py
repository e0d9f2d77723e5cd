"""`models`: what can be asked here, what could be, and what it takes."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from .failure import DONE

if TYPE_CHECKING:
    from backends import Offer

    from ..health import BackendHealth

HELP = "list the models that can be asked, and those that could be"
_DESCRIPTION = """\
Lists every backend and its models, those nearest to this machine first: by the name that “ask”
takes, with its state, what is left to be downloaded, and the memory that it takes. Where it is no
terminal, there is a model in each line, with tabs between the columns: name, state, bytes to
download, bytes of memory, label.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `models`."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only those with all these words in their names"
    )
    parser.add_argument("--ready", action="store_true", help="only those that can be asked now")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Print the list; returns the exit code."""
    from ..model_list import rows

    every = asyncio.run(_health())
    chosen = [(one, _chosen(one, options)) for one in every]
    if options.json:
        import json

        print(json.dumps([row for one, offers in chosen for row in rows(one, offers)], indent=2))
    elif sys.stdout.isatty():
        _print_table(chosen, narrowed=bool(options.words or options.ready))
    else:
        for one, offers in chosen:
            for row in rows(one, offers):
                columns = ("name", "state", "download_bytes", "memory_bytes", "label")
                print("\t".join(str("" if row[name] is None else row[name]) for name in columns))
    return DONE


async def _health() -> "list[BackendHealth]":
    from ..health import HealthMonitor

    return await HealthMonitor().check_all()


def _chosen(one: "BackendHealth", options: argparse.Namespace) -> "list[Offer]":
    words = [word.casefold() for word in options.words]
    return [
        offer
        for offer in one.offers
        if (offer.status.ready or not options.ready)
        and all(
            word in f"{one.backend.id}/{offer.model} {offer.spec.label}".casefold()
            for word in words
        )
    ]


def _print_table(chosen: "list[tuple[BackendHealth, list[Offer]]]", *, narrowed: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..model_list import to_fetch
    from ..numbers import format_bytes

    def size(count: int | None) -> str:
        return "" if count is None else format_bytes(count)

    console = Console(highlight=False)
    for one, offers in chosen:
        if narrowed and not offers:
            continue
        console.print(Text(f"{one.backend.label}: {one.status.message}", "bold"))
        if not offers:
            console.print()
            continue
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("  name", overflow="fold", ratio=2)
        table.add_column("state", no_wrap=True)
        table.add_column("download", justify="right", no_wrap=True)
        table.add_column("memory", justify="right", no_wrap=True)
        for offer in offers:
            table.add_row(
                Text(f"  {one.backend.id}/{offer.model}"),
                Text(offer.status.state, "green" if offer.status.ready else "dim"),
                size(to_fetch(offer)),
                size(offer.memory),
            )
        console.print(table)
        console.print()
