"""The guard of typed addresses on a public page: what it lets through, and by which connection."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backends import (
    REGISTRY,
    Backend,
    BackendError,
    BackendTimeoutError,
    BadRequestError,
    Chunk,
    Connection,
    GenerationParams,
    Message,
)
from backends._remote import chat_completions, public_address, retry
from backends._remote.http import ClientCache
from backends._remote.public_address import check_public_url, is_public
from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from playground.services import Services
from tests.stub import Reply, Stub, delta, sse

TLS = Path(__file__).parent / "data" / "tls"
SERVER = REGISTRY["openai_compatible"]
HELLO = (Message.of("user", "Hello"),)
KEY = "key-of-the-visitor-4711"
NAME = "elsewhere.example"
"""A name of the internet that leads to this machine here; `other_name.pem` is for it."""


# Addresses in numbers

INSIDE = (
    # RFC 1918, loopback, link-local, carrier-grade NAT, unspecified, multicast, broadcast …
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("2001:db8::1", "3fff::1", "100::1", "5f00::1", "::ffff:0:127.0.0.1"),
    # IPv4 in disguise: mapped, compatible, NAT64, 6to4, Teredo, ISATAP
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808"),
    *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:0808:0808::1", "2001:0:7f00:1::1"),
    *("2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1"),
)
OUTSIDE = ("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_none_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_that_python_calls_otherwise(address: IPv4Address) -> None:
    private = not address.is_global or address.is_multicast or address.is_reserved
    assert not (is_public(str(address)) and private)
    for shape in ("::ffff:{}", "::{}", "64:ff9b::{}", "64:ff9b:1::{}", "2606::5efe:{}"):
        assert not is_public(shape.format(address))
    assert not is_public(str(IPv6Address((0x2002 << 112) | (int(address) << 80))))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_public_that_python_calls_otherwise(address: IPv6Address) -> None:
    hidden = address.ipv4_mapped or address.sixtofour or address.teredo
    private = not address.is_global or address.is_multicast or address.is_site_local or hidden
    assert not (is_public(str(address)) and private)


@given(st.text())
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert is_public(text) in (True, False)


# Spellings


REFUSED = (
    *("https://127.0.0.1/v1", "https://localhost/v1", "https://[::1]/v1", "https://10.0.0.1/v1"),
    # numbers as the C library reads them: decimal, octal, hexadecimal, short
    *("https://2130706433/v1", "https://0177.0.0.1/v1", "https://0x7f000001/v1"),
    *("https://127.1/v1", "https://0x7f.1/v1", "https://010.8.8.8/v1", "https://134744072/v1"),
    *("https://8.8.8.8.8/v1", "https://1.2.3.0x4/v1", "https://8.8.8.08/v1", "https://a.1/v1"),
    *("https://[::ffff:127.0.0.1]/v1", "https://[64:ff9b::7f00:1]/v1", "https://[fe80::1%eth0]/v1"),
    *("https://example.com./v1", "https://127.0.0.1./v1", "https://.example.com/v1"),
    *("https://metadata/v1", "https://metadata.google.internal/v1", "https://pc.local/v1"),
    *("https://router.lan/v1", "https://a..b/v1", "https://-a.com/v1", "https://a-.com/v1"),
    *("https://user@example.com/v1", "https://user:password@example.com/v1", "https:///v1"),
    *("https://@example.com/v1", "https://127.0.0.1\\@example.com/v1", "https://ex ample.com/v1"),
    *("http://example.com/v1", "ftp://example.com/v1", "https://example.com:11434/v1"),
    *("https://example.com:22/v1", "https://example.com:80/v1", f"https://{'a.' * 130}com/v1"),
)


@pytest.mark.parametrize("url", REFUSED)
def test_an_odd_address_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(BadRequestError) as failed:
        check_public_url(SERVER.normalize_base_url(url))
    assert failed.value.hint, "what to do"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/v1",
        "https://xn--bcher-kva.example.com:8080/v1",
        "https://EXAMPLE.com",
        "https://name.openai.azure.com/openai/v1",
        "https://8.8.8.8/v1",
        "https://[2606:4700::1111]/v1",
        "https://my_lab.example.com:443",
    ],
)
def test_an_address_of_the_internet_may_be_typed(url: str) -> None:
    check_public_url(SERVER.normalize_base_url(url))


HOSTS = st.text(alphabet="0123456789abcdefx.:[]%@\\/-_ 。１２７①", max_size=40)


@given(HOSTS)
@example("127。0。0。1")
@example("①②⑦.0.0.1")
@example("１２７.0.0.1")
@example("0x7f。1")
def test_no_number_is_let_through_that_the_c_library_reads_otherwise(host: str) -> None:
    """Addresses in numbers only as they are usually written, and those of the internet only."""
    try:
        url = SERVER.normalize_base_url(f"https://{host}/v1")
        check_public_url(url)
    except BadRequestError:
        return
    asked = httpx2.URL(url)  # what it will be asked with
    assert asked.scheme == "https" and not asked.userinfo and asked.host
    check_public_url(str(asked))
    if ":" in asked.host:
        assert is_public(asked.host)
        return
    try:
        read = socket.inet_ntoa(socket.inet_aton(asked.host))
    except OSError:
        return  # a name
    assert read == asked.host and is_public(read)


# Connections


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment, and no waiting between two attempts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)


class Names:
    """A resolver of the test's own: one list of addresses after the other, the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        """See `public_address.resolve`."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


