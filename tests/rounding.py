"""What two ways of computing the same thing must agree on: choices, where they are no close call.

Another processor, another number of cores, a cache or none, weights that lie elsewhere in memory:
each takes the same sums in another order, and float32 then differs in its last digits. A choice
that leads by less than that may fall either way, and what follows from it too.
"""

from collections.abc import Sequence

import torch
from transformers.models.phimoe.modeling_phimoe import sparsemixer

ROUNDING = 1e-4
"""How far two ways may be apart, in logits of about 1 to 10 of the tiny models here. They were 5e-6
apart at most, in AVX2, AVX-512 and plain code; a wrong position or token moves them by 0.1."""

JITTER = 0.01
"""Phi-3.5-MoE's: experts within twice that of the best one share its weight."""


def lead(logits: torch.Tensor) -> torch.Tensor:
    """By how much the likeliest leads the next, in each row."""
    first, second = logits.float().topk(2).values.unbind(-1)
    return first - second


def assert_greedy(logits: torch.Tensor, tokens: Sequence[int]) -> None:
    """Each token is the likeliest of its row, or ties with it. It holds whatever the margins."""
    assert len(logits) == len(tokens) > 0
    chosen = logits[torch.arange(len(tokens)), torch.tensor(tokens)]
    behind = (logits.max(-1).values - chosen).tolist()
    assert max(behind) <= ROUNDING, f"behind the likeliest by {behind}"


def clear_choices(logits: torch.Tensor) -> torch.Tensor:
    """For which tokens a router's choice of two experts, and their weights, are no close call."""
    best = logits.topk(3).values
    clear = (best[:, :2] - best[:, 1:] > ROUNDING).all(-1)
    for place in (0, 1):  # who shares the weight of the first, and of the second
        top = best[:, place, None]
        others = (top - logits) / logits.abs().clamp(min=top)
        clear &= ((others - 2 * JITTER).abs() > ROUNDING).all(-1)
    return clear


def assert_routed(
    experts: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    router_logits: Sequence[torch.Tensor],
) -> None:
    """Experts (tokens, 2) and weights, layer for layer, are those that the routers' logits mean.

    From a close call that fell the other way on, nothing can be compared: later layers and tokens
    saw another expert's work. Up to there everything must agree.
    """
    right, clear = [], []
    for own, weighed, logits in zip(experts, weights, router_logits, strict=True):
        multipliers, chosen = sparsemixer(logits, JITTER, False)
        # Of two logits that share, rounding moves a weight by a quarter of what it moves them.
        near = ((weighed - multipliers).abs() <= ROUNDING).all(-1)
        right.append((own == chosen).all(-1) & near)
        clear.append(clear_choices(logits))
    wrong = [(token, layer) for layer, row in enumerate(right) for token in (~row).nonzero()[:1]]
    if wrong:
        token, layer = min(wrong)
        assert not clear[layer][token], f"token {int(token)}, layer {layer}"
