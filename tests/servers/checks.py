"""What is asked of every server, through the product's backends, and what came of it.

A check says `ok`, `differs` (in one sentence: how) or `not run` (why). Nothing here knows one
server from another: where a server does otherwise, that is what the table is for.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from backends import (
    REGISTRY,
    Backend,
    BadRequestError,
    Chunk,
    Connection,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    ModelNotFoundError,
    TextPart,
    Usage,
)
from playground.answer import AnswerSnapshot, Request
from playground.clock import TokenSource
from playground.compare import Run
from playground.examples.vision import load_vision, picture_bytes

from .models import POCKETS, ROOT, SMOL, Model

Verdict = Literal["ok", "differs", "not run"]
GREEDY = GenerationParams(temperature=0, max_tokens=300)
QUESTION = "What is a small language model?"
LONG = "Write a long story about a lighthouse keeper, in many chapters."
SCRIPTS = (QUESTION, "什么是小语言模型？", "ما هو نموذج اللغة الصغير؟", "Здраво!")
"""Latin, Chinese, Arabic and Cyrillic: questions that Pocket-3.5 knows an answer to."""
MANY = 50
COUNTED: dict[TokenSource, str] = {
    "engine": "token by token, as they came",
    "reported": "by the server",
    "tokenizer": "by the model's tokenizer",
    "estimate": "an estimate",
}
CHECK_LIMIT = 400.0
"""Seconds that one check may take."""


@dataclass(frozen=True)
class Outcome:
    """What came of one check."""

    verdict: Verdict
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.detail}" if self.detail else self.verdict


@dataclass(frozen=True)
class Served:
    """A model at a running server, as the product reaches it."""

    model: Model
    backend: Backend
    name: str
    """What the server calls it."""
    connection: Connection | None = None

    def request(self, messages: Sequence[Message], params: GenerationParams = GREEDY) -> Request:
        """A request for one answer of it."""
        return Request(self.backend, self.name, tuple(messages), params, self.connection)


@dataclass(frozen=True)
class Case:
    """A running server and its models."""

    served: list[Served]
    missing: dict[Model, str] = field(default_factory=dict)
    """Models that it was to serve, and why it does not."""
    many: bool = False
    """Whether it is made to answer many at once, and started so."""

    def pair(self) -> tuple[Served, Served]:
        """Both Pockets at it, or else any two of its models. Raises `NotRun`."""
        pockets = [one for one in self.served if one.model in POCKETS]
        both = pockets if len(pockets) == 2 else self.served[:2]
        if len(both) < 2:
            raise NotRun("; ".join(self.missing.values()) or "it has one model only")
        return both[0], both[1]

    def talker(self) -> Served:
        """The model with real weights at it, or else the last one."""
        return next((one for one in self.served if one.model == SMOL), self.served[-1])


class NotRun(Exception):
    """Why a check was not run."""


class Differs(Exception):
    """How a server, or the product with it, does otherwise; one sentence."""


Check = Callable[[Case], Awaitable[str]]
"""Runs, and returns what is worth telling. Raises `NotRun` or `Differs`; other errors
count as the latter."""
CHECKS: dict[str, Check] = {}
"""The checks by their titles, in order."""


def check(title: str) -> Callable[[Check], Check]:
    """Decorator that adds one."""

    def add(function: Check) -> Check:
        CHECKS[title] = function
        return function

    return add


async def outcome(function: Check, case: Case) -> Outcome:
    """Run one check; paths are told as from this checkout."""
    came = await _outcome(function, case)
    return replace(came, detail=came.detail.replace(f"{ROOT}/", ""))


async def _outcome(function: Check, case: Case) -> Outcome:
    try:
        async with asyncio.timeout(CHECK_LIMIT):
            return Outcome("ok", await function(case))
    except NotRun as why:
        return Outcome("not run", str(why))
    except Differs as how:
        return Outcome("differs", str(how))
    except TimeoutError:
        return Outcome("differs", f"it had not ended after {CHECK_LIMIT:.0f} s")
    except Exception as fault:  # a `BackendError`, or a bug: other servers are tried all the same
        return Outcome("differs", f"{type(fault).__name__}: {fault}")


# ── What the checks are made of ────────────────────────────────────────────────────────────────


def user(text: str) -> list[Message]:
    """A conversation of one question."""
    return [Message.of("user", text)]


async def chunks(request: Request) -> AsyncGenerator[Chunk, None]:
    """The chunks of an answer."""
    asked = (request.model, request.messages, request.params, request.connection)
    async with aclosing(request.backend.stream(*asked)) as steps:
        async for step in steps:
            if isinstance(step, Chunk):
                yield step


async def answer(request: Request) -> tuple[str, list[Chunk]]:
    """The text of an answer, and its chunks."""
    async with aclosing(chunks(request)) as steps:
        every = [step async for step in steps]
    return "".join(step.text for step in every), every


async def expected(model: Model, messages: Sequence[Message]) -> tuple[str | None, Usage | None]:
    """What a Pocket says in a process of the page itself, and what it counts.

    `None` for other models: how they were rounded decides their words.
    """
    if model not in POCKETS:
        return None, None
    text, every = await answer(Request(REGISTRY["pocket"], model.name, tuple(messages), GREEDY))
    return text, every[-1].usage


async def compare(requests: Sequence[Request]) -> list[AnswerSnapshot]:
    """The answers of a comparison, all sides at once. Raises the first side's error."""
    run = Run(requests)
    async for _ in run.snapshots():
        pass
    sides = [side for side in run.snapshot() if side is not None]
    for side in sides:
        if side.error:
            raise side.error
    return sides


