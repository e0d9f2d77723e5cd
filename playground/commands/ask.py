"""`ask`: one prompt, one to four models, their answers in the terminal."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .choices import BUILT_IN, MAX_MODELS, SEEING, model_names
from .failure import DONE, FAILED, INTERRUPTED, Failure, usage
from .given import add_params, check_new_file, params_of, pictures_of, prompt_of
from .program import is_closed_pipe

if TYPE_CHECKING:
    from ..conversation import Conversation
    from ..question import Comparison, Question
    from .answers import Shows

HELP = "ask one to four models, and read their answers side by side"
_DESCRIPTION = """\
Asks one to four models the same, and shows their answers while they grow: side by side where the
terminal is wide enough. Where it is no terminal, the answers come one after the other as plain
text; of a single model the answer alone. Keys and addresses of services are read from the
environment, as for the page.

  python app.py ask "Why is the sky blue?" --models ollama/phi3.5,pocket/pocket-3.5
  python app.py ask - --models pocket/pocket-3.5 < question.txt
  python app.py ask "Which colour?" --image photo.jpg --json --out run.json
"""
_CODES = """\
exit codes: 0 all have answered; 1 some have not; 2 the command was wrong, and nothing was
asked; 130 stopped with Ctrl+C, and what came until then is shown and kept"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `ask`."""
    parser.description, parser.epilog = _DESCRIPTION, _CODES
    parser.add_argument("prompt", metavar="PROMPT", help="the prompt; - reads it from stdin")
    parser.add_argument(
        "--models",
        type=model_names(MAX_MODELS),
        metavar="A,B",
        help=f"one to four, as backend/model ({','.join(BUILT_IN)}; with --image {SEEING[0]}); "
        "“python app.py models” lists them",
    )
    parser.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a picture to ask about (may be given more than once)",
    )
    parser.add_argument("--system", default="", metavar="TEXT", help="a system prompt")
    add_params(parser)
    parser.add_argument(
        "--in-turn",
        action="store_true",
        help="one model after the other, so that none slows another down",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the comparison as JSON, once all have answered"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the same JSON to a new file: run.json"
    )


def execute(options: argparse.Namespace) -> int:
    """Ask; returns the exit code."""
    from ..limits import LOCAL
    from ..question import Question

    check_new_file(options.out)
    with usage():
        question = Question(
            prompt_of(options.prompt, LOCAL.prompt_characters),
            options.system,
            pictures_of(options.image, LOCAL),
            params_of(options),
        )
    names = options.models or (SEEING if options.image else BUILT_IN)
    return asyncio.run(_ask(options, question, names))


async def _ask(options: argparse.Namespace, question: "Question", names: tuple[str, ...]) -> int:
    from ..question import prepare
    from .answers import answers_on

    with usage():
        comparison = await prepare(question, names, in_turn=options.in_turn)
    shows = answers_on(sys.stdout, comparison, silent=options.json)
    stopped, closed = False, None
    try:
        await _watch(comparison, shows)
    except asyncio.CancelledError:  # Ctrl+C; a second one ends the program at once
        stopped = True
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        closed = error
    await comparison.run.close()
    recorded = await comparison.record()
    if not closed:
        _show(options, recorded, shows)  # first: whatever becomes of the file, it was seen
    if options.out:
        _write(options.out, recorded)
    if closed:
        raise closed
    if stopped:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    return FAILED if _tell_failures(recorded) else DONE


async def _watch(comparison: "Comparison", shows: "Shows") -> None:
    from contextlib import aclosing

    with shows:
        async with aclosing(comparison.run.snapshots()) as ticks:
            async for sides in ticks:
                shows.draw([side for side in sides if side])


def _show(options: argparse.Namespace, recorded: "Conversation", shows: "Shows") -> None:
    from ..export import to_json

    if options.json:
        print(to_json(recorded))
    elif recorded.last:
        shows.finish(recorded.last)
    sys.stdout.flush()


def _tell_failures(recorded: "Conversation") -> bool:
    """Say on stderr who has not answered and why; whether there is anybody."""
    from ..conversation import LETTERS

    answers = recorded.last.answers if recorded.last else ()
    failed = False
    for letter, record in zip(LETTERS, answers, strict=False):
        if record and record.error:
            print(f"{letter}, {record.model}: {record.error}", file=sys.stderr)
            failed = True
    return failed


def _write(path: Path, recorded: "Conversation") -> None:
    from ..export import to_json

    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(to_json(recorded) + "\n")
    except OSError as error:
        raise Failure(
            f"Cannot write {path} ({error.strerror or error}): check the disk and the rights to "
            "the folder."
        ) from error
