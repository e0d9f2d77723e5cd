"""When the pieces of an answer came, as a run file keeps them: enough to play it again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from backends import Chunk

from ..answer import AnswerBuilder

MOST = 20_000
"""Pieces of an answer that are kept; the text of what follows belongs to the last one."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A piece of an answer: its text, its tokens, and when it came."""

    at: float
    """Seconds after the model was asked, without those that loading it took."""
    text: str
    tokens: int


class TimedAnswer(AnswerBuilder):
    """An answer that notes when each piece of it came."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self._timed: list[tuple[float, int, int]] = []

    def add(self, chunk: Chunk) -> None:
        """See `AnswerBuilder.add`."""
        length, tokens = len(self.text), self.tokens
        super().add(chunk)
        characters = len(self.text) - length
        if characters < 0:  # what came was found to be thinking
            self._timed = [(at, 0, thought) for at, _, thought in self._timed]
            characters = len(self.text)
        if characters or self.tokens > tokens:
            at = (chunk.at or time.monotonic()) - self.began
            self._timed.append((at, characters, self.tokens - tokens))

    def chunks(self, waited: float) -> str:
        """Its pieces in order, each as `milliseconds:characters`, counted from the piece before.

        `milliseconds:characters:tokens` where there is not one token. `waited` are the seconds
        that it waited for its turn and for the model to be loaded.
        """
        words: list[str] = []
        last = 0
        for at, characters, tokens in self._timed:
            now = max(last, round(10_000 * (at - waited)))  # in tenths: the sum stays exact
            more = "" if tokens == 1 else f":{tokens}"
            words.append(f"{(now - last) / 10:g}:{characters}{more}")
            last = now
        return " ".join(words[:MOST])


def timed_texts(answer: str, chunks: str) -> Iterator[TimedText]:
    """The pieces of an answer. Raises `ValueError` if they are none of it."""
    tenths = place = 0
    words = chunks.split()
    for number, word in enumerate(words, 1):
        wait, characters, *tokens = word.split(":")
        tenths += round(10 * float(wait))
        end = place + int(characters)
        if float(wait) < 0 or end < place or len(tokens) > 1:
            raise ValueError(f"“{word[:40]}” is no piece of an answer")
        text = answer[place:] if number == len(words) else answer[place:end]
        yield TimedText(tenths / 10_000, text, int(tokens[0]) if tokens else 1)
        place = end
