"""A tiny untaught Phi-3.5-MoE, with LongRoPE and its scales as the real one has them."""

from pathlib import Path

from tests import tiny

LAYERS, EXPERTS, CHOSEN = 3, 16, 2


def checkpoint(folder: Path) -> Path:
    """Write the model into a folder; returns the folder. It talks nonsense, but always the same."""
    import torch
    from transformers import PhimoeConfig, PhimoeForCausalLM

    tokenizer = tiny.new_tokenizer()
    torch.manual_seed(0)
    model = PhimoeForCausalLM(
        PhimoeConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=EXPERTS,
            num_experts_per_tok=CHOSEN,
            max_position_embeddings=131_072,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "short_factor": [1.0] * 8,
                "long_factor": [4.0] * 8,
                "short_mscale": 1.243163121016122,
                "long_mscale": 1.243163121016122,
                "original_max_position_embeddings": 4096,
            },
            bos_token_id=1,
            eos_token_id=[3, 4, 7],
            pad_token_id=3,
            initializer_range=0.2,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
