"""Hugging Face's router, by a stub that says what its documentation and its users say it says."""

import json
import logging
from typing import Any

import pytest

from backends import (
    MODELS,
    REGISTRY,
    AuthenticationError,
    BackendError,
    BadRequestError,
    Chunk,
    Connection,
    GenerationParams,
    Message,
    MissingKeyError,
    ModelNotFoundError,
    RateLimitError,
    ServerError,
)
from backends import huggingface as module
from backends._remote import retry
from playground.health import HealthMonitor
from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from tests.stub import Reply, Stub, delta, sse, usage

HF = REGISTRY["huggingface"]
HELLO = (Message.of("user", "Hello"),)
SECRET = "hf_planted4711"
CHAT, LIST = "/v1/chat/completions", "/v1/models"
PHI = "microsoft/Phi-3.5-mini-instruct"
OTHER = "deepseek-ai/DeepSeek-V4-Pro"
ROW: dict[str, Any] = {
    "id": OTHER,
    "object": "model",
    "created": 1776837885,
    "owned_by": "deepseek-ai",
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "providers": [
        {
            "provider": "novita",
            "status": "live",
            "context_length": 1048576,
            "pricing": {"input": 1.69, "output": 3.38},
            "supports_tools": True,
            "first_token_latency_ms": 1490,
            "throughput": 24.69,
            "is_model_author": False,
        },
        {
            "provider": "together",
            "status": "live",
            "context_length": 512000,
            "pricing": {"input": 2.1, "output": 4.4},
        },
        {"provider": "featherless-ai", "status": "live", "is_model_author": False},
        {"provider": "deepinfra", "status": "error", "pricing": {"input": 0.1, "output": 0.1}},
    ],
}
"""As in hub-docs, `docs/inference-providers/hub-api.md` (2026-08), one provider made to fail."""
NO_SCOPE = (
    "This authentication method does not have sufficient permissions to call Inference Providers "
    "on behalf of user somebody-private"
)
NO_CREDIT = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using "
    "Inference Providers. Alternatively, subscribe to PRO to get 20x more included usage."
)
NOT_SERVED = {
    "error": {
        "message": f"The requested model '{PHI}' is not supported by any provider you have "
        "enabled.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_supported",
    }
}


