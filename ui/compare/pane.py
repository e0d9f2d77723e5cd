"""The components of one side: pickers, conversation, streamed answer, status line, code."""

from dataclasses import dataclass
from typing import Protocol

import gradio as gr

from ..texts import t

SHOWN_TAGS = ["form", "fieldset", "textarea", "select", "dialog", "style"]
"""HTML that an answer shows as it was written: drawn, it would look like the page's own controls.

Gradio's parser does this after Markdown was drawn, so it must not be given tags that Markdown makes
itself: `button` stands above code, `input` in task lists. `conversation.js` sees to those, and to
all of them where the parser does not look."""


@dataclass(frozen=True)
class Pane:
    """One side's components."""

    id: str
    """Element id of the column that holds them."""
    backend: gr.Dropdown
    model: gr.Dropdown
    state: gr.HTML
    download: gr.Button
    confirm: gr.Button
    retry: gr.Button
    cancel: gr.Button
    watch: gr.Button
    """Hidden; clicked by the page's script when a download is to be shown."""
    redraw: gr.Button
    """Hidden; clicked by the page's script when an old row was drawn over a new one."""
    conversation: gr.Chatbot
    live: gr.Markdown
    line: gr.HTML
    regenerate: gr.Button
    stop: gr.Button
    code: gr.Button
    program: gr.Markdown


class PaneExtras(Protocol):
    """Hooks with which a view adds components to each side; `side` is `left` or `right`."""

    def build_beside_model(self, side: str) -> None:
        """Add inputs of one side beside its pickers."""

    def build_below_model(self, side: str) -> None:
        """Add information on the model below the pickers."""

    def build_below_answer(self, side: str) -> None:
        """Add output below the answer and its status line."""


def build_pane(view: str, side: str, backends: list[tuple[str, str]], extras: PaneExtras) -> Pane:
    """Build one side of a view; `side` is `left` or `right`."""
    pane_id = f"{view}-pane-{side}"
    with gr.Column(min_width=320, elem_id=pane_id, elem_classes=["pane", side]):
        with gr.Row(elem_classes="pickers"):
            backend = gr.Dropdown(
                backends, label=t("backend"), elem_id=f"{view}-backend-{side}", scale=2,
                min_width=120, filterable=False,
            )  # fmt: skip
            model = gr.Dropdown(
                [], label=t("model"), elem_id=f"{view}-model-{side}", scale=3, min_width=140,
                filterable=False,
            )  # fmt: skip
            extras.build_beside_model(side)
        with gr.Row(elem_classes="state-row"):
            state = gr.HTML(elem_id=f"{view}-state-{side}", scale=1)
            download = gr.Button(
                t("download"), size="sm", visible=False, elem_id=f"{view}-download-{side}", scale=0
            )
            confirm = gr.Button(
                t("download_confirm"), size="sm", visible=False, variant="primary", scale=0,
                elem_id=f"{view}-confirm-{side}",
            )  # fmt: skip
            retry = gr.Button(
                t("try_again"), size="sm", visible=False, elem_id=f"{view}-retry-{side}", scale=0
            )
            cancel = gr.Button(
                t("cancel"), size="sm", visible=False, elem_id=f"{view}-cancel-{side}", scale=0
            )
        watch = gr.Button(visible="hidden", elem_id=f"{view}-watch-{side}")
        redraw = gr.Button(visible="hidden", elem_id=f"{view}-redraw-{side}")
        extras.build_below_model(side)
        conversation = gr.Chatbot(
            label=t(f"conversation_{side}"), show_label=False, container=False, height="auto",
            layout="panel", buttons=["copy"], editable="user", elem_classes="conversation",
            elem_id=f"{view}-conversation-{side}", allow_tags=SHOWN_TAGS, autoscroll=False,
            feedback_options=None, placeholder=t("conversation_placeholder"),
        )  # fmt: skip
        live = gr.Markdown(
            elem_id=f"{view}-answer-{side}", elem_classes="answer", label=t(f"answer_{side}"),
            container=False,
        )  # fmt: skip
        line = gr.HTML(elem_id=f"{view}-line-{side}", elem_classes="line")
        with gr.Row(elem_classes="side-actions"):
            regenerate = gr.Button(
                t("regenerate_one"), size="sm", visible=False, elem_id=f"{view}-regenerate-{side}"
            )
            stop = gr.Button(t("stop_one"), size="sm", visible=False, elem_id=f"{view}-stop-{side}")
            code = gr.Button(t("show_code"), size="sm", elem_id=f"{view}-code-{side}")
        extras.build_below_answer(side)
        # A translated program would not run.
        program = gr.Markdown(
            visible=False, elem_id=f"{view}-program-{side}", label=t(f"program_{side}"),
            elem_classes=["program", "notranslate"], container=False, latex_delimiters=[],
        )  # fmt: skip
    return Pane(
        pane_id,
        backend,
        model,
        state,
        download,
        confirm,
        retry,
        cancel,
        watch,
        redraw,
        conversation,
        live,
        line,
        regenerate,
        stop,
        code,
        program,
    )
