"""NVIDIA NIM, Azure AI Foundry and GitHub Models against a stub that says what they say."""

import asyncio
import logging
from dataclasses import replace

import pytest

from backends import (
    REGISTRY,
    AuthenticationError,
    Backend,
    BackendError,
    BadRequestError,
    Chunk,
    Connection,
    ContentFilterError,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    MissingKeyError,
    ModelNotFoundError,
    RateLimitError,
    RetiredError,
    ServerError,
    TextPart,
    Usage,
)
from backends import nvidia_nim as nim
from backends._remote import endpoint, retry
from playground import health
from playground.budget import Budget
from playground.health import HealthMonitor
from playground.keyring import Keyring
from playground.limits import PUBLIC
from tests.stub import Reply, Stub, delta, sse, usage

NIM, AZURE, GITHUB = (REGISTRY[key] for key in ("nvidia_nim", "azure_foundry", "github_models"))
ALL = pytest.mark.parametrize("backend", (NIM, AZURE, GITHUB), ids=lambda backend: backend.id)
ADDRESSES = {NIM: "NIM_BASE_URL", AZURE: "AZURE_FOUNDRY_ENDPOINT", GITHUB: "GITHUB_MODELS_BASE_URL"}
KEYS = {NIM: "NVIDIA_API_KEY", AZURE: "AZURE_FOUNDRY_API_KEY", GITHUB: "GITHUB_TOKEN"}
PATHS = {NIM: "/v1", AZURE: "/openai/v1", GITHUB: "/inference"}
TYPED = {NIM: "", AZURE: "", GITHUB: "/inference"}
MODELS = {
    NIM: "microsoft/phi-4-mini-instruct",
    AZURE: "Phi-4-mini-instruct",
    GITHUB: "microsoft/phi-4-mini-instruct",
}
SECRET = "key-planted-4711"
HELLO = (Message.of("user", "Hello"),)
PLAIN = GenerationParams()
GONE = {
    "type": "about:blank",
    "title": "Gone",
    "status": 410,
    "detail": "The model 'x' has reached its end of life on 2026-06-01T00:00:00Z and is no longer "
    "available.",
}
NOT_YOURS = {
    "status": 404,
    "title": "Not Found",
    "detail": "Function 'f00': Not found for account 'acc-1'",
}
BROWNOUT = "GitHub Models is temporarily unavailable as part of a scheduled retirement brownout."
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
        "management policy.",
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "self_harm": {"filtered": True, "severity": "medium"},
                "jailbreak": {"filtered": False, "detected": False},
                "violence": {"filtered": True, "severity": "high"},
            },
        },
    }
}
NO_DEPLOYMENT = {
    "error": {
        "code": "DeploymentNotFound",
        "message": "The API deployment for this resource does not exist. If you created the "
        "deployment within the last 5 minutes, please wait a moment and try again.",
    }
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address, no key, nothing tried; no test waits for a retry."""
    for name in (*ADDRESSES.values(), *KEYS.values()):
        monkeypatch.delenv(name, raising=False)
    NIM.probe_results.clear()
    monkeypatch.setattr(nim, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)


@pytest.fixture
def hosted(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The stub stands for NVIDIA's own address."""
    monkeypatch.setattr(nim.NvidiaNIM, "default_address", stub.url)
    monkeypatch.setattr(nim.NvidiaNIM, "is_nvidia", lambda self, url: url.startswith(stub.url))
    # The stub has no certificate.
    plain_http = endpoint.RemoteBackend.normalize_base_url
    monkeypatch.setattr(nim.NvidiaNIM, "normalize_base_url", plain_http)
    return stub


def stream(*events: object, done: bool = True, **headers: str) -> Reply:
    return Reply((sse(*events, done=done),), headers={"content-type": "text/event-stream"})


def chat(backend: Backend) -> str:
    return PATHS[backend] + "/chat/completions"


def typed(stub: Stub, backend: Backend, key: str | None = SECRET) -> Connection:
    return Connection(stub.url + TYPED[backend], key)


async def answer(
    backend: Backend,
    connection: Connection | None = None,
    model: str | None = None,
    params: GenerationParams = PLAIN,
) -> str:
    steps = backend.stream(model or MODELS[backend], HELLO, params, connection)
    return "".join([step.text async for step in steps if isinstance(step, Chunk)])


async def failure(backend: Backend, connection: Connection | None, model: str | None = None):
    with pytest.raises(BackendError) as caught:
        await answer(backend, connection, model)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.values}"
    return caught.value


