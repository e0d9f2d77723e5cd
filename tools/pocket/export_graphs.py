"""Writes the graphs of Pocket-MoE and Pocket-Vision: `python -m tools.pocket.export_graphs`.

With them plain ONNX Runtime answers, without PyTorch. A graph holds no weights: each of its tensors
is a place in the checkpoint beside it, `model.safetensors`, in bfloat16, and becomes float32 when
ONNX Runtime loads the graph. So a checkpoint that was trained anew needs new graphs.

It wants one package that nothing else here needs: `pip install onnx==1.23.2`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from backends._local.phi3_vision.crops import CROP
from backends._local.weights import safetensors_header

from .lesson import MODELS

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
FUSED = "com.microsoft"
"""The domain of ONNX Runtime's own operators: attention with rotary positions and a cache."""
EMBED = "model.vision_embed_tokens"
PATCH = 14
"""Pixels on each side of what CLIP takes as one."""
CLIP_EPS = 1e-5

Ports = dict[str, tuple[int, Sequence[str | int]]]
"""Inputs or outputs of a graph: kind of number and shape, by name."""


class Graph:
    """A graph in the making: operators in their order, and what they read of the checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        self._start, self._tensors = safetensors_header(folder / "model.safetensors")
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add an operator of ONNX. Returns the name of its first output."""
        names = list(outputs) or [f"{kind}_{len(self._nodes)}"]
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0]

    def constant(self, value: Any, kind: Any = np.int64) -> str:
        """A small number or array, kept in the graph."""
        name = f"constant_{len(self._initializers)}"
        self._initializers[name] = numpy_helper.from_array(np.asarray(value, kind), name)
        return name

    def stored(self, name: str) -> str:
        """A tensor of the checkpoint as it lies there, in bfloat16."""
        if name not in self._initializers:
            entry = self._tensors[name]
            assert entry["dtype"] == "BF16"
            begin, end = entry["data_offsets"]
            tensor = TensorProto(
                name=name,
                data_type=TensorProto.BFLOAT16,
                dims=entry["shape"],
                data_location=TensorProto.EXTERNAL,
            )
            place = {"location": "model.safetensors", "offset": self._start + begin}
            for key, value in (place | {"length": end - begin}).items():
                tensor.external_data.add(key=key, value=str(value))
            self._initializers[name] = tensor
        return name

    def weight(self, name: str) -> str:
        """A tensor of the checkpoint in float32."""
        return self.op("Cast", self.stored(name), to=FLOAT)

    def linear(self, x: str, name: str) -> str:
        """`torch.nn.Linear`, with a bias if the checkpoint has one."""
        turned = self.op("Transpose", self.weight(f"{name}.weight"), perm=[1, 0])
        x = self.op("MatMul", x, turned)
        bias = f"{name}.bias"
        return self.op("Add", x, self.weight(bias)) if bias in self._tensors else x

    def norm(self, x: str, name: str, eps: float) -> str:
        """A layer norm; one of the root mean square where the checkpoint has no bias."""
        scale, bias = f"{name}.weight", f"{name}.bias"
        if bias not in self._tensors:
            return self.op("RMSNormalization", x, self.weight(scale), epsilon=eps)
        both = self.weight(scale), self.weight(bias)
        return self.op("LayerNormalization", x, *both, epsilon=eps)

    def reshape(self, x: str, *shape: int) -> str:
        """The same numbers in another shape."""
        return self.op("Reshape", x, self.constant(shape))

    def save(self, name: str, inputs: Ports, outputs: Ports) -> None:
        """Write it beside the checkpoint."""
        ports = (
            [helper.make_tensor_value_info(port, *of) for port, of in side.items()]
            for side in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, name, *ports, [*self._initializers.values()])
        domains = [helper.make_opsetid("", 23), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=domains, ir_version=11)
        (self.folder / f"{name}.onnx").write_bytes(model.SerializeToString())


