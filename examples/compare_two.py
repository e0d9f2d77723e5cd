"""Two models answer one question at the same time: `.venv/bin/python examples/compare_two.py`."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # it is not installed as a package

from playground.numbers import describe_numbers
from playground.question import Question, prepare


async def main(question: str) -> None:
    comparison = await prepare(Question(question), ["pocket/pocket-3", "pocket/pocket-3.5"])
    async for _ in comparison.run.snapshots():
        pass  # each step has both answers so far: a page would draw them here
    for record in (await comparison.record()).turns[0].answers:
        print(f"{record.model}: {record.error or record.text}")
        print(f"  {' · '.join(describe_numbers(record))}\n")


asyncio.run(main(" ".join(sys.argv[1:]) or "你知道长沙吗？"))
