"""Two models answer the same question at the same time, without the page.

In a copy of this repository, after `make run` has set it up once:

    .venv/bin/python examples/compare_two.py
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is not installed as a package

from backends import REGISTRY, GenerationParams, Message
from playground.answer import Request
from playground.compare import Run


async def main(question: str) -> None:
    messages = (Message.of("user", question),)
    greedy = GenerationParams(temperature=0)
    asked = [Request(REGISTRY["pocket"], m, messages, greedy) for m in ("pocket-3", "pocket-3.5")]
    async for sides in Run(asked).snapshots():
        answers = sides  # each is the whole answer so far; a page would draw it here
    for request, answer in zip(asked, answers, strict=True):
        print(f"{request.model}: {answer.error or answer.text}")
        if speed := answer.clock.tokens_per_second:
            shared = " on a shared device" if answer.clock.shared else ""
            print(f"  {answer.clock.tokens} tokens, {speed:.0f} tokens/s{shared}\n")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "你知道长沙吗？"))
