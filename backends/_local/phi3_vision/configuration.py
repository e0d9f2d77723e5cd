"""The settings of a Phi-3-vision model: Phi-3's own, and those of what sees."""

# The library's own configurations override their base as this does.
# pyright: reportIncompatibleMethodOverride=false

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CLIPVisionConfig, Phi3Config

CHAT_ENDS = [32007, 32000]
"""`<|end|>` and `<|endoftext|>`: what ends an answer, in the published tokenizers."""

LLAMA_END = 2
"""`</s>`: the published `config.json` calls it the end, and no answer ever holds it."""

CLIP_VIT_L_14_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
"""`openai/clip-vit-large-patch14-336`, which the published settings only name."""


@strict
class Phi3VConfig(Phi3Config):
    """What `configuration_phi3_v.py` holds, as a `Phi3Config`.

    `img_processor` describes the CLIP tower and `embd_layer` what follows it, as the checkpoints
    do. `eos_token_id` is what ends a chat, not the published 2.
    """

    model_type = "phi3_v"

    img_processor: dict[str, Any] | None = None
    embd_layer: dict[str, Any] | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.eos_token_id in (None, LLAMA_END):
            self.eos_token_id = list(CHAT_ENDS)
        super().__post_init__(**kwargs)
        layer = self.embd_layer or {}
        order = layer.get("hd_transform_order", "sub_glb")
        if order != "sub_glb" or not layer.get("use_hd_transform", True):
            raise ValueError("Only the published order of crops is known: HD transform, sub_glb.")

    def convert_rope_params_to_dict(self, **kwargs: Any) -> dict[str, Any]:
        # LongRoPE was called "su" when the checkpoints were published.
        scaling = kwargs.get("rope_scaling")
        if scaling and scaling.get("type") == "su":
            factors = {name: scaling[name] for name in scaling if name != "type"}
            kwargs["rope_scaling"] = {"rope_type": "longrope", **factors}
        return super().convert_rope_params_to_dict(**kwargs)

    @property
    def vision_config(self) -> CLIPVisionConfig:
        """The CLIP tower's settings; `img_processor` may change them, as small tests do."""
        given = self.img_processor or {}
        return CLIPVisionConfig(**{k: given.get(k, v) for k, v in CLIP_VIT_L_14_336.items()})