HERE = "127.0.0.1"


class Far:
    """A TLS server on this machine that stands for one of the internet, called `NAME`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.greeted: list[str | None] = []
        """The names by which it was greeted (SNI)."""

    @asynccontextmanager
    async def serve(
        self, *answers: list[str], certificate: str = "other_name.pem"
    ) -> AsyncGenerator["Far", None]:
        """Serve it; `answers` are what the resolver says of its name, time after time.

        This machine's loopback and the server's port are let through: nothing else is changed.
        """
        patch, really = self.monkeypatch.setattr, public_address.is_public
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / certificate, TLS / "key.pem")
        context.sni_callback = lambda _, name, __: self.greeted.append(name)
        self.names = Names(*(answers or ([HERE],)))
        async with Stub(context) as self.stub:
            port = int(self.stub.url.rpartition(":")[2])
            self.url = f"https://{NAME}:{port}/v1"
            patch(public_address, "PORTS", frozenset({port}))
            patch(public_address, "is_public", lambda one: one[:4] == "127." or really(one))
            patch(public_address, "resolve", self.names)
            self.stub.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
            self.stub.on("/v1/chat/completions", stream("Yes."))
            yield self


def stream(text: str) -> Reply:
    return Reply((sse(delta(text, "stop")),), headers={"content-type": "text/event-stream"})


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    """A server of the internet, not served yet; this machine trusts its certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    SERVER.guarded_clients = ClientCache(  # type: ignore[attr-defined]
        partial(chat_completions._build_client, uses_proxies=False, guarded=True),
        close=lambda client: client.close(),
    )
    return Far(monkeypatch)


def stranger(url: str, key: str | None = KEY) -> Connection:
    return Connection(url, key, public=True)


async def ask(url: str, key: str | None = KEY) -> str:
    steps = SERVER.stream("phi", HELLO, GenerationParams(), stranger(url, key))
    return "".join([step.text async for step in steps if isinstance(step, Chunk)])


async def refusal(url: str) -> BackendError:
    with pytest.raises(BackendError) as failed:
        await ask(url)
    assert KEY not in f"{failed.value} {failed.value!r} {failed.value.values}"
    return failed.value


async def test_a_server_of_the_internet_answers_by_its_name(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    really = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: looked_up.append(host) or really(host, *a, **k)
    )
    async with far.serve():
        assert await ask(far.url) == "Yes."
        (seen,) = far.stub.seen
    assert seen.headers["host"] == far.url.split("/")[2], "the name that was typed"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert far.greeted == [NAME] and far.names.asked == [NAME], "looked up once"
    assert NAME not in looked_up, "and by nobody else"


async def test_its_certificate_is_that_of_the_name_and_not_of_the_address(far: Far) -> None:
    async with far.serve(certificate="good.pem"):  # for 127.0.0.1, where it really is
        error = await refusal(far.url)
    assert "certificate is for another name" in str(error)
    assert far.stub.seen == []


async def test_a_name_that_leads_elsewhere_the_second_time(far: Far) -> None:
    """DNS rebinding: the connection goes where the one look led, and the next look is one more."""
    async with far.serve([HERE], ["10.0.0.1"], [HERE]):
        assert await ask(far.url) == "Yes."
        error = await refusal(far.url)
        assert error.values["reason"] == "not_public" and len(far.stub.seen) == 1
        assert await ask(far.url) == "Yes."
    assert far.names.asked == [NAME] * 3


@pytest.mark.parametrize(
    "inside", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1", "junk"]
)
@pytest.mark.parametrize("also", [[], [HERE]])
async def test_a_name_with_any_address_inside_is_not_asked(
    far: Far, inside: str, also: list[str]
) -> None:
    async with far.serve([*also, inside]):
        error = await refusal(far.url)
        status = (await SERVER.check(stranger(far.url))).status
    assert "only servers of the public internet" in str(error) and error.hint
    assert status.code == "not_public" and not status.ready
    assert far.stub.seen == [] and far.greeted == []


async def test_of_several_addresses_one_that_is_there_is_enough(far: Far) -> None:
    async with far.serve(["127.0.0.9", HERE]):
        assert await ask(far.url) == "Yes."


async def test_a_redirect_leads_nowhere(far: Far, stub: Stub) -> None:
    async with far.serve():
        for path in ("/v1/models", "/v1/chat/completions"):
            far.stub.on(path, Reply.of("", 307, location=f"{stub.url}{path}"))
        error = await refusal(far.url)
        status = (await SERVER.check(stranger(far.url))).status
    assert "redirects to another address" in str(error) and not status.ready
    assert stub.seen == []


