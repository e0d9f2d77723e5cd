"""Limits of a page: wide on one's own machine, narrow on a public page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backends import (
    Backend,
    BadRequestError,
    Connection,
    GenerationParams,
    Message,
    Sentence,
    base_id,
    env_flag,
)

from .budget import Budget
from .conversation import Conversation
from .media.pictures import Picture, PictureLimits, memory_held
from .text import strip_controls
from .visitors import VISITOR, Visitor

MAX_CROPS = 16
"""Crops with which Phi-3-vision was trained (`preprocessor_config.json` of
Phi-3-vision-128k-instruct)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are checked before anything is asked of a backend."""

    prompt_characters: int = 100_000
    turns: int = 100
    history_characters: int = 400_000
    """Of a whole conversation, prompts and answers."""
    max_tokens: int = 4096
    pictures: int = 32
    """Of a whole conversation; frames of a video are pictures."""
    picture: PictureLimits = field(default_factory=PictureLimits)
    """Of each of them, as a file and as what is made of it."""
    picture_memory: int = 4_000_000_000
    """Bytes that the pictures of all visitors may take together."""
    body_bytes: int = 32_000_000
    """Of an event's JSON. The largest honest one holds a kept conversation, or a saved routing."""
    event_values: int = 1_000_000
    """Numbers, texts, lists and records in it. The form has about twenty."""
    bodies: int | None = None
    """Events of one visitor that arrive at the same moment."""
    upload_bytes: int = 8_000_000_000
    """Of all files together that lie on the disk until they are read."""
    upload_bytes_per_minute: int | None = None
    """Of one visitor's files."""
    sessions: int = 1000
    """Pages open at once; a session is half a megabyte."""
    sessions_per_visitor: int | None = None
    places: int | None = None
    """At most so many answers of one visitor stand in a backend's line."""
    budget: Budget | None = None
    """Requests and tokens of hosted services that visitors may use with this page's own keys."""
    cells: int | None = None
    """Answers of one run of the matrix."""
    server_answers: int | None = None
    """Answers that all servers of a kind are asked for at once; `None`: as many as their backend
    says."""
    calls_per_minute: int | None = None
    """Calls of the public endpoints by one visitor."""
    matrices: int | None = None
    """Runs of the matrix that a visitor may have going at once."""
    public: bool = False
    """A page that strangers visit: no downloads, no servers of its own network."""
    shares_servers: bool = False
    """Whether visitors of a public page may ask the servers that the environment names."""
    addresses: bool = True
    """Whether visitors may type addresses; on a public page those of the internet, by https."""

    def allows(self, backend: Backend) -> bool:
        """True if a backend may be used on this page.

        On a public one a server that the environment names only if its owner shares it.
        """
        if not self.public or backend.kind != "server":
            return True
        if base_id(backend) != backend.id:  # a visitor's own
            return self.addresses and backend.guards_addresses
        return self.shares_servers and bool(os.environ.get(backend.address_env or ""))

    def takes_address(self, backend: Backend) -> bool:
        """True if a visitor may type the address of a backend."""
        if not self.addresses or backend.address_env is None:
            return False
        return not self.public or (backend.kind == "hosted" and backend.guards_addresses)

    def adds_servers(self, backend: Backend) -> bool:
        """True if a visitor may add servers of this kind under names of their own."""
        guarded = not self.public or backend.guards_addresses
        return self.addresses and backend.can_be_named and guarded

    def visitor(self, backend: Backend, connection: Connection | None) -> Visitor:
        """The visitor of the current request; with a key of their own, they use no budget."""
        owner_pays = backend.kind == "hosted" and not (connection and connection.typed)
        return Visitor(VISITOR.get(), self.places, self.budget if owner_pays else None)

    def check_prompt(self, prompt: str) -> None:
        """Raise `BadRequestError` for a prompt that is empty or far too long."""
        if not prompt.strip():
            raise BadRequestError("There is no prompt yet.", "Type one, or pick an example.")
        self._check_length("prompt", prompt)

    def check_system(self, system: str) -> None:
        """Raise `BadRequestError` for a system prompt that is far too long."""
        self._check_length("system prompt", system)

    def _check_length(self, what: str, text: str) -> None:
        if len(text) > self.prompt_characters:
            raise BadRequestError(
                Sentence(
                    "This {what} has {n} characters; at most {limit} fit here.",
                    what=Sentence(what),
                    n=len(text),
                    limit=self.prompt_characters,
                ),
                "Shorten it and try again.",
                characters=len(text),
                limit=self.prompt_characters,
            )

    def check_cells(self, answers: int) -> None:
        """Raise `BadRequestError` for a run of the matrix that asks for too many answers."""
        if self.cells is not None and answers > self.cells:
            raise BadRequestError(
                Sentence(
                    "This run would ask for {answers} answers; on this public page a run has at "
                    "most {cells}.",
                    answers=answers,
                    cells=self.cells,
                ),
                "Choose fewer languages, models or tasks, or run the page on your own computer.",
                answers=answers,
                limit=self.cells,
            )

    def check_turns(self, turns: int) -> None:
        """Raise `BadRequestError` for a conversation that has grown too long."""
        if turns >= self.turns:
            raise BadRequestError(
                Sentence(
                    "This conversation has reached {turns} turns, the most there can be here.",
                    turns=self.turns,
                ),
                "Clear it and start a new one.",
                limit=self.turns,
            )

    def check_history(self, messages: Sequence[Message]) -> None:
        """Raise `BadRequestError` for a conversation that is far too long to be read."""
        length = sum(len(message.text) for message in messages)
        if length > self.history_characters:
            raise BadRequestError(
                Sentence(
                    "This conversation has {n} characters; at most {limit} fit here.",
                    n=length,
                    limit=self.history_characters,
                ),
                "Clear it and start a new one.",
                characters=length,
                limit=self.history_characters,
            )

    def check_attached_pictures(self, pictures: Sequence[Picture]) -> None:
        """Raise `BadRequestError` for too many pictures, or for any that a reload has lost."""
        self.check_picture_count(len(pictures))
        if not all(picture.available for picture in pictures):
            raise BadRequestError(
                "The pictures of this conversation are no longer here: they are kept in memory "
                "only, until the page is closed or reloaded.",
                "Clear the conversation and add them again.",
            )

    def check_picture_count(self, n: int) -> None:
        """Raise `BadRequestError` for too many pictures."""
        if n > self.pictures:
            raise BadRequestError(
                Sentence(
                    "There are {n} pictures; at most {limit} fit here.", n=n, limit=self.pictures
                ),
                "Remove some, or clear the conversation and start a new one.",
                pictures=n,
                limit=self.pictures,
            )

    def check_picture_memory(self) -> None:
        """Raise `BadRequestError` if the pictures of all visitors take too much together."""
        if memory_held() > self.picture_memory:
            raise BadRequestError(
                "This page holds as many pictures as it can at this moment.",
                "Try again in a few minutes.",
            )

    def truncated(self, conversation: Conversation) -> Conversation:
        """A conversation with every text cut to `prompt_characters`."""
        most = self.prompt_characters
        turns = tuple(
            turn.model_copy(
                update={
                    "prompt": strip_controls(turn.prompt)[:most],
                    "answers": tuple(
                        record
                        and record.model_copy(
                            update={
                                "text": strip_controls(record.text)[:most],
                                "system": record.system and strip_controls(record.system)[:most],
                            }
                        )
                        for record in turn.answers
                    ),
                }
            )
            for turn in conversation.turns
        )
        system = strip_controls(conversation.system)[:most]
        return conversation.model_copy(update={"turns": turns, "system": system})

    def bounded(self, params: GenerationParams) -> GenerationParams:
        """Parameters as they are sent: on a public page an answer always has a greatest length."""
        if self.public and params.max_tokens is None:
            return replace(params, max_tokens=self.max_tokens)
        return params

    def check_params(self, params: GenerationParams) -> None:
        """Raise `BadRequestError` for a parameter out of its range."""
        for name, value, low, high in (
            ("Temperature", params.temperature, 0, 2),
            ("Max tokens", params.max_tokens, 1, self.max_tokens),
            ("Top-p", params.top_p, 0.01, 1),
            ("Top-k", params.top_k, 0, 1000),
            ("Seed", params.seed, 0, 2**32 - 1),
            ("The number of stop texts", len(params.stop), 0, 4),
            ("The number of crops", params.num_crops, 1, MAX_CROPS),
        ):
            if value is not None and not low <= value <= high:
                raise BadRequestError(
                    Sentence(
                        "{name} must be between {low} and {high}, not {value}.",
                        name=Sentence(name),
                        low=low,
                        high=high,
                        value=value,
                    ),
                    "Change it under Settings.",
                    name=name,
                    low=low,
                    high=high,
                )