# All three


@ALL
async def test_a_good_stream_and_its_request(backend: Backend, stub: Stub) -> None:
    stub.on(chat(backend), stream(delta("Hel"), delta("lo"), delta("", "stop"), usage(9, 2)))
    params = GenerationParams(5, 0.2, 0.9, 40, 7, ("###",))
    steps = backend.stream(MODELS[backend], HELLO, params, typed(stub, backend))
    *_, end = said = [step async for step in steps if isinstance(step, Chunk)]
    assert "".join(step.text for step in said) == "Hello"
    assert (end.finish_reason, end.usage) == ("stop", Usage(9, 2))
    (seen,) = stub.seen
    assert (seen.method, seen.path) == ("POST", chat(backend))
    assert seen.json == {
        "model": MODELS[backend],
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 5,
        "temperature": 0.2,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["###"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    common = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type"}
    own = {name: text for name, text in seen.headers.items() if name not in common}
    del own["content-length"]
    if backend is AZURE:
        assert own == {"api-key": SECRET}
    elif backend is NIM:
        assert own == {"authorization": f"Bearer {SECRET}"}
    else:
        assert own == {
            "authorization": f"Bearer {SECRET}",
            "x-github-api-version": "2022-11-28",
        }
        assert seen.headers["accept"] == "application/vnd.github+json"


@ALL
@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            401,
            {"status": 401, "title": "Unauthorized", "detail": "Authentication failed"},
            AuthenticationError,
            "refused the key",
        ),
        (401, {"error": {"code": "401", "message": f"Bad {SECRET}"}}, AuthenticationError, "key"),
        (402, {"detail": "Cloud credits expired"}, BadRequestError, "Cloud credits expired"),
        (403, {"title": "Forbidden"}, AuthenticationError, "does not let this key use"),
        (422, {"requestId": "r-1", "detail": "top_p is wrong"}, BadRequestError, "top_p is wrong"),
        (
            413,
            {"error": {"code": "tokens_limit_reached", "message": "Max size: 8000 tokens."}},
            ContextLengthError,
            "8000 tokens",
        ),
        (500, {"requestId": "r-1", "message": "Inference failed"}, ServerError, "Inference failed"),
    ],
)
async def test_refusals(
    backend: Backend, stub: Stub, status: int, body: object, kind: type, words: str
) -> None:
    stub.on(chat(backend), Reply.of(body, status))
    error = await failure(backend, typed(stub, backend))
    assert type(error) is kind and words in str(error)
    assert len(stub.seen) == 1


@ALL
@pytest.mark.parametrize("status", [429, 503, 529])
async def test_a_busy_service_is_asked_once_again(
    backend: Backend, stub: Stub, status: int
) -> None:
    stub.on(chat(backend), Reply.of({"message": "busy"}, status), stream(delta("Now", "stop")))
    assert await answer(backend, typed(stub, backend)) == "Now"


@ALL
async def test_a_long_wait_is_told_and_not_waited(backend: Backend, stub: Stub) -> None:
    stub.on(chat(backend), Reply.of({"title": "Too Many Requests"}, 429, retry_after="7200"))
    error = await failure(backend, typed(stub, backend))
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 7200 and "2 hours" in str(error) and len(stub.seen) == 1


@ALL
async def test_no_request_without_a_key(
    backend: Backend, hosted: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESSES[backend], hosted.url + TYPED[backend])
    health = await backend.check()
    status, offers = health.status, health.offers
    assert status.state == "needs key" and KEYS[backend] in status.message
    assert offers and {offer.status.state for offer in offers} == {"needs key"}
    assert isinstance(await failure(backend, None), MissingKeyError)
    assert hosted.seen == []


