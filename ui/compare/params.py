"""The settings: a system prompt and generation parameters, folded away."""

from dataclasses import dataclass

import gradio as gr

from playground.limits import Limits

from ..texts import t


@dataclass(frozen=True)
class Params:
    """The settings' components."""

    box: gr.Accordion
    system: gr.Textbox
    temperature: gr.Slider
    max_tokens: gr.Slider
    top_p: gr.Slider
    top_k: gr.Number
    seed: gr.Textbox
    stop: gr.Textbox

    @property
    def inputs(self) -> dict[str, gr.Component]:
        """The components by field of a `Form`."""
        return {
            "system": self.system,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "seed": self.seed,
            "stop": self.stop,
        }


def build_params(view: str, limits: Limits) -> Params:
    """Build the settings of a view."""
    with gr.Accordion(
        t("settings"), open=False, elem_id=f"{view}-settings", elem_classes="settings"
    ) as box:
        system = gr.Textbox(
            label=t("system"),
            placeholder=t("system_placeholder"),  # type: ignore[arg-type]
            lines=2,
            elem_id=f"{view}-system",
            elem_classes="system",
        )
        with gr.Row(elem_classes="knobs"):
            temperature = gr.Slider(
                0, 2, 0.7, step=0.05, label=t("temperature"), info=t("temperature_info"),
                elem_id=f"{view}-temperature",
            )  # fmt: skip
            max_tokens = gr.Slider(
                1, limits.max_tokens, min(512, limits.max_tokens), step=1, label=t("max_tokens"),
                info=t("max_tokens_info"), elem_id=f"{view}-max-tokens",
            )  # fmt: skip
            top_p = gr.Slider(
                0.01,
                1,
                0.95,
                step=0.01,
                label=t("top_p"),
                info=t("top_p_info"),
                elem_id=f"{view}-top-p",
            )
        with gr.Row(elem_classes="knobs"):
            top_k = gr.Number(
                50, precision=0, label=t("top_k"), info=t("top_k_info"), elem_id=f"{view}-top-k"
            )
            # Not a gr.Number: an empty one becomes 0 in the page, and 0 is a seed.
            seed = gr.Textbox(
                label=t("seed"), info=t("seed_info"), lines=1, max_lines=1, elem_id=f"{view}-seed",
                placeholder=t("seed_placeholder"),
                html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
            )  # fmt: skip
            stop = gr.Textbox(
                label=t("stop_texts"), info=t("stop_texts_info"), lines=1, max_lines=4,
                elem_id=f"{view}-stop-texts",
            )  # fmt: skip
    return Params(box, system, temperature, max_tokens, top_p, top_k, seed, stop)
