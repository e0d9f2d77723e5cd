"""complete() and Run: independence, symmetry, clocks, failure of one side, stop, restart."""

import asyncio
import time
from contextlib import aclosing

import pytest

from backends import (
    BATCH,
    Batch,
    Chunk,
    Message,
    Progress,
    RateLimitError,
    ServerError,
    Timings,
    Usage,
)
from playground import compare
from playground.answer import AnswerBuilder, Request
from playground.compare import Run, complete
from tests.fakes import Fed, Scripted, last, said


def ask(backend: Scripted) -> Request:
    return Request(backend, "fake", (Message.of("user", "Hello"),))


async def until(run: Run, wanted) -> tuple:
    """Follow a run until a snapshot fulfils a condition."""
    async for sides in run.snapshots():
        if wanted(sides):
            return sides
    raise AssertionError("the run ended first")


async def test_an_answer_is_added_up_and_timed() -> None:
    t = time.monotonic()
    answer = await complete(
        ask(Scripted(said("a", t + 1.0), said("", t + 1.5), said("b", t + 3.0), last(7, 3)))
    )
    assert (answer.state, answer.text, answer.finish_reason) == ("done", "ab", "stop")
    assert answer.usage and answer.usage.input_tokens == 7
    clock = answer.clock
    # Asked somewhen between `t` and now: however busy the machine is, it is not more apart.
    assert 1.0 - (time.monotonic() - t) <= clock.first_token <= 1.0
    assert clock.decode == pytest.approx(2.0)
    assert clock.tokens_per_second == pytest.approx((3 - 1) / 2.0)
    assert clock.token_source == "engine"
    assert clock.device == "cpu" and not clock.shared


async def test_notes_and_warnings_are_collected() -> None:
    steps = (Chunk(text="a", notes=("one",)), Chunk(notes=("two",), warnings=("Beware.",)))
    answer = await complete(ask(Scripted(*steps)))
    assert (answer.notes, answer.warnings) == (("one", "two"), ("Beware.",))