class Decoder(Graph):
    """A decoder with a cache: one prompt, some tokens of it at a time.

    Each layer's keys and values are buffers (1, heads, room, head size) that come in and go out:
    bound to the same memory they are written in place, behind the first `total` - tokens of them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        config = self.config
        self.layers: int = config["num_hidden_layers"]
        self.hidden: int = config["hidden_size"]
        self.eps: float = config["rms_norm_eps"]
        self._heads: int = config["num_attention_heads"]
        self._kept: int = config["num_key_value_heads"]
        self._size = self.hidden // self._heads
        self._angles = self._rotary(config["rope_parameters"]["rope_theta"])
        self._last = self.op("Sub", self.reshape("total", 1), self.constant(1, np.int32))
        self._inputs: Ports = {"total": (INT32, ())}
        self._outputs: Ports = {"logits": (FLOAT, (config["vocab_size"],))}

    def attention(self, layer: int, x: str, *projections: str) -> str:
        """Attention of a layer, by its projections of queries, keys and values: three, or one."""
        name = f"model.layers.{layer}.self_attn"
        projected = [self.linear(x, f"{name}.{one}") for one in projections]
        past = [f"past.{layer}.key", f"past.{layer}.value"]
        present = [f"present.{layer}.key", f"present.{layer}.value"]
        buffer = FLOAT, (1, self._kept, "room", self._size)
        self._inputs |= dict.fromkeys(past, buffer)
        self._outputs |= dict.fromkeys(present, buffer)
        attended = f"attention.{layer}"
        self.op(
            "GroupQueryAttention",
            *(*projected, "", "")[:3],
            *past,
            self._last,
            "total",
            *self._angles,
            outputs=[attended, *present],
            domain=FUSED,
            num_heads=self._heads,
            kv_num_heads=self._kept,
            do_rotary=1,
        )
        return self.linear(attended, f"{name}.o_proj")

    def finish(self, x: str, inputs: Ports, outputs: Ports) -> None:
        """Logits after the last token; write the graph."""
        last = self.op("Gather", x, self.constant([-1]), axis=1)
        last = self.norm(last, "model.norm", self.eps)
        head = self.op("Transpose", self.weight("model.embed_tokens.weight"), perm=[1, 0])
        logits = self.op("MatMul", last, head)
        self.op("Reshape", logits, self.constant([-1]), outputs=["logits"])
        self.save("decoder", inputs | self._inputs, self._outputs | outputs)

    def _rotary(self, theta: float) -> tuple[str, str]:
        """Cosines and sines of every position: (positions, head size / 2) each."""
        steps = np.arange(0, self._size, 2, dtype=np.float32) / np.float32(self._size)
        frequencies = self.constant(1 / np.float32(theta) ** steps, np.float32)
        bounds = (0, self.config["max_position_embeddings"], 1)
        positions = self.op("Range", *(self.constant(one, np.float32) for one in bounds))
        angles = self.op("Mul", self.reshape(positions, -1, 1), frequencies)
        return self.op("Cos", angles), self.op("Sin", angles)


def embedding(graph: Graph) -> str:
    """The vectors of `tokens`: (tokens,) into (tokens, hidden size)."""
    # Rows are picked before they are made float32: the table stays as small as it is in the file.
    rows = graph.op("Gather", graph.stored("model.embed_tokens.weight"), "tokens")
    return graph.op("Cast", rows, to=FLOAT)


def export_moe(folder: Path) -> None:
    """Write the decoder of a mixture of experts: tokens into logits, and each router's choices."""
    graph = Decoder(folder)
    x = graph.op("Unsqueeze", embedding(graph), graph.constant([0]))
    chosen: list[str] = []
    weighed: list[str] = []
    for layer in range(graph.layers):
        name = f"model.layers.{layer}"
        normed = graph.norm(x, f"{name}.input_layernorm", graph.eps)
        attended = graph.attention(layer, normed, "q_proj", "k_proj", "v_proj")
        x = graph.op("Add", x, attended)
        normed = graph.norm(x, f"{name}.post_attention_layernorm", graph.eps)
        made, experts, weights = mixture(graph, normed, f"{name}.block_sparse_moe")
        x = graph.op("Add", x, made)
        chosen.append(experts)
        weighed.append(weights)
    graph.op("Concat", *chosen, axis=0, outputs=["experts"])
    graph.op("Concat", *weighed, axis=0, outputs=["weights"])
    shape = graph.layers, "tokens", 2
    routing: Ports = {"experts": (INT64, shape), "weights": (FLOAT, shape)}
    graph.finish(x, {"tokens": (INT64, ["tokens"])}, routing)


