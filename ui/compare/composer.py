"""The prompt box, its buttons, and the notice above it."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from ..texts import t, told

_OPEN_LESS_USED = (
    '<button type="button" popovertarget="{view}-less-used" aria-label="More" title="More" '
    "data-say-label='[\"More\"]' data-say-title='[\"More\"]'>"
    "⋯</button>"
)


@dataclass(frozen=True)
class Composer:
    """The prompt box and the buttons around it."""

    prompt: gr.Textbox
    compare: gr.Button
    stop: gr.Button
    regenerate: gr.Button
    undo: gr.Button
    clear: gr.Button
    restore: gr.Button
    """Brings back what was cleared."""
    copy_markdown: gr.Button
    copy_json: gr.Button
    copy_link: gr.Button
    add_side: gr.Button
    in_turn: gr.Checkbox
    notice: gr.HTML
    typing: gr.Button
    """Hidden; clicked by the page's script when a prompt is begun."""


def build_composer(
    view: str, placeholder_key: str, build_above_prompt: Callable[[], None]
) -> Composer:
    """Build the prompt box of a view; `placeholder_key` is a key of `EN`."""
    with gr.Column(elem_id=f"{view}-composer", elem_classes="composer"):
        notice = gr.HTML(elem_id=f"{view}-notice")
        build_above_prompt()
        with gr.Row(elem_classes="ask"):
            prompt = gr.Textbox(
                label=t("prompt"), show_label=False, container=False, lines=2, max_lines=10,
                placeholder=t(placeholder_key), elem_id=f"{view}-prompt",
                elem_classes="prompt", scale=1, interactive=True,
            )  # type: ignore[arg-type]  # fmt: skip
            compare = gr.Button(t("compare"), variant="primary", elem_id=f"{view}-compare", scale=0)
            stop = gr.Button(
                t("stop"), variant="stop", visible=False, elem_id=f"{view}-stop", scale=0
            )
        with gr.Row(elem_classes="tools"):
            add_side = gr.Button(t("add_side"), size="sm", elem_id=f"{view}-add-side")
            regenerate = gr.Button(
                t("regenerate"), size="sm", visible=False, elem_id=f"{view}-regenerate"
            )
            restore = gr.Button(t("restore"), size="sm", visible=False, elem_id=f"{view}-restore")
            # On a phone a sheet of its own (`view.js`); elsewhere in the line.
            with gr.Row(elem_id=f"{view}-less-used", elem_classes="less-used"):
                undo = gr.Button(t("undo"), size="sm", visible=False, elem_id=f"{view}-undo")
                clear = gr.Button(t("clear"), size="sm", visible=False, elem_id=f"{view}-clear")
                copy_markdown = gr.Button(
                    t("copy_markdown"), size="sm", visible=False, elem_id=f"{view}-copy-markdown"
                )
                copy_json = gr.Button(
                    t("copy_json"), size="sm", visible=False, elem_id=f"{view}-copy-json"
                )
                copy_link = gr.Button(t("copy_link"), size="sm", elem_id=f"{view}-copy-link")
                in_turn = gr.Checkbox(
                    label=t("in_turn"), container=False, elem_id=f"{view}-in-turn",
                    elem_classes="in-turn",
                )  # fmt: skip
            gr.HTML(_OPEN_LESS_USED.format(view=view), elem_classes="less-used-open")
        typing = gr.Button(visible="hidden", elem_id=f"{view}-typing")
    return Composer(
        prompt,
        compare,
        stop,
        regenerate,
        undo,
        clear,
        restore,
        copy_markdown,
        copy_json,
        copy_link,
        add_side,
        in_turn,
        notice,
        typing,
    )


def notice_html(text: str) -> str:
    """Return a sentence as an alert, or nothing for an empty one."""
    return f'<p class="notice" role="alert">{told(text)}</p>' if text else ""


def hint_html(text: str) -> str:
    """Return a sentence that offers something; it is no alert."""
    return f'<p class="notice hint" role="status">{told(text)}</p>'
