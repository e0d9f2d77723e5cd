"""The contract: what a backend is, and the registry of those there are."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.util import find_spec
from typing import ClassVar, Literal, TypeVar

from .catalog import ModelSpec
from .errors import BadRequestError, MissingDependencyError
from .names import known_model
from .sentence import Sentence
from .types import Chunk, Connection, GenerationParams, Message, Progress

CONTEXT_CAP = 4096
"""Tokens of prompt and answer together that text models here keep to, so that answers compare:
LongRoPE switches its factors at this length, and every engine does something else there. A server
has its own limit; an answer that went beyond this one says so."""

Kind = Literal["local", "server", "hosted"]
State = Literal["ready", "needs key", "not installed", "unreachable", "retired"]


@dataclass(frozen=True, slots=True)
class Status:
    """Whether something can be used now, and one sentence that says what to do if not."""

    state: State
    message: str
    code: str = ""
    """Names the sentence in every language of the page, with `values` as the facts in it."""
    values: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def ready(self) -> bool:
        """True if it can be used now."""
        return self.state == "ready"


@dataclass(frozen=True, slots=True)
class Retirement:
    """When a service or model was switched off, and what to use instead."""

    on: date
    successor: str
    source: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as one backend has it."""

    model: str
    """The backend's own id for it: what `stream` takes."""
    spec: ModelSpec
    status: Status
    download_size: int | None = None
    """Bytes that `download` would fetch; `None` if there is nothing to fetch."""
    kept_size: int = 0
    """Bytes of those that came before and need not be fetched again."""
    memory: int | None = None
    """Bytes of main memory that it takes while it answers; `None` where that is not known."""
    bytes_per_token: int | None = None
    """Bytes of weights that are read for each token; `None` where that is not known."""
    context: int | None = None
    """Tokens of prompt and answer together, as a server says that it serves the model."""
    aliases: tuple[str, ...] = ()
    """Other ids that mean the same model there: `stream` and `download` take them too."""
    revision: str | None = None
    """Which build of it that is: a digest, or a commit of the Hub; `None` where nobody tells."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a backend at one moment, and its models."""

    status: Status
    offers: Sequence[Offer] = ()
    """Those that can be used now come first."""