@ALL
async def test_the_environments_key_goes_to_the_environments_address_only(
    backend: Backend, hosted: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS[backend], SECRET)
    async with Stub() as other:
        for stub in (hosted, other):
            stub.on(chat(backend), stream(delta("x", "stop")))
        monkeypatch.setenv(ADDRESSES[backend], hosted.url + TYPED[backend])
        await answer(backend)
        assert SECRET in hosted.seen[0].headers.get("authorization", "") + hosted.seen[
            0
        ].headers.get("api-key", "")
        connection = typed(other, backend, key=None)
        if backend is NIM:
            await answer(backend, connection)
        else:
            assert isinstance(await failure(backend, connection), MissingKeyError)
        await backend.check(connection)
        assert all(SECRET not in str(seen.headers) for seen in other.seen)


@ALL
async def test_no_key_in_the_log(backend: Backend, stub: Stub, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    stub.on(chat(backend), stream(delta("x", "stop")))
    await answer(backend, typed(stub, backend))
    await backend.check(typed(stub, backend))
    assert SECRET not in caplog.text


SIGHTED = {
    NIM: "microsoft/phi-3.5-vision-instruct",
    AZURE: "Phi-4-multimodal-instruct",
    GITHUB: "microsoft/phi-3.5-vision-instruct",
}
PICTURE = Message(
    "user",
    (ImagePart(b"\x89PNG one", "image/png"), TextPart("and"), ImagePart(b"two", "image/jpeg")),
)


@ALL
async def test_pictures_in_their_order(backend: Backend, stub: Stub) -> None:
    stub.on(chat(backend), stream(delta("A cat", "stop")))
    messages = (PICTURE, Message.of("assistant", "Cats."), *HELLO)
    async for _ in backend.stream(SIGHTED[backend], messages, PLAIN, typed(stub, backend)):
        pass
    shown, *others = (message["content"] for message in stub.seen[0].json["messages"])
    assert [part["type"] for part in shown] == ["image_url", "text", "image_url"]
    assert shown[2]["image_url"]["url"] == "data:image/jpeg;base64,dHdv"
    assert others == ["Cats.", "Hello"]


@pytest.mark.parametrize("backend", [NIM, GITHUB], ids=lambda one: one.id)
async def test_a_picture_for_a_model_that_reads_none_is_refused_before_any_request(
    backend: Backend, hosted: Stub
) -> None:
    steps = backend.stream(MODELS[backend], (PICTURE,), PLAIN, typed(hosted, backend))
    with pytest.raises(BadRequestError, match="Phi-4-mini reads text only"):
        await anext(steps)
    assert hosted.seen == []


@pytest.mark.parametrize("backend", [NIM, AZURE], ids=lambda one: one.id)
async def test_where_anybody_may_name_a_model_its_name_refuses_nothing(
    backend: Backend, stub: Stub
) -> None:
    """A container, and a deployment."""
    stub.on(chat(backend), stream(delta("A cat", "stop")))
    steps = backend.stream(MODELS[backend], (PICTURE,), PLAIN, typed(stub, backend))
    assert "".join([step.text async for step in steps if isinstance(step, Chunk)]) == "A cat"


@ALL
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (413, "<html>413 Request Entity Too Large</html>", "pictures_too_large"),
        (
            400,
            {"error": {"message": "At most 1 image(s) may be provided in one prompt."}},
            "too_many_pictures",
        ),
        (400, {"error": {"message": "image_url is not supported"}}, "no_vision"),
    ],
)
async def test_a_picture_that_a_service_refuses(
    backend: Backend, stub: Stub, status: int, body: object, reason: str
) -> None:
    stub.on(chat(backend), Reply.of(body, status))
    steps = backend.stream(SIGHTED[backend], (PICTURE,), PLAIN, typed(stub, backend))
    with pytest.raises(BadRequestError) as caught:
        await anext(steps)
    assert caught.value.values["reason"] == reason and backend.label in caught.value.message


@ALL
def test_how_to_get_it_is_said_with_a_link(backend: Backend) -> None:
    assert "https://" in backend.help and backend.help.endswith(".")


# NVIDIA NIM


def listing(*ids: str) -> Reply:
    return Reply.of(
        {"object": "list", "data": [{"id": name, "created": 735790403} for name in ids]}
    )


