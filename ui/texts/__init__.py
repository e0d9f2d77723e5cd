"""The page's words: its fixed texts by key, its sentences by their English, and translations.

A fixed text stands in `english.py`, and Gradio's components take it (`t`, `words`). Every other
sentence stands where it is said, in English: `Sentence("{label} needs a key.", label=…)`, in the
backends too. It travels whole, and is said in the visitor's language where it is shown: by `say`
for a list, by the page's script (`assets/say.js`) in HTML that `told` made.

A translation names the English it was made from: once that has changed, English stands in its place
until it is translated anew. `python -m ui.texts`, which `make lint` runs, says where.
"""

from collections.abc import Mapping

import gradio as gr

from .document import told_in
from .english import EN
from .say import TRANSLATIONS, code_of, say, told, told_as
from .translation import Translation, read_translations, source_of

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
    "EN", "I18N", "LOCALES", "TRANSLATIONS", "Translation", "code_of", "marked",
    "read_translations", "say", "source_of", "t", "told", "told_as", "told_in",
    "words",
]  # fmt: skip
