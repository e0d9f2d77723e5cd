"""The transcript of a comparison: a turn is a row, a side a column. One component for all of it."""

from pathlib import Path

import gradio as gr

from .rows import Rows

HERE = Path(__file__).parent
SCRIPTS = ("elements.js", "follow.js", "cells.js", "acts.js", "transcript.js")
"""In the order in which they run, as one; the last one begins."""
EMPTY = '<div class="transcript"></div>'


def build_transcript(view: str) -> gr.HTML:
    """Build the empty transcript of a view; its value is a message of `Rows`.

    It tells `submit` of what asks models again, and `select` of everything else that is pressed.
    """
    script = "\n".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    return gr.HTML(
        "", html_template=EMPTY, js_on_load=script, apply_default_css=False, view=view,
        elem_id=f"{view}-transcript",
    )  # fmt: skip


__all__ = ["Rows", "build_transcript"]
