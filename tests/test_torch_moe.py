"""Mixtures of experts: which experts worked on each token, and for whom."""

import asyncio
from contextlib import aclosing

import pytest
import torch
from transformers import AutoModelForCausalLM, PhimoeConfig
from transformers.models.phimoe.modeling_phimoe import PhimoeRotaryEmbedding

from backends import Chunk, ExpertRouting, GenerationParams, Message, OutOfMemoryError, Progress
from backends._local import decode, torch_model
from backends._local.chat_text import Detokenizer
from backends._local.decode import answer
from backends._local.machine import gigabytes
from backends._local.torch_moe import MoeModel, freeze_rope, token_strings
from backends.transformers import Transformers
from tests import tiny, tiny_moe
from tests.rounding import JITTER, ROUNDING, assert_greedy, assert_routed, clear_choices, lead

pytestmark = pytest.mark.engine

MOE = "microsoft/Phi-3.5-MoE-instruct"
LONG = "Count on and on, and on. " * 40
"""More tokens than one chunk of the prefill."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_moe.checkpoint(tmp_path_factory.mktemp("models") / "Phi-3.5-MoE-instruct")


@pytest.fixture(scope="module")
def model(folder):
    return MoeModel.load(folder, "Phi-3.5-MoE", "cpu", "float32", lambda done: None)


@pytest.fixture
def backend(folder, monkeypatch, tmp_path, inline):
    monkeypatch.setenv("PHI_MODELS_DIR", str(folder.parent))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return Transformers()


def say(text: str) -> list[Message]:
    return [Message.of("user", text)]


def routing_of(steps) -> list[ExpertRouting]:
    return [one for step in steps if isinstance(step, Chunk) for one in step.routing]


def hooks(model: MoeModel) -> int:
    return sum(len(module._forward_hooks) for module in model.model.modules())


def second_forward(folder, ids):
    """Logits of each token and of each layer's router, computed anew from the finished text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model.config.router_jitter_noise == JITTER
    with torch.inference_mode():
        out = model(torch.tensor([ids]), output_router_logits=True)
    return out.logits[0], out.router_logits


