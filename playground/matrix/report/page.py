"""The report as a page that stands alone."""

from html import escape
from pathlib import Path

from ...languages.table import LANGUAGES
from ...text import strip_controls
from ..run_file import Cell, RunFile
from ..summary import LANGUAGE_RULE, Summary, language_name
from .answers import expected_text
from .tables import Table, tables

MAX_SHOWN = 3000
"""Answers that the page shows in full; the CSV file has all."""


def write_html(run: RunFile, path: Path) -> None:
    """Write a page that stands alone: no script, nothing that is fetched. Raises `OSError`."""
    path.write_text(html(run), "utf-8")


def html(run: RunFile) -> str:
    """The report as a page."""
    summary = Summary(run)
    body: list[str] = [f"<h1>{_html(summary.headline())}</h1>"]
    if summary.open_kind:
        body.append(f"<p>{_html(LANGUAGE_RULE)}</p>")
    for title, rule, table in tables(summary):
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
        f"<title>{title}</title><style>{_style()}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


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


def _style() -> str:
    return Path(__file__).with_name("page.css").read_text("utf-8")
