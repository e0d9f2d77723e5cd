"""The table of what was tried: kept in `benchmarks/results/servers.json`, shown in `servers.md`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.machine import RESULTS

from .checks import Outcome

_KEPT, _SHOWN = RESULTS / "servers.json", RESULTS / "servers.md"


@dataclass(frozen=True)
class Row:
    """What one server did, or why it could not be run."""

    key: str
    label: str
    version: str
    date: str
    processor: str
    remark: str = ""
    failure: str = ""
    """Why it could not be run; empty if it was."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """What came of each check, by its title."""

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Row":
        """A row as it was kept."""
        outcomes = {title: Outcome(**one) for title, one in kept["outcomes"].items()}
        return cls(**{**kept, "outcomes": outcomes})


def keep(rows: Sequence[Row]) -> list[Row]:
    """Write the table: rows of servers that were not tried this time stay as they were."""
    old = json.loads(_KEPT.read_text("utf-8")) if _KEPT.is_file() else []
    table = {row["key"]: Row.of(row) for row in old} | {row.key: row for row in rows}
    every = list(table.values())
    text = json.dumps([asdict(row) for row in every], ensure_ascii=False, indent=1)
    _KEPT.write_text(text + "\n", encoding="utf-8")
    _SHOWN.write_text(markdown(every), encoding="utf-8")
    return every


def markdown(rows: Sequence[Row]) -> str:
    """The table, and what each server did otherwise, as a text in Markdown."""
    run = [row for row in rows if not row.failure]
    titles = list(dict.fromkeys(title for row in run for title in row.outcomes))
    lines = [
        "# Real servers",
        "",
        "`make test-servers` starts each server on this machine and drives it through the "
        "product's backends.",
        "A picture for a model that sees was not tried: vLLM and Transformers read `phi3_v` only",
        "with code that a checkpoint brings, and Pocket-Vision brings none; llama.cpp has no such",
        "model.",
        "",
        "`ok`: as it has to be. `differs`: the sentence below says how. `–`: not run, and why.",
        "",
        _line("server", "version", "date", "processor"),
        _line(*["---"] * 4),
        *(_line(row.label, row.version, row.date, row.processor) for row in rows),
        "",
        _line("", *(row.label for row in run)),
        _line("---", *["---"] * len(run)),
        *(_line(title, *(_mark(row.outcomes.get(title)) for row in run)) for title in titles),
    ]
    for row in rows:
        lines += ["", f"## {row.label} {row.version}".rstrip(), ""]
        if row.failure:
            lines.append(f"Could not be run: {row.failure}")
            continue
        if row.remark:
            lines += [f"Run {row.remark}.", ""]
        lines += [f"- {title}: {outcome}" for title, outcome in row.outcomes.items()]
    return "\n".join(lines) + "\n"


def _mark(outcome: Outcome | None) -> str:
    return "–" if outcome is None or outcome.verdict == "not run" else outcome.verdict


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
