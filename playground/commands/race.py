"""`race`: how fast models are, one after the other, as medians of several rounds."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from .choices import BUILT_IN, MAX_MODELS, model_names, positive
from .failure import DONE, INTERRUPTED, Failure, usage
from .given import prompt_of

if TYPE_CHECKING:
    from ..question import Comparison
    from ..race import Race

HELP = "time models, one after the other, in several rounds"
PROMPT = "What is a small language model? Answer in three sentences."
_DESCRIPTION = """\
Asks each model alone, one after the other, in several rounds, with the order turned round from one
to the next. One more answer of each comes first, to load it, and does not count. Prints medians of
greedy answers, with the least and the most. The prompt is the same in every round: an engine
that keeps what it has read reads it faster from the second time on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `race`."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "prompt",
        nargs="?",
        default=PROMPT,
        metavar="PROMPT",
        help=f"the prompt; - reads it from stdin ({PROMPT!r})",
    )
    parser.add_argument(
        "--models",
        type=model_names(MAX_MODELS),
        default=BUILT_IN,
        metavar="A,B",
        help=f"one to four, as backend/model ({','.join(BUILT_IN)})",
    )
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds (5)")
    parser.add_argument(
        "--max-tokens", type=positive, default=128, metavar="N", help="of an answer (128)"
    )
    parser.add_argument("--json", action="store_true", help="print every answer's figures as JSON")


def execute(options: argparse.Namespace) -> int:
    """Time them; returns the exit code."""
    return asyncio.run(_race(options))


async def _race(options: argparse.Namespace) -> int:
    from backends import BackendError, GenerationParams

    from ..limits import LOCAL
    from ..question import Question, prepare
    from ..race import Race

    params = GenerationParams(max_tokens=options.max_tokens, temperature=0.0)
    with usage():
        question = Question(prompt_of(options.prompt, LOCAL.prompt_characters), params=params)
        comparison = await prepare(question, options.models)
    _check_ready(comparison)
    race = Race(comparison.models, [one for one in comparison.run.requests if one])
    stopped, failed = False, None
    try:
        async for step in race.run(options.rounds):
            _tell(step)
    except asyncio.CancelledError:  # Ctrl+C
        stopped = True
    except BackendError as error:
        failed = error
    finally:
        _tell("")
    if options.json:
        print(race.to_json())
    else:
        _print(race)
    if failed:
        raise failed
    if stopped:
        print("Stopped: these are the rounds until then.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _check_ready(comparison: "Comparison") -> None:
    for named in comparison.models:
        if not named.status.ready:
            raise Failure(f"{named.name} cannot be asked: {named.status.message}")


def _tell(step: str) -> None:
    """Say how far it is, in one line that changes; only on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{step}")
        sys.stderr.flush()


def _print(race: "Race") -> None:
    from ..conversation import LETTERS

    names = [f"{letter}: {one.label}" for letter, one in zip(LETTERS, race.models, strict=False)]
    rows = [("", *names), *race.rows()]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*rows[0], box=None, padding=(0, 3, 0, 0), pad_edge=False)
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)
    else:
        print("\n".join("\t".join(row) for row in rows))
    print()
    for sentence in race.remarks():
        print(sentence)
