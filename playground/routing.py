"""Routing of a mixture of experts: of one answer while it grows, and as a JSON file."""

import itertools
from array import array
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backends import BadRequestError, ExpertRouting, Sentence

from .text import valid_unicode

FORMAT = "phi-playground/routing/1"
MAX_TOKENS = 20_000
MAX_EXPERTS, MAX_LAYERS = 256, 64
MAX_BYTES = 12_000_000
"""Size of a file; 2,000 tokens of Phi-3.5-MoE take 3 million."""

_next_key = itertools.count(1)
N = TypeVar("N", int, float)


class Routing:
    """The experts of each token of a prompt and its answer, in the order of the text.

    It only grows, and while an answer grows it is shared rather than copied: drawing it costs in
    proportion to what is new, not to the length of the answer. A token takes five bytes for each of
    its experts.
    """

    def __init__(self) -> None:
        self.key = next(_next_key)
        """A number that no other routing of this process has."""
        self.num_layers = self.num_experts = self.experts_per_token = 0
        """Layers of the model; in each layer, its experts and those that work on a token."""
        self.prompt_tokens = 0
        """Number of tokens of the prompt: the first ones."""
        self.expert_counts: tuple[list[array[int]], list[array[int]]] = ([], [])
        """Tokens that each expert worked on, by layer: of the prompt, and of the answer."""
        self._ids: array[int] = array("l")
        self._texts: list[str] = []
        self._experts: array[int] = array("B")
        self._weights: array[float] = array("f")

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, n: int) -> ExpertRouting:
        if not 0 <= n < len(self):
            raise IndexError(n)
        row = self._slice(n)
        return ExpertRouting(
            self._ids[n],
            self._texts[n],
            n < self.prompt_tokens,
            self._by_layer(self._experts[row]),
            self._by_layer(self._weights[row]),
            self.num_experts,
        )

    def row(self, n: int) -> tuple[str, list[int], list[int]]:
        """A token for the page: its text, experts and thousandths of weights, layer after layer."""
        row = self._slice(n)
        weights = [round(1000 * weight) for weight in self._weights[row]]
        return self._texts[n], self._experts[row].tolist(), weights

    def _slice(self, n: int) -> slice:
        """The places of a token in `_experts` and `_weights`."""
        size = self.num_layers * self.experts_per_token
        return slice(n * size, (n + 1) * size)

    def _by_layer(self, row: "array[N]") -> tuple[tuple[N, ...], ...]:
        size = self.experts_per_token
        return tuple(tuple(row[at : at + size]) for at in range(0, len(row), size))

    def add(self, one: ExpertRouting) -> None:
        """Append a token."""
        if not self._ids:
            self.num_layers = len(one.experts)
            self.num_experts = one.num_experts
            self.experts_per_token = len(one.experts[0])
            for part in self.expert_counts:
                part += [array("l", [0] * one.num_experts) for _ in range(self.num_layers)]
        self._ids.append(one.id)
        self._texts.append(valid_unicode(one.token))
        self.prompt_tokens += one.in_prompt
        part = self.expert_counts[not one.in_prompt]
        for counts, experts, weights in zip(part, one.experts, one.weights, strict=True):
            self._experts.extend(experts)
            self._weights.extend(w if w == w else 0.0 for w in weights)  # float16 may give NaN
            for expert in experts:
                counts[expert] += 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Expert = Annotated[int, Field(ge=0, lt=MAX_EXPERTS)]
Weight = Annotated[float, Field(ge=0, le=1)]


class Token(_Record):
    """One token in a file: its number and text, its experts and their weights by layer."""

    id: int = Field(ge=0, lt=2**31)
    text: str = Field(max_length=400)
    in_prompt: bool
    experts: tuple[tuple[Expert, ...], ...] = Field(min_length=1, max_length=MAX_LAYERS)
    weights: tuple[tuple[Weight, ...], ...] = Field(min_length=1, max_length=MAX_LAYERS)


class RoutingFile(_Record):
    """The routing of one answer as a JSON file. Layers and experts are numbered from 0."""

    format: Literal["phi-playground/routing/1"] = FORMAT
    model: str = Field(max_length=200)
    num_experts: int = Field(alias="experts", ge=1, le=MAX_EXPERTS)
    """Experts of each layer; in the file its name is `experts`."""
    numbering: str = "Layers and experts are numbered from 0; the page shows them from 1."
    weights: str = "Each between 0 and 1 by itself: SparseMixer's need not sum to one."
    tokens: list[Token] = Field(min_length=1, max_length=MAX_TOKENS)

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        """Every token has as many experts in as many layers, and the prompt comes first."""
        layers, per_token = len(self.tokens[0].experts), len(self.tokens[0].experts[0])
        in_answer = False
        for token in self.tokens:
            rows = [*token.experts, *token.weights]
            same = len(token.experts) == len(token.weights) == layers
            if not same or any(len(row) != per_token for row in rows) or not per_token:
                raise ValueError("not every token has met as many experts")
            if max(map(max, token.experts)) >= self.num_experts:
                raise ValueError(f"there are only {self.num_experts} experts")
            if in_answer and token.in_prompt:
                raise ValueError("a token of the prompt stands within the answer")
            in_answer = not token.in_prompt
        return self

    @property
    def routing(self) -> Routing:
        """The routing that was saved."""
        routing = Routing()
        for one in self.tokens:
            known = one.id, one.text, one.in_prompt, one.experts, one.weights
            routing.add(ExpertRouting(*known, self.num_experts))
        return routing


def to_file(routing: Routing, model: str) -> str:
    """The routing of one answer, with its tokens, their numbers, experts and weights, as JSON."""
    tokens = [
        Token.model_construct(
            id=one.id,
            text=one.token,
            in_prompt=one.in_prompt,
            experts=one.experts,
            weights=one.weights,
        )
        for one in routing
    ]
    file = RoutingFile.model_construct(model=model, num_experts=routing.num_experts, tokens=tokens)
    return file.model_dump_json(by_alias=True)


def from_file(text: str) -> RoutingFile:
    """Read what `to_file` returned. Raises `BadRequestError`: files come from anywhere."""
    if len(text) > MAX_BYTES:
        raise BadRequestError(
            "This file is too large to be a routing.", "Open one that this page saved."
        )
    try:
        return RoutingFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        at = " → ".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ") + (f" (at {at})" if at else "")
        raise BadRequestError(
            Sentence("This is not a file with a routing ({what}).", what=what),
            "Open one that this page saved.",
        ) from error


def figure_data(routing: Routing, since: int = 0) -> dict[str, Any]:
    """The JSON from which the page draws a routing of which it has the first `since` tokens.

    It has the counts of all experts, but only those tokens that are new: what is sent does not grow
    with the answer. Weights are in thousandths.
    """
    return {
        "key": routing.key,
        "num_layers": routing.num_layers,
        "num_experts": routing.num_experts,
        "experts_per_token": routing.experts_per_token,
        "prompt": routing.prompt_tokens,
        "total": len(routing),
        "expert_counts": [[n for row in part for n in row] for part in routing.expert_counts],
        "from": since,
        "tokens": [routing.row(n) for n in range(since, len(routing))],
    }
