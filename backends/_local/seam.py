"""The seams of engines: most read tokens and give logits; one is a whole server, asked as such."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .._core.sentence import Said
from .._core.types import Chunk, ExpertRouting, GenerationParams, Message, Progress

if TYPE_CHECKING:
    import numpy as np

    from .chat_text import ChatText
    from .sessions import SessionCache

Step = Chunk | Progress | None
Steps = Generator[Step, None, None]
"""A local answer: every `next()` is at most one forward pass; `None` is a step with no news."""


class Output(NamedTuple):
    """The result of a forward pass."""

    logits: "np.ndarray[Any, Any]"
    """After its last token: float32, (vocabulary,)."""
    routing: tuple[ExpertRouting, ...] = ()
    """Of each of its tokens, if the model is a mixture of experts."""


class Session(Protocol):
    """One conversation in an engine: its cache of the tokens that were read so far."""

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        """Read some more tokens, or vectors in their place. One forward pass."""
        ...

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens. False if this engine cannot."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A conversation as a model reads it."""

    tokens: Any
    """A list of token ids, or vectors in their place: anything with a length and slices."""
    context: int
    """The most tokens that they and the answer may be."""
    ids: Sequence[int] | None = None
    """The same as token ids, where a session that has read some of them may go on from there."""
    long: bool = False
    """Whether it is read with LongRoPE's long factors, from its first token on."""
    notes: tuple[Said, ...] = ()
    """What a reader of the answer should know about it, in a few words."""
    undivided: bool = False
    """Whether it is read in one forward pass, where an engine cannot read it in several."""


class Loaded(Protocol):
    """A model in memory."""

    label: str
    device: str
    """Where it runs: `cpu`, `cuda:0`."""
    threads: int
    """Threads that it computes with, where that is a CPU."""
    context: int
    """The most tokens of a conversation, prompt and answer."""
    text: "ChatText"
    sessions: "SessionCache"
    exact: bool
    """Whether it gives the same logits however a prompt is cut into feeds, but for rounding."""
    warnings: tuple[str, ...]
    """What a reader of every answer must not overlook, in sentences."""

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """Make the prompt. What is put into `held` is kept until the answer has ended."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


@dataclass(frozen=True)
class Served:
    """Where a model is asked whose engine is a whole server: on loopback, with a key of its own."""

    url: str
    key: str = field(repr=False)
    device: str
    """Where it runs, as `Loaded.device`."""
    controls: tuple[str, ...] = ()
    """Its control tokens, longest first: no text of a visitor may hold one."""
    system_slot: bool = True
    """Whether its chat template has a place for a system prompt."""
    context: int | None = None
    """Tokens of prompt and answer together that it takes."""
    notes: tuple[Said, ...] = ()
    """Of each answer, as `Chunk.notes`."""


@dataclass
class Serving:
    """A model in memory in an engine that reads conversations itself: a server in this process."""

    served: Served
    answers: int
    """So many it gives at once."""
    server: Any
    """Ends when it is let go of."""

    def close(self) -> None:
        """End the server, and give its memory back."""
        self.server = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model gets into memory. Made in the worker, so it may import an engine."""

    device: str
    """Such as `cpu` or `cuda:0`."""
    need: int
    """Bytes that the model and one answer of full length take."""
    per_answer: int
    """Bytes that every further answer may take."""
    free: Callable[[], int]
    """Bytes that are free on the device now."""
    load: Callable[[Callable[[float], None]], Loaded | Serving]
    """Load it, reporting the fraction that is done."""
