"""One side of a comparison: its pickers, its conversation, its growing answer, its numbers."""

from dataclasses import dataclass

import gradio as gr

from .texts import t


@dataclass(frozen=True)
class Pane:
    """One side's components."""

    backend: gr.Dropdown
    model: gr.Dropdown
    state: gr.HTML
    download: gr.Button
    confirm: gr.Button
    cancel: gr.Button
    conversation: gr.Chatbot
    live: gr.Markdown
    line: gr.HTML
    regenerate: gr.Button
    stop: gr.Button
    code: gr.Button
    program: gr.Markdown


def build_pane(side: str, backends: list[tuple[str, str]]) -> Pane:
    """Draw one side; `side` is `left` or `right`."""
    with gr.Column(min_width=320, elem_id=f"pane-{side}", elem_classes=["pane", side]):
        with gr.Row(elem_classes="pickers"):
            backend = gr.Dropdown(
                backends, label=t("backend"), elem_id=f"backend-{side}", scale=2, min_width=120,
                filterable=False,
            )  # fmt: skip
            model = gr.Dropdown(
                [], label=t("model"), elem_id=f"model-{side}", scale=3, min_width=140,
                filterable=False,
            )  # fmt: skip
        with gr.Row(elem_classes="state-row"):
            state = gr.HTML(elem_id=f"state-{side}", scale=1)
            download = gr.Button(
                t("download"), size="sm", visible=False, elem_id=f"download-{side}", scale=0
            )
            confirm = gr.Button(
                t("download_confirm"), size="sm", visible=False, variant="primary", scale=0,
                elem_id=f"confirm-{side}",
            )  # fmt: skip
            cancel = gr.Button(
                t("cancel"), size="sm", visible=False, elem_id=f"cancel-{side}", scale=0
            )
        conversation = gr.Chatbot(
            label=t(f"conversation_{side}"), show_label=False, container=False, height="auto",
            layout="panel", buttons=["copy"], editable="user", elem_id=f"conversation-{side}",
            elem_classes="conversation", allow_tags=False, autoscroll=False, feedback_options=None,
            placeholder=t("conversation_placeholder"),
        )  # fmt: skip
        live = gr.Markdown(
            elem_id=f"answer-{side}", elem_classes="live", label=t(f"answer_{side}"),
            container=False,
        )  # fmt: skip
        line = gr.HTML(elem_id=f"line-{side}", elem_classes="line")
        with gr.Row(elem_classes="side-actions"):
            regenerate = gr.Button(
                t("regenerate_one"), size="sm", visible=False, elem_id=f"regenerate-{side}"
            )
            stop = gr.Button(t("stop_one"), size="sm", visible=False, elem_id=f"stop-{side}")
            code = gr.Button(t("show_code"), size="sm", elem_id=f"code-{side}")
        # A translated program would not run.
        program = gr.Markdown(
            visible=False, elem_id=f"program-{side}", elem_classes=["program", "notranslate"],
            label=t(f"program_{side}"), container=False, latex_delimiters=[],
        )  # fmt: skip
    return Pane(
        backend,
        model,
        state,
        download,
        confirm,
        cancel,
        conversation,
        live,
        line,
        regenerate,
        stop,
        code,
        program,
    )