def same(said: str, right: str | None, what: str) -> None:
    """Raise `Differs` where a text is not the one that it has to be, or empty."""
    if not said:
        raise Differs(f"{what}: nothing came")
    if right is None or said == right:
        return
    at = next((n for n, (a, b) in enumerate(zip(said, right, strict=False)) if a != b), None)
    if at is None:
        at = min(len(said), len(right))
    raise Differs(f"{what}: “{said[at : at + 24]}” instead of “{right[at : at + 24]}” at {at}")


# ── The checks ─────────────────────────────────────────────────────────────────────────────────


@check("list, health")
async def listed(case: Case) -> str:
    """It is ready, has every model in its list, and each of them is ready."""
    contexts = set[str]()
    for one in case.served:
        health = await one.backend.check(one.connection)
        if not health.status.ready:
            raise Differs(f"it is “{health.status.state}”: {health.status.message}")
        offer = next((offer for offer in health.offers if offer.model == one.name), None)
        if offer is None:
            raise Differs(f"{one.model.name} is not in its list")
        if not offer.status.ready:
            raise Differs(f"{one.model.name} is “{offer.status.state}”: {offer.status.message}")
        contexts.add(f"{offer.context:,}" if offer.context else "not told")
    if case.missing:
        raise Differs("; ".join(f"{model.name}: {why}" for model, why in case.missing.items()))
    return f"context: {', '.join(sorted(contexts))}"


@check("Pocket's words, streamed")
async def words(case: Case) -> str:
    """Both Pockets say what they say in the page itself, in more than a few pieces."""
    pieces = list[int]()
    for one in case.pair():
        text, every = await answer(one.request(user(QUESTION)))
        same(text, (await expected(one.model, user(QUESTION)))[0], one.model.name)
        pieces.append(sum(bool(step.text) for step in every))
    if min(pieces) < 3:
        raise Differs(f"the same words, but they came in {min(pieces)} pieces")
    return f"{' and '.join(map(str, pieces))} pieces"


@check("usage, and who counted")
async def usage(case: Case) -> str:
    """Token counts are those of the same model in the page itself, whoever counted."""
    one = case.pair()[0]
    (side,) = await compare([one.request(user(QUESTION))])
    _, right = await expected(one.model, user(QUESTION))
    right = right or side.usage or Usage()
    if side.usage is None:
        counted = f"{side.clock.tokens}, {COUNTED[side.clock.token_source]}"
        raise Differs(f"it reports no usage; of {right.output_tokens} are counted {counted}")
    if side.usage.output_tokens != right.output_tokens:
        raise Differs(
            f"it reports {side.usage.output_tokens} tokens where {right.output_tokens} were made"
        )
    if side.usage.input_tokens != right.input_tokens:
        raise Differs(
            f"it read {side.usage.input_tokens} tokens of a prompt of {right.input_tokens}"
        )
    clock = ", and its clock" if side.clock.by_server else ""
    return f"{COUNTED[side.clock.token_source]}{clock}"


@check("two models side by side")
async def side_by_side(case: Case) -> str:
    """Two sides of a comparison at once, each with its own words."""
    both = case.pair()
    sides = await compare([one.request(user(QUESTION)) for one in both])
    for one, side in zip(both, sides, strict=True):
        same(side.text, (await expected(one.model, user(QUESTION)))[0], one.model.name)
    where = "two addresses" if both[0].connection != both[1].connection else "one address"
    if not both[0].connection:
        where = both[0].backend.label
    return f"{where}{', shared device' if all(side.clock.shared for side in sides) else ''}"


