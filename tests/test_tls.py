"""Certificates, http for https and the reverse, and proxies: by real servers on this machine."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends import (
    REGISTRY,
    Backend,
    BackendConnectionError,
    BackendError,
    Chunk,
    Connection,
    GenerationParams,
    Message,
)
from backends._remote import retry
from tests.stub import Reply, Stub, delta, sse

TLS = Path(__file__).parent / "data" / "tls"
"""Certificates that `make.sh` there has written."""
BACKEND = REGISTRY["openai_compatible"]
HELLO = (Message.of("user", "Hello"),)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no certificates of one's own, and no client that was built with others."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)


@asynccontextmanager
async def encrypted(certificate: str) -> AsyncGenerator[Stub, None]:
    """A server that speaks TLS only, at `stub.url`, with a certificate of `TLS`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / certificate, TLS / "key.pem")
    async with Stub(context) as stub:
        stub.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
        yield stub


async def failures(url: str, backend: Backend = BACKEND) -> tuple[BackendError, str]:
    """The error of an answer, and the sentence of a check."""
    with pytest.raises(BackendError) as failed:
        async for _ in backend.stream("phi", HELLO, GenerationParams(), Connection(url)):
            pass
    status = (await backend.check(Connection(url))).status
    assert status.state == "unreachable"
    return failed.value, status.message


@pytest.mark.parametrize(
    ("certificate", "trusts", "sentence", "advice"),
    [
        ("itself.pem", False, "its certificate is signed by nobody but itself", "SSL_CERT_FILE"),
        ("good.pem", False, "is signed by nobody that this machine trusts", "SSL_CERT_FILE"),
        ("expired.pem", True, "its certificate has expired", "renew it"),
        ("early.pem", True, "its certificate is not valid yet", "clock"),
        ("other_name.pem", True, "its certificate is for another name", "Type the name"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_said(
    monkeypatch: pytest.MonkeyPatch, certificate: str, trusts: bool, sentence: str, advice: str
) -> None:
    if trusts:
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    async with encrypted(certificate) as stub:
        error, checked = await failures(stub.url)
        assert sentence in str(error) and sentence in checked
        assert advice in error.hint and advice in checked
        assert "Start it there" not in str(error) + checked
        assert error.values["reason"] == "tls"
        assert stub.seen == []


async def test_a_certificate_that_the_environment_trusts_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    async with encrypted("good.pem") as stub:
        assert (await BACKEND.check(Connection(stub.url))).status.ready


async def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with encrypted("good.pem") as stub:
        error, checked = await failures(stub.url)
    assert "SSL_CERT_FILE" in str(error) and "SSL_CERT_FILE" in checked


async def test_https_for_a_server_of_plain_http() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error, checked = await failures(f"https://127.0.0.1:{port}/v1")
    for said in (str(error), checked):
        assert "it speaks plain http" in said and "http:// instead of https://" in said


@pytest.mark.parametrize("backend", ["openai_compatible", "ollama"])
async def test_http_for_a_server_of_https(backend: str) -> None:
    """It closes such a connection without a word, as Python's servers do."""
    async with encrypted("itself.pem") as stub:
        error, checked = await failures(stub.url.replace("https:", "http:"), REGISTRY[backend])
    for said in (str(error), checked):
        assert "it speaks https only" in said and "https:// instead of http://" in said


@pytest.mark.parametrize(
    "words",
    [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        "<p>You're speaking plain HTTP to an SSL-enabled server port.</p>",
    ],
)
@pytest.mark.parametrize("backend", ["openai_compatible", "ollama"])
async def test_http_for_a_server_of_https_that_says_so(
    stub: Stub, words: str, backend: str
) -> None:
    for path in ("/v1/models", "/v1/chat/completions", "/api/version", "/api/tags", "/api/chat"):
        stub.on(path, Reply.of(words, 400))
    error, checked = await failures(stub.url, REGISTRY[backend])
    assert "it speaks https only" in str(error) and "it speaks https only" in checked


async def test_who_just_hangs_up_is_not_said_to_want_https(stub: Stub) -> None:
    stub.hang_up(100)
    error, checked = await failures(stub.url)
    assert "cannot be reached" in str(error) and "https" not in checked


# Proxies


class Proxy(Stub):
    """A proxy that has an answer for whatever it is asked to fetch."""

    def fetches(self, path: str, model: str) -> None:
        """Have it fetch a list with one model."""
        self.on(path, Reply.of({"data": [{"id": model}]}))


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Proxy, None]:
    """A proxy that the environment names for everything."""
    async with Proxy() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        yield proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "LOCALHOST", "0.0.0.0"])
async def test_this_machine_is_asked_without_a_proxy(proxy: Proxy, stub: Stub, host: str) -> None:
    stub.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
    port = stub.url.rpartition(":")[2]
    status = (await BACKEND.check(Connection(f"http://{host}:{port}"))).status
    assert proxy.seen == []
    assert status.ready or host == "127.1.2.3"  # which macOS does not have


async def test_ollama_on_this_machine_is_too(proxy: Proxy, stub: Stub) -> None:
    stub.on("/api/version", Reply.of({"version": "0.33.0"}))
    stub.on("/api/tags", Reply.of({"models": []}))
    assert (await REGISTRY["ollama"].check(Connection(stub.url))).status.ready
    assert proxy.seen == []


async def test_other_hosts_are_asked_through_it(proxy: Proxy) -> None:
    far = "http://far.example:8000/v1"
    proxy.fetches(f"{far}/models", "phi")
    chat = Reply((sse(delta("Yes.", "stop")),), headers={"content-type": "text/event-stream"})
    proxy.on(f"{far}/chat/completions", chat)
    assert [offer.model for offer in (await BACKEND.check(Connection(far))).offers] == ["phi"]
    answer = BACKEND.stream("phi", HELLO, GenerationParams(), Connection(far))
    steps = [step async for step in answer if isinstance(step, Chunk)]
    assert "".join(step.text for step in steps) == "Yes."


async def test_a_proxy_may_be_named_as_curl_takes_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
    proxy.fetches("http://far2.example/v1/models", "phi")
    assert (await BACKEND.check(Connection("http://far2.example"))).status.ready


async def test_hosts_that_need_no_proxy_are_asked_without(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "house.invalid")
    error, _ = await failures("http://house.invalid/v1")
    assert isinstance(error, BackendConnectionError) and "proxy" not in str(error)
    assert proxy.seen == []


async def test_a_proxy_that_is_away_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    await proxy.die()
    error, checked = await failures("http://far3.example/v1")
    assert "through the proxy" in str(error) and "through the proxy" in checked
    error, _ = await failures("https://far4.example/v1")
    assert "proxy" in str(error)


async def test_a_proxy_that_wants_a_password_is_not_a_server_that_is_ready(proxy: Proxy) -> None:
    proxy.on("http://far5.example/v1/models", Reply.of("Proxy Authentication Required", 407))
    assert (await BACKEND.check(Connection("http://far5.example"))).status.state == "unreachable"


@pytest.mark.parametrize("named", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9", "://"])
async def test_a_proxy_of_another_kind_is_named(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", named)
    error, checked = await failures(f"http://far6.example:{len(named)}/v1")
    assert "cannot be used" in str(error) and "cannot be used" in checked
