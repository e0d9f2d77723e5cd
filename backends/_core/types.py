"""The nouns: what goes to a model and what comes back, in the field's own words."""

from dataclasses import dataclass, field
from typing import Literal

from .sentence import Said, Sentence

Role = Literal["system", "user", "assistant"]
Stage = Literal["queued", "loading", "prefill", "retrying", "downloading"]
FinishReason = Literal["stop", "length", "content_filter", "cancelled"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture in a message: its encoded bytes and their media type, such as `image/png`."""

    data: bytes = field(repr=False)
    media_type: str


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        """A message made of one piece of text."""
        return cls(role, (TextPart(text),))

    @property
    def text(self) -> str:
        """The message's text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The message's pictures, in order."""
        return tuple(part for part in self.parts if isinstance(part, ImagePart))


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to choose the next token. `None` leaves a knob at the backend's own default.

    A backend that lacks a knob ignores it, and says so in its own documentation.
    """

    max_tokens: int | None = None
    """The most tokens an answer may have."""
    temperature: float | None = None
    """0 always takes the likeliest token (greedy); 1 samples from the model's own distribution."""
    top_p: float | None = None
    """Sample only from the likeliest tokens whose probabilities sum to this (0 < top_p <= 1)."""
    top_k: int | None = None
    """Sample only from this many likeliest tokens; 0 for all of them."""
    seed: int | None = None
    """The same seed gives the same sampled text, alone or beside another answer."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends; they are not part of it."""
    num_crops: int | None = None
    """In how many crops of 336 by 336 pixels Phi-3-vision sees a picture at most: more show finer
    detail and cost more tokens. A server cuts pictures as it was started to."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, as the backend reports them; `None` where it reports nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    """All that were written: those of thinking, too."""
    thinking_tokens: int | None = None
    """The part of them that was thinking."""
    context: int | None = None
    """How many of both together there may be, as the model was served."""


@dataclass(frozen=True, slots=True)
class Timings:
    """An engine's own clock for one answer. Durations in seconds; `None` where it does not say."""

    queued: float | None = None
    load: float | None = None
    waited_to_load: bool = False
    """Whether `load` holds the wait for another model to leave the memory, its answer included."""
    prefill: float | None = None
    decode: float | None = None
    decode_alone: float | None = None
    """What `decode` would have been with the processor to itself: an estimate."""
    device: str | None = None
    """Where it ran, such as `cpu`, `cuda:0` or `cpu of http://10.0.0.2:11434`: two answers with the
    same one shared it."""


@dataclass(frozen=True, slots=True)
class ExpertRouting:
    """Which experts worked on one token of a mixture-of-experts model.

    `experts[layer]` are the chosen experts' numbers and `weights[layer]` their weights, in the
    same order. SparseMixer's weights do not sum to one: each lies between 0 and 1 by itself
    (Liu et al. 2024, arXiv:2409.12136).
    """

    id: int
    """The token's number in the vocabulary."""
    token: str
    """Its text; a byte of a character that has no token of its own is `<0xE4>`."""
    in_prompt: bool
    """Whether the model was given it, or wrote it."""
    experts: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    num_experts: int
    """Experts in each layer, of which those were chosen."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One streamed step of an answer: new text only, never the text so far."""

    text: str = ""
    tokens: int | None = None
    """How many tokens this step made; `None` where the wire does not tell."""
    at: float = 0.0
    """`time.monotonic()` at which the engine or the wire had it."""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    routing: tuple[ExpertRouting, ...] = ()
    """Of tokens that were read in this step, in order. A token that the model wrote is read in the
    step after that, so its routing comes one step later than its text."""
    notes: tuple[Said, ...] = ()
    """What its reader should know about this answer, in a few words: `Q4_0 weights`."""
    warnings: tuple[Said, ...] = ()
    """What its reader must not overlook, in sentences: that something was left out."""
    thinking: str = ""
    """What the model thinks before it answers, new text only: no part of the answer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an answer (or a download) is waiting for."""

    stage: Stage
    fraction: float | None = None
    """How much of it is done, 0 to 1; `None` where nobody knows."""
    detail: Said = ""
    """For what, in a few words: `number 2 in line`, `1.2 of 7.6 GB`."""

    @classmethod
    def in_line(cls, place: int) -> "Progress":
        """Waiting for others: first, second, third … in line."""
        return cls("queued", detail=Sentence("number {place} in line", place=place))


@dataclass(frozen=True, slots=True)
class Connection:
    """Where to reach a server and with which key, for one session. Never stored or logged."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    public: bool = False
    """Of a visitor of a public page: an address that they typed is asked only if it is one of the
    internet, and a key of the environment is used only if its owner gave it to this page."""

    @property
    def typed(self) -> bool:
        """True if there is an address or a key of the visitor's own."""
        return bool(self.base_url or self.api_key)
