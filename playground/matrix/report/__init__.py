"""Reports of a run: Markdown for the terminal, CSV of all answers, and a page that stands alone."""

from .answers import csv_text, expected_text, write_csv
from .page import MAX_SHOWN, html, write_html
from .tables import Table, tables
from .terminal import markdown

__all__ = [
    "MAX_SHOWN",
    "Table",
    "csv_text",
    "expected_text",
    "html",
    "markdown",
    "tables",
    "write_csv",
    "write_html",
]
