"""The program that asks a model on one's own machine, with Transformers' `generate`."""

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from .._core.types import GenerationParams, ImagePart, Message
from .._snippets.python_source import Expression, Pictures, call, comment, literal, quoted
from .chat_text import DEFAULT_PARAMS, STOP_TOKENS, ImagePlaceholders, to_template_messages
from .placement import ACCELERATE
from .sampling import GREEDY_BELOW

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
    num_crops: int | None = None,
    spread: bool = False,
) -> str:
    """A program that answers the conversation as the page does, from its first import on.

    `name` is what the model is loaded by, `dtype` a Python expression, and `system_slot` says
    whether the model's template has a place for a system prompt. A vision model has `num_crops`.
    One that no device here can hold is `spread` over them.
    Raises `BadRequestError` if there is nothing to answer.
    """
    tags = ImagePlaceholders(_controls(messages))
    talk = to_template_messages(messages, system_slot=system_slot, write=tags)
    broken = comment(r"\u2060 makes control tokens in a text mere letters.")
    harmed = any("\u2060" in turn["content"] for turn in talk)
    knobs, seed = _knobs(params), params.seed
    drawn = knobs["do_sample"] and seed is not None
    reading = num_crops is None
    recipe = _reading(dtype, spread) if reading else _seeing(dtype, num_crops, tags.images)
    return "\n".join(
        [
            "import torch",
            *recipe.imports,
            f"from transformers import TextStreamer{', set_seed' if drawn else ''}",
            "",
            f"name = {literal(name, 0, 7)}",
            'device = "cuda" if torch.cuda.is_available() else "cpu"',
            *recipe.loading,
            "",
            *(broken if harmed else []),
            f"messages = {literal(talk, 0, 11)}",
            *recipe.prompt,
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


class _Recipe(NamedTuple):
    """What differs between a model that reads and one that sees, in lines of a program."""

    imports: Sequence[str]
    loading: Sequence[str]
    """How `tokenizer` and `model` come to be."""
    prompt: Sequence[str]
    """How `messages` become `prompt`."""


def _reading(dtype: str, spread: bool) -> _Recipe:
    class_ = "model = AutoModelForCausalLM.from_pretrained"
    whole = [f"{class_}(name, dtype={dtype})", "model.to(device)"]
    parts = [
        *comment(f"No device here holds all of it: Accelerate lays it out ({ACCELERATE})."),
        f'{class_}(name, dtype={dtype}, device_map="auto")',
    ]
    return _Recipe(
        ["from transformers import AutoModelForCausalLM, AutoTokenizer"],
        ["tokenizer = AutoTokenizer.from_pretrained(name)", *(parts if spread else whole)],
        [
            "prompt = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
            ").to(device)",
        ],
    )


def _seeing(dtype: str, num_crops: int, images: Sequence[ImagePart]) -> _Recipe:
    pictures = Pictures()
    for image in images:
        pictures.name(sha256(image.data).hexdigest(), image.media_type.rpartition("/")[2])
    names = [pictures.files[sha256(image.data).hexdigest()] for image in images]
    opened = [Expression(f"Image.open({quoted(name)})") for name in names]
    return _Recipe(
        [
            *(["from PIL import Image"] if images else []),
            "from backends._local.phi3_vision import Phi3VForCausalLM, Phi3VProcessor",
        ],
        [
            f"processor = Phi3VProcessor.from_pretrained(name, num_crops={num_crops})",
            "tokenizer = processor.tokenizer",
            f"model = Phi3VForCausalLM.from_pretrained(name, dtype={dtype})",
            "model.to(device)",
        ],
        [
            "text = tokenizer.apply_chat_template(",
            "    messages, add_generation_prompt=True, tokenize=False",
            ")",
            *(["", *pictures.saving] if images else []),
            f"images = {literal(opened, 0, 9)}",
            'prompt = processor(text, images, return_tensors="pt").to(device)',
        ],
    )


def _controls(messages: Sequence[Message]) -> set[str]:
    """What looks like a control token in any of the messages."""
    return {control for message in messages for control in _CONTROL.findall(message.text)}


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
