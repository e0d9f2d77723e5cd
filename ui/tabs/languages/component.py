"""The matrix as a component: what `matrix.js` fills in, and what it is told once."""

from pathlib import Path

import gradio as gr

from ...texts import EN
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
        "", html_template=_TEMPLATE.format(**EN), js_on_load=script, apply_default_css=False,
        languages=language_rows(), elem_id=f"{NAME}-matrix",
    )  # fmt: skip


# Filled in with text nodes: what a model wrote, or a file says, never becomes HTML.
_TEMPLATE = """
<section class="matrix" aria-label="{lang_result}">
  <header>
    <h2 class="headline"></h2>
    <p class="about"><span class="origin"></span><span class="models"></span></p>
    <p class="rule"></p>
    <p class="begin"><button type="button" class="run-here" data-act="choose"
      aria-controls="languages-choices" aria-expanded="false">{lang_new}</button>
      <button type="button" data-act="go-on" hidden></button></p>
    <div class="going" hidden>
      <div class="bar" aria-hidden="true"><i></i></div>
      <p class="status"></p>
      <button type="button" data-act="stop">{stop}</button>
    </div>
    <p class="said" role="alert" hidden></p>
    <p class="ended" role="status" hidden></p>
  </header>
  <div class="bar-row">
    <div class="views" role="group" aria-label="{lang_views}">
      <button type="button" data-view="cells" aria-pressed="true">{lang_matrix}</button>
      <button type="button" data-view="picture" aria-pressed="false">{lang_picture}</button>
      <button type="button" data-view="tax" aria-pressed="false">{lang_tax}</button>
    </div>
    <span class="for-cells">
      <label>{lang_order} <select class="order">
        <option value="worst">{lang_worst}</option><option value="family">{lang_family}</option>
      </select></label>
      <label class="task">{lang_task} <select class="kind"></select></label>
      <label class="tick"><input type="checkbox" class="differ"> {lang_differ}</label>
    </span>
    <details class="saving"><summary>{lang_save}</summary><div>
      <button type="button" data-save="csv">CSV</button>
      <button type="button" data-save="jsonl">JSONL</button>
      <button type="button" data-save="md">Markdown</button>
      <button type="button" data-save="html">{lang_report}</button>
    </div></details>
  </div>
  <div class="view" data-of="cells">
    <div class="sides" role="group" aria-label="{lang_side}"></div>
    <div class="scroll"><table role="grid"><caption></caption><thead></thead></table></div>
    <p class="none" hidden>{lang_same}</p>
    <dl class="legend" aria-label="{lang_legend}">
      <div><dt><i class="mark plain">✓</i></dt><dd>right</dd></div>
      <div><dt><i class="mark plain">✕</i></dt><dd>wrong</dd></div>
      <div><dt><i class="mark plain">?</i></dt><dd>unreadable</dd></div>
      <div><dt><i class="mark stayed"></i></dt><dd>in the language</dd></div>
      <div><dt><i class="mark left"></i></dt><dd>in another</dd></div>
      <div><dt><i class="mark undecided"></i></dt><dd>undecided</dd></div>
      <div><dt><i class="mark plain">✓</i></dt><dd>without a ground: no language to be in</dd></div>
      <div class="for-counts" hidden><dt><i class="length"></i></dt>
        <dd>the line: how many answers are in the language</dd></div>
    </dl>
  </div>
  <div class="view" data-of="picture" hidden></div>
  <div class="view" data-of="tax" hidden><p class="hint">{lang_counting}</p></div>
  <details class="method"><summary>{lang_method}</summary><dl></dl>
    <p>{lang_repeat}</p><pre tabindex="0"></pre></details>
  <dialog class="answers" aria-labelledby="languages-answers-title"></dialog>
</section>
"""
