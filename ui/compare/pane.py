"""The components of one side: its pickers, what state its model is in, its own settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import gradio as gr

from playground.conversation import LETTERS

from ..texts import EN, t, words
from .side import letter_of


@dataclass(frozen=True)
class Pane:
    """One side's components."""

    id: str
    """Element id of the column that holds them."""
    column: gr.Column
    backend: gr.Dropdown
    model: gr.Dropdown
    own: gr.HTML
    """The settings in which this side differs, as JSON; see `own_settings.js`."""
    state: gr.HTML
    download: gr.Button
    confirm: gr.Button
    retry: gr.Button
    cancel: gr.Button
    code: gr.Button
    copy: gr.Button
    """Adds a side with the same model."""
    remove: gr.Button
    watch: gr.Button
    """Hidden; clicked by the page's script when a download is to be shown."""
    redraw: gr.Button
    """Hidden; clicked by the page's script when an old row was drawn over a new one."""
    more: Mapping[str, gr.Component]
    """Inputs that a tab has added, by field of its `SideForm`."""

    @property
    def inputs(self) -> dict[str, gr.Component]:
        """The components by field of a `SideForm`."""
        return {"backend": self.backend, "model": self.model, "own": self.own, **self.more}


class PaneExtras(Protocol):
    """Hooks with which a view adds components to each side, by its number."""

    def build_beside_model(self, side: int) -> Mapping[str, gr.Component]:
        """Add inputs of one side beside its pickers; return them by field of its form."""
        ...

    def build_below_model(self, side: int) -> None:
        """Add information on the model below the pickers."""


def build_pane(
    view: str, side: int, backends: list[tuple[str, str]], extras: PaneExtras, *, visible: bool
) -> Pane:
    """Build one side of a view."""
    letter = letter_of(side)

    def name(what: str) -> str:
        return f"{view}-{what}-{letter}"

    def button(key: str, what: str, variant: str = "secondary", *, visible: bool = False):
        return gr.Button(
            t(key), size="sm", visible=visible, elem_id=name(what), scale=0,
            variant=variant,  # type: ignore[arg-type]
        )  # fmt: skip

    with gr.Column(
        min_width=240, elem_id=name("pane"), elem_classes=["pane", letter], visible=visible
    ) as column:
        with gr.Row(elem_classes="pickers"):
            gr.HTML(f'<i class="letter" aria-hidden="true">{LETTERS[side]}</i>', scale=0)
            backend = gr.Dropdown(
                backends, label=t("backend"), elem_id=name("backend"), scale=2, min_width=90,
                filterable=False, container=False,
            )  # fmt: skip
            model = gr.Dropdown(
                [], label=t("model"), elem_id=name("model"), scale=3, min_width=100,
                filterable=False, container=False,
            )  # fmt: skip
            more = extras.build_beside_model(side)
        with gr.Row(elem_classes="state-row"):
            state = gr.HTML(elem_id=name("state"), scale=1)
            download = button("download", "download")
            confirm = button("download_confirm", "confirm", "primary")
            retry = button("try_again", "retry")
            cancel = button("cancel", "cancel")
            code = button("show_code", "code", visible=True)
            copy = button("copy_side", "copy", visible=True)
            remove = button("remove", "remove")
            own = build_own_settings(name("own"))
        extras.build_below_model(side)
    # Not in the column: Gradio's page shows what is hidden in one that it shows.
    watch = gr.Button(visible="hidden", elem_id=name("watch"))
    redraw = gr.Button(visible="hidden", elem_id=name("redraw"))
    return Pane(
        name("pane"), column, backend, model, own, state, download, confirm, retry, cancel, code,
        copy, remove, watch, redraw, more,
    )  # fmt: skip


def build_own_settings(elem_id: str) -> gr.HTML:
    """Build the fields for the settings in which a side differs from the others."""
    fields = "".join(
        f'<label>{words(key)}<input inputmode="decimal" autocomplete="off" data-setting="{key}" '
        f'placeholder="{EN["as_all"]}" data-t-placeholder="as_all"></label>'
        for key in ("temperature", "top_p", "top_k", "max_tokens", "seed")
    )
    system = (
        f'<label class="own-system">{words("system")}<textarea rows="2" dir="auto" '
        f'data-setting="system" placeholder="{EN["as_all"]}" data-t-placeholder="as_all">'
        "</textarea></label>"
    )
    template = (
        f'<details class="own"><summary>{words("own_settings")}</summary>'
        f'<div class="own-fields">{system}{fields}</div></details>'
    )
    return gr.HTML(
        "", html_template=template, apply_default_css=False, elem_id=elem_id,
        js_on_load=(Path(__file__).parent / "own_settings.js").read_text("utf-8"),
    )  # fmt: skip