async def test_a_server_that_never_answers(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_SILENCE_TIMEOUT", "1")
    async with far.serve():
        far.stub.on("/v1/chat/completions", Reply((asyncio.Event(),)))
        error = await refusal(far.url)
    assert isinstance(error, BackendTimeoutError)


async def test_a_name_that_is_never_looked_up(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with far.serve():
        monkeypatch.setattr(public_address, "resolve", silent)
        monkeypatch.setattr(public_address, "CONNECT_TIMEOUT", 0.01)
        error = await refusal(far.url)
    assert f"no server of the name “{NAME}”" in str(error)


async def test_a_name_that_nobody_has(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async with far.serve():
        monkeypatch.setattr(public_address, "resolve", nobody)
        assert "no server of the name" in str(await refusal(far.url))


async def test_the_machines_own_resolver_is_asked() -> None:
    assert await public_address.resolve(HERE, 443) == [HERE]
    assert set(await public_address.resolve("localhost", 443)) <= {HERE, "::1"}


async def test_a_proxy_of_the_environment_is_not_used(
    far: Far, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look the name up itself."""
    monkeypatch.setenv("HTTPS_PROXY", stub.url)
    async with far.serve():
        assert await ask(far.url) == "Yes."
    assert stub.seen == []


@pytest.mark.parametrize("backend", ["nvidia_nim", "azure_foundry", "openai_compatible"])
async def test_a_typed_address_gets_no_key_of_the_environment(
    far: Far, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    one = REGISTRY[backend]
    monkeypatch.setenv(f"{one.key_env}", "owner-secret")
    async with far.serve():
        await one.check(stranger(far.url, None))
        with suppress(BackendError):
            async for _ in one.stream("phi", HELLO, GenerationParams(), stranger(far.url, None)):
                pass
        sent = [value for seen in far.stub.seen for value in seen.headers.values()]
    assert not any("owner-secret" in value for value in sent)


@pytest.mark.parametrize(
    "backend", [one for one in REGISTRY.values() if one.address_env], ids=lambda one: one.id
)
async def test_no_backend_asks_this_machine_for_a_stranger(backend: Backend, stub: Stub) -> None:
    """One that does not know of the guard refuses."""
    for url in (stub.url, stub.url.replace("http:", "https:"), "https://localhost"):
        status = (await backend.check(stranger(url))).status
        assert status.code == "not_public"
        with pytest.raises(BackendError) as failed:
            async for _ in backend.stream("phi", HELLO, GenerationParams(), stranger(url)):
                pass
        assert failed.value.values["reason"] == "not_public"
    assert stub.seen == []


# What a public page allows


def test_what_may_be_typed_on_a_public_page() -> None:
    closed = replace(PUBLIC, addresses=False)
    for backend in REGISTRY.values():
        typed = backend.kind == "hosted" and backend.address_env is not None
        assert PUBLIC.takes_address(backend) == typed
        assert not closed.takes_address(backend) and not closed.adds_servers(backend)
    assert PUBLIC.adds_servers(SERVER) and not PUBLIC.allows(SERVER)
    assert not PUBLIC.allows(REGISTRY["ollama"]), "it does not know of the guard"
    assert LOCAL.adds_servers(SERVER) and LOCAL.takes_address(REGISTRY["ollama"])


def test_the_switch_is_a_variable() -> None:
    code = "from playground.limits import PUBLIC; print(PUBLIC.addresses)"
    for value, told in (("off", "False"), ("0", "False"), ("", "True")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PHI_TYPED_ADDRESSES": value},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == told


def test_a_server_inside_is_not_even_added() -> None:
    ring = Keyring(public=True)
    for address in ("localhost:8000", "https://10.0.0.1/v1", "http://example.com/v1"):
        with pytest.raises(BadRequestError):
            ring.add_server(SERVER, "Lab", address, KEY)
    assert ring.servers == ()
    server = ring.add_server(SERVER, "Lab", "example.com", KEY)
    assert ring.connection(server.id) == stranger("example.com")


def test_nobody_waits_for_the_server_of_another_visitor() -> None:
    services, mine = Services(PUBLIC), stranger("https://example.com")
    line = services.queue(SERVER, mine, "1.1.1.1")
    assert services.queue(SERVER, mine, "1.1.1.1") is line
    assert services.queue(SERVER, mine, "2.2.2.2") is not line
    shared = services.queue(REGISTRY["nvidia_nim"], Connection(public=True), "1.1.1.1")
    assert shared is services.queue(REGISTRY["nvidia_nim"], None, "2.2.2.2")


def test_who_types_an_address_spends_nothing_of_the_owners() -> None:
    nim = REGISTRY["nvidia_nim"]
    assert PUBLIC.visitor(nim, stranger("https://example.com", None)).budget is None
    assert PUBLIC.visitor(nim, Connection(public=True)).budget is PUBLIC.budget