class Backend(ABC):
    """A place where Phi models run: facts as class attributes, `check` and `stream`."""

    id: ClassVar[str]
    label: ClassVar[str]
    kind: ClassVar[Kind]
    """`local` on this machine, `server` at a typed address, `hosted` on the internet."""
    key_env: ClassVar[str | None] = None
    """The environment variable that holds its key, if it needs one."""
    address_env: ClassVar[str | None] = None
    """The environment variable that says where it is, if it is behind an address."""
    address_example: ClassVar[str] = "http://localhost:8000/v1"
    """What such an address looks like."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Import names of the packages it needs beyond Python."""
    install: ClassVar[str] = ""
    """The command that installs them."""
    install_size: ClassVar[float] = 0
    """Bytes that this downloads, about, where they are many."""
    retired: ClassVar[Retirement | None] = None
    help: ClassVar[str] = ""
    """How to get it, in a sentence."""
    downloads_from: ClassVar[str] = ""
    """Where `download` fetches models from, in words; empty if it fetches none."""
    ignored_params: ClassVar[frozenset[str]] = frozenset()
    """Fields of `GenerationParams` that its requests do not carry."""
    can_be_named: ClassVar[bool] = False
    """Whether a visitor may have more of it than one, each with a name and an address: `named`."""
    guards_addresses: ClassVar[bool] = False
    """Whether it keeps to servers of the internet where a stranger typed the address:
    `Connection.public`."""
    accepts_custom_models: ClassVar[bool] = False
    """Whether a visitor may type the name of a model that it does not list."""
    continues: ClassVar[bool] = False
    """Whether it goes on with an answer right where it stops: `stream` of a conversation whose last
    message is the assistant's gives what follows that text."""
    reports_routing: ClassVar[bool] = False
    """Whether it tells which experts of a mixture work on each token: `Chunk.routing`."""
    replays: ClassVar[bool] = False
    """Whether its answers were timed before: how long they wait here is no part of their times."""
    probe_requests: ClassVar[int] = 0
    """At most so many requests go out with `probe`."""
    max_concurrent: ClassVar[int] = 8
    """Answers it gives at once; more wait in line."""
    takes_turns: ClassVar[bool] = False
    """Whether it answers those of a `Batch` one after the other itself, if that is wanted."""

    @classmethod
    def missing_packages(cls) -> tuple[str, ...]:
        """Those of `requires` that are not installed. Looks, but imports nothing."""
        # A list first: CPython 3.11 cannot make a tuple of a generator while another thread walks
        # all objects, as the `spaces` package does at the start of a Space.
        return tuple([name for name in cls.requires if find_spec(name) is None])

    @classmethod
    def without_packages(cls) -> "Status | None":
        """The status of every model while packages are missing; `None` if none is."""
        if not (missing := cls.missing_packages()):
            return None
        named = {"packages": ", ".join(missing), "install": cls.install}
        sentence = Sentence("Needs {packages}. Install with “{install}”.", **named)
        if size := int(cls.install_size):
            sentence = Sentence(
                "Needs {packages}, a download of about {size:bytes}. Install with “{install}”.",
                **named,
                size=size,
            )
        return Status(
            "not installed",
            sentence,
            "missing_packages",
            {"packages": missing, "install": cls.install},
        )

    @classmethod
    def check_packages(cls) -> None:
        """Raise `MissingDependencyError` with the install line if a package is missing."""
        if missing := cls.missing_packages():
            raise MissingDependencyError(
                Sentence(
                    "{label} needs {packages}, not installed here.",
                    label=cls.label,
                    packages=", ".join(missing),
                ),
                Sentence("Install with “{install}”.", install=cls.install),
                packages=missing,
                install=cls.install,
            )

    @abstractmethod
    async def check(self, connection: Connection | None = None) -> Health:
        """Its state and its models now. Quick, imports no engine, never raises `BackendError`."""

    @abstractmethod
    def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation, step by step; the last chunk carries usage and finish reason.

        Closing it (`aclose()`) stops the work. Raises `BackendError` only.
        """

    def named(self, name: str) -> "Backend":
        """The same under a visitor's own name, for another address; see `can_be_named`.

        Its id is this one's, a colon, and the name. The registry does not know it.
        """
        raise NotImplementedError(f"There is one {self.label} only.")

    def normalize_base_url(self, url: str) -> str:
        """The base URL of requests for an address as people type it, where it is behind one.

        Raises `BadRequestError`.
        """
        raise NotImplementedError(f"{self.label} is behind no address.")

    def spec_of(self, model: str) -> ModelSpec:
        """What is known about a model by this backend's name for it."""
        return known_model(model)

    def start(self) -> None:
        """Get ready before the page is built: called once, in the process's main thread. Optional.

        Whatever else a backend loads, it loads later.
        """
        return

    async def load(self, connection: Connection | None = None) -> None:
        """Load what asking takes, as packages and clients. Optional.

        On a busy machine it takes longer than the backend's answer, whose time it is not. Raises
        nothing: what is missing is said when it is asked.
        """
        return

    async def probe(self, connection: Connection | None = None) -> None:
        """Find out what a list of models cannot tell, before `check`. Optional.

        Only when a visitor asks for a check: it may cost a request for each model, and some
        seconds. Raises nothing.
        """
        return

    async def prepare(self, model: str) -> None:
        """Get ready for a question that is being typed, as by loading the model. Optional.

        Raises `BackendError` as `stream` would; cancelling it gives up.
        """
        return

    def in_memory(self) -> Sequence[tuple[str, int]]:
        """The models that it holds in this machine's memory now: label and bytes. Optional."""
        return ()

    async def count_tokens(self, model: str, text: str) -> int | None:
        """How many tokens `text` is to this model, or `None` if that cannot be told here."""
        return None

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """In how many crops at most a model would see each of so many pictures.

        `None` where that cannot be told, or where pictures are not cut.
        """
        return None

    def sent_params(self, params: GenerationParams) -> GenerationParams:
        """Return the parameters without those that a request of this backend does not carry."""
        return replace(params, **dict.fromkeys(self.ignored_params, None))

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """A Python program that makes the same request, whole and ready to be pasted. Optional.

        A typed address may stand in it, a key never: it is read from the environment. May read
        files, so not on an event loop; raises nothing. `None` if there is none to show.
        """
        return None

    def download(
        self, model: str, connection: Connection | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Fetch a model's files, after the visitor said yes. Closing it cancels."""
        raise NotImplementedError(f"{self.label} downloads nothing.")


REGISTRY: dict[str, Backend] = {}
"""Every backend by its id; their order means nothing."""


def base_id(backend: Backend) -> str:
    """The id of the backend in the registry that this one is, or was named after."""
    return backend.id.partition(":")[0]


B = TypeVar("B", bound=Backend)


def register(cls: type[B]) -> type[B]:
    """Class decorator that puts a backend into `REGISTRY`."""
    if cls.id in REGISTRY:
        raise ValueError(f"two backends are called {cls.id!r}")
    REGISTRY[cls.id] = cls()
    return cls


def count_pictures(messages: Iterable[Message]) -> int:
    """How many pictures there are in all the messages together."""
    return sum(len(message.images) for message in messages)


def check_pictures(spec: ModelSpec, messages: Sequence[Message]) -> None:
    """Raise `BadRequestError` if there is a picture for a model that reads none."""
    if "image" not in spec.modalities and count_pictures(messages):
        raise BadRequestError(
            Sentence("{label} reads text only, not pictures.", label=spec.label),
            "Remove the picture, or choose a vision model.",
        )
