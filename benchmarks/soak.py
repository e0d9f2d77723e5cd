"""Does the page's memory come to rest? `python -m benchmarks.soak`

Four visitors go on and on with their conversations, on the two built-in Pocket models, all at once;
then they clear them. The page's memory is read after every round of four comparisons. `--old`
names another checkout, an older one say, whose page is soaked too, second.
"""

import argparse
import asyncio
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import Figure, machine, write
from benchmarks.paced import Script
from benchmarks.served import ROOT, Served, free_port
from benchmarks.visitors import Visit, Visitor, client_of, config_of

VISITORS = 4
TOKENS = 40
QUESTIONS = (
    "What is a small language model?",
    "Why does it matter that it is small, and to whom?",
    "Can it run on a laptop that has neither a GPU nor a network?",
    "Who made you?",
    "And in Spanish?",
)
AIM = 0.5
"""Megabytes per comparison in the second half."""


@dataclass
class Soaked:
    """The memory of one page in megabytes, and the processor's seconds."""

    opened: float = 0.0
    """Once both models are loaded: every visitor has compared once."""
    rounds: list[float] = field(default_factory=list)
    """After each round."""
    cleared: float = 0.0
    """After all conversations were cleared."""
    cpu: float = 0.0
    """For all rounds."""
    errors: list[str] = field(default_factory=list)

    @property
    def late(self) -> float:
        """Megabytes per comparison in the second half of the rounds."""
        half = len(self.rounds) // 2
        return (self.rounds[-1] - self.rounds[half - 1]) / (VISITORS * (len(self.rounds) - half))


class Guest(Visitor):
    """A visitor whose conversation with both Pocket models grows."""

    def __init__(self, client: httpx.AsyncClient, config: dict[str, Any], number: int) -> None:
        super().__init__(client, config, Script(0, 0, ""))
        self._asked = number

    def chosen(self) -> dict[str | None, Any]:
        """The next question, sometimes with much to read."""
        question = QUESTIONS[self._asked % len(QUESTIONS)]
        chosen: dict[str | None, Any] = {
            "text-prompt": " ".join([question] * (1 + self._asked % 3)),
            "text-max-tokens": TOKENS,
        }
        for side, model in (("a", "pocket-3"), ("b", "pocket-3.5")):
            chosen |= {f"text-backend-{side}": "pocket", f"text-model-{side}": model}
        return chosen

    async def go_on(self) -> None:
        """Compare once more; raises `RuntimeError` if that did not work."""
        self.visit = Visit(self.visit.script)
        visit = await self.compare()
        if visit.error or not all(visit.texts):
            raise RuntimeError(visit.error or "a side said nothing")
        self._asked += 1


async def soak(server: Served, rounds: int, seconds: float) -> Soaked:
    """So many rounds on a page, or as many as there is time for."""
    soaked = Soaked()
    async with client_of(server.url) as client:
        config = await config_of(server.url, client)
        guests = [Guest(client, config, number) for number in range(VISITORS)]

        async def one_round() -> float:
            results = await asyncio.gather(*(g.go_on() for g in guests), return_exceptions=True)
            soaked.errors += [repr(result) for result in results if result]
            return server.memory()

        for guest in guests:
            await guest.open()
        soaked.opened = await one_round()
        cpu, end = server.cpu(), time.monotonic() + seconds
        while len(soaked.rounds) < rounds and time.monotonic() < end:
            soaked.rounds.append(await one_round())
        soaked.cpu = server.cpu() - cpu
        for guest in guests:
            await guest.clear()
        await asyncio.sleep(1)
        soaked.cleared = server.memory()
    return soaked


def run(folder: Path, rounds: int, seconds: float) -> Soaked:
    """A page of its own, soaked."""
    port = free_port()
    arguments = ["app.py", "--port", str(port), "--no-browser"]
    with Served(arguments, port, folder) as server:
        server.wait()
        return asyncio.run(soak(server, rounds, seconds))


def figures_of(name: str, soaked: Soaked, aim: float | None) -> list[Figure]:
    """What one page did."""
    done = VISITORS * len(soaked.rounds)
    return [
        Figure(f"{name}: comparisons that failed", len(soaked.errors), at_most=0),
        Figure(f"{name}: with both models loaded", soaked.opened, "MB"),
        Figure(f"{name}: after {done} comparisons more", soaked.rounds[-1], "MB"),
        Figure(f"{name}: per comparison, second half", soaked.late, "MB", at_most=aim),
        Figure(f"{name}: conversations cleared", soaked.cleared, "MB"),
        Figure(f"{name}: server CPU per comparison", soaked.cpu / done, "s"),
    ]


def table(pages: dict[str, Soaked]) -> str:
    """The memory after the rounds, a page beside the other."""
    lines = ["comparisons" + "".join(f"{name:>16}" for name in pages)]
    most = max(len(page.rounds) for page in pages.values())
    for n in sorted({*range(4, most, 5), most - 1}):
        cells = (
            f"{page.rounds[n]:,.0f} MB" if n < len(page.rounds) else "" for page in pages.values()
        )
        lines.append(f"{VISITORS * (n + 1):>11}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table and the figures, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=40, help="of four comparisons, a page (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=110, help="at most for them, a page (%(default)s)"
    )
    parser.add_argument("--old", type=Path, help="the folder of another checkout, soaked too")
    asked = parser.parse_args()
    before = machine("gradio", "torch", "transformers")
    folders = {"page": ROOT} | ({"old": asked.old.resolve()} if asked.old else {})
    pages = {name: run(folder, asked.rounds, asked.seconds) for name, folder in folders.items()}
    print(table(pages), "", sep="\n")
    aims = {"page": AIM}
    figures = [one for name in pages for one in figures_of(name, pages[name], aims.get(name))]
    print(*figures, sep="\n")
    write("soak", before, figures, {name: asdict(page) for name, page in pages.items()})


if __name__ == "__main__":
    main()
