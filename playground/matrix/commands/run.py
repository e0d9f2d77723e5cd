"""`run`: asks models, and writes their answers to a file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...commands.choices import model_names, positive
from ...commands.failure import Failure
from ..items import KINDS, PROMPTS, SHIPPED
from .asked import SETS, what_is_asked
from .until_done import until_done

if TYPE_CHECKING:
    from ..plan import Plan
    from .asked import WhatIsAsked

MAX_MODELS = 8
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
        type=model_names(MAX_MODELS),
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
        help=f"all, {SHIPPED} (the page's seven), or some of {', '.join(KINDS)} (all)",
    )
    parser.add_argument(
        "--prompt",
        choices=PROMPTS,
        metavar="NAME",
        help=f"one of the page's prompts in place of tasks: {', '.join(PROMPTS)}",
    )
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="prompts of your own in place of tasks: a line for each language, “de, Was ist …?”",
    )
    parser.add_argument(
        "--answer-in",
        action="store_true",
        help="with --prompt or --prompts: the English one, “Answer in German” and so on behind it",
    )
    parser.add_argument(
        "--set",
        choices=SETS,
        metavar="NAME",
        help=f"a set of others in place of tasks: {', '.join(SETS)}; fetched once you agreed",
    )
    parser.add_argument(
        "--set-folder", type=Path, metavar="DIR", help="where the files of --set lie already"
    )
    parser.add_argument(
        "--set-revision",
        metavar="COMMIT",
        help="fetch --set at another commit than the pinned one",
    )
    parser.add_argument(
        "--yes", action="store_true", help="agree to the licence of --set, and fetch it"
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
        default=None,
        metavar="N",
        help="tokens of an answer at most (200; 500 for word problems of --set)",
    )


def execute(options: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    asked = what_is_asked(options)
    if not asked.items:
        raise Failure("There are no such items in these languages: choose other tasks.")
    return until_done(_plan(options, asked), options.out)


async def _plan(options: argparse.Namespace, asked: "WhatIsAsked") -> "Plan":
    from ..models import find_models
    from ..plan import MAX_TOKENS, Plan

    return Plan(
        await find_models(options.models),
        asked.items,
        asked.kinds,
        asked.languages,
        options.items,
        options.seed,
        options.max_tokens or asked.max_tokens or MAX_TOKENS,
        options.parallel,
        asked.source,
    )
