"""The report in Markdown, to be read in a terminal."""

from ..run_file import RunFile
from ..summary import LANGUAGE_RULE, Summary, line
from .tables import Table, tables


def markdown(run: RunFile) -> str:
    """The report in Markdown, to be read in a terminal."""
    summary = Summary(run)
    pieces = [f"# {_text(summary.headline())}", _text(LANGUAGE_RULE) if summary.open_kind else ""]
    for title, rule, table in tables(summary):
        pieces += [f"## {_text(title)}", _text(rule), _markdown_table(table)]
    pieces += ["## The run"]
    pieces += ["\n".join(f"- {name}: {_text(fact)}" for name, fact in summary.facts())]
    pieces += ["To repeat it:", f"    {summary.command()}"]
    pieces += ["To cite it:", _text(summary.citation())]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _markdown_table(table: Table) -> str:
    heads, rows = table
    cells = [[_text(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _text(text: str) -> str:
    """A text of a file in Markdown: one line, no table, no markup and no HTML of its own."""
    plain = line(text).replace("\\", "\\\\")
    for mark in "|<`[*":
        plain = plain.replace(mark, f"\\{mark}")
    return plain
