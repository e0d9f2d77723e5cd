"""Writes the Pocket text models for llama.cpp: `python -m tools.pocket.export_gguf FOLDER`.

One GGUF file each, with the checkpoint's own numbers in float32 (12 MB), so that llama.cpp computes
with what the other engines compute with. It wants `pip install gguf==0.19.0`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from backends._local.weights import safetensors_header

from .lesson import EDITIONS, MODELS

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""The names of a layer's tensors there and here."""
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""Kinds of tokens, by the numbers of the format."""


def write(checkpoint: Path, file: Path, name: str) -> None:
    """Write one checkpoint as a GGUF file."""
    from gguf import GGUFWriter

    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    writer = GGUFWriter(file, "phi3")
    writer.add_name(name)
    writer.add_file_type(0)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_sliding_window(0)
    _add_vocabulary(writer, checkpoint)
    for tensor, numbers in _tensors(checkpoint / "model.safetensors"):
        writer.add_tensor(tensor, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any, checkpoint: Path) -> None:
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text("utf-8"))
    rows: dict[str, int] = dict(tokenizer["model"]["vocab"])
    rows |= {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    controls = {one["content"] for one in tokenizer["added_tokens"]}
    tokens = sorted(rows, key=lambda token: rows[token])
    # This kind of tokenizer merges whatever gives the token with the highest score first.
    ranks = {"".join(pair): -rank for rank, pair in enumerate(tokenizer["model"]["merges"], 1)}
    kinds = [
        _UNKNOWN
        if token == "<unk>"
        else _CONTROL
        if token in controls
        else _BYTE
        if len(token) == 6 and token.startswith("<0x")
        else _NORMAL
        for token in tokens
    ]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(ranks.get(token, -1e6)) for token in tokens])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(rows["<s>"])
    writer.add_eos_token_id(rows["<|endoftext|>"])
    writer.add_eot_token_id(rows["<|end|>"])
    writer.add_pad_token_id(rows["<|endoftext|>"])
    writer.add_unk_token_id(rows["<unk>"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(True)
    # Phi-3's special tokens swallow the space that follows. llama.cpp knows that by a model's name
    # alone; so here the template itself leaves the space out.
    template = (checkpoint / "chat_template.jinja").read_text("utf-8").replace("\n'", "'")
    template = template.replace("message['content'] +", "message['content'].lstrip() +")
    writer.add_chat_template(template)


def _tensors(file: Path) -> list[tuple[str, "np.ndarray[Any, np.dtype[np.float32]]"]]:
    """The tensors by their names here, in float32."""
    begin, header = safetensors_header(file)
    data, found = file.read_bytes(), list[tuple[str, Any]]()
    for name, about in header.items():
        first, end = about["data_offsets"]
        # bfloat16 is the upper half of float32.
        halves = np.frombuffer(data[begin + first : begin + end], np.uint16).astype(np.uint32)
        found.append((_renamed(name), (halves << 16).view(np.float32).reshape(about["shape"])))
    return found


def _renamed(name: str) -> str:
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in whole:
        return whole[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[rest.removesuffix('.weight')]}.weight"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for edition in EDITIONS:
        write(MODELS / edition.key, folder / f"{edition.key}.gguf", edition.name)
