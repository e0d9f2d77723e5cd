"""Between the page and the playground: what comes in is checked, what goes out is drawn."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from backends import REGISTRY, BadRequestError, GenerationParams
from playground.answer import Request
from playground.conversation import (
    MAX_NAME,
    Conversation,
    Said,
    Turn,
    describe_numbers,
    other_language,
)
from playground.keyring import Keyring
from playground.limits import Limits
from playground.text import clean


def _text(value: object) -> object:
    return "" if value is None else clean(value) if isinstance(value, str) else value


def _optional(value: object) -> object:
    return None if value == "" else value


Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int | None, BeforeValidator(_optional)]


class Form(BaseModel):
    """What the visitor set, as the page sends it; nothing in it is trusted before `checked`."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")

    prompt: Text = ""
    left_backend: Text = ""
    left_model: Text = ""
    right_backend: Text = ""
    right_model: Text = ""
    system: Text = ""
    temperature: float | None = None
    max_tokens: Whole = None
    top_p: float | None = None
    top_k: Whole = None
    seed: Whole = None
    stop: Text = ""

    @classmethod
    def read(cls, values: Sequence[Any]) -> "Form":
        """The page's inputs in the order of the fields. Raises `BadRequestError`."""
        try:
            return cls.model_validate(dict(zip(cls.model_fields, values, strict=False)))
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0]).replace("_", " ")
            raise BadRequestError(
                f"The {field} is not of a kind that can be used here.",
                "Correct it, or reload the page.",
                field=field,
            ) from error

    @property
    def params(self) -> GenerationParams:
        """The knobs, as backends take them."""
        return GenerationParams(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            stop=tuple(line for line in self.stop.split("\n") if line.strip()),
        )

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Backend and model of each side."""
        return (
            (self.left_backend, self.left_model),
            (self.right_backend, self.right_model),
        )

    def checked(self, limits: Limits) -> "Form":
        """The same form if everything in it may be asked for here. Raises `BadRequestError`."""
        limits.check_system(self.system)
        limits.check_params(self.params)
        for name, (backend, model) in zip(("left", "right"), self.sides, strict=True):
            if backend not in REGISTRY or not limits.allows(REGISTRY[backend]):
                raise BadRequestError(
                    f"The {name} side has no backend that can be used here.",
                    "Choose one from its list.",
                )
            if not model:
                raise BadRequestError(f"The {name} side has no model yet.", "Choose one above.")
            if len(model) > MAX_NAME:
                raise BadRequestError(
                    f"The {name} side has no model of so long a name.", "Choose one above."
                )
        return self

    def request(self, side: int, conversation: Conversation, keyring: Keyring) -> Request:
        """What one side is asked."""
        backend, model = self.sides[side]
        return Request(
            REGISTRY[backend],
            model,
            conversation.messages(side),
            self.params,
            keyring.connection(backend),
        )


def from_browser(value: object, limits: Limits) -> Conversation:
    """The conversation a browser kept, reduced to text of user and assistant turns in the limits.

    Anything may come: what is no conversation gives an empty one.
    """
    try:
        told = dict(json.loads(value)) if isinstance(value, str) else {}
        turns = [turn for turn in map(_turn, told.pop("turns", ())) if turn]
        conversation = Conversation.model_validate({**told, "turns": turns[-limits.turns :]})
    except (ValueError, TypeError, AttributeError):
        return Conversation()
    return limits.cut(conversation)


def _turn(value: object) -> Turn | None:
    """One turn that a browser kept; `None` if it is none."""
    try:
        return Turn.model_validate(value)
    except ValidationError:
        return None


def to_chatbot(conversation: Conversation, side: int) -> list[dict[str, Any]]:
    """One side's finished turns as `gr.Chatbot` takes them, each with its numbers folded away.

    The last answer's numbers stand below the conversation, so they are not repeated here.
    """
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        messages.append({"role": "user", "content": _part(turn.prompt)})
        if said := turn.answers[side]:
            if said.text:
                messages.append({"role": "assistant", "content": _part(said.text)})
            if turn is not conversation.turns[-1]:
                messages.append(_numbers(said, turn))
    return messages


def _part(text: str) -> list[dict[str, str]]:
    # A bare string would lose its tabs and common indentation (inspect.cleandoc).
    return [{"type": "text", "text": text}]


def _numbers(said: Said, turn: Turn) -> dict[str, Any]:
    facts = [*describe_numbers(said), other_language(said, turn)] if said.text else [said.error]
    title = " · ".join(filter(None, [said.model, *facts]))
    detail = said.error or f"{said.model} · {said.backend}"
    return {
        "role": "assistant",
        "content": _part(detail),
        "metadata": {"title": title, "status": "done"},
    }


def turn_of(conversation: Conversation, side: int, index: int) -> int | None:
    """Which turn a message of `to_chatbot` belongs to; `None` if there is no such message."""
    messages = to_chatbot(conversation, side)[: index + 1]
    if not 0 <= index < len(messages):
        return None
    return sum(message["role"] == "user" for message in messages) - 1
