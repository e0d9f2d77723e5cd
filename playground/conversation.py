"""The record of a comparison: its turns, each with a prompt and an answer of each side."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backends import (
    REGISTRY,
    BackendError,
    GenerationParams,
    ImagePart,
    Message,
    Part,
    Said,
    Sentence,
    TextPart,
)

from .answer import AnswerSnapshot, AnswerState, Request
from .clock import TokenSource
from .examples import answer_language
from .languages import NOTHING_EXPECTED, Expectation, Verdict, detect, expect
from .media.pictures import Picture
from .routing import Routing
from .text import valid_unicode
from .threads import in_media_thread

MAX_TEXT = 400_000
MAX_TURNS = 200
ROUTED_TURNS = 8
"""Turns that keep their routing: 2 MB for 6,000 tokens of Phi-3.5-MoE."""
MAX_PICTURES = 64
"""Pictures of one turn."""
MAX_NAME = 200
"""Characters of a model's or a backend's name, or of the address that is a server's device."""

MAX_REMARK = 1000
"""Characters of a note or a warning."""
Remark = Annotated[Said, Field(max_length=MAX_REMARK)]


LETTERS = ("A", "B", "C", "D")
"""The sides of a comparison, as they are called on the page and in exports: at most so many."""
MAX_SIDES = len(LETTERS)
MAX_VERSIONS = 8
"""Answers of one side to one prompt that are kept."""

_TAG = re.compile(r"<\|image_(\d+)\|>\n?")
"""Placeholder of Phi-3-vision for a picture, as in the course's own prompts."""


class _Record(BaseModel):
    # Records come back from browsers too: unknown fields go, and every text has a limit.
    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


def _only_routing(value: object) -> Routing | None:
    """A routing that this process made; drop anything that came back from a browser."""
    return value if isinstance(value, Routing) else None


def _said(error: BackendError | None) -> tuple[object, ...]:
    return tuple(Sentence.of(str(error)).dump()) if error else ()


def _remark(text: str) -> str:
    return text if isinstance(text, Sentence) else valid_unicode(text)[:MAX_REMARK]


def _sentence_or_nothing(value: object) -> tuple[object, ...]:
    """A sentence as it was dumped; drop anything else that came back from a browser."""
    if not value or not isinstance(value, (list, tuple)):
        return ()
    try:
        return tuple(Sentence.load([*cast("Sequence[object]", value)]).dump())
    except ValueError:
        return ()


