"""The command line: run the matrix, report a run, count tokens, check the scoring."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .items import KINDS

if TYPE_CHECKING:
    from .items import Item
    from .runner import Step

PROMPTS_TASK = "prompts"
_INTERRUPTED = 130
_ENOUGH = 10
"""Answers after which the speed of a run is known."""
_DESCRIPTION = """\
Ask small language models the same things in many languages, and report who answered what.

  python -m playground.matrix run --models pocket/pocket-3,pocket/pocket-3.5 --out runs/pocket.jsonl
  python -m playground.matrix report runs/pocket.jsonl --html pocket.html
"""
_RUN = """\
Asks every model every item and writes each answer to the file at once. The same command again goes
on where a run stopped, whatever stopped it. Keys and addresses of services are read from the
environment, as for the page."""


class Failure(Exception):
    """Something that the command cannot do: one sentence for the reader."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows console's own encoding lacks most of the scripts that answers are in.
        with suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8", errors="replace")  # pyright: ignore
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "command", None) is None:
        parser.print_help()
        return 2
    try:
        return _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # as by `… | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        if not _is_sentence(error):
            raise
        print(error, file=sys.stderr)
        return 1


def _is_sentence(error: Exception) -> bool:
    """Whether an error was made for the reader."""
    return isinstance(error, Failure) or type(error).__name__ in {
        "RunFileError",
        "RunStopped",
        "ModelError",
        "LanguageFileError",
        "TokensError",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m playground.matrix",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")

    run = commands.add_parser("run", help="ask models, and write their answers to a file")
    run.description = _RUN
    run.add_argument(
        "--models",
        required=True,
        type=_names,
        metavar="A,B",
        help="one model or more, each as backend/model: pocket/pocket-3,ollama/phi3.5",
    )
    run.add_argument(
        "--languages",
        default="all",
        metavar="CODES",
        help="all, 23 (those of Phi-3.5), or codes such as de,fr,th (all)",
    )
    run.add_argument(
        "--tasks",
        default="all",
        metavar="KINDS",
        help=f"all, {PROMPTS_TASK} (the page's seven), or some of {', '.join(KINDS)} (all)",
    )
    run.add_argument(
        "--items",
        type=_positive,
        default=12,
        metavar="N",
        help="items of each task in each language, where there are so many (12)",
    )
    run.add_argument(
        "--seed", type=int, default=1, metavar="N", help="another seed makes other items (1)"
    )
    run.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="the run file: runs/x.jsonl"
    )
    run.add_argument(
        "--parallel",
        type=_positive,
        default=None,
        metavar="N",
        help="answers at once (4 of a server, 1 of a model on this machine)",
    )
    run.add_argument(
        "--max-tokens",
        type=_positive,
        default=200,
        metavar="N",
        help="tokens of an answer at most (200)",
    )

    report = commands.add_parser("report", help="say what came out, in Markdown, CSV or HTML")
    report.add_argument("file", type=Path, metavar="FILE", help="a run file")
    report.add_argument("--csv", type=Path, metavar="FILE", help="write a table of all answers")
    report.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page that stands alone and prints well"
    )

    tokens = commands.add_parser(
        "tokens", help="tokens of the same prompts in each language, relative to English"
    )
    tokens.add_argument(
        "--model", required=True, metavar="MODEL", help="pocket-3.5, phi-3.5-mini, phi-4 …"
    )

    commands.add_parser("selfcheck", help="score answers whose worth is known, and count errors")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(names) > 8:
        raise argparse.ArgumentTypeError("name one to eight models, with commas between them")
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("the same model is named twice")
    return names


def _languages(text: str) -> tuple[str, ...]:
    from ..languages.table import LANGUAGES
    from .texts import available

    there = available()
    if text == "all":
        return there
    if text == "23":
        return tuple(code for code in there if LANGUAGES[code].among_23)
    named = _listed(text)
    if unknown := [code for code in named if code not in there]:
        raise Failure(f"There is no language “{unknown[0]}”: choose from {', '.join(there)}.")
    if not named:
        raise Failure(f"No language is named: choose from {', '.join(there)}.")
    return tuple(code for code in there if code in named)


