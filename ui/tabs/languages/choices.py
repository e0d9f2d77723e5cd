"""The inputs of a run: who is asked what, in which languages."""

import json
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from playground.languages.table import LANGUAGES
from playground.limits import Limits
from playground.matrix.items import KINDS, PROMPTS
from playground.matrix.own_prompts import parse
from playground.matrix.summary import TITLES
from playground.matrix.texts import texts

from ...texts import say, t
from .asked import MAX_ITEMS, MAX_MODELS
from .shown import language_rows

FIRST_PUBLIC = ("ar", "zh", "en", "fr", "de", "he", "ja", "ko", "ru", "es", "th")
"""Languages that are chosen at first on a public page, where a run is short."""
FIRST_KINDS = ("stays", "sum_one", "yes_no", "copy", "to_english", "digits")
NAME = "languages"


@dataclass(frozen=True)
class Choices:
    """The inputs' components."""

    box: gr.Column
    models: gr.Dropdown
    what: gr.Radio
    prompt: gr.Dropdown
    own_box: gr.Column
    own_rows: gr.HTML
    """A box for each chosen language; its value is what `read_own` reads in `own`."""
    own: gr.Textbox
    question: gr.Textbox
    kinds: gr.CheckboxGroup
    items: gr.Slider
    languages: gr.CheckboxGroup
    all_languages: gr.Button
    no_language: gr.Button
    cost: gr.HTML
    start: gr.Button

    @property
    def inputs(self) -> dict[str, gr.Component]:
        """The components by field of an `AskForm`."""
        return {
            "models": self.models,
            "what": self.what,
            "prompt": self.prompt,
            "own": self.own,
            "question": self.question,
            "kinds": self.kinds,
            "items": self.items,
            "languages": self.languages,
        }


def first_languages(limits: Limits) -> list[str]:
    """The languages that are chosen at first."""
    return [code for code in LANGUAGES if code in FIRST_PUBLIC or not limits.public]


def prompt_choices(locale: str) -> list[tuple[str, str]]:
    """The page's prompts as choices, in the language of a page."""
    prompts = texts(locale).prompts
    return [(prompts[name], name) for name in PROMPTS]


def kind_choices(locale: str) -> list[tuple[str, str]]:
    """The tasks as choices, in the language of a page."""
    return [(say(TITLES[kind], locale=locale), kind) for kind in KINDS]


def read_own(text: str, most: int) -> str:
    """The rows of a visitor's own prompts, for the boxes of `own.js`."""
    read = parse(text, most)
    found = {"of": text, "rows": dict(read.rows), "unreadable": bool(read.problems)}
    return json.dumps(found, ensure_ascii=False)


def build_choices(limits: Limits) -> Choices:
    """Build the inputs of a run; they are shown by the page's script."""
    with gr.Column(elem_id=f"{NAME}-choices", elem_classes="run-choices") as box:
        with gr.Row(elem_classes="run-first"):
            models = gr.Dropdown(
                [], multiselect=True, max_choices=MAX_MODELS, label=t("lang_models"),
                elem_id=f"{NAME}-models", filterable=True, scale=3,
            )  # fmt: skip
            what = gr.Radio(
                [(t(f"lang_what_{one}"), one) for one in ("prompt", "own", "told", "tasks")],
                value="prompt", label=t("lang_what"), elem_id=f"{NAME}-what", scale=5,
            )  # fmt: skip
        prompt = gr.Dropdown(
            prompt_choices("en"), value=PROMPTS[0],
            label=t("lang_prompt"), elem_id=f"{NAME}-prompt", filterable=False,
        )  # fmt: skip
        question = gr.Textbox(
            label=t("lang_question"), placeholder=t("lang_question_example"), lines=2,
            elem_id=f"{NAME}-question", visible=False,
        )  # type: ignore[arg-type]  # fmt: skip
        kinds = gr.CheckboxGroup(
            kind_choices("en"), value=[*FIRST_KINDS],
            label=t("lang_kinds"), elem_id=f"{NAME}-kinds", visible=False,
        )  # fmt: skip
        items = gr.Slider(
            1, MAX_ITEMS, 3, step=1, label=t("lang_items"), elem_id=f"{NAME}-items", visible=False
        )
        languages = gr.CheckboxGroup(
            [(one.own_name, one.code) for one in LANGUAGES.values()],
            value=first_languages(limits), label=t("lang_languages"),
            elem_id=f"{NAME}-languages", elem_classes="language-boxes",
        )  # fmt: skip
        with gr.Column(visible=False, elem_id=f"{NAME}-own-box") as own_box:
            own_rows = gr.HTML(
                "", html_template='<div class="own-rows"></div>',
                js_on_load=(Path(__file__).parent / "own.js").read_text("utf-8"),
                languages=language_rows(), apply_default_css=False, elem_id=f"{NAME}-own-rows",
            )  # fmt: skip
            own = gr.Textbox(
                label=t("lang_own"), placeholder=t("lang_own_example"), lines=6, max_lines=14,
                elem_id=f"{NAME}-own",
            )  # type: ignore[arg-type]  # fmt: skip
        with gr.Row(elem_classes="run-last"):
            start = gr.Button(t("lang_run"), variant="primary", elem_id=f"{NAME}-run", scale=0)
            cost = gr.HTML(elem_id=f"{NAME}-cost", elem_classes="run-cost")
            all_languages = gr.Button(
                t("lang_all"), size="sm", elem_id=f"{NAME}-all", scale=0, min_width=60
            )
            no_language = gr.Button(
                t("lang_none"), size="sm", elem_id=f"{NAME}-none", scale=0, min_width=60
            )
    return Choices(
        box, models, what, prompt, own_box, own_rows, own, question, kinds, items,
        languages, all_languages, no_language, cost, start,
    )  # fmt: skip