class AnswerRecord(_Record):
    """One finished answer with its numbers. Durations in seconds."""

    model: str = Field(max_length=MAX_NAME)
    """Display name of the model when it answered: `Phi-3.5-mini`."""
    backend: str = Field(max_length=MAX_NAME)
    text: str = Field(max_length=MAX_TEXT)
    begun: int = 0
    """Characters at the beginning of `text` that an earlier version had, and that this one went on
    with: the numbers are of the rest."""
    state: AnswerState = "done"
    error: str = Field(default="", max_length=2000)
    """The failure, in a sentence; empty if there was none."""
    error_said: Annotated[tuple[Any, ...], BeforeValidator(_sentence_or_nothing)] = ()
    """The same as `Sentence.dump` gives it, for pages in other languages."""
    finish_reason: str | None = Field(default=None, max_length=40)
    language: str | None = Field(default=None, max_length=10)
    """ISO 639-1 code of the answer's language; `None` if undecided."""
    adherence: Verdict | None = None
    """Whether it stayed in the language that was asked for, else in the prompt's; `None` in a
    record of an earlier version."""
    input_tokens: int | None = None
    context: int | None = None
    """Tokens of prompt and answer together that it took, as it was served."""
    output_tokens: int = 0
    """All that were made: those of thinking, too."""
    thinking: str = Field(default="", max_length=MAX_TEXT)
    """What the model thought before it answered: for the page, not for exports or the next turn."""
    thinking_tokens: int = 0
    thinking_seconds: float = 0.0
    token_source: TokenSource = "engine"
    queued: float = 0.0
    load: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    total: float = 0.0
    first_token: float | None = None
    tokens_per_second: float | None = None
    tokens_per_second_alone: float | None = None
    device: str | None = Field(default=None, max_length=MAX_NAME)
    shared_device: bool = False
    by_server: bool = False
    """The speed is the server's own figure."""
    came_at_once: bool = False
    """Its tokens came in one or two packets."""
    cold: bool = False
    waited_to_load: bool = False
    """`load` holds the wait for another model to leave the memory."""
    notes: tuple[Remark, ...] = Field(default=(), max_length=20)
    """Remarks for the reader, a few words each: `Q4_0 weights`."""
    warnings: tuple[Remark, ...] = Field(default=(), max_length=20)
    """Warnings for the reader, a sentence each: that something was left out."""
    backend_id: str = Field(default="", max_length=MAX_NAME)
    model_id: str = Field(default="", max_length=MAX_NAME)
    """The model's name at its backend, as it was asked for."""
    params: GenerationParams | None = None
    """The settings that were sent, without those that the backend does not take; `None` in a record
    of an earlier version."""
    system: str | None = Field(default=None, max_length=MAX_TEXT)
    """Its side's own system prompt; `None` if it had that of all sides."""
    demanded: str | None = Field(default=None, max_length=10)
    """The code of the language that its own system prompt asked for, as `Turn.demanded`."""
    asked_at: str = Field(default="", max_length=40)
    """When, in ISO 8601 and UTC."""
    routing: Annotated[Routing | None, BeforeValidator(_only_routing)] = Field(
        default=None, exclude=True
    )
    """The experts of its tokens; kept while the page is open, and in files of their own."""

    @property
    def failure(self) -> Sentence:
        """The failure, in a sentence that can be said in any language; empty if there was none."""
        return Sentence.load([*self.error_said]) if self.error_said else Sentence.of(self.error)

    @property
    def may_go_on(self) -> bool:
        """Whether it ended too early, by a model that can go on right there."""
        backend = REGISTRY.get(self.backend_id.partition(":")[0])
        cut = self.finish_reason == "length" or self.state in ("stopped", "failed")
        return cut and bool(self.text) and backend is not None and backend.continues

    @property
    def slowed(self) -> bool:
        """Whether the other side slowed it down: both ran on one processor at the same time."""
        return self.shared_device and (self.device or "").partition(" ")[0] == "cpu"

    @classmethod
    async def of(
        cls,
        snapshot: AnswerSnapshot,
        model: str,
        backend: str,
        expected: Expectation = NOTHING_EXPECTED,
        request: Request | None = None,
        own_system: str | None = None,
    ) -> "AnswerRecord":
        """Make the record of an answer that has ended, and of what it was asked with."""
        clock, usage = snapshot.clock, snapshot.usage
        goes_on = request is not None and snapshot.text
        text = request.whole(snapshot.text) if request and goes_on else snapshot.text
        language, adherence = await in_media_thread(_judge, text, expected)
        return cls(
            model=model[:MAX_NAME],
            backend=backend[:MAX_NAME],
            text=text[:MAX_TEXT],
            begun=len(request.begun) if request and goes_on else 0,
            state=snapshot.state,
            error=valid_unicode(str(snapshot.error))[:2000] if snapshot.error else "",
            error_said=_said(snapshot.error),
            finish_reason=snapshot.finish_reason,
            language=language,
            adherence=adherence,
            input_tokens=usage.input_tokens if usage else None,
            context=usage.context if usage else None,
            output_tokens=clock.tokens,
            thinking=snapshot.thinking[:MAX_TEXT],
            thinking_tokens=clock.thinking_tokens,
            thinking_seconds=clock.thinking,
            token_source=clock.token_source,
            queued=clock.queued,
            load=clock.load,
            prefill=clock.prefill,
            decode=clock.decode,
            total=clock.total,
            first_token=clock.first_token,
            tokens_per_second=clock.tokens_per_second,
            tokens_per_second_alone=clock.tokens_per_second_alone,
            device=clock.device[:MAX_NAME] if clock.device else None,
            shared_device=clock.shared,
            by_server=clock.by_server,
            came_at_once=clock.came_at_once,
            cold=clock.cold,
            waited_to_load=clock.waited_to_load,
            notes=tuple(map(_remark, snapshot.notes[:20])),
            warnings=tuple(map(_remark, snapshot.warnings[:20])),
            routing=snapshot.routing,
            backend_id=request.backend.id[:MAX_NAME] if request else "",
            model_id=request.model[:MAX_NAME] if request else "",
            params=request.backend.sent_params(request.params) if request else None,
            asked_at=request.asked_at if request else "",
            system=own_system,
            demanded=None if own_system is None else expected.demanded,
        )


def _judge(answer: str, expected: Expectation) -> tuple[str | None, Verdict]:
    """The language of an answer, and whether it is the expected one."""
    language = detect(answer)
    return language.code if language else None, expected.judge(answer)