async def test_nvidia_lists_models_that_may_be_dead(hosted: Stub) -> None:
    other_form = "microsoft/phi-3-vision-128k-instruct"
    hosted.on("/v1/models", listing("meta/llama", other_form, MODELS[NIM], SIGHTED[NIM]))
    connection = Connection(None, SECRET)
    offers = {offer.model: offer for offer in (await NIM.check(connection)).offers}
    assert "meta/llama" not in offers and other_form not in offers
    assert list(offers)[:2] == [MODELS[NIM], SIGHTED[NIM]]
    assert all(offer.status.code == "untried" for offer in list(offers.values())[:2])
    assert offers[MODELS[NIM]].status.message == "Listed; not tried yet."
    gone = offers["microsoft/phi-3.5-mini-instruct"]
    assert gone.status.state == "retired" and "2026-04-28" in gone.status.message
    assert "Phi-4-mini" in gone.status.message
    status = (await NIM.check(connection)).status
    assert status.ready and "2 Phi" in status.message


async def test_a_check_tries_each_model_once(hosted: Stub) -> None:
    dead = "microsoft/phi-3.5-moe-instruct"
    hosted.on("/v1/models", listing(MODELS[NIM], dead))
    hosted.on(chat(NIM), stream(delta("Hi", "length")), Reply.of(GONE, 410))
    connection = Connection(None, SECRET)
    await NIM.probe(connection)
    await NIM.probe(connection)
    asked = {seen.json["model"]: seen.json for seen in hosted.asked(chat(NIM))}
    assert len(hosted.asked(chat(NIM))) == 2 and set(asked) == {MODELS[NIM], dead}
    assert all(body["max_tokens"] == 1 for body in asked.values())
    states = [offer.status.code for offer in (await NIM.check(connection)).offers]
    assert states.count("ready_tried") == states.count("retired_model") == 1
    assert SECRET not in str(NIM.probe_results)


async def test_a_check_does_not_wait_for_the_slow(
    hosted: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nim, "PROBE_SECONDS", 0.0)
    go = asyncio.Event()
    hosted.on("/v1/models", listing(MODELS[NIM]))
    reply = stream(delta("Hi", "length"))
    hosted.on(chat(NIM), Reply((go, *reply.pieces), headers=reply.headers))
    connection = Connection(None, SECRET)
    await NIM.probe(connection)
    await hosted.until_open(1)
    await NIM.probe(connection)
    assert (await NIM.check(connection)).offers[0].status.code == "untried"
    go.set()
    await asyncio.wait(list(NIM.running_probes.values()))
    assert (await NIM.check(connection)).offers[0].status.code == "ready_tried"
    assert len(hosted.asked(chat(NIM))) == 1


async def test_the_first_answer_tells_as_well(hosted: Stub) -> None:
    hosted.on("/v1/models", listing(MODELS[NIM]))
    hosted.on(chat(NIM), stream(delta("Hi", "stop")), Reply.of(GONE, 410))
    connection = Connection(None, SECRET)
    await answer(NIM, connection)
    (*_,) = offers = (await NIM.check(connection)).offers
    assert offers[0].status.code == "ready_tried" and "UTC" in offers[0].status.message
    assert (await NIM.probe_model(MODELS[NIM], connection)).ready
    assert len(hosted.asked(chat(NIM))) == 1
    await failure(NIM, connection)
    offer = next(o for o in (await NIM.check(connection)).offers if o.model == MODELS[NIM])
    assert offer.status.state == "retired"
    assert (await NIM.check(connection)).status.state == "retired"


@pytest.mark.parametrize(("status", "body"), [(429, "slow"), (500, "broken"), (401, "no")])
async def test_what_only_the_moment_says_is_not_remembered(
    hosted: Stub, status: int, body: str
) -> None:
    hosted.on(chat(NIM), Reply.of(body, status))
    assert not (await NIM.probe_model(MODELS[NIM], Connection(None, SECRET))).ready
    assert NIM.probe_results == {}


