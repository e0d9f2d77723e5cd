"""Phi-3-vision and Phi-3.5-vision for today's Transformers, from the published checkpoints.

Microsoft's own code for these models (`modeling_phi3_v.py` and its neighbours, on the Hub beside
`microsoft/Phi-3-vision-128k-instruct`) needs a Transformers of 2024 and torchvision. This computes
the same from the classes that Transformers has of its own: `CLIPVisionModel` sees, `Phi3Model`
speaks, and what stands here is the little in between.

    from backends._local.phi3_vision import Phi3VForCausalLM, Phi3VProcessor

    processor = Phi3VProcessor.from_pretrained("microsoft/Phi-3.5-vision-instruct", num_crops=4)
    model = Phi3VForCausalLM.from_pretrained("microsoft/Phi-3.5-vision-instruct", dtype="auto")
    chat = [{"role": "user", "content": "<|image_1|>\\nWhat is this?"}]
    prompt = processor.tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    inputs = processor(prompt, [image], return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=100)[:, inputs["input_ids"].shape[1] :]
    processor.batch_decode(answer, skip_special_tokens=True)

The first use of a name loads torch and Transformers and makes the Auto classes know `phi3_v`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration import Phi3VConfig
    from .image_processing import Phi3VImageProcessor
    from .modeling import Phi3VForCausalLM, Phi3VModel
    from .processing import Phi3VProcessor

__all__ = [
    "Phi3VConfig",
    "Phi3VForCausalLM",
    "Phi3VImageProcessor",
    "Phi3VModel",
    "Phi3VProcessor",
    "register",
]


def register() -> None:
    """Make the Auto classes (config, models, image processor, processor) know `phi3_v`."""
    import transformers

    for module in ("configuration", "image_processing", "modeling", "processing"):
        names = vars(import_module(f".{module}", __name__))
        globals().update({name: names[name] for name in __all__ if name in names})
    config = Phi3VConfig
    transformers.AutoConfig.register("phi3_v", config, exist_ok=True)
    transformers.AutoModel.register(config, Phi3VModel, exist_ok=True)
    for auto in (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText):
        auto.register(config, Phi3VForCausalLM, exist_ok=True)
    transformers.AutoImageProcessor.register(
        config, image_processor_classes={"pil": Phi3VImageProcessor}, exist_ok=True
    )
    transformers.AutoProcessor.register(config, Phi3VProcessor, exist_ok=True)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    register()
    return globals()[name]
