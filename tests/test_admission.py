"""Places at a backend: in turns between visitors, bounded for each, and none lost by a stop."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from backends import Message, RateLimitError
from playground.admission import LONGEST, AdmissionQueue
from playground.answer import Request
from playground.compare import Run
from playground.visitors import Visitor
from tests.fakes import Fed, said


class Line:
    """One place, and everybody who wants it; `order` is who had it."""

    def __init__(self, places: int = 1) -> None:
        self.queue, self.order = AdmissionQueue(places), []
        self.told: dict[str, list[int]] = {}

    async def answer(self, name: str, visitor: str, most: int | None = None) -> None:
        told = self.told.setdefault(name, [])
        async with self.queue.place(told.append, visitor, most):
            self.order.append(name)
            await asyncio.sleep(0)

    def ask(self, *names: str, most: int | None = None) -> list[asyncio.Task[None]]:
        """Ask once for each name; its letters are the visitor."""
        return [
            asyncio.create_task(self.answer(name, name.rstrip("0123456789"), most))
            for name in names
        ]


async def held(line: Line, visitor: str = "owner") -> AsyncExitStack:
    stack = AsyncExitStack()
    await stack.enter_async_context(line.queue.place(lambda n: None, visitor))
    return stack


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_visitors_take_turns() -> None:
    line = Line()
    place = await held(line)
    tasks = line.ask("greedy1", "greedy2", "greedy3", "one1", "two1", "one2")
    await settle()
    assert [line.told[f"{name}1"][-1] for name in ("greedy", "one", "two")] == [1, 2, 3]
    await place.aclose()
    await asyncio.gather(*tasks)
    assert line.order == ["greedy1", "one1", "two1", "greedy2", "one2", "greedy3"]


async def test_a_free_place_goes_to_who_holds_the_fewest() -> None:
    line = Line(places=3)
    greedy = [await held(line, "greedy") for _ in range(2)]
    other = await held(line, "other")
    tasks = line.ask("greedy1", "late1")
    await settle()
    await other.aclose()
    await settle()
    assert line.order[0] == "late1"
    for place in greedy:
        await place.aclose()
    await asyncio.gather(*tasks)


async def test_a_visitor_has_so_many_places_in_a_line_and_others_still_get_in() -> None:
    line = Line()
    place = await held(line)
    tasks = line.ask(*(f"greedy{n}" for n in range(140)), most=3)
    await settle()
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 137
    for task in refused:
        with pytest.raises(RateLimitError, match="3 answers waiting in line here already"):
            task.result()
    honest = line.ask("honest1", most=3)
    await settle()
    assert line.told["honest1"] == [2]
    await place.aclose()
    await asyncio.gather(*honest, *(task for task in tasks if task not in refused))


async def test_a_line_is_bounded() -> None:
    line = Line()
    place = await held(line)
    tasks = line.ask(*(f"v{'x' * n}" for n in range(LONGEST + 1)))
    await settle()
    (refused,) = [task for task in tasks if task.done()]
    with pytest.raises(RateLimitError, match="Too many people"):
        refused.result()
    await place.aclose()
    await asyncio.gather(*(task for task in tasks if task is not refused))
    assert len(line.order) == LONGEST


async def test_who_is_stopped_in_line_or_at_the_very_moment_of_its_turn_loses_no_place() -> None:
    line = Line()
    place = await held(line)
    first, second, third = line.ask("a1", "b1", "c1")
    await settle()
    first.cancel()  # it still stands in line when the place becomes free
    await place.aclose()
    second.cancel()  # it has just been given the place
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert line.order == ["c1"]
    async with asyncio.timeout(5):
        await line.answer("d1", "d")


async def test_stop_while_one_side_answers_and_the_other_waits_stops_both() -> None:
    backend = Fed()
    backend.max_concurrent = 1
    asked = Request(backend, "fake", (Message.of("user", "Hello"),), visitor=Visitor("me"))
    run = Run([asked, asked])
    run.start()
    backend.feed(said("a"))
    await settle()
    assert [side.state for side in run.snapshot() if side] == ["streaming", "waiting"]
    run.stop()
    await run.close()
    assert [(side.state, side.error) for side in run.snapshot() if side] == [("stopped", None)] * 2