@pytest.mark.parametrize(
    ("interval", "budget", "rounds"),
    [
        pytest.param(3600.0, 1000, 1, id="one round an hour"),
        pytest.param(0.0, 30, 2, id="at most the daily budget"),
    ],
)
async def test_visitors_of_a_public_page_cannot_spend_its_key_on_checks(
    hosted: Stub, monkeypatch: pytest.MonkeyPatch, interval: float, budget: int, rounds: int
) -> None:
    # Failures are not remembered, so nothing but the page's own bound ends the requests.
    monkeypatch.setenv("NVIDIA_API_KEY", SECRET)
    monkeypatch.setattr(health, "REGISTRY", {NIM.id: NIM})
    monkeypatch.setattr(health, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(health, "PROBE_INTERVAL", interval)
    hosted.on("/v1/models", listing(*NIM.fallback_models))
    hosted.on(chat(NIM), Reply.of("broken", 500))
    monitor = HealthMonitor(replace(PUBLIC, budget=Budget(budget, 1_000_000)))
    for _ in range(3):
        visitors = [Keyring() for _ in range(5)]
        everything = frozenset({NIM.id})
        await asyncio.gather(*(monitor.check_all(one, refresh=everything) for one in visitors))
        for visitor in visitors:
            (found,) = await monitor.check_all(visitor, refresh=everything)
            assert found.status.ready
    probes = hosted.asked(chat(NIM))
    assert NIM.probe_requests == 12 and len(probes) == rounds * len({p.body for p in probes})
    assert 0 < len(probes) <= rounds * NIM.probe_requests
    assert {probe.headers["authorization"] for probe in probes} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(("status", "body"), [(410, GONE), (404, NOT_YOURS)])
async def test_a_retired_model_at_nvidia(hosted: Stub, status: int, body: object) -> None:
    hosted.on(chat(NIM), Reply.of(body, status))
    error = await failure(NIM, Connection(None, SECRET), "microsoft/phi-3.5-mini-instruct")
    assert isinstance(error, RetiredError) and "Phi-4-mini" in error.hint
    assert "acc-1" not in str(error) and len(hosted.seen) == 1


async def test_a_bare_404_is_not_a_retirement(hosted: Stub) -> None:
    error = await failure(NIM, Connection(None, SECRET))
    assert isinstance(error, ModelNotFoundError) and "address" in error.hint
    assert NIM.probe_results == {}


async def test_a_promised_answer_is_fetched(hosted: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nim, "POLL_URL", f"{hosted.url}/status/")
    promise = Reply.of("", 202, NVCF_REQID="4f-1")
    hosted.on(chat(NIM), promise)
    hosted.on("/status/4f-1", Reply.of("", 202), stream(delta("Late", "stop")))
    assert await answer(NIM, Connection(None, SECRET)) == "Late"
    assert [seen.headers["authorization"] for seen in hosted.asked("/status/4f-1")] == [
        f"Bearer {SECRET}"
    ] * 2


@pytest.mark.parametrize("ticket", ["", "../../evil", "a?b"])
async def test_a_promise_that_cannot_be_kept(hosted: Stub, ticket: str) -> None:
    hosted.on(chat(NIM), Reply.of("", 202, NVCF_REQID=ticket))
    assert isinstance(await failure(NIM, Connection(None, SECRET)), ServerError)


async def test_a_container_needs_no_key_and_gets_none(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIM_BASE_URL", stub.url)
    monkeypatch.setenv("NVIDIA_API_KEY", SECRET)
    stub.on("/v1/models", listing("microsoft/phi-3-mini-4k-instruct", "my-tuned-model"))
    stub.on(chat(NIM), stream(delta("Hi", "stop")))
    *_, end = [step async for step in NIM.stream("my-tuned-model", HELLO, PLAIN)]
    assert end.timings.device == f"{stub.url}/v1"
    assert [offer.model for offer in (await NIM.check()).offers] == [
        "microsoft/phi-3-mini-4k-instruct",
        "my-tuned-model",
    ]
    assert (await NIM.check()).status.ready
    assert all(SECRET not in str(seen.headers) for seen in stub.seen)


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://integrate.api.nvidia.com/v1", True),
        ("https://nvidia.com.example.org/v1", False),
        ("https://notnvidia.com/v1", False),
        ("http://localhost:8000/v1", False),
    ],
)
def test_which_addresses_are_nvidias(url: str, ours: bool) -> None:
    assert NIM.is_nvidia(url) is ours


def test_nvidias_address_is_always_encrypted() -> None:
    assert (
        NIM.normalize_base_url("integrate.api.nvidia.com") == "https://integrate.api.nvidia.com/v1"
    )


