"""The program that asks a model on one's own machine, with Transformers' `generate`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._code import Expression, call, comment, literal
from ._sampling import GREEDY_BELOW
from ._text import DEFAULT_PARAMS, STOP_TOKENS, harmless, turns
from ._types import GenerationParams, Message

_CONTROL = re.compile(r"<\|\w+\|>|</?s>|<unk>")
"""What the Phi models' control tokens look like."""

_PROBE = "3f9c"
"""A text that no template has of its own."""

_STREAMER = "TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)"


def program(
    name: str,
    messages: Sequence[Message],
    params: GenerationParams,
    *,
    dtype: str,
    system_slot: bool,
) -> str:
    """A program that answers the conversation as the page does, from its first import on.

    `name` is what the model is loaded by, `dtype` a Python expression, and `system_slot` says
    whether the model's template has a place for a system prompt. Raises `BadRequestError` if
    there is nothing to answer.
    """
    talk = turns(messages, system_slot=system_slot)
    for turn in talk:
        turn["content"] = harmless(turn["content"], set(_CONTROL.findall(turn["content"])))
    broken = comment(r"\u2060 makes control tokens in a text mere letters.")
    harmed = any("\u2060" in turn["content"] for turn in talk)
    knobs, seed = _knobs(params), params.seed
    drawn = knobs["do_sample"] and seed is not None
    return "\n".join(
        [
            "import torch",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            f"from transformers import TextStreamer{', set_seed' if drawn else ''}",
            "",
            f"name = {literal(name, 0, 7)}",
            'device = "cuda" if torch.cuda.is_available() else "cpu"',
            "tokenizer = AutoTokenizer.from_pretrained(name)",
            f"model = AutoModelForCausalLM.from_pretrained(name, dtype={dtype})",
            "model.to(device)",
            "",
            *(broken if harmed else []),
            f"messages = {literal(talk, 0, 11)}",
            "prompt = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
            ").to(device)",
            "",
            "# Each of these tokens ends an answer.",
            f"ends = {literal(list(STOP_TOKENS), 0, 7)}",
            "vocabulary = tokenizer.get_vocab()",
            "ends = [vocabulary[end] for end in ends if end in vocabulary]",
            "",
            *(_seeding(seed) if drawn and seed is not None else []),
            call(
                "model.generate",
                knobs
                | {
                    "eos_token_id": Expression("ends"),
                    "streamer": Expression(_STREAMER),
                },
                {"stop_strings": "generate() prints the stop text too; the page leaves it out."},
                first="**prompt",
            ),
            "",
        ]
    )


def _knobs(params: GenerationParams) -> dict[str, Any]:
    """The knobs as `generate` takes them, with the page's defaults for those left alone."""

    def knob(name: str) -> Any:
        value = getattr(params, name)
        return getattr(DEFAULT_PARAMS, name) if value is None else value

    knobs: dict[str, Any] = {"max_new_tokens": max(1, knob("max_tokens"))}
    if knob("temperature") < GREEDY_BELOW:
        knobs["do_sample"] = False
    else:
        knobs["do_sample"] = True
        knobs |= {name: knob(name) for name in ("temperature", "top_p", "top_k")}
    if stop := [text for text in params.stop if text]:
        knobs |= {"stop_strings": stop, "tokenizer": Expression("tokenizer")}
    return knobs


def _seeding(seed: int) -> list[str]:
    return [
        *comment("The page draws with a generator of its own: its samples differ from these."),
        f"set_seed({seed % 2**32})",
    ]


def has_system_slot(folder: Path) -> bool:
    """Whether the template of a checkpoint puts a system prompt anywhere; yes if it has none."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        template = _template(folder)
    except (OSError, ValueError):
        return True
    talk = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "x"}]
    try:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return _PROBE in environment.from_string(template).render(messages=talk)
    except TemplateError:  # some templates refuse what they cannot take
        return False


def _template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    return str(settings["chat_template"]) if "chat_template" in settings else _PROBE
