"""Engines without an engine: made-up models whose every step the test counts and holds."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from backends import BadRequestError, Chunk, OutOfMemoryError, Progress, Timings
from backends._local.engine import MOST_ACTIVE, DeviceQueue
from backends._local.pool import Plan, Pool

GB = 10**9


class Model:
    """Counts its forward passes; `gate` holds each back until it is opened for it."""

    def __init__(self) -> None:
        self.passes: list[str] = []
        self.gate = threading.Semaphore(0)
        self.closed: list[str] = []
        self.active = 0

    def say(self, name: str, count: int, gated: bool = False):
        """An answer of `count` tokens."""
        try:
            for n in range(count):
                if gated:
                    self.gate.acquire()
                self.passes.append(name)
                last = n == count - 1
                timings = Timings(prefill=0.0, device="cpu") if last else None
                yield Chunk(
                    f"{name}{n}", 1, finish_reason="stop" if last else None, timings=timings
                )
        finally:
            self.closed.append(name)


def plan(load: Callable[[Callable[[float], None]], Any], **facts: Any) -> Plan[Any]:
    return Plan(
        **{
            "device": "cpu",
            "need": 0,
            "per_answer": 0,
            "free": lambda: 1,
            "load": load,
            "hint": lambda free: "The built-in Pocket models fit.",
            **facts,
        }
    )


@pytest.fixture
def pool():
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def ask(pool, model):
    """Ask the pool for a job on the one model."""

    def ask(job, key="m", label="M", **facts):
        return pool.stream(key, label, lambda: plan(lambda report: model, **facts), job)

    return ask


async def collect(steps):
    return [step async for step in steps]


def text(steps):
    return "".join(step.text for step in steps if isinstance(step, Chunk))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.001)


async def test_steps_arrive_in_order_and_the_end_ends(ask):
    assert text(await collect(ask(lambda model: model.say("a", 3)))) == "a0a1a2"


async def test_a_warm_answer_alone_has_no_progress(ask):
    await collect(ask(lambda model: model.say("a", 1)))
    steps = await collect(ask(lambda model: model.say("a", 5)))
    assert [type(step) for step in steps] == [Chunk] * 5


async def test_answers_on_one_model_take_turns(ask, model):
    go = threading.Event()

    def job(name):
        def steps(model):
            yield from busy_until(go)(model)
            yield from model.say(name, 4)

        return steps

    tasks = [asyncio.create_task(collect(ask(job(name)))) for name in "ab"]
    await until(lambda: model.active == 2)
    go.set()
    assert [text(await task) for task in tasks] == ["a0a1a2a3", "b0b1b2b3"]
    assert "".join(model.passes) in ("abababab", "babababa")


async def test_the_next_ones_wait_in_line_and_hear_their_place(ask, model):
    hold = [threading.Event() for _ in range(MOST_ACTIVE)]
    busy = [asyncio.create_task(collect(ask(busy_until(event)))) for event in hold]
    await until(lambda: model.active == MOST_ACTIVE)
    first, second = (ask(lambda model, name=name: model.say(name, 1)) for name in "ab")
    assert await anext_queued(first) == Progress("queued", detail="1st in line")
    assert await anext_queued(second) == Progress("queued", detail="2nd in line")
    hold[0].set()
    assert text(await collect(first)) == "a0"
    for event in hold:
        event.set()
    assert text(await collect(second)) == "b0"
    await asyncio.gather(*busy)


async def test_who_leaves_the_line_lets_the_next_one_move_up(ask, model):
    hold = [threading.Event() for _ in range(MOST_ACTIVE)]
    busy = [asyncio.create_task(collect(ask(busy_until(event)))) for event in hold]
    await until(lambda: model.active == MOST_ACTIVE)
    first, second = (ask(lambda model, name=name: model.say(name, 1)) for name in "ab")
    await anext_queued(first)
    assert await anext_queued(second) == Progress("queued", detail="2nd in line")
    await first.aclose()
    assert await anext_queued(second) == Progress("queued", detail="1st in line")
    for event in hold:
        event.set()
    assert text(await collect(second)) == "b0"
    assert "a" not in model.passes
    await asyncio.gather(*busy)


def busy_until(event: threading.Event):
    """A job that keeps its place, with nothing to say, until the event."""

    def job(model):
        model.active += 1
        while not event.wait(0.001):
            yield None

    return job


async def anext_queued(steps) -> Progress:
    async for step in steps:
        if isinstance(step, Progress) and step.stage == "queued":
            return step
    raise AssertionError("it never waited in line")


async def test_a_second_answer_waits_while_memory_is_short(ask, model):
    free, hold = [1], threading.Event()
    facts = {"per_answer": 1, "free": lambda: free[0]}
    busy = asyncio.create_task(collect(ask(busy_until(hold), **facts)))
    await until(lambda: model.active)
    second = ask(lambda model: model.say("b", 2))
    assert (await anext_queued(second)).detail == "1st in line"
    free[0] = 2
    assert text(await collect(second)) == "b0b1"
    hold.set()
    await busy


async def test_closing_stops_within_one_forward_pass(ask, model):
    steps = ask(lambda model: model.say("a", 100, gated=True))
    model.gate.release()
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Chunk):
                break
    for _ in range(100):
        model.gate.release()
    await until(lambda: model.closed)
    assert len(model.passes) <= 2


async def test_cancelling_the_task_stops_within_one_forward_pass(ask, model):
    task = asyncio.create_task(collect(ask(lambda model: model.say("a", 100, gated=True))))
    model.gate.release()
    await until(lambda: model.passes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        model.gate.release()
    await until(lambda: model.closed)
    assert len(model.passes) <= 2


async def test_an_error_reaches_the_consumer_and_the_engine_survives(ask, model):
    def fail(model):
        yield Chunk("so far")
        raise BadRequestError("No.", "Ask otherwise.")

    got = []
    with pytest.raises(BadRequestError, match="No"):
        async for step in ask(fail):
            got.append(step)
    assert text(got) == "so far"
    assert text(await collect(ask(lambda model: model.say("a", 1)))) == "a0"


async def test_a_bug_reaches_the_consumer_too(ask):
    with pytest.raises(ZeroDivisionError):
        await collect(ask(lambda model: 1 / 0))
    assert text(await collect(ask(lambda model: model.say("a", 1)))) == "a0"


async def test_one_answer_fails_while_the_other_goes_on(ask, model):
    def fail(model):
        model.gate.acquire()
        raise BadRequestError("No.")
        yield

    good = asyncio.create_task(collect(ask(lambda model: model.say("a", 3, gated=True))))
    bad = asyncio.create_task(collect(ask(fail)))
    await asyncio.sleep(0)
    for _ in range(4):
        model.gate.release()
    with pytest.raises(BadRequestError):
        await bad
    assert text(await good) == "a0a1a2"


async def test_a_loop_that_died_does_not_take_the_engine_along(ask, model):
    def visitor():
        loop = asyncio.new_event_loop()
        steps = ask(lambda model: model.say("gone", 50, gated=True))
        while not isinstance(loop.run_until_complete(anext(steps)), Chunk):
            pass
        loop.close()

    model.gate.release()
    thread = threading.Thread(target=visitor)
    thread.start()
    await asyncio.to_thread(thread.join)
    for _ in range(100):
        model.gate.release()
    assert text(await collect(ask(lambda model: model.say("a", 2)))) == "a0a1"
    await until(lambda: "gone" in model.closed)
    assert model.passes.count("gone") <= 2


async def test_loads_once_for_two_and_tells_both(pool, model):
    loads, go_on = [], threading.Event()

    def load(report):
        loads.append(1)
        report(0.25)
        go_on.wait()
        report(0.75)
        return model

    def ask(name):
        return pool.stream("m", "M", lambda: plan(load), lambda model: model.say(name, 1))

    first, second = ask("a"), ask("b")
    heard = []
    for steps in (first, second):
        async for step in steps:
            heard.append(step)
            if step.fraction == 0.25:
                break
    go_on.set()
    ends = [await collect(first), await collect(second)]
    assert loads == [1]
    assert {step.stage for step in heard} == {"loading"}
    for name, steps in zip("ab", ends, strict=True):
        assert Progress("loading", 0.75) in steps
        assert text(steps) == f"{name}0"


async def test_the_last_chunk_tells_how_long_the_load_took(ask):
    cold = await collect(ask(lambda model: model.say("a", 2)))
    warm = await collect(ask(lambda model: model.say("a", 2)))
    assert cold[-1].timings.load is not None
    assert warm[-1].timings.load is None
    assert warm[-1].timings.queued >= 0
    assert warm[-1].timings.device == "cpu"


async def test_a_failed_load_fails_all_who_wait_and_is_tried_again(pool, model):
    tries, go_on = [], threading.Event()

    def load(report):
        tries.append(1)
        go_on.wait()
        if len(tries) == 1:
            raise BadRequestError("Broken file.")
        return model

    def ask():
        return pool.stream("m", "M", lambda: plan(load), lambda model: model.say("a", 1))

    tasks = [asyncio.create_task(collect(ask())) for _ in range(2)]
    await until(lambda: tries)
    go_on.set()
    for task in tasks:
        with pytest.raises(BadRequestError, match="Broken file"):
            await task
    assert text(await collect(ask())) == "a0"
    assert len(tries) == 2


async def test_a_load_that_nobody_waits_for_ends(pool, model):
    started, go_on, ended = threading.Event(), threading.Event(), []

    def load(report):
        started.set()
        go_on.wait()
        try:
            report(0.5)
        except BaseException:
            ended.append("abandoned")
            raise
        return model

    steps = pool.stream("m", "M", lambda: plan(load), lambda model: model.say("a", 1))
    await anext(steps)
    await asyncio.to_thread(started.wait)
    await steps.aclose()
    go_on.set()
    await until(lambda: not pool.loaded())
    assert ended == ["abandoned"]


class Memory:
    """A device of so many bytes; models take theirs when loaded and give it back when freed."""

    def __init__(self, size: int) -> None:
        self.free = size

    def prepare(self, need: int) -> Callable[[], Plan[Any]]:
        def load(report):
            model = Model()
            self.free -= need
            weakref.finalize(model, self._give_back, need)
            return model

        return lambda: plan(load, need=need, free=lambda: self.free)

    def _give_back(self, need: int) -> None:
        self.free += need


async def test_the_least_recently_used_model_makes_room(pool):
    memory = Memory(10 * GB)
    for key in ("a", "b", "a"):
        prepare = memory.prepare(4 * GB)
        await collect(pool.stream(key, key, prepare, lambda model: model.say("x", 1)))
    await until(lambda: len(pool.loaded()) == 2)
    await collect(pool.stream("c", "c", memory.prepare(4 * GB), lambda model: model.say("x", 1)))
    assert set(pool.loaded()) == {"a", "c"}
    assert memory.free == 2 * GB


async def test_a_model_that_answers_is_never_unloaded(pool):
    memory, held = Memory(10 * GB), []

    def hold(model):
        held.append(model)
        yield from model.say("a", 2, gated=True)

    busy = asyncio.create_task(collect(pool.stream("a", "A", memory.prepare(6 * GB), hold)))
    await until(lambda: held)
    with pytest.raises(OutOfMemoryError) as caught:
        await collect(
            pool.stream("b", "B", memory.prepare(6 * GB), lambda model: model.say("b", 1))
        )
    assert caught.value.message == "B needs 6.0 GB of memory; 4.0 GB is free."
    assert caught.value.hint == "The built-in Pocket models fit."
    assert (caught.value.values["need"], caught.value.values["free"]) == (6 * GB, 4 * GB)
    assert pool.unload("a") is False
    for _ in range(2):
        held[0].gate.release()
    assert text(await busy) == "a0a1"


async def test_unload_gives_the_memory_back(pool, model):
    memory = Memory(10 * GB)
    await collect(pool.stream("a", "A", memory.prepare(6 * GB), lambda model: model.say("a", 1)))
    await until(lambda: pool.unload("a"))
    gc.collect()
    assert memory.free == 10 * GB
    assert pool.loaded() == ()
    assert pool.unload("a") is False


async def test_one_load_at_a_time_and_the_next_says_so(pool):
    started, go_on = threading.Event(), threading.Event()

    def slow(report):
        started.set()
        go_on.wait()
        return Model()

    first = asyncio.create_task(
        collect(pool.stream("a", "A", lambda: plan(slow), lambda model: model.say("a", 1)))
    )
    await asyncio.to_thread(started.wait)
    second = pool.stream("b", "B", lambda: plan(lambda _: Model()), lambda model: model.say("b", 1))
    async for step in second:
        if isinstance(step, Progress) and step.detail:
            assert step == Progress("queued", detail="waiting for another model to load")
            break
    go_on.set()
    assert text(await collect(second)) == "b0"
    assert text(await first) == "a0"


async def test_two_models_on_one_device_pass_one_by_one(pool):
    inside, most, order = [0], [0], []

    def job(name):
        def steps(model):
            for n in range(20):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                order.append(name)
                inside[0] -= 1
                yield Chunk(str(n), 1)

        return steps

    streams = [pool.stream(name, name, lambda: plan(lambda _: Model()), job(name)) for name in "ab"]
    both = await asyncio.gather(*map(collect, streams))
    assert most == [1]
    assert [len(text(steps)) for steps in both] == [30, 30]


async def test_who_waits_for_another_model_hears_which(pool, model):
    device_queue = pool.device_queue("cpu")
    with device_queue.turn("Phi-3-mini", lambda sentence: None):
        steps = pool.stream(
            "m", "M", lambda: plan(lambda _: model), lambda model: model.say("a", 2)
        )
        waits = await anext_queued(steps)
    assert waits == Progress("queued", detail="waiting for Phi-3-mini on this CPU")
    assert text(await collect(steps)) == "a0a1"


def test_the_turnstile_is_first_come_first_served():
    device_queue, passed, threads = DeviceQueue("cpu"), [], []

    def pass_through(name):
        with device_queue.turn(name, lambda sentence: None):
            passed.append(name)

    with device_queue.turn("first", lambda sentence: None):
        for n in range(5):
            thread = threading.Thread(target=pass_through, args=(n,))
            thread.start()
            while len(device_queue._line) <= n:
                threading.Event().wait(0.001)
            threads.append(thread)
    for thread in threads:
        thread.join()
    assert passed == [0, 1, 2, 3, 4]


def test_the_turnstile_lets_go_after_an_error():
    device_queue = DeviceQueue("cpu")
    with pytest.raises(KeyError), device_queue.turn("a", lambda sentence: None):
        raise KeyError
    told = []
    with device_queue.turn("b", told.append):
        pass
    assert told == []
