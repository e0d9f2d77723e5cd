"""The next token of an answer: the likeliest, or a draw among the likely ones."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._core.types import GenerationParams
from .chat_text import DEFAULT_PARAMS

if TYPE_CHECKING:
    import numpy as np

GREEDY_BELOW = 1e-3
"""Temperatures below this would only overflow: the likeliest token is certain there."""
_LIKELIEST = 1024
"""Tokens that hold the nucleus nearly always."""


def make_sampler(params: GenerationParams) -> "Callable[[np.ndarray[Any, Any]], int]":
    """A function that takes the next token from the logits (vocabulary,): the likeliest, or a draw.

    It has a generator of its own: the text depends on nothing else that samples, and not on where
    the model runs.
    """
    import numpy as np

    def knob(name: str) -> Any:
        value = getattr(params, name)
        return getattr(DEFAULT_PARAMS, name) if value is None else value

    temperature, top_p, top_k = knob("temperature"), knob("top_p"), knob("top_k")
    if temperature < GREEDY_BELOW:
        return lambda logits: int(logits.argmax())
    generator = np.random.default_rng(None if params.seed is None else params.seed % 2**63)

    def draw(logits: "np.ndarray[Any, Any]") -> int:
        scaled = logits.astype(np.float64) / temperature
        weights = np.exp(scaled - scaled.max())
        chances, tokens = top_k_top_p(weights / weights.sum(), top_p, top_k)
        point = generator.random() * chances.sum()
        at = int((chances.cumsum() <= point).sum())
        return int(tokens[min(at, len(tokens) - 1)])

    return draw


def top_k_top_p(
    probabilities: "np.ndarray[Any, Any]", top_p: float, top_k: int
) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """The tokens that top-k, then top-p, leave over, likeliest first, and their probabilities."""
    import numpy as np

    count = len(probabilities)
    # Sorting a whole vocabulary costs more than a small model's forward pass, and the nucleus
    # rarely needs it.
    most = min(top_k if top_k > 0 else _LIKELIEST, count)
    tokens = np.argpartition(probabilities, count - most)[count - most :]
    if top_k <= 0 and (top_p >= 1 or probabilities[tokens].sum() < top_p):
        tokens = np.arange(count)
    # Of equal ones the first: whatever the partition does with them.
    tokens = tokens[np.lexsort((tokens, -probabilities[tokens]))]
    chances = probabilities[tokens]
    if top_p < 1:
        before = chances.cumsum() - chances
        if top_k > 0:
            before = before / chances.sum()
        keep = max(1, int((before < top_p).sum()))
        tokens, chances = tokens[:keep], chances[:keep]
    return chances, tokens
