"""The page's fixed texts by key: English, and a file for each language it is translated into.

A translation names the English it was made from: once that has changed, English stands in its place
until it is translated anew. `python -m ui.texts`, which `make lint` runs, says where.
"""

from collections.abc import Mapping

import gradio as gr

from .english import EN
from .translation import Translation, read_translations, source_of

TRANSLATIONS = read_translations()
"""The translations in the order of the list, by code of `playground.languages`."""

LOCALES = {"zh": "zh-CN"}
"""Where Gradio's name for a language is another: under it stand Gradio's own words, too."""

MARK = "ui:"
"""Before each key in the page: Gradio translates also what was typed or chosen, if it is a key."""


def marked(texts: Mapping[str, str]) -> dict[str, str]:
    """Return texts by the keys that they have in the page."""
    return {MARK + key: text for key, text in texts.items()}


I18N = gr.I18n(
    en=marked(EN),
    **{LOCALES.get(code, code): marked(one.fresh(EN)) for code, one in TRANSLATIONS.items()},
)


def t(key: str) -> str:
    """Return a fixed text as a component takes it, translated in the page."""
    return I18N(MARK + key)  # type: ignore[return-value]  # Gradio turns it into text in the page


def words(key: str) -> str:
    """Return a fixed text as HTML: in English, translated by the page's script."""
    return f'<span data-t="{key}">{EN[key]}</span>'


__all__ = [
    "EN", "I18N", "LOCALES", "TRANSLATIONS", "Translation", "marked", "read_translations",
    "source_of", "t", "words",
]  # fmt: skip
