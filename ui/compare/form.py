"""The form of a comparison: the page's inputs, parsed and validated."""

import json
from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from backends import BadRequestError, GenerationParams, clean_name
from playground.answer import Request
from playground.conversation import MAX_NAME, SIDES, Conversation, Turn
from playground.keyring import Keyring
from playground.limits import Limits
from playground.text import strip_controls


def _text(value: object) -> object:
    return "" if value is None else strip_controls(value) if isinstance(value, str) else value


def _model_name(value: object) -> object:
    return clean_name(text) if isinstance(text := _text(value), str) else text


def optional(value: object) -> object:
    """Return `None` for an empty field."""
    return None if value == "" else value


Text = Annotated[str, BeforeValidator(_text)]
ModelName = Annotated[str, BeforeValidator(_model_name)]
Whole = Annotated[int | None, BeforeValidator(optional)]


class Form(BaseModel):
    """The visitor's inputs as the page sends them; not trusted before `checked`."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")

    prompt: Text = ""
    left_backend: Text = ""
    left_model: ModelName = ""
    right_backend: Text = ""
    right_model: ModelName = ""
    system: Text = ""
    temperature: float | None = None
    max_tokens: Whole = None
    top_p: float | None = None
    top_k: Whole = None
    seed: Whole = None
    stop: Text = ""
    in_turn: bool = False
    """One side after the other."""

    @classmethod
    def read(cls, values: Sequence[Any]) -> "Form":
        """Parse the page's inputs, in the order of the fields. Raises `BadRequestError`."""
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
        """The generation parameters as backends take them."""
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
        """Backend id and model of each side."""
        return (
            (self.left_backend, self.left_model),
            (self.right_backend, self.right_model),
        )

    def params_of(self, side: int) -> GenerationParams:
        """Return the generation parameters of one side; here both sides share them."""
        return self.params

    def checked(
        self, limits: Limits, sides: Collection[int] = (0, 1), keyring: Keyring | None = None
    ) -> "Form":
        """Return the form if these sides may send it. Raises `BadRequestError`.

        `keyring` knows the servers that the visitor added.
        """
        keyring = keyring or Keyring()
        limits.check_system(self.system)
        limits.check_params(self.params)
        for side in sides:
            name, (place, model) = SIDES[side], self.sides[side]
            backend = keyring.backend(place)
            if backend is None or not limits.allows(backend):
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

    def request(
        self, side: int, conversation: Conversation, keyring: Keyring, limits: Limits
    ) -> Request:
        """Build one side's request, with the visitor's connection and the limits that apply."""
        place, model = self.sides[side]
        backend = keyring.backend(place)
        if backend is None:
            raise BadRequestError(f"The {SIDES[side]} side has no backend.", "Choose one above.")
        connection = keyring.connection(place)
        return Request(
            backend,
            model,
            conversation.messages(side),
            self.params_of(side),
            connection,
            limits.visitor(backend, connection),
        )


def from_browser(value: object, limits: Limits) -> Conversation:
    """Restore a conversation from the browser's storage, cut to text and to the limits.

    The value is not trusted: an invalid one gives an empty conversation.
    """
    try:
        told = dict(json.loads(value)) if isinstance(value, str) else {}
        turns = [turn for turn in map(_turn, told.pop("turns", ())) if turn]
        conversation = Conversation.model_validate({**told, "turns": turns[-limits.turns :]})
    except (ValueError, TypeError, AttributeError):
        return Conversation()
    return limits.truncated(conversation)


def _turn(value: object) -> Turn | None:
    """Parse one stored turn; `None` if it is invalid."""
    try:
        return Turn.model_validate(value)
    except ValidationError:
        return None
