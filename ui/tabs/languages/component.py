"""The matrix as a component: what `matrix.js` fills in, and what it is told once."""

from html import escape
from pathlib import Path

import gradio as gr

from ...texts import code_of, told, told_as
from .choices import NAME
from .shown import language_rows

HERE = Path(__file__).parent
SCRIPTS = ("matrix.js", "cell.js", "figures.js")
"""In the order in which they run, as one."""


def build_matrix() -> gr.HTML:
    """Build the empty matrix; its value is a message of `Board`.

    It tells `submit` of a run that is to go on, `download` of what is to be saved, and `select` of
    all else that is pressed.
    """
    script = "\n".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    return gr.HTML(
        "", html_template=_template(), js_on_load=script, apply_default_css=False,
        languages=language_rows(), elem_id=f"{NAME}-matrix",
    )  # fmt: skip


def _label(text: str) -> str:
    return told_as("aria-label", text)


def _option(value: str, text: str) -> str:
    return f'<option value="{value}" data-say="{code_of(text)}">{escape(text)}</option>'


def _mark(name: str, sign: str, text: str) -> str:
    return f'<div><dt><i class="mark {name}">{sign}</i></dt><dd>{told(text)}</dd></div>'


def _template() -> str:
    # Filled in with text nodes: what a model wrote, or a file says, never becomes HTML.
    return f"""
<section class="matrix"{_label("The run")}>
  <header>
    <h2 class="headline"></h2>
    <p class="about"><span class="origin"></span><span class="models"></span></p>
    <p class="rule"></p>
    <p class="begin"><button type="button" class="run-here" data-act="choose"
      aria-controls="languages-choices" aria-expanded="false">{told("Run it here")}</button>
      <button type="button" data-act="go-on" hidden></button></p>
    <div class="going" hidden>
      <div class="bar" aria-hidden="true"><i></i></div>
      <p class="status"></p>
      <button type="button" data-act="stop">{told("Stop")}</button>
    </div>
    <p class="said" role="alert" hidden></p>
    <p class="ended" role="status" hidden></p>
  </header>
  <div class="bar-row">
    <div class="views" role="group"{_label("What is shown")}>
      <button type="button" data-view="cells" aria-pressed="true">{told("Matrix")}</button>
      <button type="button" data-view="picture" aria-pressed="false">{told("Picture")}</button>
      <button type="button" data-view="tax" aria-pressed="false">{told("Token tax")}</button>
    </div>
    <span class="for-cells">
      <label>{told("Order")} <select class="order">
        {_option("worst", "worst first")}{_option("family", "by family")}
      </select></label>
      <label class="task">{told("Task")} <select class="kind"></select></label>
      <label class="tick"><input type="checkbox" class="differ"> {told("Only where they differ")}
      </label>
    </span>
    <details class="saving"><summary>{told("Save")}</summary><div>
      <button type="button" data-save="csv">CSV</button>
      <button type="button" data-save="jsonl">JSONL</button>
      <button type="button" data-save="md">Markdown</button>
      <button type="button" data-save="html">{told("Report (HTML)")}</button>
    </div></details>
  </div>
  <div class="view" data-of="cells">
    <div class="sides" role="group"{_label("Which model to show")}></div>
    <div class="scroll"><table role="grid"><caption></caption><thead></thead></table></div>
    <p class="none" hidden>{told("There is no row in which they differ.")}</p>
    <dl class="legend"{_label("What the marks mean")}>
      {_mark("plain", "✓", "right")}
      {_mark("plain", "✕", "wrong")}
      {_mark("plain", "?", "unreadable")}
      {_mark("stayed", "", "in the language")}
      {_mark("left", "", "in another language")}
      {_mark("undecided", "", "language undecided")}
      {_mark("plain", "✓", "without a ground: no language to be in")}
      <div class="for-counts" hidden><dt><i class="length"></i></dt>
        <dd>{told("the line: how many answers are in the language")}</dd></div>
    </dl>
  </div>
  <div class="view" data-of="picture" hidden></div>
  <div class="view" data-of="tax" hidden>
    <p class="hint">{told("The tokens are being counted…")}</p></div>
  <details class="method"><summary>{told("How it was asked")}</summary><dl></dl>
    <p>{told("To repeat it, or to go on without this page:")}</p><pre tabindex="0"></pre></details>
  <dialog class="answers" aria-labelledby="languages-answers-title"></dialog>
</section>
"""
