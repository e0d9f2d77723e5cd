"""What a visitor may do here: everything on one's own machine, less on a public page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backends import Backend, BadRequestError, GenerationParams, Message

from .conversation import Conversation
from .pictures import Picture, PictureLimits
from .text import clean

MOST_CROPS = 16
"""What Phi-3-vision was trained with (`preprocessor_config.json` of Phi-3-vision-128k-instruct)."""


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
    public: bool = False
    """A page that strangers visit: no downloads, no local servers, no typed addresses."""

    def allows(self, backend: Backend) -> bool:
        """Whether a backend may be used here at all."""
        return not (self.public and backend.kind == "server")

    def takes_address(self, backend: Backend) -> bool:
        """Whether a visitor may say where a backend is."""
        return not self.public and backend.address_env is not None

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
                f"This {what} has {len(text):,} characters; "
                f"at most {self.prompt_characters:,} fit here.",
                "Shorten it and try again.",
                characters=len(text),
                limit=self.prompt_characters,
            )

    def check_turns(self, turns: int) -> None:
        """Raise `BadRequestError` for a conversation that has grown too long."""
        if turns >= self.turns:
            raise BadRequestError(
                f"This conversation has reached {self.turns} turns, the most there can be here.",
                "Clear it and start a new one.",
                limit=self.turns,
            )

    def check_history(self, messages: Sequence[Message]) -> None:
        """Raise `BadRequestError` for a conversation that is far too long to be read."""
        length = sum(len(message.text) for message in messages)
        if length > self.history_characters:
            raise BadRequestError(
                f"This conversation has {length:,} characters; "
                f"at most {self.history_characters:,} fit here.",
                "Clear it and start a new one.",
                characters=length,
                limit=self.history_characters,
            )

    def check_pictures(self, pictures: Sequence[Picture]) -> None:
        """Raise `BadRequestError` for too many pictures, or for some that are gone."""
        if len(pictures) > self.pictures:
            raise BadRequestError(
                f"There are {len(pictures)} pictures; at most {self.pictures} fit here.",
                "Remove some, or clear the conversation and start a new one.",
                pictures=len(pictures),
                limit=self.pictures,
            )
        if not all(picture.here for picture in pictures):
            raise BadRequestError(
                "The pictures of this conversation are no longer here: they are kept in memory "
                "only, until the page is closed or reloaded.",
                "Clear the conversation and add them again.",
            )

    def cut(self, conversation: Conversation) -> Conversation:
        """A conversation with every text cut to what one may be here."""
        most = self.prompt_characters
        turns = tuple(
            turn.model_copy(
                update={
                    "prompt": clean(turn.prompt)[:most],
                    "answers": tuple(
                        said and said.model_copy(update={"text": clean(said.text)[:most]})
                        for said in turn.answers
                    ),
                }
            )
            for turn in conversation.turns
        )
        system = clean(conversation.system)[:most]
        return conversation.model_copy(update={"turns": turns, "system": system})

    def check_params(self, params: GenerationParams) -> None:
        """Raise `BadRequestError` for a knob out of its range."""
        for name, value, low, high in (
            ("Temperature", params.temperature, 0, 2),
            ("Max tokens", params.max_tokens, 1, self.max_tokens),
            ("Top-p", params.top_p, 0.01, 1),
            ("Top-k", params.top_k, 0, 1000),
            ("Seed", params.seed, 0, 2**32 - 1),
            ("The number of stop texts", len(params.stop), 0, 4),
            ("The number of crops", params.num_crops, 1, MOST_CROPS),
        ):
            if value is not None and not low <= value <= high:
                raise BadRequestError(
                    f"{name} must be between {low:,} and {high:,}, not {_plain(value)}.",
                    "Change it under Settings.",
                    name=name,
                    low=low,
                    high=high,
                )


def _plain(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


LOCAL = Limits()
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
    public=True,
)
