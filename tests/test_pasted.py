"""Addresses, keys and names of models as people paste them."""

import pytest

from backends import (
    REGISTRY,
    AuthenticationError,
    BadRequestError,
    Connection,
    GenerationParams,
    Message,
    clean_key,
    clean_name,
)
from backends._remote.base_url import normalize_url
from playground.keyring import Keyring
from tests.forms import read
from tests.stub import Reply, Stub, delta, sse

HERE = "http://localhost:1234/v1"
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
HELLO = (Message.of("user", "Hello"),)


# Addresses


@pytest.mark.parametrize(
    "pasted",
    [
        # routes of the protocol
        "http://localhost:1234/v1/models",
        "http://localhost:1234/v1/models/microsoft/Phi-3.5-mini-instruct",
        "http://localhost:1234/v1/chat/completions/",
        "http://localhost:1234/v1/completions",
        "http://localhost:1234/v1/chat",
        "http://localhost:1234/v1/embeddings",
        "http://localhost:1234/models",
        "http://localhost:1234/chat/completions",
        # slashes, or other pages of the server
        "http://localhost:1234//v1",
        "http://localhost:1234/v1//",
        "http://localhost:1234/#/",
        "http://localhost:1234/docs#/default/models",
        "http://localhost:1234/health",
        # schemes
        "localhost:1234",
        "//localhost:1234/v1",
        "http:/localhost:1234/v1",
        "http//localhost:1234/v1",
        "http://http://localhost:1234/v1",
        ":1234",
        "1234",
        # upper case
        "HTTP://LOCALHOST:1234/V1",
        "Http://LocalHost:1234/V1/Chat/Completions",
        # what stood around it
        "  http://localhost:1234/v1 \n",
        '"http://localhost:1234/v1",',
        "“http://localhost:1234/v1”",
        "'localhost:1234'",
        "`http://localhost:1234`",
        "<http://localhost:1234/v1>",
        "(http://localhost:1234/v1)",
        "[http://localhost:1234/v1]",
        "http://localhost:1234/v1.",
        "OPENAI_BASE_URL=http://localhost:1234/v1",
        'export OPENAI_BASE_URL="http://localhost:1234/v1"',
        'base_url: "http://localhost:1234/v1",',
        # characters that are not to be seen, or are full-width
        "\ufeffhttp://localhost:1234/v1",
        "http://local\u200bhost:1234/v1\u200b",
        "\u202ahttp://localhost:1234/v1\u202c",
        "http://localhost:1234/v1\u00a0",
        "http：//localhost：1234／v1",
        "http:\\\\localhost:1234\\v1",
    ],
)
def test_one_address_in_many_forms(pasted: str) -> None:
    assert normalize_url(pasted, "/v1") == HERE


@pytest.mark.parametrize(
    ("pasted", "url"),
    [
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
        ("0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::]:8080/", "http://[::1]:8080/v1"),
        ("::1", "http://[::1]/v1"),
        ("127。0。0。1:8000", "http://127.0.0.1:8000/v1"),
        # another path than the usual one stays
        ("https://host.example/api/v1/models", "https://host.example/api/v1"),
        ("https://host.example/openai/models", "https://host.example/openai"),
        ("https://host.example/api/chat/completions", "https://host.example/api"),
        ("https://host.example/v1beta/openai/", "https://host.example/v1beta/openai"),
        ("https://host.example/Models/Mine", "https://host.example/Models/Mine"),
        # in the clear only where that is usual
        ("host.example/v1", "https://host.example/v1"),
        ("http://host.example/v1", "http://host.example/v1"),
        ("host.example:8000", "http://host.example:8000/v1"),
        *(
            (host, f"http://{host}/v1")
            for host in ("box", "10.0.0.2", "box.local", "gpu.lan", "box.home.arpa")
        ),
    ],
)
def test_what_an_address_means(pasted: str, url: str) -> None:
    assert normalize_url(pasted, "/v1") == url


@pytest.mark.parametrize(
    "pasted",
    [
        *("", " ", '""', "#", "/", "v 1", "localhost: 1234", "localhost:port", "my server:8000"),
        *("http://localhost:1234/v1 sk-1", "ws://localhost:1234", "mailto:me@host.example"),
        *("curl http://localhost:1234/v1/models", 'http://host/"a', "http://host/<v1>"),
        *("http://{host}/v1", "http://host:123456", "http://[::1", "…"),
    ],
)
def test_what_cannot_be_one(pasted: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        normalize_url(pasted, "/v1")
    assert caught.value.values["reason"] == "bad_address"


async def test_a_pasted_address_is_asked_at_the_right_place(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"data": [{"id": "phi"}]}))
    typed = Connection(f"“{stub.url}/V1/Models”")
    assert (await REGISTRY["openai_compatible"].check(typed)).status.ready
    assert [seen.path for seen in stub.seen] == [MODELS]


@pytest.mark.parametrize(
    ("backend", "pasted", "url"),
    [
        ("ollama", "\u200b“localhost:11434/api/chat”", "http://localhost:11434"),
        (
            "nvidia_nim",
            "'integrate.api.nvidia.com/v1/models'",
            "https://integrate.api.nvidia.com/v1",
        ),
        ("azure_foundry", "“x.openai.azure.com”", "https://x.openai.azure.com/openai/v1"),
        (
            "azure_foundry",
            "https://gateway.example/ai/models",
            "https://gateway.example/ai/openai/v1",
        ),
    ],
)
def test_other_backends_take_them_too(backend: str, pasted: str, url: str) -> None:
    assert REGISTRY[backend].resolve_endpoint(Connection(pasted, "sk-1")).url == url


