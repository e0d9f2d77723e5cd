"""What servers tell about their models counts more than what their names suggest."""

import pytest

from backends import REGISTRY, Connection, Offer
from playground.keyring import Keyring
from playground.services import Services
from tests.stub import Reply, Stub
from ui.compare.status import find_offer, model_choices, state_html

BACKEND = REGISTRY["openai_compatible"]
PHI = "microsoft/Phi-3.5-mini-instruct"
SIZE = 134_515_008
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"


async def offers_of(stub: Stub, *rows: object, **beside: object) -> list[Offer]:
    stub.on("/v1/models", Reply.of({"object": "list", "data": list(rows), **beside}))
    return list((await BACKEND.check(Connection(stub.url))).offers)


def vllm(name: str, root: str, parent: str | None = None) -> dict[str, object]:
    """A row as vLLM and SGLang list it."""
    owner = {"object": "model", "owned_by": "vllm", "parent": parent}
    return {"id": name, "root": root, "max_model_len": 2048, **owner}


async def test_vllm_tells_its_context(stub: Stub) -> None:
    (offer,) = await offers_of(stub, vllm(PHI, PHI))
    assert (offer.context, offer.spec.key) == (2048, "phi-3.5-mini")
    assert offer.status.message == "The server has it. Context: 2,048 tokens."


@pytest.mark.parametrize("alias", ["phi-3.5-mini-alias", "phi-3.5-mini-instruct", "gpt-4"])
async def test_an_alias_is_told_with_what_it_is(stub: Stub, alias: str) -> None:
    (offer,) = await offers_of(stub, vllm(alias, SMOL))
    assert (offer.spec.label, offer.spec.parameters) == (alias, 0), "no facts of another model"
    assert f"Served as “{alias}”, really “{SMOL}”." in offer.status.message


async def test_an_alias_of_a_phi_is_that_phi(stub: Stub) -> None:
    cache = f"/root/.cache/huggingface/hub/models--{PHI.replace('/', '--')}/snapshots/{'0a' * 20}"
    alias, by_path, plain = await offers_of(
        stub, vllm("assistant", PHI), vllm("mine", cache), vllm("phi-3.5-mini", f"/models/{PHI}/")
    )
    assert {one.spec.label for one in (alias, by_path, plain)} == {"Phi-3.5-mini"}
    assert f"Served as “assistant”, really “{PHI}”." in alias.status.message
    assert f"Served as “mine”, really “{PHI}”." in by_path.status.message
    assert "really" not in plain.status.message


async def test_an_adapter_is_called_one(stub: Stub) -> None:
    _, offer = sorted(
        await offers_of(stub, vllm(PHI, PHI), vllm("pirate", "/adapters/pirate", parent=PHI)),
        key=lambda one: one.model,
    )
    assert (offer.model, offer.spec.label) == ("pirate", "pirate")
    assert f"It is an adapter of “{PHI}”." in offer.status.message


async def test_endless_facts_of_a_model_are_cut(stub: Stub) -> None:
    """They are remembered with their meaning, and shown."""
    (offer,) = await offers_of(stub, vllm("a", "b" * 500_000, parent="c" * 400_000))
    assert len(offer.status.message) < 1000


def llama_cpp(name: str, *capabilities: str, **meta: int) -> tuple[dict, list[dict]]:
    """A row of each of the two lists of llama.cpp's server."""
    return {"id": name, "meta": meta}, [{"name": name, "capabilities": list(capabilities)}]


async def test_llama_cpp_tells_size_and_context(stub: Stub) -> None:
    row, rows = llama_cpp(
        "smol.gguf", "completion", n_ctx=2048, n_ctx_train=8192, n_params=134515008
    )
    (offer,) = await offers_of(stub, row, models=rows)
    assert (offer.context, offer.spec.context, offer.spec.parameters) == (2048, 8192, SIZE)
    assert offer.spec.modalities == ("text",)


async def test_a_size_that_cannot_be_overrules_a_name(stub: Stub) -> None:
    row, rows = llama_cpp("phi-3.5-mini.gguf", n_params=SIZE)
    (offer,) = await offers_of(stub, row, models=rows)
    assert (offer.spec.label, offer.spec.parameters) == ("phi-3.5-mini.gguf", SIZE)
    row, rows = llama_cpp("phi-3.5-mini.gguf", n_params=3_821_079_552)
    (offer,) = await offers_of(stub, row, models=rows)
    assert offer.spec.key == "phi-3.5-mini"


@pytest.mark.parametrize(
    ("told", "reads"),
    [
        ({"architecture": {"input_modalities": ["text", "image"]}}, ("text", "image")),
        ({"architecture": {"input_modalities": ["text"]}}, ("text",)),
        ({"supported_input_modalities": ["Text", "Image", "Audio"]}, ("text", "image", "audio")),
        ({"capabilities": ["completion", "multimodal"]}, ("text", "image")),
        ({"capabilities": ["vision"]}, ("text", "image")),
        ({"capabilities": {"completion_chat": True, "vision": False}}, ("text",)),
        ({"capabilities": {"vision": True}}, ("text", "image")),
        # not told: the name rules nothing out
        ({"capabilities": ["tools"]}, ("text", "image")),
        ({"capabilities": None, "architecture": "phi3"}, ("text", "image")),
        ({"architecture": {"input_modalities": []}}, ("text", "image")),
        ({}, ("text", "image")),
    ],
)
async def test_what_it_reads(stub: Stub, told: dict[str, object], reads: tuple[str, ...]) -> None:
    (offer,) = await offers_of(stub, {"id": PHI, **told})
    assert (offer.spec.key, offer.spec.modalities) == ("phi-3.5-mini", reads)


@pytest.mark.parametrize(
    "told",
    [
        {"context_length": 2048},
        {"context_window": 2048},
        {"max_context_length": 2048},
        {"context_length": 131_072, "top_provider": {"context_length": 2048}},
        {"max_model_len": 2048, "meta": None},
        {"meta": {"n_ctx": 2048, "n_ctx_train": 4096}},
    ],
)
async def test_the_context_as_served(stub: Stub, told: dict[str, object]) -> None:
    (offer,) = await offers_of(stub, {"id": "any", **told})
    assert offer.context == 2048


@pytest.mark.parametrize("odd", [-1, 0, "2048", 1e99, True, None, [2048], {}])
async def test_what_is_no_context(stub: Stub, odd: object) -> None:
    row = {
        "id": "any",
        "max_model_len": odd,
        "meta": {"n_ctx": odd, "n_params": odd},
        "root": [odd],
    }
    (offer,) = await offers_of(stub, row)
    assert offer.context is None and offer.status.message == "The server has it."


async def test_any_model_may_be_compared(stub: Stub) -> None:
    """Also on the Vision tab, if the server does not say that it reads no pictures."""
    stub.on(
        "/v1/models", Reply.of({"data": [{"id": "llama"}, {"id": "phi-4"}, {"id": "llava-phi-4"}]})
    )
    services, ring = Services(), Keyring()
    ring.put(BACKEND.id, address=stub.url)
    health = await services.health.check(BACKEND, ring)
    assert [value for _, value in model_choices(health)] == ["phi-4", "llama", "llava-phi-4"]
    assert all("image" in offer.spec.modalities for offer in health.offers)
    offer = await find_offer(services.health, BACKEND.id, " llama ", ring)
    assert offer and offer.model == "llama" and "Ready" in state_html(health, offer)
