"""Plan of a run: who is asked what and how, and what it will cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from backends import Backend, Connection, GenerationParams, Sentence

from ..clock import estimate_tokens
from ..visitors import Visitor
from .items import Item, Kind
from .run_file import Source

MAX_TOKENS = 200
"""Tokens of an answer, where nobody says otherwise."""
SERVER_PARALLEL = 4
"""Answers that a server is asked for at once, where nobody says otherwise."""

SAMPLE = 200
"""At most so many prompts are counted by a model's tokenizer; the others are taken to be alike."""

_OPEN_ANSWER = 150
_SHORT_ANSWER = 30
_TOKENS: dict[Kind, int] = {
    "stays": _OPEN_ANSWER,
    "told": _OPEN_ANSWER,
    "sum_one": 60,
    "sum_two": 80,
    "json": 40,
    "copy": 40,
    "format": 80,
    "polite": _OPEN_ANSWER,
    "code": _OPEN_ANSWER,
    "math": 200,
}
"""Tokens that an answer usually has; the others are short."""
_READING = 0.1
"""What reading a token takes, in times of writing one: a guess, until answers were timed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the models of a run."""

    side: str
    """`a`, `b` …"""
    backend: Backend
    model: str
    label: str
    revision: str | None = None
    connection: Connection | None = None
    visitor: Visitor = field(default_factory=Visitor)
    """Who asks; on the command line nobody in particular."""

    @property
    def lane(self) -> str:
        """Models of the same lane take turns: all but the services on the internet, which share
        nothing with this machine."""
        return self.side if self.backend.kind == "hosted" else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: models, items and settings."""

    models: tuple[Asked, ...]
    items: tuple[Item, ...]
    kinds: tuple[str, ...]
    """As they were asked for: kinds, or one of the words of `asking`."""
    languages: tuple[str, ...]
    count: int
    """At most so many items of each kind in each language."""
    seed: int = 1
    max_tokens: int = MAX_TOKENS
    parallel: int | None = None
    """Answers at once; `None`: one of a model on this machine, `SERVER_PARALLEL` of a server."""
    source: Source | None = None
    """Whose the items are, if they are a set of others."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What a visitor wrote, by language code, where that is what is asked."""

    @property
    def params(self) -> GenerationParams:
        """The settings of every answer: greedy, so that it can be repeated."""
        return GenerationParams(max_tokens=self.max_tokens, temperature=0.0, seed=self.seed)

    def at_once(self, asked: Asked) -> int:
        """How many answers a model is asked for at once."""
        usual = 1 if asked.backend.kind == "local" else SERVER_PARALLEL
        return min(self.parallel or usual, asked.backend.max_concurrent)

    def work(self, item: Item) -> float:
        """What an answer to an item costs, in tokens that are written: a guess."""
        return answer_tokens(item, self.max_tokens) + _READING * estimate_tokens(item.prompt)

    async def cost(self, done: frozenset[tuple[str, str]] = frozenset()) -> "Cost":
        """What is left to be asked, in answers and tokens, without those that are done."""
        answers, tokens = 0, 0.0
        for asked in self.models:
            left = [item for item in self.items if (item.id, asked.side) not in done]
            sample = left[:: len(left) // SAMPLE + 1]
            read = [await _prompt_tokens(asked, item.prompt) for item in sample]
            answers += len(left)
            tokens += sum(read) * len(left) / len(sample) if sample else 0
            tokens += sum(answer_tokens(item, self.max_tokens) for item in left)
        return Cost(answers, round(tokens))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs, about."""

    answers: int
    tokens: int
    """Read and written."""
    seconds: float | None = None
    """How long it takes here; `None` before the first answers were timed."""

    def __str__(self) -> Sentence:
        """In a few words: `552 answers, about 21,000 tokens, about 2 h 50 min here`."""
        pieces = [
            Sentence("{n} answers", one="{n} answer", n=self.answers),
            Sentence("about {tokens} tokens", tokens=rounded(self.tokens)),
        ]
        if self.seconds is not None:
            pieces.append(Sentence("about {time} here", time=duration(self.seconds)))
        return Sentence.chain(*pieces, between=", ")


@dataclass(slots=True)
class Speed:
    """How fast a run goes, from the answers that it has got itself."""

    work_left: float
    """Tokens that are still to be written, as `Plan.work` guesses them."""
    _work: float = field(default=0.0, init=False)
    _seconds: float = field(default=0.0, init=False)

    def add(self, work: float, elapsed: float) -> None:
        """Note that an answer came, and how long the run has gone on altogether."""
        self._work += work
        self.work_left -= work
        self._seconds = elapsed

    @property
    def seconds_left(self) -> float | None:
        """How long it will take; `None` before anything came."""
        if self._work <= 0:
            return None
        return max(0.0, self.work_left) * self._seconds / self._work


def answer_tokens(item: Item, max_tokens: int) -> int:
    """Tokens that an answer to an item usually has."""
    return min(_TOKENS.get(item.kind, _SHORT_ANSWER), max_tokens)


def duration(seconds: float) -> str:
    """A long time as people say it: `40 s`, `12 min`, `2 h 50 min`."""
    if seconds < 90:
        return f"{ceil(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def rounded(number: float) -> int:
    """An estimate in the two digits that it is good for."""
    digits = len(str(int(number))) - 2
    return int(round(number, -digits)) if digits > 0 else round(number)


async def _prompt_tokens(asked: Asked, prompt: str) -> int:
    return await asked.backend.count_tokens(asked.model, prompt) or estimate_tokens(prompt)