Versions = tuple[AnswerRecord, ...]


def _unrouted(record: AnswerRecord) -> AnswerRecord:
    return record.model_copy(update={"routing": None}) if record.routing else record


class Turn(_Record):
    """One prompt and the answer of each side; `None` where a side has not answered yet."""

    prompt: str = Field(max_length=MAX_TEXT)
    pictures: tuple[Picture, ...] = Field(default=(), max_length=MAX_PICTURES)
    """The pictures of the prompt, in order."""
    language: str | None = Field(default=None, max_length=10)
    """ISO 639-1 code of the prompt's language; `None` if undecided."""
    demanded: str | None = Field(default=None, max_length=10)
    """The code of the language that the answer was asked to be in, by the prompt, its example or
    the system prompt; `None` if by none."""
    answers: tuple[AnswerRecord | None, ...] = Field(default=(), max_length=MAX_SIDES)
    """By side; there may be fewer than there are sides."""
    versions: tuple[Versions, ...] = Field(default=(), max_length=MAX_SIDES)
    """By side: all its answers in order of time, that of `answers` among them. Empty where there
    was only one."""

    @property
    def answered(self) -> bool:
        """True if any side has a text; without any, models are not told of this turn."""
        return any(record and record.text for record in self.answers)

    def message(self, first: int = 1) -> Message:
        """The message of the prompt: its pictures, then its text.

        A prompt may place its pictures itself with `<|image_1|>`, `<|image_2|>`, … They are
        numbered through the conversation, the turn's own from `first` on; each must occur once.
        """
        words, numbers = _TAG.split(self.prompt)[::2], _TAG.findall(self.prompt)
        own = {str(n): picture.part for n, picture in enumerate(self.pictures, first)}
        if sorted(numbers) != sorted(own):
            return Message("user", (*own.values(), TextPart(self.prompt)))
        parts: list[Part] = [TextPart(words[0])]
        for number, text in zip(numbers, words[1:], strict=True):
            parts += [own[number], TextPart(text)]
        kept = tuple(part for part in parts if isinstance(part, ImagePart) or part.text)
        return Message("user", kept or (TextPart(self.prompt),))

    def without_routing(self) -> "Turn":
        """The turn without the routings of its answers."""
        every = (*self.answers, *(record for kept in self.versions for record in kept))
        if not any(record and record.routing for record in every):
            return self
        answers = (record and _unrouted(record) for record in self.answers)
        versions = (tuple(map(_unrouted, kept)) for kept in self.versions)
        return self.model_copy(update={"answers": tuple(answers), "versions": tuple(versions)})

    def answer(self, side: int) -> AnswerRecord | None:
        """The answer of a side that is shown, and that its model is told of in later turns."""
        return self.answers[side] if side < len(self.answers) else None

    def versions_of(self, side: int) -> Versions:
        """All answers of a side, in order of time."""
        if side < len(self.versions) and self.versions[side]:
            return self.versions[side]
        return (record,) if (record := self.answer(side)) else ()

    def asked_again(self, side: int) -> "Turn":
        """The turn while a side is asked: without its answer, which is kept as a version."""
        kept = tuple(record for record in self.versions_of(side) if record.text)
        return self._with(side, None, kept[-MAX_VERSIONS + 1 :])

    def with_answer(self, side: int, record: AnswerRecord) -> "Turn":
        """The turn with an answer of one side, beside its earlier versions.

        One without any text does not replace an earlier one.
        """
        earlier = self.versions_of(side) if self.answer(side) is None else ()
        if earlier and not record.text:
            return self._with(side, earlier[-1], earlier if len(earlier) > 1 else ())
        return self._with(side, record, (*earlier, record) if earlier else ())

    def with_version(self, side: int, index: int) -> "Turn":
        """The turn with another version of a side's answer shown."""
        versions = self.versions_of(side)
        return self._with(side, versions[index], versions)

    def without_side(self, side: int) -> "Turn":
        """The turn without one side; those behind it move up."""
        return self.model_copy(
            update={
                "answers": self.answers[:side] + self.answers[side + 1 :],
                "versions": self.versions[:side] + self.versions[side + 1 :],
            }
        )

    def _with(self, side: int, record: AnswerRecord | None, versions: Versions) -> "Turn":
        answers = [*self.answers, *(None,) * (side + 1 - len(self.answers))]
        kept = [*self.versions, *((),) * (len(answers) - len(self.versions))]
        answers[side], kept[side] = record, versions
        return self.model_copy(
            update={"answers": tuple(answers), "versions": tuple(kept) if any(kept) else ()}
        )


