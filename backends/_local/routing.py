"""Which experts of a mixture worked on each token, as every engine tells it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core.types import ExpertRouting

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ASCII_BYTE = re.compile(r"<0x([0-7][0-9A-F])>")

PerToken = Sequence[Sequence[Sequence[float]]]
"""Of each token, for each layer, its two experts or their weights."""


class RoutingReport:
    """Makes an `ExpertRouting` of each token that a model has read."""

    def __init__(self, tokenizer: "Tokenizer", vocabulary: int, num_experts: int) -> None:
        self._pieces = token_strings(tokenizer, vocabulary)
        self._experts = num_experts

    def of(
        self, ids: Sequence[int], experts: PerToken, weights: PerToken, in_prompt: bool
    ) -> tuple[ExpertRouting, ...]:
        """The routing of some tokens; numbers of experts may come as floats."""
        return tuple(
            ExpertRouting(
                number,
                self._pieces[number],
                in_prompt,
                tuple(tuple(map(int, layer)) for layer in chosen),
                tuple(map(tuple, weighed)),
                self._experts,
            )
            for number, chosen, weighed in zip(ids, experts, weights, strict=True)
        )


def token_strings(tokenizer: "Tokenizer", size: int) -> list[str]:
    """Each token's text by its number; bytes beyond ASCII as `<0xE4>`.

    A model has more rows than its tokenizer has tokens: those that no text has are empty.
    """
    every = [tokenizer.id_to_token(n) or "" for n in range(size)]
    return [_piece(text.replace("▁", " ")) for text in every]


def _piece(text: str) -> str:
    byte = _ASCII_BYTE.fullmatch(text)
    return chr(int(byte[1], 16)) if byte else text