@pytest.fixture(autouse=True)
def router(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The stub is the router; no token, and no waiting for a retry."""
    for name in ("HF_TOKEN", "OAUTH_CLIENT_ID", module.SHARE_ENV):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.HuggingFace, "default_address", f"{stub.url}/v1")
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.0)
    stub.on(LIST, Reply.of({"object": "list", "data": [ROW]}))
    return stub


def own(key: str = SECRET) -> Connection:
    """A visitor's own token, on a public page."""
    return Connection(api_key=key, public=True)


def stream(*events: object, done: bool = True, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((sse(*events, done=done),), headers={"content-type": "text/event-stream", **named})


async def answer(connection: Connection | None, model: str = PHI) -> str:
    steps = HF.stream(model, HELLO, GenerationParams(max_tokens=20), connection)
    return "".join([step.text async for step in steps if isinstance(step, Chunk)])


async def failure(connection: Connection | None = None, model: str = PHI) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await answer(connection or own(), model)
    told = f"{caught.value} {caught.value!r} {caught.value.values}"
    assert SECRET not in told and "somebody-private" not in told
    return caught.value


# Answers


async def test_an_answer_and_its_request(router: Stub) -> None:
    router.on(CHAT, stream(delta("Yes"), delta(".", "stop"), usage(5, 2), x_request_id="1"))
    assert await answer(own(), f"{PHI}:novita") == "Yes."
    (seen,) = router.asked(CHAT)
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.json["model"] == f"{PHI}:novita" and seen.json["stream"] is True
    assert "top_k" not in seen.json


async def test_a_provider_has_its_own_name_for_the_model(router: Stub) -> None:
    named = delta("Yes.", "stop", model="accounts/fireworks/models/another-name")
    router.on(CHAT, stream(named))
    steps = [one async for one in HF.stream(PHI, HELLO, GenerationParams(), own())]
    warned = [one.warnings for one in steps if isinstance(one, Chunk)]
    assert not any(warned)


# Which models, and who serves them


async def test_who_serves_a_model_is_read(router: Stub) -> None:
    health = await HF.check(own())
    assert health.status.code == "ready_router"
    assert "It lists 1 model. None is a Phi model." in health.status.message
    first = health.offers[0]
    assert first.model == OTHER and first.status.ready and first.context == 512000
    assert first.status.message == (
        "Served by novita, together and 1 more. From $1.69 a million tokens read and $3.38 written."
        " Context: 512,000 tokens."
    )


async def test_a_phi_that_nobody_serves_says_so(router: Stub) -> None:
    phi = {"id": PHI, "providers": [{"provider": "featherless-ai", "status": "live"}]}
    down = {"id": "microsoft/phi-4", "providers": [{"provider": "nebius", "status": "error"}]}
    router.on(LIST, Reply.of({"data": [ROW, down, phi]}))
    health = await HF.check(own())
    found = {offer.model: offer for offer in health.offers}
    assert "It lists 3 models. Phi models among them: 1." in health.status.message
    assert found[PHI].status.message == "Served by featherless-ai."
    assert "fail" in found["microsoft/phi-4"].status.message
    missing = found["microsoft/Phi-3-mini-4k-instruct"].status
    assert not missing.ready and "Nobody serves it" in missing.message
    assert health.offers[0].model == PHI, "ready and Phi first"
    known = {spec.hub_id for spec in MODELS.values() if f"{spec.hub_id}".startswith("microsoft/")}
    assert known <= found.keys() and len(found) == len(health.offers)


@pytest.mark.parametrize("public", [False, True])
async def test_the_list_needs_no_token(router: Stub, public: bool) -> None:
    health = await HF.check(Connection(public=True) if public else None)
    assert health.status.state == "needs key"
    offers = {offer.model: offer.status for offer in health.offers}
    assert offers[OTHER].state == "needs key"
    assert offers[PHI].code == "unserved", "better known before one signs in"
    assert "authorization" not in router.seen[0].headers


async def test_its_client_is_made_before_a_check_without_a_token_counts_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []
    monkeypatch.setattr(HF.clients, "_build", lambda url: built.append(url))
    monkeypatch.setattr(HF.clients, "_entries", {})
    await HF.load(Connection(public=True))
    assert len(built) == 1


async def test_without_the_list_it_says_what_is_missing_first(router: Stub) -> None:
    router.on(LIST, Reply.of("down", 503))
    assert (await HF.check(None)).status.state == "needs key"
    assert (await HF.check(own())).status.state == "unreachable"


@pytest.mark.parametrize(
    "providers",
    [
        None,
        "novita",
        [],
        [None, 7, {"provider": None}],
        [{"provider": "x" * 1000, "pricing": {"input": True, "output": "1"}}],
        [{"provider": "x", "pricing": {"input": -1, "output": 1e400}, "context_length": -5}],
        [{"provider": "x", "pricing": {"input": 10**400, "output": 1}, "context_length": 10**400}],
        [{"provider": "x", "pricing": [1, 2], "status": ["live"]}],
        [{"provider": "<b>", "status": "live", "pricing": {"input": 0, "output": 0}}] * 1000,
    ],
)
async def test_odd_rows_are_no_failure(router: Stub, providers: object) -> None:
    router.on(LIST, Reply.of({"data": [{"id": "a/b", "providers": providers}, ROW, 5]}))
    health = await HF.check(own())
    found = {offer.model: offer.status for offer in health.offers}
    assert found[OTHER].ready
    assert len(found["a/b"].message) < 200 and "inf" not in found["a/b"].message


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "kind", "says", "advice"),
    [
        (401, {"error": "Invalid username or password."}, AuthenticationError, "refused the token",
         "sign in again"),
        (403, {"error": NO_SCOPE}, AuthenticationError, "may not call Inference Providers",
         "Make calls to Inference Providers"),
        (402, {"error": NO_CREDIT}, BadRequestError, "credit of this token is used up",
         "settings/billing"),
        (402, "Payment Required", BadRequestError, "credit of this token is used up",
         "settings/billing"),
        (400, NOT_SERVED, ModelNotFoundError, "Nobody serves", "settings/inference-providers"),
        (400, {"error": "Model not supported by provider novita"}, ModelNotFoundError,
         "Nobody serves", "another model"),
        (404, {"message": "The requested provider 'novita' is not available."},
         ModelNotFoundError, "Nobody serves", "another model"),
        (404, "Not Found", ModelNotFoundError, "does not have the model", "another model"),
        (403, {"error": "Access to model microsoft/x is restricted."}, AuthenticationError,
         "restricted", "another model"),
        (429, {"error": "Too many requests"}, RateLimitError, "too many requests", "Try again"),
        (500, {"error": {"message": "inference failed"}}, ServerError, "inference failed",
         "not your fault"),
        (504, "<html>CloudFront</html>", ServerError, "gave up waiting", "Try again"),
        (418, [], BadRequestError, "refused the request", "Change"),
    ],
)  # fmt: skip
async def test_refusals(
    router: Stub, status: int, body: object, kind: type[BackendError], says: str, advice: str
) -> None:
    router.on(CHAT, Reply.of(body, status))
    error = await failure()
    assert type(error) is kind and says in str(error) and advice in error.hint
    assert error.values["status"] == status


