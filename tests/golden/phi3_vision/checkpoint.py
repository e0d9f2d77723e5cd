"""Deterministic tiny Phi-3-vision checkpoints, in the original checkpoint's own parameter names.

Every parameter is drawn with NumPy's PCG64 from (seed, CRC-32 of its name), so any machine rebuilds
the same weights from this file alone; nothing has to be stored or downloaded.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

VOCAB, HIDDEN, LAYERS, HEADS, FFN = 32064, 128, 2, 4, 256
CLIP_DIM, CLIP_LAYERS, CLIP_FFN, CLIP_HEADS = 1024, 3, 512, 16

CONFIG = {
    "architectures": ["Phi3VForCausalLM"],
    "model_type": "phi3_v",
    "torch_dtype": "float32",
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "intermediate_size": FFN,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "type": "su",
        "short_factor": [round(1.0 + 0.01 * i, 4) for i in range(HIDDEN // HEADS // 2)],
        "long_factor": [round(1.0 + 1.5 * i, 4) for i in range(HIDDEN // HEADS // 2)],
    },
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "use_cache": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 32000,
    "attention_dropout": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "initializer_range": 0.02,
    "img_processor": {
        "name": "clip_vision_model",
        "model_name": "openai/clip-vit-large-patch14-336",
        "image_dim_out": CLIP_DIM,
        "num_img_tokens": 144,
        # test only: the real checkpoint leaves these out and means ViT-L/14-336 (24 layers, 4096)
        "num_hidden_layers": CLIP_LAYERS,
        "intermediate_size": CLIP_FFN,
    },
    "embd_layer": {
        "embedding_cls": "image",
        "hd_transform_order": "sub_glb",
        "projection_cls": "mlp",
        "use_hd_transform": True,
        "with_learnable_separator": True,
    },
}


def shapes() -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, as the original checkpoint spells them."""
    s: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCAB, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": (VOCAB, HIDDEN),
    }
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        s |= {
            p + "self_attn.qkv_proj.weight": (3 * HIDDEN, HIDDEN),
            p + "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            p + "mlp.gate_up_proj.weight": (2 * FFN, HIDDEN),
            p + "mlp.down_proj.weight": (HIDDEN, FFN),
            p + "input_layernorm.weight": (HIDDEN,),
            p + "post_attention_layernorm.weight": (HIDDEN,),
        }
    v = "model.vision_embed_tokens."
    s |= {
        v + "glb_GN": (1, 1, 4 * CLIP_DIM),
        v + "sub_GN": (1, 1, 1, 4 * CLIP_DIM),
        v + "img_projection.0.weight": (HIDDEN, 4 * CLIP_DIM),
        v + "img_projection.0.bias": (HIDDEN,),
        v + "img_projection.2.weight": (HIDDEN, HIDDEN),
        v + "img_projection.2.bias": (HIDDEN,),
    }
    c = v + "img_processor.vision_model."
    s |= {
        c + "embeddings.class_embedding": (CLIP_DIM,),
        c + "embeddings.patch_embedding.weight": (CLIP_DIM, 3, 14, 14),
        c + "embeddings.position_embedding.weight": (577, CLIP_DIM),
    }
    for n in ("pre_layrnorm", "post_layernorm"):
        s |= {f"{c}{n}.weight": (CLIP_DIM,), f"{c}{n}.bias": (CLIP_DIM,)}
    for i in range(CLIP_LAYERS):
        p = f"{c}encoder.layers.{i}."
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            s |= {
                f"{p}self_attn.{n}.weight": (CLIP_DIM, CLIP_DIM),
                f"{p}self_attn.{n}.bias": (CLIP_DIM,),
            }
        s |= {
            p + "mlp.fc1.weight": (CLIP_FFN, CLIP_DIM),
            p + "mlp.fc1.bias": (CLIP_FFN,),
            p + "mlp.fc2.weight": (CLIP_DIM, CLIP_FFN),
            p + "mlp.fc2.bias": (CLIP_DIM,),
        }
        for n in ("layer_norm1", "layer_norm2"):
            s |= {f"{p}{n}.weight": (CLIP_DIM,), f"{p}{n}.bias": (CLIP_DIM,)}
    return s


def weights(seed: int) -> dict[str, np.ndarray]:
    """The float32 state dict for `seed`, keyed by the original parameter names."""
    out = {}
    for name, shape in shapes().items():
        noise = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(
            shape, dtype=np.float32
        )
        is_norm = ("norm" in name or "layrnorm" in name) and name.endswith("weight")
        fan_in = shape[-1] if len(shape) == 2 else 200
        out[name] = (
            1 + 0.05 * noise if is_norm else noise * np.float32(0.7 / np.sqrt(fan_in))
        ).astype(np.float32)
    return out


def picture(width: int, height: int, seed: int):
    """A deterministic RGB test picture (gradients, a disc and a grid), as a PIL image."""
    from PIL import Image

    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    r = (255 * x / max(width - 1, 1)).astype(np.uint8)
    g = (255 * y / max(height - 1, 1)).astype(np.uint8)
    b = ((x * (seed + 3) + y * 7) % 256).astype(np.uint8)
    rgb = np.stack([r, g, b], axis=-1)
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2
    rgb[disc] = (255 - 20 * seed % 200, 40, 90)
    rgb[::24] = 0
    return Image.fromarray(rgb, "RGB")


def write(folder: Path, seed: int, num_crops: int = 4) -> Path:
    """Write config.json, preprocessor_config.json and model.safetensors to `folder`; return it."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1))
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "Phi3VImageProcessor",
                "num_crops": num_crops,
                "num_img_tokens": 144,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
            },
            indent=1,
        )
    )
    save_file(weights(seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder
