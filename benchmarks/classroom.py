"""Thirty students on one machine: does anybody wait in vain? `python -m benchmarks.classroom`

One session, then thirty at once, each with a question of its own for two models, greedily, through
the page's own protocol: tokens per second of all together beside one session's, the time to the
first token, and whether every character came that the model said, by what the page keeps of it at
the end and by what the same question was answered alone. On the two built-in Pocket models, or
with `--model` on any other on both sides, as `onnx_genai/FOLDER` below `PHI_MODELS_DIR`, or
`openai_compatible/NAME` of the server at `OPENAI_COMPATIBLE_BASE_URL` (and `--server vLLM`, which
tells the results what that is). With `--processes 2` two pages share the sessions, each with models
of its own. Each of these is an entry of the results: a run replaces its own alone.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.machine import Figure, machine, write
from benchmarks.paced import Script
from benchmarks.served import Served, free_port
from benchmarks.soak import QUESTIONS
from benchmarks.visitors import Visit, Visitor, client_of, config_of, visible_text
from ui.markdown import render

SESSIONS = 30
ALONE = 6
"""Comparisons of the one session, one after the other, half of them before the class's."""
THINGS = ("a bicycle", "rain", "a bridge", "bread", "the moon", "a library")
Sides = Mapping[str, tuple[str, str]]
"""Backend and model of each side."""
POCKET: Sides = {"a": ("pocket", "pocket-3"), "b": ("pocket", "pocket-3.5")}


def question(number: int) -> str:
    """The question of one student."""
    asked = QUESTIONS[number % len(QUESTIONS)]
    return f"{asked} And what is {THINGS[number // len(QUESTIONS) % len(THINGS)]}?"


class Student(Visitor):
    """A visitor with one question for two real models."""

    def __init__(
        self, client: httpx.AsyncClient, config: dict[str, Any], sides: Sides, tokens: int
    ) -> None:
        super().__init__(client, config, Script(0, 0, ""))
        self.sides, self.tokens, self.question = sides, tokens, ""

    def chosen(self) -> dict[str | None, Any]:
        """The question, and what is to answer it."""
        chosen: dict[str | None, Any] = {
            "text-prompt": self.question,
            "text-max-tokens": self.tokens,
            "text-temperature": 0,
        }
        for side, (backend, model) in self.sides.items():
            chosen |= {f"text-backend-{side}": backend, f"text-model-{side}": model}
        return chosen

    async def stay(self) -> None:
        """Keep the page open, until cancelled: the server forgets a session that has no page."""
        async with self.client.stream("GET", f"heartbeat/{self.session}") as beats:
            async for _ in beats.aiter_raw():
                pass

    async def ask(self, question: str) -> Visit:
        """Ask it in a conversation of its own."""
        self.question, self.visit = question, Visit(self.visit.script)
        for blocks in self.blocks.values():
            blocks.clear()
        visit = await self.compare()
        await self.clear()
        return visit


@dataclass
class Asked:
    """What some comparisons gave."""

    tokens: int = 0
    seconds: float = 0.0
    """From the first press to the last token; of one session, of its comparisons added up."""
    first: list[float] = field(default_factory=list)
    """Seconds to each answer's first token, by the page's clock."""
    errors: list[str] = field(default_factory=list)
    lost: int = 0
    """Answers of which the page showed something else than it kept."""
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Each question's answers."""
    told: int = 0
    """Sessions that were told a place in line."""
    cpu: float = 0.0
    """Processor time of the pages' own processes, in seconds."""
    all_cpu: float = 0.0
    """With that of their models' processes."""
    waited: int = 0
    """Sessions of which an answer stood in line for more than a second."""

    @property
    def speed(self) -> float:
        """Tokens per second of all together."""
        return self.tokens / self.seconds

    def add(self, question: str, visit: Visit) -> None:
        """Count a comparison that has ended."""
        if visit.error or not visit.kept:
            self.errors.append(visit.error or "nothing was kept")
            return
        answers = json.loads(visit.kept)["turns"][-1]["answers"]
        self.errors += [one["error"] for one in answers if one["error"]]
        self.tokens += sum(one["output_tokens"] for one in answers)
        self.first += [one["first_token"] for one in answers if one["first_token"] is not None]
        kept = tuple(one["text"] for one in answers)
        shown = zip(visit.texts, kept, strict=True)
        self.lost += sum(seen != visible_text([render(text)]) for seen, text in shown)
        self.texts[question] = kept
        self.told += visit.in_line
        self.waited += any(one["queued"] > 1 for one in answers)


@contextmanager
def counted(servers: Sequence[Served], asked: Asked) -> Iterator[None]:
    """Add the processor time that passes meanwhile."""
    page, every = (sum(one.cpu(alone=alone) for one in servers) for alone in (True, False))
    yield
    asked.cpu += sum(one.cpu() for one in servers) - page
    asked.all_cpu += sum(one.cpu(alone=False) for one in servers) - every


def seconds_of(visit: Visit) -> float:
    """From the press to the end of both answers."""
    answers = json.loads(visit.kept)["turns"][-1]["answers"]
    return max(one["total"] for one in answers)


