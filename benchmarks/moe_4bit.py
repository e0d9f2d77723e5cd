"""Are the experts of a Phi-3.5-MoE 4-bit in memory? `python -m benchmarks.moe_4bit`"""

import io
import logging
import re
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import distributions
from typing import Any

import torch
import transformers as hf

NAMES, WAYS = ("gate_up_proj", "down_proj"), ("grouped_mm", "eager", "batched_mm")
PACKAGES = "torch|transformers|bitsandbytes|optimum-quanto|hqq|torchao|mslk-cuda"
KEPT = ["lm_head", "router"]
NF4 = partial(hf.BitsAndBytesConfig, load_in_4bit=True, bnb_4bit_quant_type="nf4")


def pack_experts(model: Any) -> None:
    """Pack them after loading, by a function that bitsandbytes calls experimental."""
    from bitsandbytes.nn.parametrize import replace_parameter_4bit

    for layer in model.model.layers:
        for name in NAMES:
            replace_parameter_4bit(layer.mlp.experts, name)


def ao(kind: str, by_name: bool = False) -> Any:
    """The torchao type of that name, for every Linear or, by name, for the experts alone."""
    from torchao import quantization
    from torchao.prototype.quantization import int4

    one = (getattr(quantization, kind, None) or getattr(int4, kind))()
    experts = quantization.FqnToConfig({r"re:.*\.experts\.\w+_proj": one})
    return hf.TorchAoConfig(experts if by_name else one)


ROUTES: dict[str, Callable[[], Any]] = {
    "none (bf16)": lambda: None,
    "bitsandbytes NF4": NF4,
    "bitsandbytes NF4, packed after loading": NF4,
    "Quanto int4": partial(hf.QuantoConfig, "int4"),
    "Quanto int4, router kept": partial(hf.QuantoConfig, "int4", modules_to_not_convert=KEPT),
    "HQQ, 4 bits": partial(hf.HqqConfig, nbits=4, group_size=64),
    "torchao int4": partial(ao, "Int4WeightOnlyConfig"),
    "torchao int4 for CPUs": partial(ao, "PrototypeInt4WeightOnlyConfig"),
    "torchao int4, experts by name": partial(ao, "Int4WeightOnlyConfig", True),
    "torchao int4 for CPUs, experts by name": partial(ao, "PrototypeInt4WeightOnlyConfig", True),
    "torchao int8, experts by name": partial(ao, "Int8WeightOnlyConfig", True),
}


def size(value: Any) -> int:
    """Bytes that are really held, scales included."""
    if hasattr(value, "__tensor_flatten__"):
        return sum(size(getattr(value, name)) for name in value.__tensor_flatten__()[0])
    scales = vars(value.quant_state).values() if getattr(value, "quant_state", None) else ()
    return getattr(value, "nbytes", 0) + sum(s.nbytes for s in scales if torch.is_tensor(s))


def held(module: torch.nn.Module, name: str) -> str:
    """A parameter as it lies in memory: class, dtype and bytes."""
    wrapped: Any = getattr(module, "parametrizations", {})
    value, scales = getattr(module, name), None
    if name in wrapped:
        value, scales = wrapped[name].original, wrapped[name][0]
    return f"{type(value).__name__}, {str(value.dtype)[6:]}: {size(value) + size(scales):,}"


@torch.no_grad()
def forward(model: Any, way: str) -> str:
    """Whether the model answers, its experts computed that way."""
    model.set_experts_implementation(way)
    try:
        finite = model(torch.arange(32)[None]).logits.isfinite().all()
        return f"{way}: {'ok' if finite else 'not finite'}"
    except Exception as error:
        op = re.search(r"aten\.\w+|\w+_rowwise|too many values", str(error))
        return f"{way}: fails at {op[0] if op else type(error).__name__}"


def row(folder: str, name: str) -> str:
    """One line of the table."""
    said = io.StringIO()
    logging.getLogger("transformers").handlers = [logging.StreamHandler(said)]
    try:
        model: Any = hf.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, quantization_config=ROUTES[name]()
        )
    except Exception as error:
        inner = re.findall(r"^(\w+Error: .+)", said.getvalue(), re.MULTILINE)
        why = re.sub(r"<.*\.(\w+)'>", r"\1", [f"{type(error).__name__}: {error}", *inner][-1])
        return f"| {name} | does not load: {why} | | | | |"
    if "packed" in name:
        pack_experts(model)
    layers = [layer.mlp.experts for layer in model.model.layers]
    cells = [" / ".join(sorted({held(x, part) for x in layers})) for part in NAMES]
    cells.append(held(model.model.layers[0].self_attn.q_proj, "weight"))
    wrappers = [m for m in model.modules() if type(m).__name__ == "Bnb4bitParametrization"]
    cells.append(f"{sum(size(value) for value in [*model.parameters(), *wrappers]):,}")
    return f"| {name} | {' | '.join(cells)} | {'; '.join(forward(model, way) for way in WAYS)} |"


def main() -> None:
    """Print the versions and the table: bytes of each layer, and of the whole model."""
    few: Any = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = hf.PhimoeConfig(vocab_size=512, hidden_size=256, intermediate_size=256, **few)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        hf.PhimoeForCausalLM(config).bfloat16().save_pretrained(folder)
        print(*(f"{d.name} {d.version}" for d in distributions() if re.fullmatch(PACKAGES, d.name)))
        print("\n| quantiser | gate_up_proj | down_proj | q_proj | model | forward |")
        print("| --- " * 6 + "|", *(row(folder, name) for name in ROUTES), sep="\n")


if __name__ == "__main__":
    main()