def test_spaces_are_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", " \u200b ")
    with pytest.raises(Exception, match="has no address yet"):
        REGISTRY["openai_compatible"].resolve_endpoint(Connection("  "))


# Keys


@pytest.mark.parametrize(
    "pasted",
    [
        *("sk-1", " sk-1\n", "sk-1\r", "\tsk-1\u00a0", "sk-\n1", "sk- 1", "\u200bsk\u200d-1\ufeff"),
        *("“sk-1”", '"sk-1"', "'sk-1'", "`sk-1`", ' "sk-1" ', "sk-1\x00"),
        *("Bearer sk-1", "bearer  sk-1", "“Bearer sk-1”", "Bearer\u00a0sk-1", 'Bearer "sk-1"'),
        *("Authorization: Bearer sk-1", "authorization:Bearer sk-1", "api-key: sk-1"),
        *("OPENAI_API_KEY=sk-1", 'export HF_TOKEN="sk-1"', "\ufeffNVIDIA_API_KEY = sk-1\r\n"),
    ],
)
def test_one_key_in_many_forms(pasted: str) -> None:
    assert clean_key(pasted) == "sk-1"
    ring = Keyring()
    ring.put("openai_compatible", key=pasted, address="http://host")
    assert ring.connection("openai_compatible") == Connection("http://host", "sk-1")


@pytest.mark.parametrize("key", ["nvapi-A_b-1", "QUJDREVGR0g=", "ABCKEY==", "a:b", "Bearersk-1"])
def test_what_belongs_to_a_key_stays(key: str) -> None:
    assert clean_key(key) == key


@pytest.mark.parametrize("pasted", ["", "  ", '""', "\u200b", "Bearer "])
def test_what_is_no_key_at_all(pasted: str) -> None:
    ring = Keyring()
    ring.put("openai_compatible", key=pasted)
    assert ring.connection("openai_compatible") is None


UNSENDABLE = [("sk–1", "“–” (en dash)"), ("sk-é", "latin small letter e"), ("sk-…", "“…”")]


@pytest.mark.parametrize("backend", ["openai_compatible", "ollama", "nvidia_nim", "azure_foundry"])
@pytest.mark.parametrize(("key", "named"), UNSENDABLE)
async def test_a_key_that_cannot_be_sent_is_named_before_it_is_tried(
    stub: Stub, backend: str, key: str, named: str
) -> None:
    typed = Connection(stub.url, key)
    with pytest.raises(AuthenticationError) as failed:
        async for _ in REGISTRY[backend].stream("phi", HELLO, GenerationParams(), typed):
            pass
    status = (await REGISTRY[backend].check(typed)).status
    for said in (str(failed.value), status.message):
        assert named in said and "cannot be sent" in said and "Models tab" in said
        assert key not in said
    assert status.state == "needs key"
    assert stub.seen == []


@pytest.mark.parametrize("end", ["\r", "\n", " ", "\u200b", "\ufeff"])
async def test_a_key_of_the_environment_is_cleaned(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", stub.url + end)
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", f"Bearer sk-1{end}")
    chat = Reply((sse(delta("Yes", "stop")),), headers={"content-type": "text/event-stream"})
    stub.on(CHAT, chat)
    async for _ in REGISTRY["openai_compatible"].stream("phi", HELLO, GenerationParams()):
        pass
    assert stub.asked(CHAT)[0].headers["authorization"] == "Bearer sk-1"


async def test_one_that_cannot_be_sent_is_named_by_its_variable(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk–1")
    status = (await REGISTRY["openai_compatible"].check()).status
    assert status.state == "needs key" and stub.seen == []
    assert "OPENAI_COMPATIBLE_API_KEY" in status.message and "sk–1" not in status.message


# The list of models


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "Unexpected endpoint or method. (GET /v1/models)"}, "Unexpected endpoint"),
        ({"error": {"message": "No models loaded", "code": 503}}, "No models loaded"),
        ({"object": "error", "message": "Not here", "code": 404}, "Not here"),
        ({"detail": "x", "error": {"message": "Bad key sk-1"}}, "Bad key …"),
    ],
)
async def test_an_error_as_a_list_is_not_ready(stub: Stub, body: object, words: str) -> None:
    stub.on(MODELS, Reply.of(body))
    health = await REGISTRY["openai_compatible"].check(Connection(stub.url, "sk-1"))
    assert not health.status.ready and words in health.status.message
    assert health.offers == []


# Names of models


@pytest.mark.parametrize("pasted", [" phi3.5 ", "phi3.5\n", "\u200bphi3.5\u00a0", "\ufeffphi3.5"])
def test_spaces_around_a_name_are_left_out(pasted: str) -> None:
    assert [side.model for side in read(("ollama", pasted)).sides] == ["phi3.5"]


def test_spaces_within_a_name_stay() -> None:
    assert clean_name(" models/Phi 3 mini ") == "models/Phi 3 mini"