def mixture(graph: Graph, x: str, name: str) -> tuple[str, str, str]:
    """The experts' work (1, tokens, hidden size); who was chosen and their weights (1, tokens, 2).

    All of them work, side by side in one wide layer, and those that were not chosen count nothing:
    experts this small are computed sooner than picked.
    """
    number, width = graph.config["num_local_experts"], graph.config["intermediate_size"]
    scores = graph.linear(x, f"{name}.gate")
    experts, weights = sparse_mixer(graph, scores)
    nothing = graph.op("ConstantOfShape", graph.op("Shape", scores))
    shares = graph.op("ScatterElements", nothing, experts, weights, axis=2)

    def side_by_side(part: str, axis: int) -> str:
        names = (f"{name}.experts.{n}.{part}.weight" for n in range(number))
        stacked = graph.op("Concat", *map(graph.stored, names), axis=axis)
        return graph.op("Transpose", graph.op("Cast", stacked, to=FLOAT), perm=[1, 0])

    gate = graph.op("MatMul", x, side_by_side("w1", 0))
    work = graph.op("Mul", silu(graph, gate), graph.op("MatMul", x, side_by_side("w3", 0)))
    each = graph.reshape(work, 1, -1, number, width)
    counted = graph.op("Mul", each, graph.op("Unsqueeze", shares, graph.constant([3])))
    wide = graph.reshape(counted, 1, -1, number * width)
    return graph.op("MatMul", wide, side_by_side("w2", 1)), experts, weights


def sparse_mixer(graph: Graph, scores: str) -> tuple[str, str]:
    """The two best experts by a router's scores, and their weights: `sparsemixer` of Transformers.

    The weight of each is its share among those whose scores come near its own, and of the second as
    if the first were not there.
    """
    number = graph.config["num_local_experts"]
    ranked, ranking = (f"{scores}.{what}" for what in ("ranked", "ranking"))
    graph.op("TopK", scores, graph.constant([number]), outputs=[ranked, ranking], axis=2)
    experts = graph.op("Gather", ranking, graph.constant([0, 1]), axis=2)
    # (1, tokens, 2, experts): against the best, all; against the next, all but the first.
    best = graph.op("Gather", ranked, graph.constant([0, 1]), axis=2)
    best = graph.op("Unsqueeze", best, graph.constant([3]))
    every = graph.op("Unsqueeze", ranked, graph.constant([2]))
    behind = graph.op("Sub", best, every)
    scale = graph.op("Max", graph.op("Abs", every), best)
    limit = graph.constant(2 * graph.config["router_jitter_noise"], np.float32)
    near = graph.op("LessOrEqual", graph.op("Div", behind, scale), limit)
    there = graph.constant(np.triu(np.ones((2, number))), np.bool_)
    never = graph.constant(-np.inf, np.float32)
    shared = graph.op("Where", graph.op("And", near, there), every, never)
    shares = graph.op("Softmax", shared, axis=3)
    return experts, graph.op("ReduceMax", shares, graph.constant([3]), keepdims=0)


def silu(graph: Graph, x: str) -> str:
    """`x` times its sigmoid."""
    return graph.op("Mul", x, graph.op("Sigmoid", x))


def export_vision(folder: Path) -> None:
    """Write the vectors of words, those of pictures, and the decoder that reads both."""
    words = Graph(folder)
    made = embedding(words)
    words.op("Identity", made, outputs=["vectors"])
    hidden = words.config["hidden_size"]
    vectors: Ports = {"vectors": (FLOAT, ["tokens", hidden])}
    words.save("embedding", {"tokens": (INT64, ["tokens"])}, vectors)
    eyes = Eyes(folder)
    eyes.finish()
    graph = Decoder(folder)
    x = graph.op("Unsqueeze", "vectors", graph.constant([0]))
    for layer in range(graph.layers):
        name = f"model.layers.{layer}"
        normed = graph.norm(x, f"{name}.input_layernorm", graph.eps)
        x = graph.op("Add", x, graph.attention(layer, normed, "qkv_proj"))
        normed = graph.norm(x, f"{name}.post_attention_layernorm", graph.eps)
        both = graph.linear(normed, f"{name}.mlp.gate_up_proj")
        gate, up = f"{both}.gate", f"{both}.up"
        graph.op("Split", both, outputs=[gate, up], axis=2, num_outputs=2)
        work = graph.op("Mul", up, silu(graph, gate))
        x = graph.op("Add", x, graph.linear(work, f"{name}.mlp.down_proj"))
    graph.finish(x, vectors, {})


