"""How many seconds of GPU time a call is asked for: from its length, and from what was measured."""

from collections import deque
from collections.abc import Sequence
from statistics import fmean

from .._core.types import Chunk
from .decode import most_tokens
from .messages import Answer

START = 5.0
"""Seconds until a process has the weights on its GPU: an allowance, not a measurement. 15 GB."""
SHORTEST, LONGEST = 5.0, 75.0
"""Seconds of work that are asked for. A visitor who has not signed in has 120 s a day, and on the
cards of 2026 a call counts as half as long again (`duration_factor` in spaces 0.51.3): what asked
for more than (75 + 5) s would be refused to everybody."""
FACTOR = 1.5
MARGIN = 1.25
"""What is asked for beyond what was measured."""
_PER_TOKEN, _PER_PROMPT_TOKEN = 0.05, 0.001
"""Seconds for each token written and read, until some were measured: assumptions, on the safe side
of what a GPU of 1.8 TB/s can do with 7.6 GB of weights (4 ms)."""
_KEPT = 20
"""Answers of which the mean is taken."""
_CHARACTERS, _PICTURE = 2.5, 2500
"""Characters of a token, and tokens of a picture: a careful estimate, before any is counted."""


class Pace:
    """How fast this GPU reads and writes, by the latest answers."""

    def __init__(self) -> None:
        self._written: deque[float] = deque(maxlen=_KEPT)
        self._read: deque[float] = deque(maxlen=_KEPT)

    def note(self, chunk: Chunk) -> None:
        """Learn from an answer's last chunk, which has its usage and timings."""
        usage, timings = chunk.usage, chunk.timings
        if usage is None or timings is None:
            return
        if timings.decode and usage.output_tokens and usage.output_tokens > 1:
            self._written.append(timings.decode / (usage.output_tokens - 1))
        if timings.prefill and usage.input_tokens:
            self._read.append(timings.prefill / usage.input_tokens)

    def seconds(self, asked: Sequence[Answer], left: float | None = None) -> float:
        """Seconds of work to ask for; `left` are those of the visitor's quota, if they are known.

        All sides share one GPU, whether they take turns at every token or not.
        """
        written = fmean(self._written) if self._written else _PER_TOKEN
        read = fmean(self._read) if self._read else _PER_PROMPT_TOKEN
        work = sum(most_tokens(one.params) * written + _prompt_tokens(one) * read for one in asked)
        most = LONGEST if left is None else min(LONGEST, left / FACTOR - START)
        return max(SHORTEST, min(MARGIN * work, most))


def _prompt_tokens(asked: Answer) -> float:
    characters = sum(len(message.text) for message in asked.messages)
    pictures = sum(len(message.images) for message in asked.messages)
    return characters / _CHARACTERS + pictures * _PICTURE
