"""Timing of one answer: its waiting times and its decoding speed."""

from dataclasses import dataclass
from typing import Literal

TokenSource = Literal["engine", "reported", "tokenizer", "estimate"]
"""The source of a token count: the engine step by step, the server's usage report, the model's own
tokenizer afterwards, or an estimate, which is shown as one."""


MIN_ARRIVALS = 3
"""Of fewer arrivals no speed is told."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Durations of the stages of one answer, in seconds."""

    queued: float = 0.0
    """Waiting in a queue: for the backend, or for the other side's turn on a shared device."""
    load: float = 0.0
    """Waiting for the model to be loaded (or downloaded)."""
    waited_to_load: bool = False
    """`load` holds the wait for another model to leave the memory, its answer included."""
    prefill: float = 0.0
    """From there to the first token: reading the prompt, and the network."""
    thinking: float = 0.0
    """From the first thought to the first token of the answer, or to the last thought so far."""
    decode: float = 0.0
    """From the first token of the answer to the last one so far."""
    total: float = 0.0
    """From the question to the last thing that happened."""
    first_token: float | None = None
    """From the question to the first token: `queued + load + prefill`."""
    tokens: int = 0
    """All that were made: those of thinking, too."""
    thinking_tokens: int = 0
    """The part of `tokens` that was thinking."""
    first_tokens: int = 0
    """The part of the answer's tokens that came first; they took no decoding time."""
    arrivals: int = 0
    """At how many moments tokens of the answer came: one for each packet of a network."""
    engine_decode: float | None = None
    """The time that the engine, or the server, says it took for all `tokens`."""
    token_source: TokenSource = "engine"
    device: str | None = None
    shared: bool = False
    """Another side of the same comparison ran on the same device at the same time."""
    alone: float | None = None
    """What the engine's part of `decode` would have been with the processor to itself, in times of
    it: an estimate, 0 to 1. `None` where the engine does not tell."""

    @property
    def cold(self) -> bool:
        """True if the model had to be loaded first: not to be compared with a warm side."""
        return self.load > 0

    @property
    def by_server(self) -> bool:
        """True if the speed is the server's own figure: its own count over its own time."""
        return self.token_source == "reported" and bool(self.engine_decode)

    @property
    def came_at_once(self) -> bool:
        """True if many tokens came in one or two packets: that tells nothing of their speed."""
        made = self.tokens - self.thinking_tokens
        return made >= MIN_ARRIVALS > self.arrivals > 0 and not self.by_server

    @property
    def tokens_per_second(self) -> float | None:
        """Decoding speed: tokens of a time over that time; `None` where it cannot be known.

        It is the server's own, or `(n - 1) / (t_last - t_first)` of the answer without thinking.
        """
        if self.by_server and self.engine_decode:
            return self.tokens / self.engine_decode
        made = self.tokens - self.thinking_tokens - self.first_tokens
        if self.decode <= 0 or made <= 0 or self.arrivals < MIN_ARRIVALS:
            return None
        return made / self.decode

    @property
    def tokens_per_second_alone(self) -> float | None:
        """Decoding speed as it would have been without the other side, an estimate."""
        speed = self.tokens_per_second
        return speed / self.alone if self.shared and self.alone and speed else None


def estimate_tokens(text: str) -> int:
    """An estimate of the tokens of a text: one for about four bytes of UTF-8."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)
