"""Reports of a run: Markdown for the terminal, CSV of all answers, and a page that stands alone."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..languages.table import LANGUAGES
from ..text import strip_controls
from .run_file import Cell, RunFile
from .statistics import macro
from .summary import (
    COUNT_RULE,
    LANGUAGE_RULE,
    OPEN,
    PAIRED_RULE,
    TITLES,
    Summary,
    Tally,
    language_name,
    line,
    percent,
)

MAX_SHOWN = 3000
"""Answers that the page shows in full; the CSV file has all."""
_COLUMNS = (
    *("item", "kind", "language", "index", "side", "model", "prompt", "expected", "answer"),
    *("finish", "outcome", "found", "why", "stayed", "first_token", "seconds"),
    *("prompt_tokens", "answer_tokens", "error", "at"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins so."""
_UNSEEN = " \n\u00a0\ufeff\u200b"
_NOTHING = "–"

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The heads of the columns, and the rows."""


def markdown(run: RunFile) -> str:
    """The report in Markdown, to be read in a terminal."""
    summary = Summary(run)
    pieces = [f"# {_text(summary.headline())}", _text(LANGUAGE_RULE) if summary.open_kind else ""]
    for title, rule, table in _tables(summary):
        pieces += [f"## {_text(title)}", _text(rule), _markdown_table(table)]
    pieces += ["## The run"]
    pieces += ["\n".join(f"- {name}: {_text(fact)}" for name, fact in summary.facts())]
    pieces += ["To repeat it:", f"    {summary.command()}"]
    pieces += ["To cite it:", _text(summary.citation())]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def write_csv(run: RunFile, path: Path) -> None:
    """Write a table of all answers, a row each. Raises `OSError`."""
    # With a mark that Excel takes UTF-8 by.
    path.write_text(csv_text(run), "utf-8-sig", newline="")


def csv_text(run: RunFile) -> str:
    """A table of all answers. No cell is a formula: an apostrophe stands before what would be."""
    titles = Summary(run).titles
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for cell in run.cells:
        kind, language, index = cell.place
        fields: dict[str, Any] = {
            **cell.model_dump(),
            "kind": kind,
            "language": language,
            "index": index,
            "model": titles.get(cell.side, ""),
            "expected": expected_text(cell),
        }
        writer.writerow([_defused(fields[name]) for name in _COLUMNS])
    return file.getvalue()


def write_html(run: RunFile, path: Path) -> None:
    """Write a page that stands alone: no script, nothing that is fetched. Raises `OSError`."""
    path.write_text(html(run), "utf-8")


def html(run: RunFile) -> str:
    """The report as a page."""
    summary = Summary(run)
    body: list[str] = [f"<h1>{_html(summary.headline())}</h1>"]
    if summary.open_kind:
        body.append(f"<p>{_html(LANGUAGE_RULE)}</p>")
    for title, rule, table in _tables(summary):
        body.append(f"<section><h2>{_html(title)}</h2>")
        if rule:
            body.append(f"<p>{_html(rule)}</p>")
        body.append(f"{_html_table(table)}</section>")
    body.append("<section><h2>The run</h2><dl>")
    body += [f"<dt>{_html(name)}</dt><dd>{_html(fact)}</dd>" for name, fact in summary.facts()]
    body.append("</dl><h3>How to repeat it</h3>")
    body.append(f"<pre><code>{_html(summary.command())}</code></pre>")
    body.append(f"<h3>How to cite it</h3><p>{_html(summary.citation())}</p></section>")
    body += _html_answers(summary)
    title = _html(summary.headline())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing is fetched and nothing runs, whatever stands in a run file.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def expected_text(cell: Cell) -> str:
    """A right answer as text: `3`, `rot | rote`, `{"age": 27}`."""
    expected = cell.expected
    if expected is None:
        return ""
    if isinstance(expected, bool):
        return "yes" if expected else "no"
    if isinstance(expected, dict):
        return json.dumps(expected, ensure_ascii=False)
    if isinstance(expected, tuple):
        between = ", " if cell.place[0] == "order" else " | "
        return between.join(str(one) for one in expected)
    return str(expected)


def _tables(summary: Summary) -> Iterable[tuple[str, str, Table]]:
    """The tables of a report: title, rule and content."""
    names = [summary.titles[side] for side in summary.sides]
    if summary.checked:
        yield "Right, by language", COUNT_RULE, _by_language(summary, summary.checked, names)
    if summary.open_kind:
        table = _stayed_by_language(summary, names)
        rule = "k/n: answers in the language of all, with Wilson's 95 % interval."
        yield "Stayed in the language", rule, table
    if summary.checked and len(names) > 1:
        yield "One against the other", PAIRED_RULE, _paired(summary)
    yield "By task", "", _by_kind(summary, names)
    for kind in summary.kinds:
        if kind not in OPEN:
            title = f"{TITLES.get(kind, kind)} ({line(kind)})"
            yield title, "", _by_language(summary, [kind], names)
    yield "Cost", "", _cost(summary)


def _by_language(summary: Summary, kinds: Sequence[str], names: Sequence[str]) -> Table:
    rows = [
        [
            language_name(code),
            *(_right(summary.tally(side, kinds, [code])) for side in summary.sides),
        ]
        for code in summary.languages
        if any(summary.tally(side, kinds, [code]).n for side in summary.sides)
    ]
    if len(rows) > 1:
        means = (_mean(summary, side, kinds) for side in summary.sides)
        rows.append([f"Mean of {len(rows)} languages", *means])
    return ["Language", *names], rows


def _stayed_by_language(summary: Summary, names: Sequence[str]) -> Table:
    kinds = [kind for kind in OPEN if kind in summary.kinds]
    told = len(kinds) > 1
    heads = [
        f"{name}, {'asked in English' if kind == 'told' else 'asked in it'}" if told else name
        for name in names
        for kind in kinds
    ]
    rows = [
        [
            language_name(code),
            *(
                _stayed(summary.tally(side, [kind], [code]))
                for side in summary.sides
                for kind in kinds
            ),
        ]
        for code in summary.languages
    ]
    return ["Language", *heads], rows


def _paired(summary: Summary) -> Table:
    rows = [
        [
            language_name(one.language),
            *([one.b] if len(summary.sides) > 2 else []),
            str(one.n),
            str(one.a_only),
            str(one.b_only),
            f"{one.p:.3f}" if one.p >= 0.001 else "< 0.001",
            one.words,
        ]
        for one in summary.paired()
    ]
    first, *others = (summary.titles[side] for side in summary.sides)
    second = others[0] if len(others) == 1 else "the other"
    against = ["Against"] if len(others) > 1 else []
    return (
        ["Language", *against, "Items", f"{first} alone", f"{second} alone", "p", "What it shows"],
        rows,
    )


def _by_kind(summary: Summary, names: Sequence[str]) -> Table:
    rows = [
        [
            f"{TITLES.get(kind, '')} ({line(kind)})".strip(),
            *(
                _stayed(summary.tally(side, [kind]))
                if kind in OPEN
                else _right(summary.tally(side, [kind]))
                for side in summary.sides
            ),
        ]
        for kind in summary.kinds
    ]
    return ["Task", *names], rows


def _cost(summary: Summary) -> Table:
    rows: list[list[str]] = []
    for side in summary.sides:
        tally = summary.tally(side)
        rows.append(
            [
                summary.titles[side],
                f"{tally.n:,}",
                str(tally.unreadable),
                str(tally.failed),
                f"{tally.seconds / tally.timed:.2f} s" if tally.timed else _NOTHING,
                f"{tally.written / tally.n:.0f}" if tally.n else _NOTHING,
                f"{tally.read:,}" if tally.read else _NOTHING,
                f"{tally.written:,}",
            ]
        )
    heads = ["Model", "Answers", "Unreadable", "Not asked", "Seconds each", "Tokens each"]
    return [*heads, "Tokens read", "Tokens written"], rows


def _right(tally: Tally) -> str:
    """`9/12 (47–91 %), 2 unreadable`."""
    if not tally.n:
        return _NOTHING
    unreadable = f", {tally.unreadable} unreadable" if tally.unreadable else ""
    return f"{tally.right}/{tally.n} ({percent(tally.share_right)}){unreadable}"


def _mean(summary: Summary, side: str, kinds: Sequence[str]) -> str:
    """The mean of the languages, each counting alike: `41 % (38–44 %), n = 264`."""
    tallies = [summary.tally(side, kinds, [code]) for code in summary.languages]
    counts = [(tally.right, tally.n) for tally in tallies if tally.n]
    if not counts:
        return _NOTHING
    mean, n = macro(counts), sum(n for _, n in counts)
    return f"{100 * mean.share:.0f} % ({percent(mean)}), n = {n:,}"


def _stayed(tally: Tally) -> str:
    if not tally.in_languages:
        return _NOTHING
    undecided = f", {tally.undecided} undecided" if tally.undecided else ""
    return f"{tally.stayed}/{tally.in_languages} ({percent(tally.share_stayed)}){undecided}"


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


def _html(text: str) -> str:
    return escape(strip_controls(text), quote=True)


def _html_table(table: Table) -> str:
    heads, rows = table
    head = "".join(f'<th scope="col">{_html(cell)}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{_html(row[0])}</th>'
        + "".join(f"<td>{_html(cell)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _html_answers(summary: Summary) -> list[str]:
    """Every answer beside its prompt, by language."""
    cells = sorted(summary.run.cells, key=lambda cell: _order(summary, cell))
    pieces = ["<section><h2>All answers</h2>"]
    if len(cells) > MAX_SHOWN:
        pieces.append(
            f"<p>The first {MAX_SHOWN:,} of {len(cells):,}; the run file and the CSV file have all."
            "</p>"
        )
        cells = cells[:MAX_SHOWN]
    open_language: str | None = None
    for cell in cells:
        _, language, _ = cell.place
        if language != open_language:
            if open_language is not None:
                pieces.append("</tbody></table></details>")
            pieces.append(
                f"<details><summary>{_html(language_name(language))}</summary><table><thead><tr>"
                '<th scope="col">Item</th><th scope="col">Prompt</th><th scope="col">Right is</th>'
                '<th scope="col">Model</th><th scope="col">Answer</th><th scope="col">Worth</th>'
                "</tr></thead><tbody>"
            )
            open_language = language
        pieces.append(_html_answer(summary, cell))
    if open_language is not None:
        pieces.append("</tbody></table></details>")
    return [*pieces, "</section>"]


def _order(summary: Summary, cell: Cell) -> tuple[int, int, int, str]:
    kind, language, index = cell.place
    return summary.languages.index(language), summary.kinds.index(kind), index, cell.side


def _html_answer(summary: Summary, cell: Cell) -> str:
    kind, language, _ = cell.place
    answered = "en" if kind == "to_english" else language
    if cell.error is not None:
        worth, answer = f"not asked: {cell.error}", ""
    else:
        stayed = {"stayed": "in its language", "left": "in another", "undecided": "undecided"}
        parts = (cell.outcome or "", stayed.get(cell.stayed or "", ""), cell.why)
        worth, answer = "; ".join(part for part in parts if part), cell.answer
    prompt_marks = _marks("en" if kind == "told" else language)
    answer_marks = _marks(answered if cell.stayed == "stayed" else "")
    return (
        f'<tr class="{_html(cell.outcome or "none")}"><td>{_html(cell.item)}</td>'
        f"<td{prompt_marks}>{_html(cell.prompt)}</td>"
        f'<td dir="auto">{_html(expected_text(cell))}</td>'
        f"<td>{_html(summary.titles.get(cell.side, cell.side))}</td>"
        f"<td{answer_marks}>{_html(answer)}</td><td>{_html(worth)}</td></tr>"
    )


def _marks(code: str) -> str:
    """Language and direction of a text; of an unknown one, the direction by its first letter."""
    known = LANGUAGES.get(code)
    return f' lang="{known.code}" dir="{known.direction}"' if known else ' lang="" dir="auto"'


def _defused(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a number is no formula, a negative one neither
    text = strip_controls(str(value))
    # What a program that reads the file leaves out before a formula does not hide it.
    begins = str(value).startswith(_FORMULA) or text.lstrip(_UNSEEN).startswith(_FORMULA)
    return f"'{text}" if begins else text


_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 75rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.8rem; line-height: 1.25; }
h2 { margin-top: 2.5rem; font-size: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8886; text-align: start;
  vertical-align: top; }
thead th { border-bottom-width: 2px; }
tbody th { font-weight: 400; }
tbody tr:last-child > * { border-bottom-width: 2px; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
pre { padding: .8rem; border: 1px solid #8886; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
details td { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 30rem; }
tr.right > td:last-child::before { content: "✓ "; }
tr.wrong > td:last-child::before { content: "✕ "; }
tr.unreadable > td:last-child::before { content: "? "; }
@media print {
  main { max-width: none; padding: 0; }
  h2, summary { break-after: avoid; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  body { font-size: 9pt; }
}
"""
