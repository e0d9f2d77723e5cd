"""The routing picture: which experts work on which token, drawn while they do."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from backends import BackendError
from playground.routing import Routing, figure_data, from_file

from ...texts import EN

RESENT_TOKENS = 48
"""Tokens that are sent once more with each tick: a page that is late shows the newest one only."""

SentTokens = tuple[int, int]
"""The key of the routing that the page draws, and how many of its tokens it was sent."""


def build_figure(view: str, side: str, largest: int) -> gr.HTML:
    """Draw the picture of one side, empty; its value is what `says` and `shows` make.

    A saved routing that is opened in it has at most `largest` bytes.
    """
    return gr.HTML(
        "",
        html_template=_TEMPLATE.format(**EN, side=side),
        js_on_load=(Path(__file__).parent / "figure.js").read_text("utf-8"),
        server_functions=[open_routing],
        largest=largest,
        elem_id=f"{view}-routing-{side}",
        elem_classes="routing-box",
        apply_default_css=False,
    )


def figure_placeholder(sentence: str) -> str:
    """Instead of a picture: why there is none."""
    return json.dumps({"placeholder": sentence})


def full_figure(routing: Routing, model: str) -> str:
    """The whole picture of an answer that has ended."""
    return _to_json({**figure_data(routing), "model": model, "ended": True})


def figure_delta(routing: Routing, model: str, sent: SentTokens) -> tuple[str, SentTokens]:
    """What is new of an answer that grows, and what has been sent with it."""
    key, tokens = sent
    since = max(0, min(tokens, len(routing) - RESENT_TOKENS)) if key == routing.key else 0
    return _to_json({**figure_data(routing, since), "model": model}), (routing.key, len(routing))


def open_routing(text: str) -> dict[str, Any]:
    """The picture of a saved routing, or in words why it cannot be shown."""
    try:
        file = from_file(text if isinstance(text, str) else "")
    except BackendError as error:
        return {"refused": str(error)}
    return {**figure_data(file.routing), "model": file.model, "ended": True}


def _to_json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


# What changes is put in by routing.js, as text: a model's words never become HTML.
_TEMPLATE = """
<section class="routing" data-state="empty" aria-label="{routing_of} {side}">
  <div class="routing-head">
    <h2>{routing_title} <span class="whose" hidden></span></h2>
    <div class="parts" role="group" aria-label="{routing_parts}" hidden>
      <button type="button" data-part="prompt" aria-pressed="false">{routing_prompt}</button>
      <button type="button" data-part="answer" aria-pressed="false">{routing_answer}</button>
      <button type="button" data-part="both" aria-pressed="true">{routing_both}</button>
    </div>
  </div>
  <p class="says">{routing_empty}</p>
  <p class="opened" role="status" hidden></p>
  <p class="failed" role="alert" hidden></p>
  <div class="drawn" hidden>
    <div class="grid" role="grid" tabindex="0" aria-label="{routing_grid}"></div>
    <p class="legend" aria-hidden="true"><span>{routing_axes}</span>
      <span class="scale">{routing_never} <i></i><i></i><i></i><i></i><i></i>
        <span class="full"></span></span></p>
    <p class="told" aria-hidden="true"></p>
    <p class="heard spoken" role="status"></p>
    <div class="tokens notranslate" role="listbox" tabindex="0" translate="no"
      aria-label="{routing_tokens}"></div>
    <div class="load" aria-hidden="true"><p></p><div class="bars"></div></div>
    <details class="table"><summary>{routing_table}</summary><div tabindex="0"></div></details>
  </div>
  <div class="files">
    <button type="button" class="save" hidden>{routing_save}</button>
    <button type="button" class="open">{routing_open}</button>
    <button type="button" class="close" hidden>{routing_close}</button>
    <input type="file" accept=".json,application/json" hidden aria-label="{routing_open}">
  </div>
</section>
"""
