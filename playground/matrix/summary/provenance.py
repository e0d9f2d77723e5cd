"""Where a run comes from: its settings, the command that repeats it, and how to cite it."""

import re
import shlex
from collections.abc import Sequence

from backends import Sentence

from ...languages.table import LANGUAGES
from ..asking import is_own
from ..items import KINDS
from ..run_file import Header, RunFile, RunModel
from .words import line, listing

_COMMIT = re.compile("[0-9a-f]{40}")


def command(header: Header) -> str:
    """The command line of a run, with every setting; of a visitor's own prompts, that goes on."""
    if is_own(header.kinds):
        file = shlex.quote(line(f"runs/{header.id}.jsonl"))
        return f"python -m playground.matrix continue {file}"
    among_23 = {code for code, one in LANGUAGES.items() if one.among_23}
    languages = "23" if set(header.languages) == among_23 else ",".join(header.languages)
    parts = [
        *("python", "-m", "playground.matrix", "run"),
        *("--models", ",".join(f"{one.backend}/{one.model}" for one in header.models)),
        *("--languages", languages),
        *_tasks(header),
        *("--items", str(header.items)),
        *("--seed", str(header.seed)),
        *(("--max-tokens", str(most)) if (most := header.settings.max_tokens) else ()),
        *(["--parallel", parallel] if (parallel := _at_once(header)).isdecimal() else []),
        *("--out", f"runs/{header.id}.jsonl"),
    ]
    return line(" ".join(shlex.quote(part) for part in parts))


def _tasks(header: Header) -> list[str]:
    """What was asked, as the command line has it: see `playground.matrix.commands.asked`."""
    if header.kinds == KINDS:
        return ["--tasks", "all"]
    options: list[str] = []
    for kind in header.kinds:
        name, colon, value = kind.partition(":")
        if colon and name in ("prompt", "prompts", "set"):
            options += [f"--{name}", value]
            if name == "set" and header.source and _COMMIT.fullmatch(header.source.revision):
                options += ["--set-revision", header.source.revision]
        elif kind == "answer-in":
            options.append("--answer-in")
    return options or ["--tasks", ",".join(header.kinds)]


def citation(header: Header, names: Sequence[str], languages: Sequence[str]) -> str:
    """How to cite a run of models of these names, with answers in these languages."""
    version = header.versions.get("playground", "version unknown")
    return line(
        f"Phi Playground {version}, matrix run {header.id} of {header.date[:10]}: "
        f"{listing(names)} in {len(languages)} language{'' if len(languages) == 1 else 's'}, seed "
        f"{header.seed}, tasks {header.tasks_hash[:12]}."
    )


def facts(run: RunFile) -> list[tuple[Sentence, Sentence]]:
    """What one has to know of a run beside its numbers: names and facts."""
    header = run.header
    answers = sum(cell.error is None for cell in run.cells)
    found: list[tuple[str, str]] = [
        ("Models", "; ".join(f"{one.side.upper()}: {_named(one)}" for one in header.models)),
        ("Begun", header.date),
        ("Settings", _settings(header)),
        ("Tasks", _asked(header)),
        *_source(header),
        ("Versions", ", ".join(f"{name} {one}" for name, one in header.versions.items())),
        ("Machine", _machine(header)),
        ("Answers", Sentence("{n}", n=answers)),
    ]
    if failed := len(run.cells) - answers:
        again = Sentence("{n}; the same command asks again", n=failed)
        found.append(("Could not be asked for", again))
    return [(Sentence(name), _verbatim(fact)) for name, fact in found]


def _verbatim(fact: str) -> Sentence:
    """A fact as a sentence: a text of the file's has no words of ours."""
    return fact if isinstance(fact, Sentence) else Sentence("{fact}", fact=line(fact))


def _asked(header: Header) -> Sentence:
    return Sentence(
        "{kinds}; up to {items} items each, seed {seed}, SHA-256 {hash}",
        kinds=line(", ".join(header.kinds)),
        items=header.items,
        seed=str(header.seed),
        hash=line(header.tasks_hash),
    )


def _source(header: Header) -> list[tuple[str, str]]:
    source = header.source
    if source is None:
        return []
    return [
        (
            "Prompts",
            Sentence(
                "{repository} at {revision}, under {licence}",
                repository=line(source.repository),
                revision=line(source.revision),
                licence=line(source.licence),
            ),
        ),
        ("To cite with it", source.citation),
    ]


def _settings(header: Header) -> Sentence:
    settings = header.settings
    return Sentence(
        "temperature {temperature}, at most {most} tokens an answer, seed {seed}, {count} at once",
        temperature=settings.temperature,
        most=str(settings.max_tokens),
        seed=str(settings.seed),
        count=line(_at_once(header)),
    )


def _machine(header: Header) -> str:
    machine = header.machine
    memory = f"{machine.memory / 1e9:.0f} GB" if machine.memory else ""
    cores = f"{machine.cores} cores" if machine.cores else ""
    place = ", ".join(part for part in (machine.processor, cores, memory) if part)
    return f"{place}; {machine.platform}" if place else machine.platform


def _at_once(header: Header) -> str:
    """How many answers were asked for at once: of each side, where they differ."""
    counts = {count for count in header.parallel.values() if count}
    if len(counts) == 1:
        return str(counts.pop())
    return ", ".join(f"{side.upper()} {count}" for side, count in header.parallel.items()) or "?"


def _named(model: RunModel) -> str:
    revision = f" at {model.revision}" if model.revision else ""
    return f"{model.title} ({model.backend}/{model.model}{revision})"
