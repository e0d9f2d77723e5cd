"""The routing figure: the experts that work on each token, drawn by `figure.js`."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from backends import BackendError, Sentence
from playground.conversation import LETTERS
from playground.routing import Routing, figure_data, from_file

from ...compare.side import letter_of
from ...texts import told, told_as

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
        html_template=_template(LETTERS[side]),
        js_on_load=(Path(__file__).parent / "figure.js").read_text("utf-8"),
        server_functions=[open_routing],
        largest=largest,
        elem_id=f"{view}-routing-{letter_of(side)}",
        elem_classes="routing-box",
        apply_default_css=False,
    )


def figure_placeholder(sentence: str) -> str:
    """Return the value that shows a sentence in place of a figure."""
    return _to_json({"placeholder": Sentence.of(sentence).dump()})


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
        return {"refused": Sentence.of(str(error)).dump()}
    return {**figure_data(file.routing), "model": file.model, "ended": True}


def _to_json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _template(side: str) -> str:
    # `figure.js` fills it in with text nodes: a model's output never becomes HTML.
    def label(text: str) -> str:
        return told_as("aria-label", text)

    whose = Sentence("Experts of the answer of side {side}", side=side)
    return f"""
<section class="routing" data-state="empty"{label(whose)}>
  <div class="routing-head">
    <h2>{told("Which experts work")} <span class="whose" hidden></span></h2>
    <div class="parts" role="group"{label("Which tokens count")} hidden>
      <button type="button" data-part="prompt" aria-pressed="false">{told("Prompt")}</button>
      <button type="button" data-part="answer" aria-pressed="false">{told("Answer")}</button>
      <button type="button" data-part="both" aria-pressed="true">{told("Both")}</button>
    </div>
  </div>
  <p class="says">{told("Ask something to see which experts work on each token.")}</p>
  <p class="opened" role="status" hidden></p>
  <p class="failed" role="alert" hidden></p>
  <div class="drawn" hidden>
    <div class="grid" role="grid" tabindex="0"{label(_GRID)}></div>
    <p class="legend" aria-hidden="true">{told("A row is a layer, a column an expert.")}
      <span class="scale">{told("never")} <i></i><i></i><i></i><i></i><i></i>
        <span class="full"></span></span></p>
    <p class="told" aria-hidden="true"></p>
    <p class="heard spoken" role="status"></p>
    <div class="tokens notranslate" role="listbox" tabindex="0" translate="no"
     {label(_TOKENS)}></div>
    <div class="load" aria-hidden="true"><p></p><div class="bars"></div></div>
    <details class="table"><summary>{told("As a table")}</summary><div tabindex="0"></div></details>
  </div>
  <div class="files">
    <button type="button" class="save" hidden>{told("Save as JSON")}</button>
    <button type="button" class="open">{told("Open a saved one")}</button>
    <button type="button" class="close" hidden>{told("Close the file")}</button>
    <input type="file" accept=".json,application/json" hidden{label("Open a saved one")}>
  </div>
</section>
"""


_GRID = "Experts by layer. Arrow keys move; the tokens of an expert are marked below."
_TOKENS = "Tokens. Arrow keys move; the experts of a token are marked above."
