"""Between the page and the playground: what comes in is checked, what goes out is drawn."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from backends import REGISTRY, BadRequestError, GenerationParams
from playground.agent import Work, read_steps, steps_markdown
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
from playground.pictures import Picture
from playground.text import clean

from .texts import EN

_GONE = "data:image/svg+xml;base64," + base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="90">'
    b'<rect width="119" height="89" fill="none" stroke="#999" stroke-dasharray="4 4"/></svg>'
).decode("ascii")
"""Stands where a picture was that was lost with a reload."""


def _text(value: object) -> object:
    return "" if value is None else clean(value) if isinstance(value, str) else value


def _optional(value: object) -> object:
    return None if value == "" else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else _optional(value)


Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int | None, BeforeValidator(_optional)]


CROPS = (1, 4, 16)
"""What a visitor chooses from; the model's own choice is none of them."""
Crops = Annotated[Literal[1, 4, 16] | None, BeforeValidator(_number)]


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
    left_crops: Crops = None
    right_crops: Crops = None

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

    def params_of(self, side: int) -> GenerationParams:
        """The knobs for one side: the crops are its own."""
        return replace(self.params, num_crops=(self.left_crops, self.right_crops)[side])

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

    def request(
        self, side: int, conversation: Conversation, keyring: Keyring, limits: Limits
    ) -> Request:
        """What one side is asked, by who asks just now."""
        backend, model = REGISTRY[self.sides[side][0]], self.sides[side][1]
        connection = keyring.connection(backend.id)
        return Request(
            backend,
            model,
            conversation.messages(side),
            self.params_of(side),
            connection,
            limits.visitor(backend, connection),
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


def to_chatbot(
    conversation: Conversation, side: int, *, steps: bool = False
) -> list[dict[str, Any]]:
    """One side's finished turns as `gr.Chatbot` takes them, each with its numbers folded away.

    The last answer's numbers stand below the conversation, so they are not repeated here. With
    `steps`, what an agent with tools wrote is shown as its steps, its own text folded away.
    """
    return [message for _, message in _messages(conversation, side, steps)]


def turn_of(
    conversation: Conversation, side: int, index: int, *, steps: bool = False
) -> int | None:
    """Which turn's prompt a message of `to_chatbot` is; `None` if it is no prompt."""
    messages = _messages(conversation, side, steps)
    return messages[index][0] if 0 <= index < len(messages) else None


def _messages(
    conversation: Conversation, side: int, steps: bool
) -> list[tuple[int | None, dict[str, Any]]]:
    """The messages; those that are prompts with the numbers of their turns."""
    messages: list[tuple[int | None, dict[str, Any]]] = []
    for number, turn in enumerate(conversation.turns):
        if turn.pictures:
            messages.append((None, {"role": "user", "content": _part(_pictures(turn))}))
        messages.append((number, {"role": "user", "content": _part(turn.prompt)}))
        if said := turn.answers[side]:
            if said.text:
                messages += [(None, message) for message in _answer(said, steps)]
            if turn is not conversation.turns[-1]:
                messages.append((None, _numbers(said, turn)))
    return messages


def _answer(said: Said, steps: bool) -> Sequence[dict[str, Any]]:
    text = said.text
    work = _steps(text) if steps else None
    if work is None:
        return [{"role": "assistant", "content": _part(text)}]
    note = EN["not_run"]
    if said.state == "stopped" or said.finish_reason == "length":
        work, note = (
            replace(work, repaired=False),
            f"{note} {EN['cut_off']}",
        )  # no fault of its JSON
    return [
        {"role": "assistant", "content": _part(f"{steps_markdown(work)}\n\n*{note}*")},
        {
            "role": "assistant",
            "content": _part(text),
            "metadata": {"title": EN["own_text"], "status": "done"},
        },
    ]


@lru_cache(maxsize=64)
def _steps(text: str) -> Work | None:
    """The conversation is drawn often, and to mend a faulty answer takes its time."""
    return read_steps(text)


def _part(text: str) -> list[dict[str, str]]:
    # A bare string would lose its tabs and common indentation (inspect.cleandoc).
    return [{"type": "text", "text": text}]


def _pictures(turn: Turn) -> str:
    """A turn's pictures in Markdown, drawn small; `page.js` knows them by how they begin."""
    return "\n".join(f"![{_alt(picture)}]({small(picture)})" for picture in turn.pictures)


def _alt(picture: Picture) -> str:
    return "".join(c for c in picture.name if c not in "[]()!\\`*_<>")


def small(picture: Picture) -> str:
    """A picture as a small one in a `data:` address; of one that is gone, an empty frame."""
    return data_url(picture.thumbnail, "webp") if picture.here else _GONE


def data_url(data: bytes, kind: str) -> str:
    """An image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _numbers(said: Said, turn: Turn) -> dict[str, Any]:
    facts = [*describe_numbers(said), other_language(said, turn)] if said.text else [said.error]
    title = " · ".join(filter(None, [said.model, *facts]))
    detail = said.error or f"{said.model} · {said.backend}"
    return {
        "role": "assistant",
        "content": _part(detail),
        "metadata": {"title": title, "status": "done"},
    }
