"""The routing figure: the experts that work on each token, drawn by `figure.js`."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from backends import BackendError
from playground.conversation import LETTERS
from playground.routing import Routing, figure_data, from_file

from ...compare.side import letter_of
from ...texts import EN

RESENT_TOKENS = 48
"""Tokens that are sent again with each tick: a slow page applies the newest message only."""

SentTokens = tuple[int, int]
"""Key of the routing that the page has, and the number of its tokens that were sent."""


def build_figure(view: str, side: int, largest: int) -> gr.HTML:
    """Build an empty figure of one side; its value is JSON from the functions below.

    A saved routing that is opened in it has at most `largest` bytes.
    """
    return gr.HTML(
        "",
        html_template=_TEMPLATE.format(**EN, side=LETTERS[side]),
        js_on_load=(Path(__file__).parent / "figure.js").read_text("utf-8"),
        server_functions=[open_routing],
        largest=largest,
        elem_id=f"{view}-routing-{letter_of(side)}",
        elem_classes="routing-box",
        apply_default_css=False,
    )


def figure_placeholder(sentence: str) -> str:
    """Return the value that shows a sentence in place of a figure."""
    return json.dumps({"placeholder": sentence})


def full_figure(routing: Routing, model: str) -> str:
    """Return the value of a finished answer's figure."""
    return _to_json({**figure_data(routing), "model": model, "ended": True})


def figure_delta(routing: Routing, model: str, sent: SentTokens) -> tuple[str, SentTokens]:
    """Return the value that adds an unfinished answer's new tokens, and what is sent by then."""
    key, tokens = sent
    since = max(0, min(tokens, len(routing) - RESENT_TOKENS)) if key == routing.key else 0
    return _to_json({**figure_data(routing, since), "model": model}), (routing.key, len(routing))


def open_routing(text: str) -> dict[str, Any]:
    """Return the data of a saved routing, or a sentence that says why it is refused."""
    try:
        file = from_file(text if isinstance(text, str) else "")
    except BackendError as error:
        return {"refused": str(error)}
    return {**figure_data(file.routing), "model": file.model, "ended": True}


def _to_json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


# `figure.js` fills it in with text nodes: a model's output never becomes HTML.
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
