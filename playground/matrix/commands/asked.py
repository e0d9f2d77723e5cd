"""What a run asks, as the command line says it: tasks, prompts or a set of others."""

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...commands.failure import Failure
from .choices import kinds_named, languages_named

if TYPE_CHECKING:
    from ..items import Item
    from ..run_file import Source
    from ..sets import SetOfOthers

SETS = ("belebele", "mgsm", "benchmax")
"""Names of sets, for a help that loads none; a test holds them to what there is."""
_MAX_FILE = 2_000_000
"""Bytes of a file of prompts."""


@dataclass(frozen=True, slots=True)
class WhatIsAsked:
    """The items of a run, and what its header says of them."""

    items: "tuple[Item, ...]"
    kinds: tuple[str, ...]
    """Kinds of tasks; else the options that were given, as `prompt:greet` and `answer-in`."""
    languages: tuple[str, ...]
    max_tokens: int | None = None
    source: "Source | None" = None


def what_is_asked(options: argparse.Namespace) -> WhatIsAsked:
    """What was asked for. Raises `Failure` and what is made for the reader."""
    given = [
        name
        for name, value in (
            ("--tasks", options.tasks != "all"),
            ("--prompt", options.prompt),
            ("--prompts", options.prompts),
            ("--set", options.set),
        )
        if value
    ]
    if len(given) > 1:
        raise Failure(f"{given[0]} and {given[1]} are runs of their own: choose one of them.")
    if options.answer_in and not (options.prompt or options.prompts):
        raise Failure("--answer-in is about one prompt: name it with --prompt or --prompts.")
    languages = languages_named(options.languages)
    if options.set:
        return _set(options, languages)
    if options.prompts:
        return _own(options, languages)
    if options.prompt:
        return _shipped(options, languages)
    return _tasks(options, languages)


def _tasks(options: argparse.Namespace, languages: tuple[str, ...]) -> WhatIsAsked:
    from ..asking import items_of

    kinds = kinds_named(options.tasks)
    made = items_of(kinds, languages, options.items, options.seed)
    return WhatIsAsked(made, kinds, languages)


def _shipped(options: argparse.Namespace, languages: tuple[str, ...]) -> WhatIsAsked:
    from ..asking import shipped
    from ..tasks import shipped_prompts, told_prompts
    from ..texts import texts

    kinds = (shipped(options.prompt),)
    if options.answer_in:
        english = texts("en").prompts[options.prompt]
        told = told_prompts(languages, [english])
        return WhatIsAsked(told, (*kinds, "answer-in"), languages)
    return WhatIsAsked(shipped_prompts(languages, [options.prompt]), kinds, languages)


def _own(options: argparse.Namespace, languages: tuple[str, ...]) -> WhatIsAsked:
    from ..own_prompts import parse
    from ..tasks import own_prompts, told_prompts

    path: Path = options.prompts
    read = parse(_text_of(path))
    for problem in read.problems:
        print(problem, file=sys.stderr)
    if read.problems:
        lines = "a line" if len(read.problems) == 1 else f"{len(read.problems)} lines"
        raise Failure(f"Nothing was asked: mend {lines} of {path}.")
    if not read.rows:
        raise Failure(f"There is no prompt in {path}: write lines such as “de, Was ist …?”.")
    kinds = (f"prompts:{path}",)
    if options.answer_in:
        if "en" not in read.rows:
            raise Failure(f"--answer-in asks in English, and {path} has no prompt in English.")
        told = told_prompts(languages, [read.rows["en"]])
        return WhatIsAsked(told, (*kinds, "answer-in"), languages)
    chosen = {code: prompt for code, prompt in read.rows.items() if code in languages}
    return WhatIsAsked(own_prompts(chosen), kinds, tuple(chosen))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise Failure(f"{path} has more than 2 MB: it is no table of prompts.")
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise Failure(f"There is no file {path}: check its name.") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is not in UTF-8: save it as “CSV UTF-8”.") from error
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror or error}.") from error


def _set(options: argparse.Namespace, languages: tuple[str, ...]) -> WhatIsAsked:
    from ..run_file import Source
    from ..sets import SETS, items_of

    one = SETS[options.set]
    named = tuple(code for code in languages if code in one.files)
    if not named:
        raise Failure(f"{one.name} has none of these languages, but {', '.join(one.files)}.")
    folder, revision = options.set_folder, "files of a folder"
    if folder is None:
        commit = _commit(one, options.set_revision)
        print(one.notice(commit), file=sys.stderr)
        folder, revision = _fetched(one, commit, named, agreed=options.yes)
    else:
        print(one.notice(), file=sys.stderr)
    made = tuple(items_of(one, folder, named, options.items, options.seed))
    source = Source(
        name=one.name,
        repository=one.repository,
        revision=revision,
        licence=one.licence,
        citation=one.citation,
    )
    return WhatIsAsked(made, (f"set:{one.name}",), named, one.max_tokens, source)


def _commit(one: "SetOfOthers", named: str | None) -> str:
    """The commit of a set that is fetched: the pinned one, or the one that was named."""
    if named is not None and not re.fullmatch("[0-9a-f]{40}", named):
        raise Failure("--set-revision is a whole commit: 40 digits and letters from a to f.")
    if commit := named or one.revision:
        return commit
    raise Failure(
        f"{one.name} is not pinned here: only the beginning of its latest commit is known, "
        f"{one.known_commit}. Name the whole one with --set-revision; it stands at "
        f"https://huggingface.co/datasets/{one.repository}/commits/main."
    )


def _fetched(
    one: "SetOfOthers", commit: str, languages: Sequence[str], *, agreed: bool
) -> tuple[Path, str]:
    """The folder of a set's files and their commit, fetched once its licence was agreed to."""
    from backends import BackendError, fetch_dataset

    if not agreed:
        if not sys.stdin.isatty():
            raise Failure(f"To agree to the licence and fetch {one.name}, say --yes.")
        print("Agree to this licence and fetch it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failure("Nothing was fetched.")
    files = [one.files[code] for code in languages]
    try:
        fetched = asyncio.run(fetch_dataset(one.repository, commit, files))
    except BackendError as error:
        raise Failure(str(error)) from error
    return fetched.folder, fetched.revision
