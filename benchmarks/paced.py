"""Backends that say so many tokens at so many a second, each on a schedule of its own.

The prompt sets them: "1000 tokens at 100/s, then END." They keep to the schedule as a server at
the other end of a wire would: whoever reads them late finds more waiting, and is late by that much.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from backends import (
    Backend,
    Chunk,
    Connection,
    GenerationParams,
    Health,
    Message,
    ModelSpec,
    Offer,
    Progress,
    Status,
    Usage,
    register,
)

READING = 0.3
"""Seconds before the first token, as if the prompt was being read."""

_PASSAGE = """## What a small language model is

A **small language model** has a few billion parameters. It runs on one computer, often on a
laptop, and it answers without a network.

- It costs little, and what you type stays with you.
- It knows less by heart than a large one.
- It can be *taught* one thing very well.

```python
answer = model.generate(prompt, max_tokens=256)
```

| model | parameters | memory in int4 |
| --- | ---: | ---: |
| Phi-3-mini | 3.8 B | 2.4 GB |
| Phi-3.5-mini | 3.8 B | 2.4 GB |

Ask both sides the same question, and read both answers before you choose.

"""
_TOKENS = re.findall(r"\s*\S{1,6}|\s+", _PASSAGE)
_ASKED = re.compile(r"(\d+) tokens at (\d+)/s, then (\S+)\.")


@dataclass(frozen=True)
class Script:
    """What an answer is going to be."""

    count: int
    rate: int
    """Tokens per second."""
    end: str
    """The last word."""

    @classmethod
    def of(cls, prompt: str) -> "Script":
        """The script that a prompt asks for."""
        found = _ASKED.search(prompt)
        if not found:
            raise ValueError(f"not a prompt for a paced backend: {prompt!r}")
        return cls(int(found[1]), int(found[2]), found[3])

    @property
    def prompt(self) -> str:
        """How to ask for it."""
        return f"{self.count} tokens at {self.rate}/s, then {self.end}."

    def token(self, n: int) -> str:
        """The n-th token, from 0."""
        return f"\n\n{self.end}" if n == self.count - 1 else _TOKENS[n % len(_TOKENS)]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(map(self.token, range(self.count)))


class Paced(Backend):
    """Says what the prompt asks for, when it is due."""

    kind = "local"
    max_concurrent = 64
    announce: ClassVar[bool] = False
    """Whether to print when each answer's tokens are due, for whoever watches them arrive."""

    async def check(self, connection: Connection | None = None) -> Health:
        """Always ready, with its one model."""
        ready = Status("ready", "Ready.")
        return Health(ready, [Offer("paced", _SPEC, ready)])

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """The answer; a chunk's `at` is when it was really taken, never before it was due."""
        script = Script.of(messages[-1].text)
        first = time.monotonic() + READING
        if self.announce:
            self._announce(script, first)
        for n in range(script.count):
            if (wait := first + n / script.rate - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            yield Chunk(script.token(n), tokens=1, at=time.monotonic())
        yield Chunk(finish_reason="stop", usage=Usage(0, script.count))

    def _announce(self, script: Script, first: float) -> None:
        start = first + time.time() - time.monotonic()
        last = start + (script.count - 1) / script.rate
        due = {"side": self.id, "end": script.end, "first": start, "last": last}
        print(json.dumps(due), flush=True)


def _of_side(letter: str) -> type[Paced]:
    names = {"id": f"paced-{letter}", "label": f"Paced, {letter.upper()}"}
    return type(f"Paced{letter.upper()}", (Paced,), names)


PACED = {letter: _of_side(letter) for letter in "abcd"}
"""Those that the benchmarks put on each side, by its letter."""


def register_paced() -> None:
    """Offer all on the page of this process, and say on stdout when their tokens are due."""
    Paced.announce = True
    for one in PACED.values():
        register(one)


_SPEC = ModelSpec(
    key="paced",
    label="Paced",
    family="Paced",
    parameters=1,
    active_parameters=1,
    context=4096,
    languages=("en",),
    modalities=("text",),
    licence="none",
    source="benchmarks/paced.py",
)