class Eyes(Graph):
    """CLIP and the projection: crops (crops, 3, 336, 336) into tokens (crops, 12, 12, hidden size).

    `line_end` and `separator` (hidden size,) are the tokens that stand between those of crops.
    """

    def finish(self) -> None:
        """Write the graph."""
        clip = self.config["img_processor"]
        width, side = clip["hidden_size"], CROP // PATCH
        tower = f"{EMBED}.img_processor"
        patches = self.weight(f"{tower}.embeddings.patch_embedding.weight")
        x = self.op("Conv", "pixels", patches, strides=[PATCH, PATCH])
        x = self.op("Transpose", self.reshape(x, 0, width, side**2), perm=[0, 2, 1])
        crops = self.op("Shape", "pixels", start=0, end=1)
        one = self.reshape(self.weight(f"{tower}.embeddings.class_embedding"), 1, 1, width)
        shape = self.op("Concat", crops, self.constant([1, width]), axis=0)
        x = self.op("Concat", self.op("Expand", one, shape), x, axis=1)
        x = self.op("Add", x, self.weight(f"{tower}.embeddings.position_embedding.weight"))
        x = self.norm(x, f"{tower}.pre_layrnorm", CLIP_EPS)
        # What the last layer makes of it is not used, and neither is the class's own place.
        for layer in range(clip["num_hidden_layers"] - 1):
            x = self._layer(x, f"{tower}.encoder.layers.{layer}", clip["num_attention_heads"])
        places = self.constant([1]), self.constant([side**2 + 1]), self.constant([1])
        x = self.op("Slice", x, *places)
        # Two by two patches become one token.
        x = self.reshape(x, 0, side // 2, 2, side // 2, 2, width)
        x = self.op("Transpose", x, perm=[0, 1, 3, 2, 4, 5])
        x = self.reshape(x, 0, side // 2, side // 2, 4 * width)
        self.op("Identity", self._projected(x), outputs=["seen"])
        for name, stored in (("line_end", "sub_GN"), ("separator", "glb_GN")):
            token = self.reshape(self.weight(f"{EMBED}.{stored}"), 1, 4 * width)
            self.op("Reshape", self._projected(token), self.constant([-1]), outputs=[name])
        hidden = self.config["hidden_size"]
        token = FLOAT, [hidden]
        outputs: Ports = {"seen": (FLOAT, ["crops", side // 2, side // 2, hidden])}
        outputs |= {"line_end": token, "separator": token}
        self.save("eyes", {"pixels": (FLOAT, ["crops", 3, CROP, CROP])}, outputs)

    def _layer(self, x: str, name: str, heads: int) -> str:
        normed = self.norm(x, f"{name}.layer_norm1", CLIP_EPS)
        parts = [self.linear(normed, f"{name}.self_attn.{one}_proj") for one in "qkv"]
        attended = self.op("MultiHeadAttention", *parts, domain=FUSED, num_heads=heads)
        x = self.op("Add", x, self.linear(attended, f"{name}.self_attn.out_proj"))
        inner = self.linear(self.norm(x, f"{name}.layer_norm2", CLIP_EPS), f"{name}.mlp.fc1")
        quick = self.op("Mul", inner, self.constant(1.702, np.float32))
        inner = self.op("Mul", inner, self.op("Sigmoid", quick))
        return self.op("Add", x, self.linear(inner, f"{name}.mlp.fc2"))

    def _projected(self, x: str) -> str:
        """As tokens of the decoder."""
        x = self.op("Gelu", self.linear(x, f"{EMBED}.img_projection.0"))
        return self.linear(x, f"{EMBED}.img_projection.2")


if __name__ == "__main__":
    export_moe(MODELS / "pocket-moe")
    export_vision(MODELS / "pocket-vision")