# Azure AI Foundry


@pytest.mark.parametrize(
    ("copied", "url"),
    [
        *(
            (f"https://x.openai.azure.com{path}", "https://x.openai.azure.com/openai/v1")
            for path in (
                *("", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/", "/models"),
                "/openai/v1/chat/completions",
                "/openai/deployments/Phi-4/chat/completions?api-version=2024-10-21",
            )
        ),
        *(
            (f"{start}{path}", "https://x.services.ai.azure.com/openai/v1")
            for start in ("https://x.services.ai.azure.com", " x.services.ai.azure.com")
            for path in (
                *("", "/models", "/api/projects/p", "/api/projects/p/openai/v1/"),
                "/models/chat/completions?api-version=2024-05-01-preview",
            )
        ),
        ("http://x.openai.azure.com", "https://x.openai.azure.com/openai/v1"),
        (
            "https://x.cognitiveservices.azure.com/",
            "https://x.cognitiveservices.azure.com/openai/v1",
        ),
        ("https://gw.example.com/ai/openai/v1/", "https://gw.example.com/ai/openai/v1"),
        ("https://gw.example.com", "https://gw.example.com/openai/v1"),
        ("https://gw.example.com/v1", "https://gw.example.com/v1"),
    ],
)
def test_endpoints_as_the_portal_shows_them(copied: str, url: str) -> None:
    assert AZURE.normalize_base_url(copied) == url


@pytest.mark.parametrize("copied", ["https://x.openai.azure.com?key=1", "ftp://x", "https://a:b@x"])
def test_what_is_no_endpoint(copied: str) -> None:
    with pytest.raises(BadRequestError):
        AZURE.normalize_base_url(copied)


async def test_azure_without_an_endpoint_says_where_to_type_it() -> None:
    status = (await AZURE.check()).status
    assert (status.state, status.code) == ("unreachable", "no_address")
    assert "AZURE_FOUNDRY_ENDPOINT" in status.message


async def test_azure_offers_the_phi_4_family(stub: Stub) -> None:
    stub.on("/openai/v1/models", listing("gpt-x", "phi-4", "Phi-3.5-mini-instruct"))
    offers = {offer.model: offer.status for offer in (await AZURE.check(typed(stub, AZURE))).offers}
    assert set(offers) == {*AZURE.fallback_models, "Phi-3.5-mini-instruct"}
    assert offers["Phi-4"].ready and "deployment" in offers["Phi-4"].message
    old = offers["Phi-3.5-mini-instruct"]
    assert old.state == "retired" and "2025-08-30" in old.message and "Phi-4-mini" in old.message
    assert (await AZURE.check(typed(stub, AZURE))).status.ready


async def test_a_bad_key_at_azure_needs_another(stub: Stub) -> None:
    stub.on("/openai/v1/models", Reply.of({"error": {"code": "401", "message": "denied"}}, 401))
    assert (await AZURE.check(typed(stub, AZURE))).status.state == "needs key"


async def test_an_unknown_deployment(stub: Stub) -> None:
    stub.on(chat(AZURE), Reply.of(NO_DEPLOYMENT, 404))
    error = await failure(AZURE, typed(stub, AZURE), "mine")
    assert isinstance(error, ModelNotFoundError)
    assert "deployment called “mine”" in error.message and "Deployments" in error.hint


@pytest.mark.parametrize(
    ("model", "status", "body"),
    [
        ("Phi-3.5-MoE-instruct", 404, NO_DEPLOYMENT),
        ("Phi-3-vision-128k-instruct", 404, NO_DEPLOYMENT),
        ("mine", 404, {"error": {"code": "ModelRetired", "message": "The model was retired."}}),
        ("mine", 410, {"error": {"message": "Gone"}}),
    ],
)
async def test_a_retired_deployment(stub: Stub, model: str, status: int, body: object) -> None:
    stub.on(chat(AZURE), Reply.of(body, status))
    error = await failure(AZURE, typed(stub, AZURE), model)
    assert isinstance(error, RetiredError) and model in error.message
    assert "Deploy Phi-4-mini" in error.hint or "or Phi-4-mini" in error.hint


async def test_azures_filter_names_what_it_stopped(stub: Stub) -> None:
    stub.on(chat(AZURE), Reply.of(FILTERED, 400))
    error = await failure(AZURE, typed(stub, AZURE))
    assert isinstance(error, ContentFilterError)
    assert "(self-harm, violence)" in error.message and "hate" not in error.message


async def test_azures_filter_in_the_middle_of_an_answer(stub: Stub) -> None:
    stop = delta("", "content_filter")
    stop["choices"][0]["content_filter_results"] = {"sexual": {"filtered": True}}
    prompt = {"choices": [], "prompt_filter_results": [{"content_filter_results": {}}]}
    stub.on(chat(AZURE), stream(prompt, delta("Half"), stop))
    steps = AZURE.stream("Phi-4", HELLO, PLAIN, typed(stub, AZURE))
    assert (await anext(steps)).text == "Half"
    with pytest.raises(ContentFilterError, match=r"stopped the answer \(sexual\)"):
        await anext(steps)


# GitHub Models


async def test_github_models_is_gone_and_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("it asked")

    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    monkeypatch.setattr(GITHUB.clients, "use", no_network)
    status = (await GITHUB.check()).status
    assert status.state == "retired" and "2026-07-30" in status.message
    assert {offer.status.state for offer in (await GITHUB.check()).offers} == {"retired"}
    error = await failure(GITHUB, None)
    assert isinstance(error, RetiredError)
    assert all(name in error.hint for name in ("Pocket", "Transformers", "Ollama", "Azure"))


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("", "/inference"),
        ("/inference", "/inference"),
        ("/orgs/acme/inference", "/orgs/acme/inference"),
    ],
)
async def test_the_protocol_that_github_models_spoke(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, typed: str, path: str
) -> None:
    model = "microsoft/phi-3.5-mini-instruct"
    monkeypatch.setenv("GITHUB_MODELS_BASE_URL", stub.url + typed)
    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    stub.on("/catalog/models", Reply.of([{"id": model, "name": "Phi-3.5 mini", "limits": {}}]))
    stub.on(f"{path}/chat/completions", stream(delta("Hi", "stop")))
    assert (await GITHUB.check()).status.ready
    assert [(o.model, o.spec.key) for o in (await GITHUB.check()).offers] == [
        (model, "phi-3.5-mini")
    ]
    assert await answer(GITHUB, model=model) == "Hi"
    assert stub.seen[-1].json["model"] == model
    assert f'model="{model}"' in (GITHUB.snippet(model, HELLO, PLAIN) or "")
    assert {seen.headers["x-github-api-version"] for seen in stub.seen} == {"2022-11-28"}