async def measure(servers: Sequence[Served], sides: Sides, tokens: int) -> tuple[Asked, Asked, int]:
    """One session, then all at once; and how many said the same as alone, of those that both asked.

    Everything is loaded before.
    """
    urls = [server.url for server in servers]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(url)) for url in urls]
        configs = [await config_of(url, client) for url, client in zip(urls, clients, strict=True)]
        students: list[Student] = []
        for number in range(SESSIONS):
            where = number % len(urls)
            students.append(Student(clients[where], configs[where], sides, tokens))
            await students[-1].open()
            staying = asyncio.create_task(students[-1].stay())
            stack.push_async_callback(_ended, staying)
        for student in students[: len(urls)]:
            await student.ask("Hello")
        alone, together = Asked(), Asked()

        async def one_session(numbers: range) -> None:
            with counted(servers, alone):
                for number in numbers:
                    visit = await students[0].ask(question(number))
                    alone.add(question(number), visit)
                    alone.seconds += seconds_of(visit)

        await one_session(range(ALONE // 2))
        with counted(servers, together):
            asked = [student.ask(question(n)) for n, student in enumerate(students)]
            visits = await asyncio.gather(*asked)
        await one_session(range(ALONE // 2, ALONE))
        for number, visit in enumerate(visits):
            together.add(question(number), visit)
        begun = min(visit.asked for visit in visits)
        ends = [visit.asked + seconds_of(visit) for visit in visits if visit.kept]
        together.seconds = max(ends) - begun
        same = sum(together.texts.get(one) == said for one, said in alone.texts.items())
    return alone, together, same


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def run(sides: Sides, tokens: int, processes: int) -> tuple[Asked, Asked, int]:
    """Pages of their own, and all that is measured on them."""
    with ExitStack() as stack:
        servers = []
        for _ in range(processes):
            port = free_port()
            arguments = ["app.py", "--port", str(port), "--no-browser"]
            servers.append(stack.enter_context(Served(arguments, port)))
        for server in servers:
            server.wait()
        return asyncio.run(measure(servers, sides, tokens))


def figures_of(alone: Asked, together: Asked, same: int) -> list[Figure]:
    """What the class saw."""
    first = sorted(together.first)
    p95 = first[min(len(first) - 1, round(0.95 * len(first)))]
    ratio = together.speed / alone.speed
    waiting = max(0, together.waited - together.told)
    return [
        Figure("errors", len(alone.errors) + len(together.errors), at_most=0),
        Figure("answers with a lost character", alone.lost + together.lost, at_most=0),
        Figure(f"answered as alone, of {ALONE}", same, at_least=ALONE),
        Figure(f"tokens/s of all, {SESSIONS} sessions / one", ratio, "x", at_least=0.9),
        Figure("tokens/s of all, one session", alone.speed),
        Figure("first token, one session, median", statistics.median(alone.first), "s"),
        Figure(f"first token, {SESSIONS} sessions, median", statistics.median(first), "s"),
        Figure(f"first token, {SESSIONS} sessions, p95", p95, "s"),
        Figure(f"first token, {SESSIONS} sessions, last", first[-1], "s"),
        Figure("all answers were there after", together.seconds, "s"),
        Figure(f"processor time per token, one session / {SESSIONS}",
               alone.all_cpu / alone.tokens / (together.all_cpu / together.tokens), "x"),
        Figure("the page's part of it", together.cpu / together.all_cpu, "x"),
        Figure("waited a second and were not told a place", waiting, at_most=0),
    ]  # fmt: skip


def entry_of(asked: argparse.Namespace) -> str:
    """The name of what is measured among the results: `Pocket`, `… by vLLM`, `…, 2 pages`."""
    server = f" by {asked.server}" if asked.server else ""
    pages = f", {asked.processes} pages" if asked.processes > 1 else ""
    return f"{asked.model or 'Pocket'}{server}{pages}"


def main() -> None:
    """Measure, print the figures, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", metavar="BACKEND/MODEL", help="asked instead, on both sides")
    parser.add_argument("--server", metavar="NAME", help="what serves it, for the results")
    parser.add_argument("--processes", type=int, default=1, help="pages (%(default)s)")
    parser.add_argument("--tokens", type=int, default=40, help="of an answer (%(default)s)")
    asked = parser.parse_args()
    before = machine("gradio", "onnxruntime", "onnxruntime-genai")
    backend, _, model = (asked.model or "").partition("/")
    sides = dict.fromkeys("ab", (backend, model)) if asked.model else POCKET
    alone, together, same = run(sides, asked.tokens, asked.processes)
    figures = figures_of(alone, together, same)
    measured = {"alone": alone.first, "together": together.first,
                "errors": (alone.errors + together.errors)[:5]}  # fmt: skip
    print(entry_of(asked), *figures, sep="\n")
    write("classroom", before, figures, measured, entry=entry_of(asked), arguments=sys.argv[1:])


if __name__ == "__main__":
    main()
