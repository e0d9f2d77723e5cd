"""What crosses the pipe between the page and a worker: plain records, as JSON with a length."""

import struct
from typing import IO, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from .._core import errors
from .._core.errors import BackendError
from .._core.sentence import Sentence
from .._core.types import Chunk, GenerationParams, Message, Progress, TextPart
from .._core.unicode import clean
from .seam import Served

# Pictures are bytes: in JSON they stand as base64.
_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")

LARGEST = 1 << 30
"""Bytes of one record."""


@dataclass(frozen=True, config=_BYTES)
class Load:
    """Load a model: say what it `Needs`, then wait for `Proceed`."""

    model: str
    engine: str
    """The name of a module that has `plan(label, **options) -> seam.Plan`."""
    label: str
    options: dict[str, Any]
    kind: Literal["load"] = "load"


@dataclass(frozen=True, config=_BYTES)
class Proceed:
    """There is room: load it now. Or there is not, and `measure` again what is free."""

    model: str
    measure: bool = False
    kind: Literal["proceed"] = "proceed"


@dataclass(frozen=True, config=_BYTES)
class Answer:
    """Answer a conversation; without a message, only say when the model is loaded."""

    job: int
    model: str
    messages: tuple[Message, ...]
    params: GenerationParams
    at: float
    """When it was asked, on the clock of all processes (`time.monotonic`)."""
    kind: Literal["answer"] = "answer"


@dataclass(frozen=True, config=_BYTES)
class Borrow:
    """Keep a model that is a server for whoever asks it, until that is cancelled."""

    job: int
    model: str
    at: float
    """When it was asked for, as `Answer.at`."""
    kind: Literal["borrow"] = "borrow"


@dataclass(frozen=True, config=_BYTES)
class Unload:
    """Give a model's memory back; nobody is being answered by it."""

    model: str
    kind: Literal["unload"] = "unload"


@dataclass(frozen=True, config=_BYTES)
class Cancel:
    """Stop an answer, or give a borrowed model back."""

    job: int
    kind: Literal["cancel"] = "cancel"


Command = Annotated[Load | Proceed | Answer | Borrow | Cancel | Unload, Field(discriminator="kind")]
"""What the page sends."""


@dataclass(frozen=True, config=_BYTES)
class Needs:
    """What loading a model takes on its device, and what is free there, in bytes."""

    model: str
    device: str
    need: int
    free: int
    kind: Literal["needs"] = "needs"


@dataclass(frozen=True, config=_BYTES)
class Loading:
    """How far a load is: 0 to 1; 1 when the model can answer."""

    model: str
    fraction: float
    done: bool = False
    kind: Literal["loading"] = "loading"


@dataclass(frozen=True, config=_BYTES)
class Steps:
    """New steps of an answer."""

    job: int
    steps: list[Chunk | Progress]
    kind: Literal["steps"] = "steps"


@dataclass(frozen=True, config=_BYTES)
class Failure:
    """A `BackendError` by its code; without one, a fault of ours with its traceback."""

    code: str | None
    message: str
    hint: str = ""
    values: dict[str, Any] = Field(default_factory=dict)
    sentences: list[Any] = Field(default_factory=list)
    """`message` and `hint` as `Sentence.dump` gives them."""

    @classmethod
    def of(cls, error: BaseException, label: str = "") -> "Failure":
        """What crosses the pipe of an error; `label` is the model's, where it was loaded."""
        if isinstance(error, ImportError):
            error = errors.MissingDependencyError(
                Sentence(
                    "{label} cannot run: {library} does not load here ({said}).",
                    label=label,
                    library=error.name or Sentence("a library"),
                    said=str(error).partition("; ")[0],
                ),
                "Install the requirements again. If the system or the processor is too old for "
                "it, Ollama or a server may run the same model.",
            )
        if isinstance(error, BackendError):
            said = [Sentence.of(one).dump() for one in (error.message, error.hint)]
            return cls(error.code, error.message, error.hint, error.values, said)
        import traceback

        return cls(None, "".join(traceback.format_exception(error)))

    @property
    def error(self) -> Exception:
        """The error that it stands for."""
        kind = _ERRORS.get(self.code or "")
        if kind is None:
            return RuntimeError(self.message)
        message, hint = map(Sentence.load, self.sentences) if self.sentences else ("", "")
        return kind(message or self.message, hint or self.hint, **self.values)


@dataclass(frozen=True, config=_BYTES)
class Lent:
    """A borrowed model is free to be asked, and where."""

    job: int
    served: Served
    queued: float
    """Seconds that it was waited for in line."""
    load: float | None
    """Seconds that it was waited for while it was loaded; `None` if it was there."""
    kind: Literal["lent"] = "lent"


@dataclass(frozen=True, config=_BYTES)
class Ended:
    """An answer has ended; `failure` tells why, if not by itself."""

    job: int
    failure: Failure | None = None
    kind: Literal["ended"] = "ended"


@dataclass(frozen=True, config=_BYTES)
class LoadFailed:
    """A model could not be loaded."""

    model: str
    failure: Failure
    kind: Literal["load_failed"] = "load_failed"


@dataclass(frozen=True, config=_BYTES)
class Unloaded:
    """A model's memory has been given back."""

    model: str
    kind: Literal["unloaded"] = "unloaded"


Event = Annotated[
    Needs | Loading | Steps | Lent | Ended | LoadFailed | Unloaded, Field(discriminator="kind")
]
"""What a worker sends."""

_ERRORS: dict[str, type[BackendError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, BackendError)
}
_COMMANDS: "TypeAdapter[Command]" = TypeAdapter(Command)
_EVENTS: "TypeAdapter[Event]" = TypeAdapter(Event)
_LENGTH = struct.Struct(">I")

T = TypeVar("T")


def clean_message(message: Message) -> Message:
    """The same without what is no text: half a surrogate pair cannot cross the pipe."""
    parts = (
        TextPart(clean(one.text)) if isinstance(one, TextPart) else one for one in message.parts
    )
    return Message(message.role, tuple(parts))


def command_bytes(command: "Command") -> bytes:
    """A command as it crosses the pipe."""
    return _framed(_COMMANDS.dump_json(command))


def event_bytes(event: "Event") -> bytes:
    """An event as it crosses the pipe."""
    return _framed(_EVENTS.dump_json(event))


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def read_command(pipe: IO[bytes]) -> "Command | None":
    """The next command; `None` at the end."""
    return _read(pipe, _COMMANDS)


def read_event(pipe: IO[bytes]) -> "Event | None":
    """The next event; `None` at the end, also in the middle of a record."""
    return _read(pipe, _EVENTS)


def _read(pipe: IO[bytes], kinds: "TypeAdapter[T]") -> T | None:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST:
        raise ValueError("a record that is too long")
    data = pipe.read(length)
    return kinds.validate_json(data) if len(data) == length else None
