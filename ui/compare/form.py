"""The form of a comparison: the page's inputs, parsed and validated."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from backends import BadRequestError, GenerationParams, Sentence, clean_name
from playground.answer import Request
from playground.conversation import LETTERS, MAX_NAME, MAX_SIDES, Conversation, Turn
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
Number = Annotated[float | None, BeforeValidator(optional)]


class OwnSettings(BaseModel):
    """The settings in which a side differs from those of all sides; `None` where it does not."""

    model_config = ConfigDict(allow_inf_nan=False, extra="ignore")

    temperature: Number = None
    max_tokens: Whole = None
    top_p: Number = None
    top_k: Whole = None
    seed: Whole = None
    system: Annotated[str | None, BeforeValidator(_text)] = None

    def applied_to(self, params: GenerationParams) -> GenerationParams:
        """Return the parameters of all sides with these in their place."""
        return replace(params, **self.model_dump(exclude={"system"}, exclude_none=True))


def _own_settings(value: object) -> object:
    """Parse the settings as the page holds them: a JSON object, or nothing."""
    if not isinstance(value, str):
        return value or {}
    try:
        return json.loads(value) if value else {}
    except (ValueError, RecursionError):
        return value


class SideForm(BaseModel):
    """The inputs of one side. A tab that has more has a subclass."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")

    backend: Text = ""
    model: ModelName = ""
    own: Annotated[OwnSettings, BeforeValidator(_own_settings)] = OwnSettings()

    def params(self, shared: GenerationParams) -> GenerationParams:
        """Return the side's generation parameters, from those of all sides."""
        return self.own.applied_to(shared)


class Form(BaseModel):
    """The visitor's inputs as the page sends them; not trusted before `checked`."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")
    side_type: ClassVar[type[SideForm]] = SideForm
    """The class of `sides`; a tab whose sides have more inputs has another."""

    prompt: Text = ""
    sides: Sequence[SideForm] = Field(default=(), max_length=MAX_SIDES)
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
    def read(cls, shared: Mapping[str, Any], sides: Sequence[Mapping[str, Any]]) -> "Form":
        """Parse the page's inputs, by field. Raises `BadRequestError`."""
        try:
            read = [cls.side_type.model_validate(side) for side in sides]
            return cls.model_validate({**shared, "sides": read})
        except ValidationError as error:
            # The innermost name: `own`, `temperature` is the temperature of a side.
            names = [str(part) for part in error.errors()[0]["loc"] if isinstance(part, str)]
            field = (names or ["form"])[-1].replace("_", " ")
            raise BadRequestError(
                Sentence("The {field} is not of a kind that can be used here.", field=field),
                "Correct it, or reload the page.",
                field=field,
            ) from error

    @property
    def params(self) -> GenerationParams:
        """The generation parameters that all sides share, as backends take them."""
        return GenerationParams(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            stop=tuple(line for line in self.stop.split("\n") if line.strip()),
        )

    def params_of(self, side: int) -> GenerationParams:
        """Return the generation parameters of one side."""
        return self.sides[side].params(self.params)

    def own_system(self, side: int) -> str | None:
        """Return the system prompt of one side; `None` if it has that of all sides."""
        return self.sides[side].own.system

    def checked(
        self, limits: Limits, sides: Collection[int], keyring: Keyring | None = None
    ) -> "Form":
        """Return the form if these sides may send it. Raises `BadRequestError`.

        `keyring` knows the servers that the visitor added.
        """
        keyring = keyring or Keyring(limits.public)
        limits.check_system(self.system)
        for side in sides:
            limits.check_system(self.own_system(side) or "")
            limits.check_params(self.params_of(side))
            letter, chosen = LETTERS[side], self.sides[side]
            backend = keyring.backend(chosen.backend)
            if backend is None or not limits.allows(backend):
                raise BadRequestError(
                    Sentence("Side {letter} has no backend that can be used here.", letter=letter),
                    "Choose one from its list.",
                )
            if not chosen.model:
                raise BadRequestError(
                    Sentence("Side {letter} has no model yet.", letter=letter), "Choose one above."
                )
            if len(chosen.model) > MAX_NAME:
                raise BadRequestError(
                    Sentence("Side {letter} has no model of so long a name.", letter=letter),
                    "Choose one above.",
                )
        return self

    def request(
        self,
        side: int,
        conversation: Conversation,
        keyring: Keyring,
        limits: Limits,
        begun: str = "",
    ) -> Request:
        """Build one side's request, with the visitor's connection and the limits that apply.

        `begun` is the beginning of the answer, if the model is to go on with one.
        """
        chosen = self.sides[side]
        backend = keyring.backend(chosen.backend)
        if backend is None:
            raise BadRequestError(
                Sentence("Side {letter} has no backend.", letter=LETTERS[side]), "Choose one above."
            )
        connection = keyring.connection(chosen.backend)
        messages, rest = (
            conversation.messages(side, self.own_system(side)),
            {
                "params": limits.bounded(self.params_of(side)),
                "connection": connection,
                "visitor": limits.visitor(backend, connection),
            },
        )
        if begun:
            return Request.going_on(backend, chosen.model, messages, begun, **rest)
        return Request(backend, chosen.model, messages, **rest)


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
