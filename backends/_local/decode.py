"""The one decode loop of every local engine: read the prompt, then write token by token."""

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack

from .._core.errors import ContextLengthError
from .._core.sentence import Sentence
from .._core.stop import StopStrings
from .._core.types import Chunk, FinishReason, GenerationParams, Message, Progress, Timings, Usage
from .chat_text import DEFAULT_PARAMS, ChatText, Detokenizer
from .memory_errors import memory_errors
from .sampling import make_sampler
from .seam import Loaded, Prompt, Step, Steps

PREFILL_CHUNK = 256
"""Tokens of the prompt per forward pass: as long as Stop and other answers wait at most."""


BEGUN = 100
"""Characters at the end of an answer that goes on, after which its next token is made into text."""


def answer(model: Loaded, messages: Sequence[Message], params: GenerationParams) -> Steps:
    """Answer a conversation; each step is at most one forward pass.

    Raises `BackendError`: `ContextLengthError` if the prompt leaves no room for an answer.
    """
    with ExitStack() as held:
        held.enter_context(
            memory_errors(Sentence("The memory ran out while {label} answered.", label=model.label))
        )
        prompt = yield from model.read(messages, params, held)
        length = len(prompt.tokens)
        most = min(most_tokens(params), prompt.context - length)
        choose = make_sampler(params)
        begun = messages[-1].text[-BEGUN:] if messages[-1].role == "assistant" else ""
        writer = _Writer(model.text, params.stop, begun)
        resumed = prompt.ids if model.exact or params.seed is None else None
        session = held.enter_context(
            model.sessions.lease(resumed, length + most, prompt.context, prompt.long)
        )
        known = len(session.tokens)
        yield Progress("prefill", known / length)

        prefill = decode = 0.0  # seconds of the device's time, not of the waits in between
        computed = 0.0  # seconds of decode that one of its threads had a core for
        token, routing = 0, ()
        chunk = length if prompt.undivided else PREFILL_CHUNK
        for start in range(known, length, chunk):
            began = time.monotonic()
            end = min(start + chunk, length)
            logits, routing = session.feed(prompt.tokens[start:end])
            if end == length:
                token = choose(logits)
            prefill += time.monotonic() - began
            if end < length:
                if routing:
                    yield Chunk(routing=routing)
                yield Progress("prefill", end / length)

        device, notes, warnings = model.device, prompt.notes, model.warnings
        for n in range(1, most + 1):
            text, finish = writer.push(token)
            if finish is None and n < most:
                where = Timings(device=device) if n == 1 else None
                yield Chunk(text, 1, time.monotonic(), None, None, where, routing, notes, warnings)
                notes = warnings = ()
                began, computing = time.monotonic(), time.process_time()
                logits, routing = session.feed([token], False)
                token = choose(logits)
                decode += time.monotonic() - began
                computed += (time.process_time() - computing) / model.threads
                continue
            usage = Usage(length, n, context=prompt.context)
            alone = min(decode, computed) if device == "cpu" else None
            timings = Timings(prefill=prefill, decode=decode, decode_alone=alone, device=device)
            text += writer.flush()
            finish, at = finish or "length", time.monotonic()
            yield Chunk(text, 1, at, finish, usage, timings, routing, notes, warnings)
            if routing:  # nothing follows the last token, but it has its experts too
                yield Chunk(routing=session.feed([token], False).routing)
            return


class TextReader:
    """The half of a model of text that is the same in every engine: a base beside its own."""

    label: str
    text: ChatText
    context: int

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """See `seam.Loaded.read`."""
        yield from ()
        tokens = encode(self, messages)
        return Prompt(tokens, self.context, tokens)


def encode(model: Loaded | TextReader, messages: Sequence[Message]) -> list[int]:
    """A conversation of text as tokens. Raises `ContextLengthError` if it fills the context."""
    tokens = model.text.encode(messages)
    if len(tokens) >= model.context:
        raise too_long(model.label, len(tokens), model.context)
    return tokens


def too_long(label: str, tokens: int, context: int) -> ContextLengthError:
    """The error of a prompt that leaves no room for an answer."""
    return ContextLengthError(
        Sentence(
            "This conversation is {tokens} tokens long; {label} takes {context} here, with the "
            "answer.",
            tokens=tokens,
            label=label,
            context=context,
        ),
        "Shorten the prompt, or clear the conversation and start anew.",
        tokens=tokens,
        context=context,
    )


def most_tokens(params: GenerationParams) -> int:
    """The most tokens an answer may have."""
    most = DEFAULT_PARAMS.max_tokens if params.max_tokens is None else params.max_tokens
    return max(1, most or 1)


class _Writer:
    """Tokens into what may be shown of them."""

    def __init__(self, text: ChatText, stop: Sequence[str], begun: str) -> None:
        self._ends = text.ends
        self._detokenizer = Detokenizer(text.tokenizer, text.encode_text(begun) if begun else ())
        self._stop = StopStrings(stop)

    def push(self, token: int) -> tuple[str, FinishReason | None]:
        """The text that a token adds, and whether it ends the answer."""
        if token in self._ends:
            return "", "stop"
        text = self._stop.push(self._detokenizer.push(token))
        return text, "stop" if self._stop.found else None

    def flush(self) -> str:
        """What is left at the end. Half a character is not: it never becomes one."""
        return self._stop.flush()
