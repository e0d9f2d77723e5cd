"""`run`: asks models, and writes their answers to a file."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..items import KINDS
from .choices import PROMPTS_TASK, kinds_named, languages_named, model_names, positive
from .failure import INTERRUPTED, Failure
from .progress import Teller

if TYPE_CHECKING:
    from ..items import Item

HELP = "ask models, and write their answers to a file"
_DESCRIPTION = """\
Asks every model every item and writes each answer to the file at once. The same command again goes
on where a run stopped, whatever stopped it. Keys and addresses of services are read from the
environment, as for the page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `run`."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "--models",
        required=True,
        type=model_names,
        metavar="A,B",
        help="one model or more, each as backend/model: pocket/pocket-3,ollama/phi3.5",
    )
    parser.add_argument(
        "--languages",
        default="all",
        metavar="CODES",
        help="all, 23 (those of Phi-3.5), or codes such as de,fr,th (all)",
    )
    parser.add_argument(
        "--tasks",
        default="all",
        metavar="KINDS",
        help=f"all, {PROMPTS_TASK} (the page's seven), or some of {', '.join(KINDS)} (all)",
    )
    parser.add_argument(
        "--items",
        type=positive,
        default=12,
        metavar="N",
        help="items of each task in each language, where there are so many (12)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="another seed makes other items (1)"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="the run file: runs/x.jsonl"
    )
    parser.add_argument(
        "--parallel",
        type=positive,
        default=None,
        metavar="N",
        help="answers at once (4 of a server, 1 of a model on this machine)",
    )
    parser.add_argument(
        "--max-tokens",
        type=positive,
        default=200,
        metavar="N",
        help="tokens of an answer at most (200)",
    )


def execute(options: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    kinds, languages = kinds_named(options.tasks), languages_named(options.languages)
    made = _items(kinds, languages, options.items, options.seed)
    if not made:
        raise Failure("There are no such items in these languages: choose other tasks.")
    try:
        unasked = asyncio.run(_ask(options, kinds, languages, made))
    except KeyboardInterrupt:
        print(
            f"\nStopped. Every answer so far is in {options.out}; the same command goes on from "
            "there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    if unasked:
        raise Failure(
            f"{unasked:,} answers could not be asked for; the same command asks for them again."
        )
    print(f"Done. To see what came out: python -m playground.matrix report {options.out}")
    return 0


def _items(kinds: Sequence[str], languages: Sequence[str], count: int, seed: int) -> "list[Item]":
    from ..tasks import items, shipped_prompts

    if tuple(kinds) == (PROMPTS_TASK,):
        return list(shipped_prompts(languages))
    return list(items([kind for kind in KINDS if kind in kinds], languages, count, seed))


async def _ask(
    options: argparse.Namespace,
    kinds: tuple[str, ...],
    languages: tuple[str, ...],
    made: "list[Item]",
) -> int:
    """Run it; returns how many answers could not be asked for."""
    from ..models import find_models
    from ..plan import Plan
    from ..runner import run

    plan = Plan(
        await find_models(options.models),
        tuple(made),
        kinds,
        languages,
        options.items,
        options.seed,
        options.max_tokens,
        options.parallel,
    )
    return await run(plan, options.out, Teller().tell)