def _kinds(text: str) -> tuple[str, ...]:
    if text == "all":
        return KINDS
    if text == PROMPTS_TASK:
        return (PROMPTS_TASK,)
    named = _listed(text)
    if PROMPTS_TASK in named:
        raise Failure(f"The prompts are a run of their own: --tasks {PROMPTS_TASK}, alone.")
    if unknown := [kind for kind in named if kind not in KINDS]:
        raise Failure(f"There is no task “{unknown[0]}”: choose from {', '.join(KINDS)}.")
    if not named:
        raise Failure(f"No task is named: choose from {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in named)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _items(kinds: Sequence[str], languages: Sequence[str], count: int, seed: int) -> "list[Item]":
    from .tasks import items, shipped_prompts

    if tuple(kinds) == (PROMPTS_TASK,):
        return list(shipped_prompts(languages))
    return list(items([kind for kind in KINDS if kind in kinds], languages, count, seed))


def _run(options: argparse.Namespace) -> int:
    kinds, languages = _kinds(options.tasks), _languages(options.languages)
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
        return _INTERRUPTED
    if unasked:
        raise Failure(
            f"{unasked:,} answers could not be asked for; the same command asks for them again."
        )
    print(f"Done. To see what came out: python -m playground.matrix report {options.out}")
    return 0


async def _ask(
    options: argparse.Namespace,
    kinds: tuple[str, ...],
    languages: tuple[str, ...],
    made: "list[Item]",
) -> int:
    """Run it; returns how many answers could not be asked for."""
    from .models import find_models
    from .plan import Plan
    from .runner import run

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
    return await run(plan, options.out, _Teller().tell)


class _Teller:
    """Says how far a run is: on a terminal in one line that changes, else every half minute."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._last = 0.0
        self._seen = 0

    def tell(self, step: "Step") -> None:
        """Tell of a step, if it is time to."""
        if step.cell is None:
            earlier = f"{step.done:,} of {step.total:,} are there already; " if step.done else ""
            self._say(f"{earlier}{step.left} to go.\n")
            return
        if step.cell.error:
            self._say(f"{step.cell.item} could not be asked: {step.cell.error}\n")
        self._seen += 1
        if self._seen == _ENOUGH and step.left.answers > _ENOUGH:
            self._say(f"At this speed: {step.left}.\n")
        now = time.monotonic()
        last = step.left.answers == 0
        if now - self._last < (0.2 if self.live else 30.0) and not last:
            return
        self._last = now
        self._say(_line(step), live=True)
        if last and self.live:
            sys.stderr.write("\n")

    def _say(self, text: str, live: bool = False) -> None:
        if self.live:
            sys.stderr.write(f"\r\x1b[K{text}")
        else:
            sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()


def _line(step: "Step") -> str:
    from .plan import duration

    left = "" if step.seconds_left is None else f", about {duration(step.seconds_left)} left"
    return f"{step.done:,} of {step.total:,} answers{left if step.left.answers else ''}"


def _report(options: argparse.Namespace) -> int:
    from .report import markdown, write_csv, write_html
    from .run_file import read

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


def _tokens(options: argparse.Namespace) -> int:
    from .tokens import token_table

    print(asyncio.run(token_table(options.model)))
    return 0


def _selfcheck(options: argparse.Namespace) -> int:
    import importlib

    try:
        module = importlib.import_module("playground.matrix.selfcheck")
    except ModuleNotFoundError as error:
        if error.name != "playground.matrix.selfcheck":
            raise
        raise Failure("This version of Phi Playground has no selfcheck: update it.") from error
    misses = list(module.selfcheck())
    for miss in misses:
        print(miss)
    print(module.summary())
    return 1 if module.error_rate() > module.LIMIT else 0


_COMMANDS = {"run": _run, "report": _report, "tokens": _tokens, "selfcheck": _selfcheck}

if __name__ == "__main__":
    sys.exit(main())
