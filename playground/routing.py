"""Which experts worked on which token: of one answer while it grows, and as a file."""

from array import array
from itertools import count
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backends import BadRequestError, ExpertRouting

from .text import valid_unicode

FORMAT = "phi-playground/routing/1"
MAX_TOKENS = 20_000
MAX_EXPERTS, MAX_LAYERS = 256, 64
MAX_BYTES = 12_000_000
"""Of a file; 2,000 tokens of Phi-3.5-MoE take 3 million."""

_keys = count(1)
N = TypeVar("N", int, float)


class Routing:
    """The experts of each token of a prompt and its answer, in the order of the text.

    It only grows, and while an answer grows it is shared rather than copied: to draw it costs what
    is new, not what the answer is long. A token takes five bytes for each expert that it met.
    """

    def __init__(self) -> None:
        self.key = next(_keys)
        """Tells this one from any other, as long as the program runs."""
        self.layers = self.experts = self.chosen = 0
        """Layers of the model, experts in each of them, and those that work on a token."""
        self.prompt_tokens = 0
        """How many of the tokens are the prompt's: the first ones."""
        self.load: tuple[list[array[int]], list[array[int]]] = ([], [])
        """Of the prompt, and of the answer: by layer, how many tokens each expert took so far."""
        self._ids: array[int] = array("l")
        self._texts: list[str] = []
        self._experts: array[int] = array("B")
        self._weights: array[float] = array("f")

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, n: int) -> ExpertRouting:
        if not 0 <= n < len(self):
            raise IndexError(n)
        row = slice(n * self.layers * self.chosen, (n + 1) * self.layers * self.chosen)
        return ExpertRouting(
            self._ids[n],
            self._texts[n],
            n < self.prompt_tokens,
            self._by_layer(self._experts[row]),
            self._by_layer(self._weights[row]),
            self.experts,
        )

    def row(self, n: int) -> tuple[str, list[int], list[int]]:
        """A token as the page wants it: its text, experts and thousandths of weights, flat."""
        at = slice(n * self.layers * self.chosen, (n + 1) * self.layers * self.chosen)
        weights = [round(1000 * weight) for weight in self._weights[at]]
        return self._texts[n], self._experts[at].tolist(), weights

    def _by_layer(self, row: "array[N]") -> tuple[tuple[N, ...], ...]:
        starts = range(0, len(row), self.chosen)
        return tuple(tuple(row[at : at + self.chosen]) for at in starts)

    def add(self, one: ExpertRouting) -> None:
        """One more token."""
        if not self._ids:
            self.layers, self.experts, self.chosen = (
                len(one.experts),
                one.num_experts,
                len(one.experts[0]),
            )
            for part in self.load:
                part += [array("l", [0] * one.num_experts) for _ in range(self.layers)]
        self._ids.append(one.id)
        self._texts.append(valid_unicode(one.token))
        self.prompt_tokens += one.in_prompt
        load = self.load[not one.in_prompt]
        for row, experts, weights in zip(load, one.experts, one.weights, strict=True):
            self._experts.extend(experts)
            self._weights.extend(w if w == w else 0.0 for w in weights)  # float16 may give NaN
            for expert in experts:
                row[expert] += 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Expert = Annotated[int, Field(ge=0, lt=MAX_EXPERTS)]
Weight = Annotated[float, Field(ge=0, le=1)]


class Token(_Record):
    """One token in a file: what is known of it, and its experts and their weights by layer."""

    id: int = Field(ge=0, lt=2**31)
    text: str = Field(max_length=400)
    in_prompt: bool
    experts: tuple[tuple[Expert, ...], ...] = Field(min_length=1, max_length=MAX_LAYERS)
    weights: tuple[tuple[Weight, ...], ...] = Field(min_length=1, max_length=MAX_LAYERS)


class RoutingFile(_Record):
    """The routing of one answer as a JSON file. Layers and experts are numbered from 0."""

    format: Literal["phi-playground/routing/1"] = FORMAT
    model: str = Field(max_length=200)
    experts: int = Field(ge=1, le=MAX_EXPERTS)
    """Of each layer."""
    numbering: str = "Layers and experts are numbered from 0; the page shows them from 1."
    weights: str = "Each between 0 and 1 by itself: SparseMixer's need not sum to one."
    tokens: list[Token] = Field(min_length=1, max_length=MAX_TOKENS)

    @model_validator(mode="after")
    def _even(self) -> Self:
        """Every token has met as many experts in as many layers, and the prompt comes first."""
        layers, chosen = len(self.tokens[0].experts), len(self.tokens[0].experts[0])
        in_answer = False
        for token in self.tokens:
            rows = [*token.experts, *token.weights]
            even = len(token.experts) == len(token.weights) == layers
            if not even or any(len(row) != chosen for row in rows) or not chosen:
                raise ValueError("not every token has met as many experts")
            if max(map(max, token.experts)) >= self.experts:
                raise ValueError(f"there are only {self.experts} experts")
            if in_answer and token.in_prompt:
                raise ValueError("a token of the prompt stands within the answer")
            in_answer = not token.in_prompt
        return self

    @property
    def routing(self) -> Routing:
        """What the file tells."""
        routing = Routing()
        for one in self.tokens:
            told = one.id, one.text, one.in_prompt, one.experts, one.weights
            routing.add(ExpertRouting(*told, self.experts))
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
    told = RoutingFile.model_construct(model=model, experts=routing.experts, tokens=tokens)
    return told.model_dump_json()


def from_file(text: str) -> RoutingFile:
    """Read what `to_file` wrote. Raises `BadRequestError`: files come from anywhere."""
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
            f"This is not a file with a routing ({what}).",
            "Open one that this page saved.",
        ) from error


def figure_data(routing: Routing, since: int = 0) -> dict[str, Any]:
    """What the page needs to draw a routing of which it knows the first `since` tokens.

    The loads are whole, the tokens only those that are new: what is sent does not grow with the
    answer. Weights are in thousandths.
    """
    return {
        "key": routing.key,
        "layers": routing.layers,
        "experts": routing.experts,
        "chosen": routing.chosen,
        "prompt": routing.prompt_tokens,
        "total": len(routing),
        "loads": [[n for row in part for n in row] for part in routing.load],
        "from": since,
        "tokens": [routing.row(n) for n in range(since, len(routing))],
    }
