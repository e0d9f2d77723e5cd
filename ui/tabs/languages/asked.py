"""What a run is to ask, from the page's inputs, which are not trusted; and its plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from backends import BadRequestError, Sentence
from playground.keyring import Keyring
from playground.languages.table import LANGUAGES
from playground.matrix.asking import ASKED, OWN, items_of, shipped
from playground.matrix.going_on import plan_of_header
from playground.matrix.header import header as header_of
from playground.matrix.items import KINDS, PROMPTS
from playground.matrix.own_prompts import parse
from playground.matrix.plan import Asked, Plan
from playground.matrix.run_file import Header, differences
from playground.services import Services
from playground.text import strip_controls

from ...compare.side import letter_of
from ...compare.status import find_offer

MAX_MODELS = 4
MAX_ITEMS = 12
SHOWN_PROBLEMS = 5
"""Of the bad lines of a table, at most so many are told."""

What = Literal["prompt", "own", "told", "tasks"]


def _text(value: object) -> object:
    return strip_controls(value) if isinstance(value, str) else "" if value is None else value


def _list(value: object) -> object:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[list[str], Field(max_length=100), BeforeValidator(_list)]


class AskForm(BaseModel):
    """The inputs of a run as the page sends them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    models: Texts = []
    what: What = "prompt"
    prompt: Text = "greet"
    own: Text = ""
    question: Text = ""
    kinds: Texts = []
    items: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 3
    languages: Texts = []

    @classmethod
    def parse(cls, values: dict[str, Any]) -> "AskForm":
        """The inputs by field. Raises `BadRequestError`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            if name == "items":
                raise BadRequestError(
                    Sentence(
                        "There can be 1 to {max_items} items of each task.", max_items=MAX_ITEMS
                    ),
                    "Choose another number.",
                ) from error
            raise BadRequestError(
                Sentence("The {name} cannot be used as they are.", name=name),
                "Correct them, or reload the page.",
            ) from error


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked: words of the header, languages, and a visitor's own texts."""

    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict[str, str])


async def plan_of(form: AskForm, services: Services, keyring: Keyring) -> Plan:
    """The plan of a run. Raises `BadRequestError` for what cannot be asked."""
    limits = services.limits
    wanted = _wanted(form, limits.prompt_characters)
    models = await _models(form.models, services, keyring)
    items = items_of(wanted.kinds, wanted.languages, form.items, 1, wanted.texts)
    if not items:
        raise BadRequestError(
            "There is nothing to ask in these languages.", "Choose other tasks or languages."
        )
    limits.check_cells(len(items) * len(models))
    return Plan(
        models, items, wanted.kinds, wanted.languages, form.items if form.what == "tasks" else 1,
        parallel=1 if limits.public else None, texts=wanted.texts,
    )  # fmt: skip


async def plan_to_go_on(header: Header, services: Services, keyring: Keyring) -> Plan:
    """The plan of a run that was begun on this machine. Raises `BadRequestError`."""
    names = [f"{one.backend}/{one.model}" for one in header.models]
    plan = plan_of_header(header, await _models(names, services, keyring))
    if plan is None:
        raise BadRequestError(
            "This run's tasks are not known here.", "Go on with the command that began it."
        )
    if different := differences(header, header_of(plan)):
        raise BadRequestError(
            Sentence(
                "This run differs from what would be asked now. {said}",
                said="; ".join(different),
            ),
            "Begin another one.",
        )
    return plan


def _wanted(form: AskForm, most: int) -> Wanted:
    languages = tuple(code for code in LANGUAGES if code in form.languages)
    if form.what == "own":
        return _own(form, most)
    if not languages:
        raise BadRequestError("No language is chosen.", "Choose at least one.")
    if form.what == "told":
        if not form.question.strip():
            raise BadRequestError(
                "There is no question yet.", "Type one in English; each model is to answer it in "
                "every language."
            )  # fmt: skip
        if len(form.question) > most:
            raise BadRequestError(
                Sentence(
                    "This {what} has {n} characters; at most {limit} fit here.",
                    what=Sentence("question"),
                    n=len(form.question),
                    limit=most,
                ),
                "Shorten it.",
            )
        return Wanted((ASKED,), languages, {"en": form.question.strip()})
    if form.what == "prompt":
        if form.prompt not in PROMPTS:
            raise BadRequestError("There is no such prompt.", "Choose one from the list.")
        return Wanted((shipped(form.prompt),), languages)
    kinds = tuple(kind for kind in KINDS if kind in form.kinds)
    if not kinds:
        raise BadRequestError("No task is chosen.", "Tick at least one.")
    return Wanted(kinds, languages)


def _own(form: AskForm, most: int) -> Wanted:
    read = parse(form.own, most)
    if read.problems:
        problems = read.problems[:SHOWN_PROBLEMS]
        rest = len(read.problems) - len(problems)
        more = Sentence("More lines like these: {rest}.", rest=rest) if rest else ""
        raise BadRequestError(Sentence.chain(*problems, more))
    if not read.rows:
        raise BadRequestError(
            "There is no prompt of yours yet.", "Write one for each language, or paste a table."
        )  # fmt: skip
    languages = tuple(code for code in LANGUAGES if code in read.rows and code in form.languages)
    if not languages:
        raise BadRequestError("No language is chosen.", "Choose at least one.")
    return Wanted((OWN,), languages, {code: read.rows[code] for code in languages})


async def _models(names: Sequence[str], services: Services, keyring: Keyring) -> tuple[Asked, ...]:
    if not names:
        raise BadRequestError(
            "No model is chosen.", Sentence("Choose one to {max_models}.", max_models=MAX_MODELS)
        )
    if len(names) > MAX_MODELS or len(set(names)) < len(names):
        raise BadRequestError(
            Sentence(
                "These are more than {max_models} models, or one of them twice.",
                max_models=MAX_MODELS,
            ),
            Sentence("Choose one to {max_models} different ones.", max_models=MAX_MODELS),
        )
    return tuple(
        [
            await _model(letter_of(place), name, services, keyring)
            for place, name in enumerate(names)
        ]
    )


async def _model(side: str, name: str, services: Services, keyring: Keyring) -> Asked:
    place, _, model = name.partition("/")
    backend = keyring.backend(place)
    offer = await find_offer(services.health, place, model, keyring)
    if backend is None or offer is None or not services.limits.allows(backend):
        raise BadRequestError(
            Sentence("“{name}” is not there any more.", name=name[:80]),
            "Choose another model from the list.",
        )
    if not offer.status.ready:
        raise BadRequestError(
            Sentence(
                "{label} cannot be asked: {message}",
                label=offer.spec.label,
                message=Sentence.of(offer.status.message),
            ),
            "Choose another model.",
        )
    await services.health.check_offered(backend, offer.model, keyring)
    connection = keyring.connection(place)
    visitor = services.limits.visitor(backend, connection)
    return Asked(side, backend, offer.model, offer.spec.label, offer.revision, connection, visitor)
