"""The next token of an answer: the likeliest, or a draw among the likely ones."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._core.types import GenerationParams
from .chat_text import DEFAULT_PARAMS

if TYPE_CHECKING:
    import torch

GREEDY_BELOW = 1e-3
"""Temperatures below this would only overflow: the likeliest token is certain there."""
_LIKELIEST = 1024
"""Tokens that hold the nucleus nearly always."""


def make_sampler(params: GenerationParams) -> "Callable[[torch.Tensor], int]":
    """How the next token is taken from the logits: the likeliest, or a draw."""
    import torch

    def knob(name: str) -> Any:
        value = getattr(params, name)
        return getattr(DEFAULT_PARAMS, name) if value is None else value

    temperature, top_p, top_k = knob("temperature"), knob("top_p"), knob("top_k")
    if temperature < GREEDY_BELOW:
        return lambda logits: int(logits.argmax())
    # Its own generator, on the CPU: the text depends on nothing else that samples, and not on
    # where the model runs.
    generator = torch.Generator()
    if params.seed is None:
        generator.seed()
    else:
        generator.manual_seed(params.seed % 2**63)

    def draw(logits: "torch.Tensor") -> int:
        with torch.inference_mode():
            weights, tokens = top_k_top_p((logits.float() / temperature).softmax(-1), top_p, top_k)
            return int(tokens[torch.multinomial(weights, 1, generator=generator)])

    return draw


def top_k_top_p(
    probabilities: "torch.Tensor", top_p: float, top_k: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    """The tokens that top-k, then top-p, leave over, likeliest first, on the CPU."""
    count = probabilities.numel()
    # Sorting a whole vocabulary costs more than a small model's forward pass, and the nucleus
    # rarely needs it.
    weights, tokens = probabilities.topk(min(top_k if top_k > 0 else _LIKELIEST, count))
    if top_k <= 0 and (top_p >= 1 or float(weights.sum()) < top_p):
        weights, tokens = probabilities.sort(descending=True)
    weights, tokens = weights.cpu(), tokens.cpu()
    weights = weights / weights.sum()
    keep = int((weights.cumsum(0) - weights < top_p).sum()) if top_p < 1 else len(weights)
    return weights[: max(1, keep)], tokens[: max(1, keep)]