@check("stop in mid-stream")
async def stop(case: Case) -> str:
    """After an answer that was closed in the middle, the next one need not wait for its rest."""
    one = case.talker()
    short = one.request(user(QUESTION), GenerationParams(temperature=0, max_tokens=8))
    most = 800
    await answer(short)  # whatever is loaded at the first request
    begun = time.monotonic()
    text, _ = await answer(short)
    alone = time.monotonic() - begun
    long = one.request(user(LONG), GenerationParams(temperature=1.0, max_tokens=most))
    made, first = 0, 0.0
    async with aclosing(chunks(long)) as steps:
        async for step in steps:
            first = first or time.monotonic()
            made += bool(step.text)
            if made == 20:
                break
    stopped = time.monotonic()
    again, _ = await answer(short)
    waited = time.monotonic() - stopped
    rest = (most - made) * (stopped - first) / max(1, made - 1)
    if made < 20:
        raise NotRun(f"the long answer ended after {made} pieces")
    if waited - alone > rest / 4:
        raise Differs(f"the next answer took {waited:.1f} s, alone {alone:.1f} s")
    same(again, text, "the next answer")
    return f"the next answer after {waited:.1f} s, alone {alone:.1f} s"


@check("stop texts")
async def stop_texts(case: Case) -> str:
    """An answer ends before a text that was given to end it."""
    one = case.pair()[1]
    right, _ = await expected(one.model, user(QUESTION))
    right = right or (await answer(one.request(user(QUESTION))))[0]
    if len(right.split()) < 6:
        raise NotRun("its answer is too short to be stopped")
    word = max(right.split()[4:12], key=len)
    params = GenerationParams(temperature=0, max_tokens=300, stop=(word,))
    text, every = await answer(one.request(user(QUESTION), params))
    same(text.rstrip(), right.partition(word)[0].rstrip(), f"stopped at “{word}”")
    if every[-1].finish_reason != "stop":
        raise Differs(f"it ended with {every[-1].finish_reason}")
    return ""


@check("an unknown model")
async def unknown(case: Case) -> str:
    """A name that it does not have is refused as that."""
    one = case.pair()[0]
    request = Request(one.backend, "phi-0", tuple(user(QUESTION)), GREEDY, one.connection)
    try:
        text, every = await answer(request)
    except ModelNotFoundError as error:
        return str(error)
    said = " ".join(warning for step in every for warning in step.warnings)
    what = "it answers under any name" if text else "an empty answer"
    raise Differs(f"{what}; the product says: {said or 'nothing'}")


@check("a prompt beyond the context")
async def too_long(case: Case) -> str:
    """A prompt of 12,510 tokens is refused as too long for a window of 4,096."""
    one = case.pair()[0]
    messages = user("one two three " * 2500 + QUESTION)
    try:
        text, every = await answer(one.request(messages))
    except ContextLengthError as error:
        return str(error)
    said = " ".join(warning for step in every for warning in step.warnings)
    count = every[-1].usage and every[-1].usage.input_tokens
    raise Differs(
        f"it answers all the same ({len(text)} characters; it says that it read {count} tokens); "
        f"the product says: {said or 'nothing'}"
    )


@check("seed")
async def seed(case: Case) -> str:
    """The same seed gives the same text, another one another."""
    one = case.talker()
    texts = list[str]()
    for number in (7, 7, 8):
        params = GenerationParams(temperature=1.0, max_tokens=60, seed=number)
        texts.append((await answer(one.request(user(LONG), params)))[0])
    if texts[0] != texts[1]:
        raise Differs("the same seed gave two texts")
    if texts[0] == texts[2]:
        raise Differs("two seeds gave one text")
    return ""


@check("four scripts")
async def scripts(case: Case) -> str:
    """Latin, Chinese, Arabic and Cyrillic, where tokens are pieces of characters."""
    one = case.pair()[1]
    for question in SCRIPTS:
        right, _ = await expected(one.model, user(question))
        same((await answer(one.request(user(question))))[0], right, question)
    return ""


@check(f"{MANY} answers at once")
async def at_once(case: Case) -> str:
    """As many answers as a class wants, all with the words of one alone."""
    if not case.many:
        raise NotRun("it is not made for that, or not started so")
    one = case.pair()[1]
    right, _ = await answer(one.request(user(QUESTION)))
    begun = time.monotonic()
    texts = await asyncio.gather(*(answer(one.request(user(QUESTION))) for _ in range(MANY)))
    took = time.monotonic() - begun
    other = sum(text != right for text, _ in texts)
    if other:
        raise Differs(f"{other} of {MANY} are not the words of one alone")
    return f"all in {took:.1f} s"


@check("a picture for a model that reads none")
async def picture(case: Case) -> str:
    """A picture for a model of text is refused, not left out in silence."""
    one = case.pair()[0]
    example = next(one for one in load_vision("en") if one.task == "shape")
    image = ImagePart(picture_bytes(example.pictures[0]), "image/png")
    messages = [Message("user", (image, TextPart(example.prompt)))]
    try:
        text, every = await answer(one.request(messages))
    except BadRequestError as error:
        return str(error)
    said = " ".join(warning for step in every for warning in step.warnings)
    raise Differs(f"it answers “{text[:40]}”; the product says: {said or 'nothing'}")