def _env_number(variable: str, default: int) -> int:
    """A number from the environment, where whoever runs the page may set it."""
    text = os.environ.get(variable, "").replace("_", "").replace(",", "")
    return int(text) if text.isdecimal() else default


LOCAL = Limits(server_answers=_env_number("PHI_SERVER_ANSWERS", 0) or None)
PUBLIC = replace(
    LOCAL,
    prompt_characters=8_000,
    turns=20,
    history_characters=40_000,
    max_tokens=1024,
    pictures=8,
    picture=PictureLimits(
        file_bytes=10_000_000,
        pixels=25_000_000,
        kept_pixels=2_000_000,
        frames=8,
        video_bytes=20_000_000,
        video_seconds=120,
    ),
    picture_memory=1_000_000_000,
    body_bytes=2_000_000,
    event_values=20_000,
    bodies=8,
    upload_bytes=1_000_000_000,
    upload_bytes_per_minute=100_000_000,
    sessions=300,
    sessions_per_visitor=100,
    places=3,
    cells=23,
    calls_per_minute=30,
    matrices=1,
    budget=Budget(
        _env_number("PHI_DAILY_REQUESTS", 1000), _env_number("PHI_DAILY_TOKENS", 1_000_000)
    ),
    public=True,
    shares_servers=env_flag("PHI_SHARE_SERVERS"),
    addresses=env_flag("PHI_TYPED_ADDRESSES", True),
)
