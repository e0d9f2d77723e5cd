"""The record of a comparison: its turns, each with a prompt and an answer of each side."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backends import GenerationParams, ImagePart, Message, Part, TextPart

from .answer import AnswerSnapshot, AnswerState
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

Sentence = Annotated[str, Field(max_length=400)]

SIDES = ("left", "right")

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


class AnswerRecord(_Record):
    """One finished answer with its numbers. Durations in seconds."""

    model: str = Field(max_length=MAX_NAME)
    """Display name of the model when it answered: `Phi-3.5-mini`."""
    backend: str = Field(max_length=MAX_NAME)
    text: str = Field(max_length=MAX_TEXT)
    state: AnswerState = "done"
    error: str = Field(default="", max_length=2000)
    """The failure, in a sentence; empty if there was none."""
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
    notes: tuple[Sentence, ...] = Field(default=(), max_length=20)
    """Remarks for the reader, a few words each: `Q4_0 weights`."""
    warnings: tuple[Sentence, ...] = Field(default=(), max_length=20)
    """Warnings for the reader, a sentence each: that something was left out."""
    routing: Annotated[Routing | None, BeforeValidator(_only_routing)] = Field(
        default=None, exclude=True
    )
    """The experts of its tokens; kept while the page is open, and in files of their own."""

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
    ) -> "AnswerRecord":
        """Make the record of an answer that has ended."""
        clock, usage = snapshot.clock, snapshot.usage
        language, adherence = await in_media_thread(_judge, snapshot.text, expected)
        return cls(
            model=model[:MAX_NAME],
            backend=backend[:MAX_NAME],
            text=snapshot.text[:MAX_TEXT],
            state=snapshot.state,
            error=valid_unicode(str(snapshot.error))[:2000] if snapshot.error else "",
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
            notes=tuple(valid_unicode(note)[:400] for note in snapshot.notes[:20]),
            warnings=tuple(valid_unicode(warning)[:400] for warning in snapshot.warnings[:20]),
            routing=snapshot.routing,
        )


def _judge(answer: str, expected: Expectation) -> tuple[str | None, Verdict]:
    """The language of an answer, and whether it is the expected one."""
    language = detect(answer)
    return language.code if language else None, expected.judge(answer)


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
    answers: tuple[AnswerRecord | None, AnswerRecord | None] = (None, None)

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
        if not any(record and record.routing for record in self.answers):
            return self
        answers = (
            record and record.model_copy(update={"routing": None}) for record in self.answers
        )
        return self.model_copy(update={"answers": tuple(answers)})

    def with_answer(self, side: int, record: AnswerRecord | None) -> "Turn":
        """The turn with the answer of one side replaced."""
        answers = list(self.answers)
        answers[side] = record
        return self.model_copy(update={"answers": tuple(answers)})


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
        """The conversation with the answer of one side to its last turn replaced."""
        *earlier, last = self.turns
        return self.model_copy(update={"turns": (*earlier, last.with_answer(side, record))})

    async def expectation(self) -> Expectation:
        """The language that the answers to the last prompt are expected in, found in a thread.

        Raises `ValueError` without any turn.
        """
        *earlier, last = self.turns
        return await in_media_thread(
            expect,
            last.prompt,
            answer_in=answer_language(last.prompt),
            earlier=[turn.demanded for turn in earlier if turn.demanded],
            system=self.system,
        )

    def expecting(self, expected: Expectation) -> "Conversation":
        """The conversation with the languages of its last prompt set."""
        *earlier, last = self.turns
        languages = {"language": expected.prompt, "demanded": expected.demanded}
        return self.model_copy(update={"turns": (*earlier, last.model_copy(update=languages))})

    def messages(self, side: int) -> tuple[Message, ...]:
        """The messages that the model of a side is sent for the last turn.

        Turns without an answer of that side are left out. Raises `ValueError` without any turn.
        """
        messages = [Message.of("system", self.system)] if self.system.strip() else []
        first = 1
        for turn in self.turns:
            message = turn.message(first)
            first += len(turn.pictures) if turn.answered else 0
            if turn is self.turns[-1]:
                return (*messages, message)
            if (record := turn.answers[side]) and record.text:
                messages += [message, Message.of("assistant", record.text)]
        raise ValueError("nothing was asked yet")
