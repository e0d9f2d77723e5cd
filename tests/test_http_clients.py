"""HTTP clients are kept while they are used, closed when they are not, one per address and loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from backends import REGISTRY, Chunk, Connection, GenerationParams, Message, Progress
from backends._remote import http
from backends._remote.http import ClientCache
from tests.browser import PATIENCE
from tests.stub import Reply, Stub, delta, sse

OLLAMA, WIRE = REGISTRY["ollama"], REGISTRY["openai_compatible"]
HELLO = (Message.of("user", "Hello"),)


class Client:
    """Stands for a client; `closed` tells whether it was closed."""

    def __init__(self, url: str) -> None:
        self.url, self.closed = url, False

    async def close(self) -> None:
        self.closed = True


def cache(built: list[Client]) -> ClientCache[Client]:
    def build(url: str) -> Client:
        built.append(Client(url))
        return built[-1]

    return ClientCache(build, Client.close)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_the_least_recently_used_client_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MAX_CLIENTS", 2)
    built: list[Client] = []
    clients = cache(built)
    for url in ("a", "b", "a", "c", "a", "b"):
        async with clients.use(url) as client:
            assert client.url == url and not client.closed
    assert [client.url for client in built] == ["a", "b", "c", "b"]
    await until(lambda: [client.closed for client in built] == [False, True, True, False])


async def test_one_in_use_is_closed_after_its_last_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MAX_CLIENTS", 1)
    built: list[Client] = []
    clients = cache(built)
    async with clients.use("a") as outer:
        async with clients.use("a") as inner, clients.use("b"):
            assert inner is outer
        await asyncio.sleep(0.01)
        assert not outer.closed
    await until(lambda: outer.closed)


async def test_one_that_is_dropped_while_it_is_built_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_MAX_CLIENTS", 1)
    built: list[Client] = []
    clients = cache(built)

    async def use(url: str) -> None:
        async with clients.use(url):
            pass

    given_up = asyncio.ensure_future(use("a"))
    await asyncio.sleep(0)
    given_up.cancel()
    await use("b")
    await until(lambda: {client.url: client.closed for client in built} == {"a": True, "b": False})


async def test_what_could_not_be_built_is_built_the_next_time() -> None:
    fail = True

    def build(url: str) -> Client:
        if fail:
            raise OSError("no")
        return Client(url)

    clients = ClientCache(build, Client.close)
    with pytest.raises(OSError, match="no"):
        async with clients.use("a"):
            pass
    fail = False
    async with clients.use("a") as client:
        assert client.url == "a"


def test_the_clients_of_a_loop_that_is_gone_go_with_it() -> None:
    clients = cache([])

    async def use() -> None:
        async with clients.use("a"):
            pass

    for _ in range(3):
        asyncio.run(use())
    assert len(clients._entries) == 1


# The real clients, of the SDKs


@pytest.fixture(params=["openai_compatible", "ollama"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend, whose cache keeps one client."""
    monkeypatch.setattr(http, "_MAX_CLIENTS", 1)
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    return request.param


@pytest.fixture
async def other() -> AsyncGenerator[Stub, None]:
    async with Stub() as stub:
        yield stub


def serve(stub: Stub, name: str, release: asyncio.Event) -> None:
    """An answer of two tokens, the second after `release`, and then one of one token."""
    if name == "ollama":

        def line(text: str, done: str = "false") -> bytes:
            return b'{"message": {"content": "%s"}, "done": %s}\n' % (text.encode(), done.encode())

        long = Reply((line("One "), release, line("two"), line("", "true")))
        stub.on("/api/version", Reply.of({"version": "0.33.0"}))
        stub.on("/api/tags", Reply.of({"models": []}))
        stub.on("/api/ps", Reply.of({"models": []}))
        stub.on("/api/chat", long, Reply((line("Again"), line("", "true"))))
    else:
        pieces = sse(delta("One "), done=False), release, sse(delta("two", "stop"))
        headers = {"content-type": "text/event-stream"}
        long = Reply(pieces, headers=headers)
        stub.on("/v1/models", Reply.of({"data": []}))
        stub.on(
            "/v1/chat/completions", long, Reply((sse(delta("Again", "stop")),), headers=headers)
        )


async def http_client(name: str, stub: Stub):
    """The httpx client in use for a stub."""
    if name == "ollama":
        async with OLLAMA.servers.use(stub.url) as server:
            return server.client
    async with WIRE.clients.use(stub.url + "/v1") as client:
        return client._client


def text(items: list[Chunk | Progress]) -> str:
    return "".join(item.text for item in items if isinstance(item, Chunk))


async def test_a_dropped_client_is_closed_after_its_last_stream(
    stub: Stub, other: Stub, name: str
) -> None:
    backend, params, release = REGISTRY[name], GenerationParams(), asyncio.Event()
    here = Connection(stub.url)
    serve(stub, name, release)
    serve(other, name, release)
    client = await http_client(name, stub)
    async with aclosing(backend.stream("phi", HELLO, params, here)) as answer:
        items = [await anext(answer)]
        assert (await backend.check(Connection(other.url))).status.ready  # takes the one place
        assert await http_client(name, other) is not client
        await asyncio.sleep(0.01)
        assert not client.is_closed
        release.set()
        items += [item async for item in answer]
    assert text(items) == "One two"
    await until(lambda: client.is_closed)
    answer = backend.stream("phi", HELLO, params, here)
    assert text([item async for item in answer]) == "Again"


async def test_a_dropped_client_is_closed_when_its_stream_is_stopped(
    stub: Stub, other: Stub, name: str
) -> None:
    backend = REGISTRY[name]
    serve(stub, name, asyncio.Event())
    serve(other, name, asyncio.Event())
    client = await http_client(name, stub)
    answer = backend.stream("phi", HELLO, GenerationParams(), Connection(stub.url))
    await anext(answer)
    await backend.check(Connection(other.url))
    assert not client.is_closed
    await answer.aclose()
    await stub.until_open(0)
    await until(lambda: client.is_closed)
