"""A question to several models by their names, as programs ask it: checked, run and recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backends import GenerationParams

from .answer import AnswerSnapshot, Request
from .compare import Run
from .conversation import AnswerRecord, Conversation, Turn
from .keyring import Keyring
from .media.pictures import Picture
from .model_names import NamedModel, find_model
from .services import Services
from .text import strip_controls


@dataclass(frozen=True, slots=True)
class Question:
    """What every model is asked."""

    prompt: str
    system: str = ""
    pictures: tuple[Picture, ...] = ()
    params: GenerationParams = field(default_factory=GenerationParams)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question to several models: the run that asks them, and who they are."""

    models: Sequence[NamedModel]
    run: Run
    asked: Conversation
    """With the question as its only turn, without answers."""

    async def record(self) -> Conversation:
        """The conversation with the answers as they are now, to be kept."""
        expected = await self.asked.expectation()
        recorded = self.asked.expecting(expected)
        sides = zip(self.models, self.run.requests, self.run.snapshot(), strict=True)
        for side, (named, request, snapshot) in enumerate(sides):
            snapshot = snapshot or AnswerSnapshot()
            record = await AnswerRecord.of(
                snapshot, named.label, named.backend.label, expected, request
            )
            recorded = recorded.with_answer(side, record)
        return recorded


async def prepare(
    question: Question,
    names: Sequence[str],
    services: Services | None = None,
    keyring: Keyring | None = None,
    *,
    in_turn: bool = False,
) -> Comparison:
    """Check a question and find its models; nothing is asked until the run is read.

    `services` are those of the page, whose limits, lines and budget apply. A model that cannot be
    asked now fails at its side alone. Raises `BackendError` for what is refused as a whole.
    """
    services = services or Services()
    limits = services.limits
    keyring = keyring or Keyring(limits.public)
    question = replace(
        question, prompt=strip_controls(question.prompt), system=strip_controls(question.system)
    )
    limits.check_prompt(question.prompt)
    limits.check_system(question.system)
    limits.check_params(question.params)
    question = replace(question, params=limits.bounded(question.params))
    limits.check_attached_pictures(question.pictures)
    turn = Turn(prompt=question.prompt, pictures=question.pictures)
    asked = Conversation(system=question.system, params=question.params).with_turn(turn)
    found: list[NamedModel] = []
    requests: list[Request] = []
    for side, name in enumerate(names):
        named = await find_model(name, services.health, keyring)
        await services.health.check_offered(named.backend, named.model, keyring)
        connection = keyring.connection(named.backend.id)
        found.append(named)
        requests.append(
            Request(
                named.backend,
                named.model,
                asked.messages(side),
                question.params,
                connection,
                limits.visitor(named.backend, connection),
            )
        )
    return Comparison(tuple(found), Run(requests, services, in_turn=in_turn), asked)