@pytest.mark.parametrize(
    ("provider", "named"),
    [("novita", True), ("fal-ai", True), ("<script>", False), ("x" * 200, False), ("", False)],
)
async def test_the_provider_that_fails_is_named(router: Stub, provider: str, named: bool) -> None:
    failed = Reply.of({"error": "overloaded"}, 503)
    failed.headers["x-inference-provider"] = provider
    router.on(CHAT, failed, failed)
    error = await failure()
    label = f"Hugging Face’s provider {provider}" if named else "Hugging Face"
    assert str(error).startswith(f"{label} failed (503).")
    assert len(router.asked(CHAT)) == 2, "a busy one is asked once more"


async def test_credit_that_ends_in_mid_answer_keeps_what_came(router: Stub) -> None:
    router.on(CHAT, stream(delta("Half "), {"error": {"message": NO_CREDIT, "code": 402}}))
    came = ""
    with pytest.raises(BadRequestError, match="credit of this token is used up"):
        async for step in HF.stream(PHI, HELLO, GenerationParams(), own()):
            came += step.text if isinstance(step, Chunk) else ""
    assert came == "Half "


async def test_a_token_that_is_repeated_in_a_refusal_is_left_out(
    router: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    router.on(CHAT, Reply.of({"error": f"Unknown model for {SECRET}"}, 422))
    await failure()
    assert SECRET not in caplog.text


# Whose token


async def test_the_environments_token_is_the_owners(
    router: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    router.on(CHAT, stream(delta("Yes.", "stop")))
    assert await answer(None) == "Yes.", "at home, that is the visitor"
    with pytest.raises(MissingKeyError):
        await answer(Connection(public=True))
    await HF.check(Connection(public=True))
    sent = [seen.headers.get("authorization") for seen in router.seen]
    assert sent == ["Bearer hf_owner", None]
    for no in ("", "0", "no", "maybe"):
        monkeypatch.setenv(module.SHARE_ENV, no)
        with pytest.raises(MissingKeyError):
            await answer(Connection(public=True))


async def test_its_owner_may_share_it_as_far_as_the_budget_goes(
    router: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    monkeypatch.setenv(module.SHARE_ENV, "1")
    router.on(CHAT, stream(delta("Yes.", "stop")))
    assert await answer(Connection(public=True)) == "Yes."
    assert router.asked(CHAT)[0].headers["authorization"] == "Bearer hf_owner"
    assert PUBLIC.visitor(HF, Connection(public=True)).budget is PUBLIC.budget
    assert PUBLIC.visitor(HF, own()).budget is None
    monitor, ring = HealthMonitor(PUBLIC), Keyring(public=True)
    await monitor.check_offered(HF, OTHER, ring)
    with pytest.raises(BadRequestError, match="only the models in its list"):
        await monitor.check_offered(HF, "expensive/model", ring)


async def test_a_check_of_strangers_is_one_check(router: Stub) -> None:
    monitor = HealthMonitor(PUBLIC)
    for _ in range(3):
        health = await monitor.check(HF, Keyring(public=True))
        assert health.status.state == "needs key"
    await monitor.check(HF)
    assert len(router.asked(LIST)) == 1


async def test_what_to_do_is_what_the_page_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "set HF_TOKEN before the start" in (await failure(Connection())).hint
    public = (await failure(Connection(public=True))).hint
    assert "HF_TOKEN" not in public and "ign in" not in public
    monkeypatch.setenv("OAUTH_CLIENT_ID", "app")
    assert "Sign in on the Models tab" in (await failure(Connection(public=True))).hint


# The sign-in


def test_a_sign_in_is_the_key_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from playground import keyring

    now = 1_000.0
    monkeypatch.setattr(keyring.time, "time", lambda: now)
    ring = Keyring(public=True)
    assert ring.hugging_face_token() is None and ring.signed_in == ""
    ring.sign_in("hf_oauth_1", "ada", expires_at=2_000, scopes="openid profile inference-api")
    assert ring.hugging_face_token() == "hf_oauth_1" and ring.signed_in == "ada"
    assert ring.connection(HF.id) == Connection(None, "hf_oauth_1", public=True)
    assert ring.connection("nvidia_nim") == Connection(public=True), "nobody else's"
    ring.put(HF.id, key="hf_typed")
    assert ring.connection(HF.id) == own("hf_typed"), "who types one means it"
    assert ring.hugging_face_token() == "hf_oauth_1"
    ring.put(HF.id, key="")
    now = 2_000.0
    assert ring.hugging_face_token() is None and ring.signed_in == ""
    assert ring.connection(HF.id) == Connection(public=True)
    assert "hf_oauth_1" not in f"{ring} {ring!r}" + json.dumps(ring.__dict__, default=repr)


def test_a_sign_in_without_the_scope_is_no_key_for_answers() -> None:
    ring = Keyring(public=True)
    ring.sign_in("hf_oauth_1", "ada", expires_at=1e12, scopes="openid profile")
    assert ring.hugging_face_token() == "hf_oauth_1", "a quota may still be read with it"
    assert ring.connection("zerogpu") == Connection(None, "hf_oauth_1", public=True)
    assert ring.connection(HF.id) == Connection(public=True)


@pytest.mark.parametrize("end", [Keyring.sign_out, Keyring.forget])
def test_a_sign_in_is_forgotten(end: Any) -> None:
    ring = Keyring(public=True)
    ring.sign_in("hf_oauth_1", "ada", expires_at=1e12, scopes="inference-api")
    end(ring)
    assert ring.hugging_face_token() is None
    assert ring.connection(HF.id) == Connection(public=True)


def test_at_home_a_typed_token_is_the_visitors() -> None:
    ring = Keyring()
    ring.put(HF.id, key="hf_typed")
    assert ring.hugging_face_token() == "hf_typed"
    assert LOCAL.visitor(HF, ring.connection(HF.id)).budget is None


def test_a_program_reads_the_token_from_the_environment() -> None:
    program = HF.snippet(PHI, HELLO, GenerationParams(max_tokens=20), own())
    assert program and 'os.environ["HF_TOKEN"]' in program and SECRET not in program
    compile(program, "snippet", "exec")
