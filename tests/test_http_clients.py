"""HTTP clients are kept while they are used: not the oldest, and none of a loop that is gone."""

import asyncio

import pytest

from backends._remote import http
from backends._remote.http import ClientCache


async def test_the_least_recently_used_client_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MAX_CLIENTS", 2)
    built: list[str] = []
    clients = ClientCache[str](lambda url: built.append(url) or url)
    for url in ("a", "b", "a", "c", "a", "b"):
        assert await clients.at(url) == url
    assert built == ["a", "b", "c", "b"]


def test_the_clients_of_a_loop_that_is_gone_go_with_it() -> None:
    clients = ClientCache[object](lambda url: object())
    for _ in range(3):
        asyncio.run(clients.at("a"))
    assert len(clients._made) == 1
