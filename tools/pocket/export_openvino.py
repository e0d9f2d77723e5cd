"""Writes a checkpoint for OpenVINO: `python -m tools.pocket.export_openvino CHECKPOINT FOLDER`.

A stateful model in float32, with the inputs, the states and the names of those that Optimum Intel
exports: `input_ids`, `attention_mask`, `position_ids`, `beam_idx`; keys and values (conversations,
heads, tokens, head size) in states of their own. Of Phi-3 and Llama, with plain rotary positions.
It wants one package that the page does without: `pip install openvino`.
"""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from backends._local.weights import safetensors_header

NUMBERS = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
"""How NumPy reads the numbers of a checkpoint; it has no bfloat16, the upper half of a float32."""
BESIDE = (
    *("config.json", "generation_config.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json"),
)
"""Files that are copied as they are."""

Node = Any
"""An operator of OpenVINO, a compiled module without types; or one of its outputs."""


class Checkpoint:
    """The settings and the weights of a model."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        file = folder / "model.safetensors"
        self._start, self._tensors = safetensors_header(file)
        self._data = np.memmap(file, np.uint8, "r")

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        """A tensor in float32."""
        entry = self._tensors[name]
        begin, end = (self._start + offset for offset in entry["data_offsets"])
        numbers = self._data[begin:end].view(NUMBERS[entry["dtype"]])
        if entry["dtype"] == "BF16":
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers.astype(np.float32, copy=False).reshape(entry["shape"])


class Decoder:
    """The graph of a decoder in the making."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.op: Any = import_module("openvino.opset13")
        self.checkpoint = checkpoint
        config = checkpoint.config
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.kept: int = config.get("num_key_value_heads") or self.heads
        self.size: int = config.get("head_dim") or config["hidden_size"] // self.heads
        self._sinks: list[Node] = []
        self._ids = self._input([-1, -1], np.int64, "input_ids")
        self._mask = self._input([-1, -1], np.int64, "attention_mask")
        self._positions = self._input([-1, -1], np.int64, "position_ids")
        self._beams = self._input([-1], np.int32, "beam_idx")
        self._visible = self._visibility()
        self._angles = self._rotary()

    def model(self) -> Any:
        """The whole of it: tokens into logits (conversations, tokens, vocabulary)."""
        op, config = self.op, self.checkpoint.config
        table = op.constant(self.checkpoint["model.embed_tokens.weight"])
        x = op.gather(table, self._ids, op.constant(np.int64(0)))
        for layer in range(self.layers):
            name = f"model.layers.{layer}"
            x = op.add(x, self._attention(layer, self._norm(x, f"{name}.input_layernorm")))
            x = op.add(x, self._mlp(self._norm(x, f"{name}.post_attention_layernorm"), name))
        x = self._norm(x, "model.norm")
        if config["tie_word_embeddings"]:
            logits = op.matmul(x, table, False, True)
        else:
            logits = self._linear(x, "lm_head")
        logits.output(0).set_names({"logits"})
        inputs = [self._ids, self._mask, self._positions, self._beams]
        return _library().Model([op.result(logits)], self._sinks, inputs, "decoder")

    def _attention(self, layer: int, x: Node) -> Node:
        op, name = self.op, f"model.layers.{layer}.self_attn"
        if f"{name}.qkv_proj.weight" in self.checkpoint:
            sizes = [self.heads * self.size, self.kept * self.size, self.kept * self.size]
            parts = self._split(self._linear(x, f"{name}.qkv_proj"), sizes)
        else:
            parts = [self._linear(x, f"{name}.{one}_proj") for one in "qkv"]
        counts = (self.heads, self.kept, self.kept)
        q, k, v = (
            op.transpose(self._reshape(part, 0, 0, count, self.size), self._ints(0, 2, 1, 3))
            for part, count in zip(parts, counts, strict=True)
        )
        k = self._remembered(self._turned(k), f"past_key_values.{layer}.keypresent.{layer}.key")
        v = self._remembered(v, f"past_key_values.{layer}.valuepresent.{layer}.value")
        attended = op.scaled_dot_product_attention(
            self._turned(q), self._for_all_heads(k), self._for_all_heads(v), self._visible
        )
        attended = op.transpose(attended, self._ints(0, 2, 1, 3))
        return self._linear(self._reshape(attended, 0, 0, self.heads * self.size), f"{name}.o_proj")

    def _mlp(self, x: Node, name: str) -> Node:
        op, width = self.op, self.checkpoint.config["intermediate_size"]
        if f"{name}.mlp.gate_up_proj.weight" in self.checkpoint:
            gate, up = self._split(self._linear(x, f"{name}.mlp.gate_up_proj"), [width, width])
        else:
            gate, up = (self._linear(x, f"{name}.mlp.{one}_proj") for one in ("gate", "up"))
        return self._linear(op.multiply(op.swish(gate), up), f"{name}.mlp.down_proj")

    def _remembered(self, new: Node, name: str) -> Node:
        """Keys or values of all tokens so far: a state, those of the conversation that goes on."""
        op = self.op
        shape = [-1, self.kept, -1, self.size]
        count = op.gather(op.shape_of(self._ids), self._ints(0), op.constant(np.int64(0)))
        empty = op.concat([count, self._ints(self.kept), self._ints(0), self._ints(self.size)], 0)
        nothing = op.broadcast(op.constant(np.float32(0)), empty)
        state = op.read_value(nothing, name, np.float32, shape)
        past = op.gather(state, self._beams, op.constant(np.int64(0)))
        every = op.concat([past, new], 2)
        self._sinks.append(op.assign(every, name))
        return every

    def _for_all_heads(self, x: Node) -> Node:
        """Keys or values, repeated for the heads of queries that share them."""
        op, shared = self.op, self.heads // self.kept
        if shared == 1:
            return x
        shape = op.concat(
            [
                op.gather(op.shape_of(x), self._ints(0, 1), op.constant(np.int64(0))),
                self._ints(shared),
                op.gather(op.shape_of(x), self._ints(2, 3), op.constant(np.int64(0))),
            ],
            0,
        )
        wide = op.broadcast(op.unsqueeze(x, self._ints(2)), shape, broadcast_spec="BIDIRECTIONAL")
        return self._reshape(wide, 0, self.heads, -1, self.size)

    def _turned(self, x: Node) -> Node:
        """Queries or keys with rotary positions."""
        op, (cosines, sines) = self.op, self._angles
        first, second = self._split(x, [self.size // 2] * 2)
        other = op.concat([op.negative(second), first], -1)
        return op.add(op.multiply(x, cosines), op.multiply(other, sines))

    def _rotary(self) -> tuple[Node, Node]:
        """Cosines and sines of the tokens' positions: (conversations, 1, tokens, head size)."""
        op, config = self.op, self.checkpoint.config
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rope.get("rope_type", "default")
        if kind != "default" or rope.get("partial_rotary_factor", 1) != 1:
            raise ValueError(f"positions of the kind {kind} are not written yet")
        theta = np.float32(rope.get("rope_theta") or config["rope_theta"])
        steps = np.arange(0, self.size, 2, dtype=np.float32) / np.float32(self.size)
        positions = op.convert(op.unsqueeze(self._positions, self._ints(1, 3)), "f32")
        angles = op.multiply(positions, op.constant(1 / theta**steps))
        both = op.concat([angles, angles], -1)
        return op.cos(both), op.sin(both)

    def _visibility(self) -> Node:
        """0 where a token sees another, else minus infinity: (conversations, 1, tokens, all)."""
        op, zero, one = self.op, *(self.op.constant(np.int64(n)) for n in (0, 1))
        total = op.gather(op.shape_of(self._mask), one, zero)
        new = op.gather(op.shape_of(self._ids), one, zero)
        places = op.range(zero, total, one, "i64")
        own = op.unsqueeze(
            op.range(op.subtract(total, new), total, one, "i64"), self._ints(0, 1, 3)
        )
        before = op.less_equal(places, own)
        there = op.convert(op.unsqueeze(self._mask, self._ints(1, 2)), "boolean")
        seen = op.logical_and(before, there)
        return op.select(seen, op.constant(np.float32(0)), op.constant(np.float32(-np.inf)))

    def _linear(self, x: Node, name: str) -> Node:
        x = self.op.matmul(x, self.op.constant(self.checkpoint[f"{name}.weight"]), False, True)
        bias = f"{name}.bias"
        if bias not in self.checkpoint:
            return x
        return self.op.add(x, self.op.constant(self.checkpoint[bias]))

    def _norm(self, x: Node, name: str) -> Node:
        """Divided by the root of the mean square."""
        op, eps = self.op, np.float32(self.checkpoint.config["rms_norm_eps"])
        mean = op.reduce_mean(op.power(x, op.constant(np.float32(2))), self._ints(-1), True)
        scale = op.divide(op.constant(np.float32(1)), op.sqrt(op.add(mean, op.constant(eps))))
        normed = op.multiply(x, scale)
        return op.multiply(normed, op.constant(self.checkpoint[f"{name}.weight"]))

    def _split(self, x: Node, sizes: list[int]) -> list[Node]:
        parts = self.op.variadic_split(x, self.op.constant(np.int64(-1)), self._ints(*sizes))
        return [parts.output(n) for n in range(len(sizes))]

    def _reshape(self, x: Node, *shape: int) -> Node:
        return self.op.reshape(x, self._ints(*shape), True)

    def _ints(self, *values: int) -> Node:
        return self.op.constant(np.array(values, np.int64))

    def _input(self, shape: list[int], kind: Any, name: str) -> Node:
        node = self.op.parameter(shape, kind)
        node.set_friendly_name(name)
        node.output(0).set_names({name})
        return node


def export(checkpoint: Path, folder: Path) -> Path:
    """Write `openvino_model.xml` and `.bin`, and what stands beside them. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Decoder(Checkpoint(checkpoint)).model()
    _library().save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    for name in BESIDE:
        if (checkpoint / name).is_file():
            shutil.copy(checkpoint / name, folder / name)
    return folder


def _library() -> Any:
    """The library, a compiled module whose types are not installed everywhere."""
    return import_module("openvino")


if __name__ == "__main__":
    print(export(*map(Path, sys.argv[1:3])))