async def test_the_brownout_is_for_ever(stub: Stub) -> None:
    stub.on(chat(GITHUB), Reply.of(BROWNOUT, 410), stream(delta("no", "stop")))
    error = await failure(GITHUB, typed(stub, GITHUB))
    assert isinstance(error, RetiredError) and len(stub.seen) == 1
    assert "temporarily" not in str(error)


async def test_an_empty_403_with_a_sunset_is_the_end(stub: Stub) -> None:
    reply = Reply.of("", 403, deprecation="@1777939200", sunset="Thu, 30 Jul 2026 00:00:00 GMT")
    stub.on(chat(GITHUB), reply)
    stub.on("/catalog/models", reply)
    assert isinstance(await failure(GITHUB, typed(stub, GITHUB)), RetiredError)
    assert (await GITHUB.check(typed(stub, GITHUB))).status.state == "retired"


async def test_githubs_limit_says_which_and_how_long(stub: Stub) -> None:
    body = {
        "error": {
            "code": "RateLimitReached",
            "message": "Rate limit of 150 per 86400s exceeded for UserByModelByDay.",
        }
    }
    named = {"x_ratelimit_type": "UserByModelByDay", "x_ratelimit_timeremaining": "7200"}
    stub.on(chat(GITHUB), Reply.of(body, 429, **named))
    error = await failure(GITHUB, typed(stub, GITHUB))
    assert isinstance(error, RateLimitError) and error.retry_after == 7200
    assert "one day" in error.message and "2 hours" in error.hint and len(stub.seen) == 1