@pytest.mark.parametrize(("told", "load"), [(0.0, 0.0), (0.2, 0.2), (9.0, 0.5)])
def test_the_engine_says_how_much_of_the_wait_was_loading(
    told: float, load: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    answer = AnswerBuilder()
    answer.start()
    answer.wait_for(Progress("loading"))
    answer.add(Chunk(text="a", tokens=1, at=10.5))
    answer.add(Chunk(at=11.0, timings=Timings(load=told)))
    clock = answer.snapshot().clock
    assert (clock.load, clock.prefill) == (load, 0.5 - load)
    assert clock.cold is bool(load)


@pytest.mark.parametrize(
    ("told", "queued", "load", "prefill"),
    [(None, 1.0, 0.0, 4.0), (0.5, 1.0, 0.0, 4.0), (3.0, 3.0, 0.0, 2.0), (99.0, 5.0, 0.0, 0.0)],
)
def test_a_server_says_how_long_it_let_wait(
    told: float | None, queued: float, load: float, prefill: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 10.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    answer = AnswerBuilder()
    answer.start()
    answer.wait_for(Progress("queued"))
    now = 11.0
    answer.wait_for(Progress("prefill"))
    answer.add(Chunk(text="a", tokens=1, at=15.0))
    answer.add(Chunk(at=15.0, timings=Timings(queued=told, load=0.0)))
    clock = answer.snapshot().clock
    assert (clock.queued, clock.load, clock.prefill) == (queued, load, prefill)


async def test_tokens_of_an_answer_that_only_thought_are_those_that_the_server_reports() -> None:
    thought = (Chunk(thinking="Well"), Chunk(thinking=", well"))
    end = Chunk(finish_reason="length", usage=Usage(9, 28))
    clock = (await complete(ask(Scripted(*thought, end)))).clock
    assert (clock.tokens, clock.thinking_tokens, clock.token_source) == (28, 28, "reported")


async def test_waiting_loading_and_reading_the_prompt_are_told_apart() -> None:
    fed = Fed()
    run = Run([ask(fed)])
    seen: list[str] = []
    fed.feed(Progress("queued", detail="waiting for the other side"))
    async for (side,) in run.snapshots():
        assert side is not None
        if side.progress and side.progress.stage not in seen:
            seen.append(side.progress.stage)
            following = {"queued": Progress("loading", 0.5), "loading": Progress("prefill", 0.1)}
            if side.progress.stage in following:
                fed.feed(following[side.progress.stage])
            else:
                fed.feed("x", last(), None)
    assert seen == ["queued", "loading", "prefill"]
    clock = run.snapshot()[0].clock  # type: ignore[union-attr]
    assert clock.cold
    assert clock.queued > 0 and clock.load > 0 and clock.prefill > 0
    assert clock.first_token == pytest.approx(clock.queued + clock.load + clock.prefill)


async def test_a_warm_answer_is_not_called_cold() -> None:
    assert not (await complete(ask(Scripted(said("a"), last())))).clock.cold


@pytest.mark.parametrize(
    ("usage", "counted", "source", "tokens"),
    [((1, 9), None, "reported", 9), ((), 5, "tokenizer", 5), ((), None, "estimate", 2)],
)
async def test_tokens_the_wire_does_not_count(usage, counted, source, tokens) -> None:
    class Wire(Scripted):
        async def count_tokens(self, model: str, text: str) -> int | None:
            return counted

    backend = Wire(said("Hello ", tokens=None), said("you", tokens=None), last(*usage))
    clock = (await complete(ask(backend))).clock
    assert (clock.token_source, clock.tokens) == (source, tokens)


async def test_the_sides_are_independent() -> None:
    fast, slow = Fed(), Fed()
    run = Run([ask(fast), ask(slow)])
    fast.feed("quick", last(), None)
    left, right = await until(run, lambda sides: sides[0].ended)
    assert (left.text, left.state) == ("quick", "done")
    assert (right.text, right.state) == ("", "waiting")


@pytest.mark.parametrize("stopped", [False, True])
async def test_one_after_the_other(stopped: bool) -> None:
    one, two = Fed(), Fed()
    run = Run([ask(one), ask(two)], in_turn=True)
    one.feed("first")
    two.feed("second", last(), None)
    waiting = None
    async for sides in run.snapshots():
        if sides[0].text == "first" and waiting is None:
            waiting = sides[1]
            assert two.open == 0
            run.stop(0) if stopped else one.feed(last(), None)
    left, right = sides
    assert waiting.state == "waiting" and waiting.progress.detail == "for the other side"
    assert (left.state, left.text) == ("stopped" if stopped else "done", "first")
    assert (right.text, right.notes) == ("second", ("one after the other",))
    assert right.clock.queued > 0 and not right.clock.shared


class Joining(Scripted):
    """Takes turns by itself, and remembers what it was asked together with."""

    id = "joining"
    takes_turns = True

    def __init__(self) -> None:
        super().__init__(said("a"), last())
        self.batches: list[Batch | None] = []

    async def stream(self, *asked, **more):
        self.batches.append(BATCH.get())
        async for step in super().stream(*asked, **more):
            yield step


async def test_the_sides_of_a_run_know_that_they_are_asked_together() -> None:
    both = Joining()
    run = Run([ask(both), ask(Scripted(said("x"), last())), ask(both)])
    async for _ in run.snapshots():
        pass
    one, two = both.batches
    assert one is two and one and one.sizes["joining"] == 2 and not one.in_turn
    run.restart(0)
    async for _ in run.snapshots():
        pass
    alone = both.batches[-1]
    assert alone is not one and alone and alone.sizes["joining"] == 1
    assert BATCH.get() is None


async def test_a_backend_that_takes_turns_is_asked_at_once() -> None:
    both, other = Joining(), Scripted(said("c"), last())
    run = Run([ask(both), ask(both), ask(other)], in_turn=True)
    run.start()
    while len(both.batches) < 2:
        await asyncio.sleep(0)
        assert not other.asked, "it waits for both"
    async for _ in run.snapshots():
        pass
    assert [batch and batch.in_turn for batch in both.batches] == [True, True]
    assert other.asked
    first, second, third = run.snapshot()
    assert first and second and third
    assert not first.notes and second.notes == third.notes == ("one after the other",)


async def test_symmetry() -> None:
    one, two = Fed(), Fed()
    for fed in (one, two):
        fed.feed("a", "b", last(2, 2), None)
    run = Run([ask(one), ask(two)])
    async for _ in run.snapshots():
        pass
    left, right = run.snapshot()
    assert left and right
    assert (left.text, left.state, left.usage) == (right.text, right.state, right.usage)


async def test_one_side_fails_and_the_other_goes_on() -> None:
    broken = Scripted(said("half"), RateLimitError("Too busy.", "Wait.", retry_after=4))
    run = Run([ask(broken), ask(Scripted(said("whole"), last()))])
    async for _ in run.snapshots():
        pass
    left, right = run.snapshot()
    assert left and right
    assert (left.state, left.text, str(left.error)) == ("failed", "half", "Too busy. Wait.")
    assert (right.state, right.text) == ("done", "whole")


async def test_a_fault_of_ours_is_logged_and_said_without_its_details(caplog) -> None:
    answer = await complete(ask(Scripted(KeyError("secret detail"))))
    assert answer.state == "failed" and answer.error and answer.error.code == "internal"
    assert "secret" not in str(answer.error)
    assert "secret detail" in caplog.text


async def test_stop_one_side_keeps_what_it_had_and_closes_its_stream() -> None:
    one, two = Fed(), Fed()
    run = Run([ask(one), ask(two)])
    one.feed("kept")
    two.feed("on")
    async for left, right in run.snapshots():
        assert left and right
        if left.text == "kept" and left.state == "streaming":
            run.stop(0)
        elif left.ended and not right.ended:
            two.feed(" and on", last(), None)
    left, right = run.snapshot()
    assert left and right
    assert (left.state, left.text) == ("stopped", "kept")
    assert (right.state, right.text) == ("done", "on and on")
    assert one.open == two.open == 0


async def test_stop_before_the_first_token_even_before_the_task_ran() -> None:
    fed = Fed()
    run = Run([ask(fed)])
    run.start()
    run.stop()
    await run.close()
    (side,) = run.snapshot()
    assert side and (side.state, side.text) == ("stopped", "")


async def test_stop_before_the_start_holds() -> None:
    one, two = Fed(), Fed()
    run = Run([ask(one), ask(two)])
    assert not run.ended
    run.stop(0)
    two.feed("x", last(), None)
    async for _ in run.snapshots():
        pass
    assert [side.state for side in run.snapshot() if side] == ["stopped", "done"]
    assert not one.asked


async def test_restart_one_side_while_the_other_goes_on() -> None:
    one, two = Fed(), Fed()
    run = Run([ask(one), ask(two)])
    one.feed("first")
    two.feed("steady")
    restarted = False
    async for left, right in run.snapshots():
        assert left and right
        if not restarted and left.text == "first":
            restarted = True
            run.restart(0)
            one.feed("second", last(), None)
        elif left.ended and not right.ended:
            two.feed(last(), None)
    left, right = run.snapshot()
    assert left and right
    assert (left.text, right.text) == ("second", "steady")


async def test_a_side_that_takes_no_part() -> None:
    run = Run([None, ask(Scripted(said("x"), last()))])
    async for sides in run.snapshots():
        assert sides[0] is None
    assert run.ended


async def test_closing_the_snapshots_stops_both_sides() -> None:
    one, two = Fed(), Fed()
    run = Run([ask(one), ask(two)])
    one.feed("x")
    async with aclosing(run.snapshots()) as snapshots:
        async for left, _ in snapshots:
            if left and left.text:
                break
    await run.close()
    assert one.open == two.open == 0
    assert run.ended


async def test_who_waits_in_line_is_told_so_and_gets_in() -> None:
    class Single(Fed):
        id = "single"
        max_concurrent = 1

    fed = Single()
    run = Run([ask(fed), ask(fed), ask(fed)])
    async for sides in run.snapshots():
        waiting = [s.progress.detail for s in sides if s and s.progress]
        if waiting == ["number 1 in line", "number 2 in line"]:
            run.stop(1)
        elif waiting == ["number 1 in line"] and sides[1].state == "stopped":  # type: ignore[union-attr]
            fed.feed("one", last(), None, "three", last(), None)
    assert [s.text for s in run.snapshot() if s] == ["one", "", "three"]


async def test_sides_on_one_device_say_that_they_shared_it() -> None:
    async def devices(left: str, right: str) -> list[bool]:
        one, two = Fed(), Fed()
        run = Run([ask(one), ask(two)])
        one.feed("a", Chunk(timings=last(device=left).timings))
        two.feed("b", Chunk(timings=last(device=right).timings))
        both = await until(run, lambda s: all(side.clock.device for side in s))
        return [side.clock.shared for side in both]

    assert await devices("cpu", "cpu") == [True, True]
    assert await devices("cuda:0", "cuda:1") == [False, False]


async def test_every_character_arrives_once_whatever_the_tick() -> None:
    words = [f"{n} " for n in range(3000)]
    run = Run([ask(Scripted(*map(said, words), last()))])
    longest = ""
    async for (side,) in run.snapshots():
        assert side and side.text.startswith(longest)
        longest = side.text
    assert longest == "".join(words)


async def test_a_silent_side_still_gives_snapshots(monkeypatch) -> None:
    monkeypatch.setattr(compare, "HEARTBEAT", 0.001)
    run = Run([ask(Fed())])
    count = 0
    async for _ in run.snapshots():
        count += 1
        if count == 3:
            run.stop()
    assert run.ended


async def test_a_task_outside_a_run_can_be_cancelled() -> None:
    fed = Fed()
    fed.feed("x")
    arrived = asyncio.Event()
    task = asyncio.create_task(
        complete(ask(fed), AnswerBuilder(lambda first: first and arrived.set()))
    )
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fed.open == 0


async def test_what_comes_while_the_reader_is_busy_is_still_shown() -> None:
    fed = Fed()
    run = Run([ask(fed)])
    text = ""
    async with aclosing(run.snapshots()) as snapshots:
        async for (side,) in snapshots:
            assert side is not None
            text = side.text
            if text == "first":  # the reader is slow: the answer ends before it comes back
                fed.feed(" and last", last(), None)
                await asyncio.gather(*run._tasks.values())
            elif not text:
                fed.feed("first")
    assert text == "first and last"


async def test_an_answer_whose_end_has_come_is_done_whatever_follows() -> None:
    """A mixture of experts reads its last token once more, to tell its experts."""
    for late in (ServerError("Out of memory.", ""), None):
        backend = Fed()
        answer = AnswerBuilder()
        task = asyncio.create_task(complete(Request(backend, "fake", ()), answer))
        backend.feed("Hi", last(1, 1))
        while not answer.finish_reason:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if late:
            backend.feed(late)
        else:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (answer.state, answer.error, answer.text) == ("done", None, "Hi")


def test_an_answer_is_shown_at_once_as_soon_as_there_is_something_to_see() -> None:
    at_once: list[bool] = []
    answer = AnswerBuilder(at_once.append)
    for text in ("\n##", " ", "**", "Phi", "-3", " is"):
        answer.add(Chunk(text, tokens=1))
    # The first token, as the waiting ends with it; and the first that Markdown shows anything of.
    assert at_once == [True, False, False, True, False, False]