def told(routing: list[ExpertRouting]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Experts and weights as tensors, layer for layer."""
    experts = torch.tensor([one.experts for one in routing])
    weights = torch.tensor([one.weights for one in routing])
    assert experts.shape == weights.shape == (len(routing), tiny_moe.LAYERS, tiny_moe.CHOSEN)
    return [*experts.unbind(1)], [*weights.unbind(1)]


@pytest.mark.parametrize(
    "params",
    [
        GenerationParams(temperature=0, max_tokens=60),
        GenerationParams(temperature=1.5, seed=7, max_tokens=60),
        GenerationParams(temperature=0, max_tokens=1),
    ],
    ids=["greedy", "sampled", "one token"],
)
@pytest.mark.parametrize("prompt", ["Hi", LONG], ids=["short", "long"])
def test_routing_is_what_a_second_forward_finds(model, folder, prompt, params):
    steps = [*answer(model, say(prompt), params)]
    routing = routing_of(steps)
    usage = next(step.usage for step in steps if isinstance(step, Chunk) and step.usage)
    assert sum(one.in_prompt for one in routing) == usage.input_tokens
    assert sum(not one.in_prompt for one in routing) == usage.output_tokens
    assert [one.in_prompt for one in routing] == sorted(o.in_prompt for o in routing)[::-1]
    # Another way than the model's own, which read with a cache, the long prompt in two chunks.
    logits, routers = second_forward(folder, [one.id for one in routing])
    assert_routed(*told(routing), routers)
    if params.temperature == 0:
        first = usage.input_tokens
        assert_greedy(logits[first - 1 : -1], [one.id for one in routing[first:]])


def test_tokens_and_their_texts_are_those_of_the_answer(model, folder):
    steps = [*answer(model, say("Hi"), GenerationParams(temperature=0, max_tokens=30))]
    routing = routing_of(steps)
    assert model.text.tokenizer.encode("<|user|>\nHi<|end|>\n<|assistant|>\n").ids == [
        one.id for one in routing if one.in_prompt
    ]
    shown = "".join(step.text for step in steps if isinstance(step, Chunk))
    detokenizer = Detokenizer(model.text.tokenizer)
    written = [one for one in routing if not one.in_prompt]
    assert "".join(detokenizer.push(one.id) for one in written) == shown
    assert all(len(one.experts) == len(one.weights) == tiny_moe.LAYERS for one in routing)
    assert all(0 < weight <= 1 for one in routing for pair in one.weights for weight in pair)
    assert all(len(set(pair)) == 2 for one in routing for pair in one.experts)


def test_a_written_tokens_routing_comes_one_step_later(model):
    chunks = [
        step
        for step in answer(model, say("Hi"), GenerationParams(temperature=0, max_tokens=5))
        if isinstance(step, Chunk)
    ]
    assert all(one.in_prompt for one in chunks[0].routing)
    assert [len(chunk.routing) for chunk in chunks[1:]] == [1] * 5
    assert chunks[-2].finish_reason == "length"
    assert (chunks[-1].text, chunks[-1].tokens) == ("", None)


def test_the_prompts_routing_comes_while_it_is_read(model):
    steps = answer(model, say(LONG), GenerationParams(temperature=0, max_tokens=5))
    before = []
    for step in steps:
        before.append(step)
        if isinstance(step, Progress) and step.fraction:
            break
    steps.close()
    assert len(routing_of(before)) == decode.PREFILL_CHUNK


def test_hooks_leave_no_trace_after_the_end_a_stop_and_an_error(model, monkeypatch):
    params = GenerationParams(temperature=0, max_tokens=5)
    steps = answer(model, say("Hi"), params)
    for _ in steps:
        assert hooks(model) == 0  # not even between two steps: another may be answered then
    stopped = answer(model, say("Hi"), params)
    next(stopped), next(stopped)
    stopped.close()
    assert hooks(model) == 0

    def breaks(*given, **more):
        raise ValueError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(model.model.model.layers[1].mlp.experts, "forward", breaks)
        with pytest.raises(ValueError, match="broken"):
            list(answer(model, say("Hi"), params))
        assert hooks(model) == 0
    assert len(routing_of(answer(model, say("Hi"), params))) > 5


def test_a_dense_model_tells_no_routing(tmp_path):
    dense = torch_model.TorchModel.load(
        tiny.checkpoint(), "Tiny", "cpu", "float32", lambda done: None
    )
    steps = [*answer(dense, say("Count to twelve."), GenerationParams(temperature=0))]
    assert routing_of(steps) == []


@pytest.mark.parametrize("rope", ["default", "longrope"])
def test_angles_that_are_held_are_those_of_the_library(folder, rope):
    config = PhimoeConfig.from_pretrained(folder)
    if rope == "default":
        config.rope_parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    theirs, ours = PhimoeRotaryEmbedding(config), PhimoeRotaryEmbedding(config)
    freeze_rope(ours)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(1, 2, 4, 16, dtype=dtype)
        for positions in (torch.arange(300)[None], torch.tensor([[4095]])):
            for expected, got in zip(theirs(x, positions), ours(x, positions), strict=True):
                assert got.dtype == dtype
                assert torch.equal(expected, got)


async def test_two_visitors_routings_never_mix(backend):
    def params(seed):
        return GenerationParams(temperature=1.2, seed=seed, max_tokens=40)

    async def ask(prompt, seed):
        stream = backend.stream(MOE, say(prompt), params(seed))
        return routing_of([step async for step in stream])

    asked = [("Hi", 1), ("Count to twelve.", 2), (LONG, 3)]
    alone = [await ask(*one) for one in asked]
    together = await asyncio.gather(*(ask(*one) for one in asked))
    assert together == alone
    assert len({tuple(one.id for one in routing) for routing in alone}) == 3


async def test_nothing_is_left_of_a_closed_stream(backend, inline):
    async with aclosing(backend.stream(MOE, say("Hi"), GenerationParams(max_tokens=400))) as steps:
        async for step in steps:
            if isinstance(step, Chunk) and step.text:
                break
    (loaded,) = inline.models.values()
    assert hooks(loaded) == 0


async def test_a_model_that_accelerate_lays_out_answers_and_routes_the_same(
    folder, model, monkeypatch, tmp_path
):
    layers = {f"model.layers.{n}": "disk" if n == 1 else "cpu" for n in range(tiny_moe.LAYERS)}
    rest = ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head")
    layout = {
        "dtype": torch.float32,
        "device_map": {**layers, **dict.fromkeys(rest, "cpu")},
        "offload_folder": str(tmp_path),
    }
    monkeypatch.setattr(MoeModel, "_from_pretrained_kwargs", lambda *given: layout)
    placement = torch_model.Placement("cpu_offload", 1, 50_000_000_000)
    laid = MoeModel.load(folder, "Laid out", "cpu", "float32", lambda done: None, placement)
    assert any(p.device.type == "meta" for p in laid.model.parameters())  # on the disk, in truth
    params = GenerationParams(temperature=0, max_tokens=12)
    here, there = [*answer(model, say("Hi"), params)], [*answer(laid, say("Hi"), params)]
    own, routing = routing_of(here), routing_of(there)
    # No choice in this answer is a close call, of a token or of an expert: so all are the same.
    logits, routers = second_forward(folder, [one.id for one in own])
    assert lead(logits[sum(one.in_prompt for one in own) - 1 : -1]).min() > 100 * ROUNDING
    assert all(clear_choices(one).all() for one in routers)
    assert [(one.id, one.experts) for one in routing] == [(one.id, one.experts) for one in own]
    # What waits on the disk lies elsewhere in memory, and sums may come in another order.
    torch.testing.assert_close(told(routing)[1], told(own)[1], atol=ROUNDING, rtol=0)
    (warning,) = [w for step in there if isinstance(step, Chunk) for w in step.warnings]
    # What waits is told by how it lies, not by what was thought beforehand.
    waiting = sum(p.nbytes for p in laid.model.model.layers[1].parameters())
    assert f"About {gigabytes(waiting)} of it" in warning


def test_what_does_not_fit_after_all_is_no_damage(folder, monkeypatch):
    """Accelerate would put the rest on the disk; nobody is told to download 84 GB again."""
    monkeypatch.setattr(torch_model, "_room", lambda placement: {"cpu": 700_000})
    placement = torch_model.Placement("cpu_offload", 1)
    with pytest.raises(OutOfMemoryError, match="The memory ran out while Large was loaded"):
        MoeModel.load(folder, "Large", "cpu", "float32", lambda done: None, placement)
    monkeypatch.setattr(torch_model, "_room", lambda placement: {"cpu": 10**10})
    laid = MoeModel.load(folder, "Large", "cpu", "float32", lambda done: None, placement)
    assert laid.warnings == ()
    assert routing_of(answer(laid, say("Hi"), GenerationParams(max_tokens=3)))


def test_rows_of_the_model_that_no_text_has_are_empty(model):
    size = model.text.tokenizer.get_vocab_size()
    every = token_strings(model.text.tokenizer, size + 64)
    assert len(every) == size + 64 and every[size:] == [""] * 64
    assert every[:size] == token_strings(model.text.tokenizer, size)
