"""How long an answer of a server is waited for."""

import asyncio
import gc
import math
import weakref
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from backends import BackendTimeoutError
from backends._remote.patience import Patience

LONG, SHORT = 1000.0, 0.01
"""Seconds that no test lasts, and seconds that are over at once."""


async def pieces(*given: str) -> AsyncGenerator[str, None]:
    """Some pieces, and then nothing more, for ever."""
    for piece in given:
        yield piece
    await asyncio.Event().wait()


async def next_of(patience: Patience, source: AsyncIterator[str]) -> str | None:
    """`Patience.next`, which fails where it would wait for ever."""
    async with asyncio.timeout(LONG / 50):
        return await patience.next(source)


async def ended(*given: str) -> AsyncGenerator[str, None]:
    for piece in given:
        yield piece


async def test_all_that_comes_is_read_to_its_end() -> None:
    patience, source = Patience("It", first=LONG), ended("a", "b")
    assert [await patience.next(source) for _ in range(3)] == ["a", "b", None]


async def test_the_first_text_and_the_next_have_limits_of_their_own() -> None:
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await Patience("It", first=SHORT, silence=LONG).next(pieces())
    patience, source = Patience("It", first=LONG, silence=SHORT), pieces("a")
    assert await patience.next(source) == "a"
    patience.renew()
    with pytest.raises(BackendTimeoutError, match="silent"):
        await next_of(patience, source)


async def test_what_is_no_text_does_not_lengthen_the_wait() -> None:
    async def pings() -> AsyncGenerator[str, None]:
        while True:
            await asyncio.sleep(SHORT / 10)
            yield ": ping"

    patience, source = Patience("It", first=SHORT), pings()
    with pytest.raises(BackendTimeoutError):
        while True:
            await patience.next(source)


async def test_an_answer_has_an_end() -> None:
    patience, source = Patience("It", silence=LONG, total=SHORT), pieces("a")
    assert await patience.next(source) == "a"
    patience.renew()
    with pytest.raises(BackendTimeoutError, match="has been answering"):
        await next_of(patience, source)


async def test_a_place_in_line_is_waited_for_without_a_limit() -> None:
    patience = Patience("It", first=LONG)
    patience.restart(math.inf)
    waiting = asyncio.create_task(next_of(patience, pieces()))
    await asyncio.sleep(0)
    patience.restart(SHORT)  # its turn has come
    with pytest.raises(BackendTimeoutError, match="did not begin to answer"):
        await waiting


async def test_who_stops_an_answer_stops_it_at_any_moment() -> None:
    for limit in (LONG, SHORT):
        waiting = asyncio.create_task(Patience("It", first=limit).next(pieces()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_what_has_ended_leaves_no_timer() -> None:
    patience = Patience("It", first=LONG)
    weak = weakref.ref(patience)
    await patience.next(pieces("a"))
    patience.end()
    del patience
    gc.collect()
    await asyncio.sleep(0)
    assert weak() is None


async def test_after_a_timeout_the_task_goes_on() -> None:
    task = asyncio.current_task()
    with pytest.raises(BackendTimeoutError):
        await Patience("It", first=SHORT).next(pieces())
    assert task is not None and not task.cancelling()
    await asyncio.sleep(0)
