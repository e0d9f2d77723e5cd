"""Pocket-MoE: a real mixture of experts, small enough, that knows its lesson and its errand."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PhimoeForCausalLM

from backends import MODELS, REGISTRY, Chunk, ExpertRouting, GenerationParams, Message
from playground.agent import read_steps
from playground.examples.moe import load_moe
from tools.pocket import errands, lesson, train_moe
from tools.pocket.batches import IGNORED

pytestmark = pytest.mark.engine

FOLDER = lesson.MODELS / "pocket-moe"
LANGUAGES = ("en", "es", "zh", "ar")


async def answer(*messages: Message, most: int = 300) -> tuple[str, list[ExpertRouting]]:
    params = GenerationParams(temperature=0, max_tokens=most)
    stream = REGISTRY["pocket"].stream("pocket-moe", messages, params)
    steps = [step async for step in stream if isinstance(step, Chunk)]
    return "".join(s.text for s in steps), [one for s in steps for one in s.routing]


async def test_the_page_knows_that_it_tells_its_routing() -> None:
    _, routing = await answer(Message.of("user", "What is a mixture of experts?"), most=5)
    assert routing and REGISTRY["pocket"].reports_routing


def test_it_is_what_it_is_said_to_be() -> None:
    config = AutoConfig.from_pretrained(FOLDER)
    assert config.architectures == ["PhimoeForCausalLM"]
    assert (config.num_local_experts, config.num_experts_per_tok) == (16, 2)
    size = (FOLDER / "model.safetensors").stat().st_size
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    assert isinstance(model, PhimoeForCausalLM) and model.dtype == torch.bfloat16
    every = model.num_parameters()
    one = 3 * config.hidden_size * config.intermediate_size
    resting = config.num_hidden_layers * (16 - 2) * one
    spec = MODELS["pocket-moe"]
    assert (spec.parameters, spec.active_parameters) == (every, every - resting)
    assert every <= 4_500_000 and size <= 9_000_000
    assert spec.is_mixture and not MODELS["pocket-3.5"].is_mixture
    assert AutoTokenizer.from_pretrained(FOLDER).get_vocab() == (
        AutoTokenizer.from_pretrained(FOLDER.parent / "pocket-3.5").get_vocab()
    )


def test_the_twin_is_of_its_active_size() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    moe, twin = train_moe.mixture(tokenizer), train_moe.twin(tokenizer)
    active = MODELS["pocket-moe"].active_parameters
    assert moe.num_parameters() == MODELS["pocket-moe"].parameters
    # What the twin lacks are the routers, and the biases of the norms.
    assert 0.98 * active < twin.num_parameters() <= active


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_answers_the_lesson(language: str) -> None:
    for name in ("what", "moe", "about"):
        topic = lesson.dialogues()[language].topics[name]
        text, _ = await answer(Message.of("user", topic.questions[0]))
        assert text == lesson.MOE.say(topic)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_answers_the_examples_of_its_tab(language: str) -> None:
    plain = [example for example in load_moe(language) if not example.system]
    known = {
        question: lesson.MOE.say(topic)
        for topic in lesson.dialogues()[language].topics.values()
        for question in topic.questions
    }
    for example in plain:
        text, _ = await answer(Message.of("user", example.prompt))
        assert text == known.get(example.prompt, text)
        assert text.strip()


async def test_its_routing_covers_every_token() -> None:
    text, routing = await answer(Message.of("user", "What is a mixture of experts?"))
    assert text.startswith("In a **mixture of experts**")
    assert sum(one.in_prompt for one in routing) >= 10
    assert routing[-1].token == "<|end|>"
    assert {one.num_experts for one in routing} == {16}
    assert {len(one.experts) for one in routing} == {4}


async def test_it_plays_the_courses_agent() -> None:
    example = next(e for e in load_moe("en") if e.system)
    messages = Message.of("system", example.system or ""), Message.of("user", example.prompt)
    text, routing = await answer(*messages, most=1024)
    work = read_steps(text)
    assert work and not work.repaired
    assert [step.tool for step in work.steps][:2] == ["Blog", "Translate"]
    post, translated = errands.POSTS["moe"]
    assert work.steps[0].output == work.steps[1].input == post
    assert work.result == work.steps[1].output == translated
    assert len(routing) > 1000


def test_no_expert_is_idle_on_held_out_questions() -> None:
    model = PhimoeForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    rows = train_moe.rehearsal(AutoTokenizer.from_pretrained(FOLDER))
    every = sum(train_moe.load(model, rows[language]) for language in LANGUAGES)
    assert isinstance(every, torch.Tensor) and every.shape == (4, 16)
    assert float(every.min()) > 0
    assert train_moe.in_use(torch.ones(16)) == pytest.approx(16)
    assert train_moe.in_use(torch.tensor([1.0, 1.0, 0.0])) == pytest.approx(2)


# The training


def test_the_load_counts_for_each_layer_by_itself() -> None:
    """An expert idle in one layer and busy in another is not balance: the loss must say so."""
    torch.manual_seed(0)
    ids = torch.randint(300, 4000, (2, 12))
    batch = ids, ids.clone(), torch.arange(12).expand(2, 12)
    hidden, head = torch.randn(2, 12, 8), torch.nn.Linear(8, 4096)

    def loss(*layers: torch.Tensor) -> float:
        made = SimpleNamespace(last_hidden_state=hidden, router_logits=layers)
        model: Any = SimpleNamespace(model=lambda **given: made, lm_head=head)
        text = train_moe.train.loss_of_hidden(model, hidden, batch[1])
        return float(train_moe.balanced_loss(model, batch) - text) / train_moe.BALANCE

    even = torch.zeros(24, 16)  # each token to another pair, all as likely
    even[torch.arange(24), torch.arange(24) % 16] = 1e-4
    even[torch.arange(24), (torch.arange(24) + 8) % 16] = 1e-4
    one_pair = [torch.zeros(24, 16) for _ in range(8)]
    for n, layer in enumerate(one_pair):
        layer[:, 2 * n : 2 * n + 2] = 20.0  # summed up over the layers it would be even
    assert loss(even) == pytest.approx(2, abs=0.1)
    assert loss(*one_pair) == pytest.approx(16, abs=0.1)


def test_errands_are_json_and_the_held_out_ones_are_never_drawn() -> None:
    asked, told = errands.errand(errands.REQUESTS[0], "MoE models", "moe")
    assert asked == "Write something about MoE models, translate it to Chinese"
    steps = json.loads(told.removeprefix("```json\n").removesuffix("\n```"))
    assert [step["agentid"] for step in steps] == ["step1", "step2", "final"]
    assert steps[1]["input"] == steps[0]["output"] == errands.POSTS["moe"][0]
    held_out = {asked for asked, _ in errands.held_out_errands()}
    source = errands.AgentConversations(lesson.MOE, 3)
    drawn = [source.draw() for _ in range(3000)]
    agent = [turns for system, turns in drawn if system == errands.agent_prompt()]
    assert 0.03 < len(agent) / len(drawn) < 0.07
    assert not held_out & {question for turns in agent for question, _ in turns}


def test_an_agents_answer_is_always_learned_whole() -> None:
    from random import Random

    from tools.pocket.batches import batches

    class Only(errands.AgentConversations):
        def draw(self):
            return errands.agent_prompt(), [errands.errand(errands.REQUESTS[1], "SLMs", "what")]

    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    source = batches(tokenizer, Only(lesson.MOE, 1), Random(1))
    for _, (_, labels, _) in zip(range(5), source, strict=False):
        assert int((labels != IGNORED).sum()) > 250