class Conversation(_Record):
    """All turns of one comparison, with the settings of the last one."""

    system: str = Field(default="", max_length=MAX_TEXT)
    params: GenerationParams = GenerationParams()
    turns: tuple[Turn, ...] = Field(default=(), max_length=MAX_TURNS)

    def with_turn(self, turn: Turn) -> "Conversation":
        """The conversation with one more turn."""
        return self.model_copy(update={"turns": (*self.turns, turn)})

    def without_old_routing(self) -> "Conversation":
        """The conversation with the routings of its last turns alone: they are large."""
        turns = tuple(turn.without_routing() for turn in self.turns[:-ROUTED_TURNS])
        return self.model_copy(update={"turns": turns + self.turns[len(turns) :]})

    def before(self, turn: int) -> "Conversation":
        """The conversation as it was before a turn."""
        return self.model_copy(update={"turns": self.turns[:turn]})

    def pictures(self, before: int | None = None) -> tuple[Picture, ...]:
        """The pictures of the answered turns before turn `before`, in their order."""
        answered = (turn for turn in self.turns[:before] if turn.answered)
        return tuple(picture for turn in answered for picture in turn.pictures)

    @property
    def last(self) -> Turn | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    def with_answer(self, side: int, record: AnswerRecord) -> "Conversation":
        """The conversation with an answer of one side to its last turn."""
        *earlier, last = self.turns
        return self.model_copy(update={"turns": (*earlier, last.with_answer(side, record))})

    def asked_again(self, side: int) -> "Conversation":
        """The conversation while a side is asked its last turn again."""
        return self._replacing(len(self.turns) - 1, self.turns[-1].asked_again(side))

    def with_version(self, turn: int, side: int, index: int) -> "Conversation":
        """The conversation with another version of an answer shown."""
        return self._replacing(turn, self.turns[turn].with_version(side, index))

    def with_answer_everywhere(self, turn: int, side: int, sides: int) -> "Conversation":
        """The conversation with a side's answer to a turn given to all sides, as a new version."""
        chosen, shared = self.turns[turn].answer(side), self.turns[turn]
        for other in range(sides if chosen else 0):
            if other != side and chosen:
                shared = shared.asked_again(other).with_answer(other, chosen)
        return self._replacing(turn, shared)

    def without_side(self, side: int) -> "Conversation":
        """The conversation without one side; those behind it move up."""
        turns = tuple(turn.without_side(side) for turn in self.turns)
        return self.model_copy(update={"turns": turns})

    def _replacing(self, turn: int, by: Turn) -> "Conversation":
        turns = (*self.turns[:turn], by, *self.turns[turn + 1 :])
        return self.model_copy(update={"turns": turns})

    async def expectation(self, own_system: str | None = None) -> Expectation:
        """The language that the answers to the last prompt are expected in, found in a thread.

        `own_system` stands in place of the system prompt of all sides. Raises `ValueError` without
        any turn.
        """
        *earlier, last = self.turns
        return await in_media_thread(
            expect,
            last.prompt,
            answer_in=answer_language(last.prompt),
            earlier=[turn.demanded for turn in earlier if turn.demanded],
            system=self.system if own_system is None else own_system,
        )

    def expecting(self, expected: Expectation) -> "Conversation":
        """The conversation with the languages of its last prompt set."""
        *earlier, last = self.turns
        languages = {"language": expected.prompt, "demanded": expected.demanded}
        return self.model_copy(update={"turns": (*earlier, last.model_copy(update=languages))})

    def messages(self, side: int, own_system: str | None = None) -> tuple[Message, ...]:
        """The messages that the model of a side is sent for the last turn.

        `own_system` stands in place of the system prompt of all sides. Turns without an answer of
        that side are left out. Raises `ValueError` without any turn.
        """
        system = self.system if own_system is None else own_system
        messages = [Message.of("system", system)] if system.strip() else []
        first = 1
        for turn in self.turns:
            message = turn.message(first)
            first += len(turn.pictures) if turn.answered else 0
            if turn is self.turns[-1]:
                return (*messages, message)
            if (record := turn.answer(side)) and record.text:
                messages += [message, Message.of("assistant", record.text)]
        raise ValueError("nothing was asked yet")
