"""What this machine has for models: figures of the bandwidth, once, from a child process."""

import asyncio
import math
from dataclasses import replace

import pytest

from backends import Capacity
from backends._local import bandwidth, capacity

HAS = Capacity(16_000_000_000, 9_000_000_000, (), 74_000_000_000)


def test_no_estimate_without_a_measurement() -> None:
    assert HAS.tokens_per_second(2.3e9) is None


def test_the_estimate_is_what_was_measured_where_it_was_measured() -> None:
    there = replace(HAS, bandwidth=36e9).tokens_per_second(2.3e9)
    assert there is not None and math.isclose(there, 12.5, rel_tol=0.01)


def test_memory_is_read_in_parts_of_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "_BYTES", 2**16)
    monkeypatch.setattr(bandwidth, "physical_cores", lambda: 3)
    assert bandwidth.measure() > 0


async def test_the_bandwidth_is_measured_once_for_all_who_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[int] = []

    async def in_child() -> float:
        measured.append(1)
        await asyncio.sleep(0)
        return 30e9

    monkeypatch.setattr(capacity, "_measure_in_child", in_child)
    monkeypatch.setattr(capacity, "BANDWIDTH", capacity.Bandwidth())
    assert (await capacity.capacity()).bandwidth is None, "nobody waits for it unasked"
    both = await asyncio.gather(*(capacity.capacity(measure=True) for _ in range(2)))
    assert [one.bandwidth for one in both] == [30e9, 30e9] and measured == [1]
    assert (await capacity.capacity()).bandwidth == 30e9


async def test_a_child_process_says_it() -> None:
    measured = await capacity.Bandwidth().measured()
    assert measured and measured > 0


async def test_a_child_that_fails_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity.sys, "executable", "false")
    assert await capacity.Bandwidth().measured() is None
    monkeypatch.setattr(capacity.sys, "executable", "/no/such/python")
    assert await capacity.Bandwidth().measured() is None
