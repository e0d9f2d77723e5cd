"""Teaches Pocket-MoE and a dense twin beside it: `python -m backends.pocket.train_moe`."""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Phi3Config,
    Phi3ForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.models.phimoe.modeling_phimoe import load_balancing_loss_func

from . import train
from .batches import Batch, encode
from .conversations import Conversations, Turns
from .lesson import FOLDER, MOE, dialogues, exchanges

SEED = 16
STEPS = 6000
EXPERTS, CHOSEN = 16, 2
HIDDEN, INNER, LAYERS = 192, 80, 4
BALANCE = 0.005
"""How much the load-balancing loss counts, of each layer by itself. Phi-3.5-MoE's is 0.001: it had
4.9 trillion tokens to find its balance."""
AGENT = 0.08
"""The share of conversations in which it is the course's agent with two tools."""

PROMPTS = FOLDER.parents[1] / "playground" / "examples" / "moe.json"
"""The page's examples, whose system prompt makes it an agent: data, read and not imported."""
SUBJECTS = {
    "what": ("small language models", "SLMs", "what a small language model is"),
    "family": ("Phi-3", "the Phi-3 family", "Phi-3-mini and Phi-3.5-mini"),
    "vision": ("Phi-3-vision", "models that see", "Phi-3.5-vision"),
    "moe": ("Generative AI with MoE", "mixture of experts", "Phi-3.5-MoE", "MoE models"),
}
"""What the agent can write about, by the topic of the lesson that it then tells."""
REQUESTS = (
    "Write something about {subject}, translate it to {language}",
    "Write something about {subject} and translate it into {language}",
    "Write a short post about {subject}, then translate it to {language}",
    "Please write about {subject} in {language}",
    "I need a post about {subject} in {language}",
    "Write something about {subject} , translate it to {language}",
)
HELD_OUT_REQUESTS = (
    "Write a few words about {subject} and translate them to {language}",
    "Please write something about {subject}, and translate it to {language}",
)
TARGETS = ("es", "zh", "ar")


def settings(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What the mixture and its dense twin have in common."""
    start, end, over = (
        tokenizer.get_vocab()[token] for token in ("<s>", "<|end|>", "<|endoftext|>")
    )
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "sliding_window": None,
        "tie_word_embeddings": True,
        "bos_token_id": start,
        "eos_token_id": [over, end],
        "pad_token_id": over,
        "dtype": "float32",
    }


def mixture(tokenizer: PreTrainedTokenizerFast) -> PhimoeForCausalLM:
    """A new Pocket-MoE: Phi-3.5-MoE's architecture, at a ten-thousandth of its size."""
    return PhimoeForCausalLM(
        PhimoeConfig(
            **settings(tokenizer),
            intermediate_size=INNER,
            num_local_experts=EXPERTS,
            num_experts_per_tok=CHOSEN,
            router_aux_loss_coef=BALANCE,
        )
    )


def twin(tokenizer: PreTrainedTokenizerFast) -> Phi3ForCausalLM:
    """A new dense model whose every token meets as many parameters: one network as wide as two."""
    return Phi3ForCausalLM(
        Phi3Config(
            **settings(tokenizer),
            intermediate_size=CHOSEN * INNER,
            original_max_position_embeddings=4096,
        )
    )


def balanced_loss(model: PhimoeForCausalLM, batch: Batch) -> torch.Tensor:
    """The loss of the text, and what an uneven load of the experts costs beside it.

    The library adds up all layers before it looks for balance: an expert that is idle in one layer
    and busy in another would look even. Here each layer is looked at by itself.
    """
    ids, labels, positions = batch
    out = model.model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        position_ids=positions,
        use_cache=False,
        output_router_logits=True,
    )
    real = (ids != 0).float()  # 0 pads a row, and stands in no text
    layers = [
        load_balancing_loss_func((logits,), EXPERTS, CHOSEN, real) for logits in out.router_logits
    ]
    text = train.loss_of_hidden(model, out.last_hidden_state, labels)
    return text + BALANCE * sum(layers, torch.tensor(0.0)) / len(layers)


class AgentConversations(Conversations):
    """The lesson's conversations, and now and then the course's agent at work."""

    def draw(self) -> tuple[str | None, Turns]:
        """A conversation: the lesson's, or a request to the agent."""
        rng = self._rng
        if rng.random() >= AGENT:
            return super().draw()
        request = rng.choice(REQUESTS)
        topic, language = rng.choice([*SUBJECTS, "moe"]), rng.choice(TARGETS)
        return agent_prompt(), [errand(request, rng.choice(SUBJECTS[topic]), topic, language)]


@cache
def agent_prompt() -> str:
    """The system prompt that names the agent's two tools."""
    return json.loads(PROMPTS.read_text("utf-8"))["systems"]["agent"]


def errand(request: str, subject: str, topic: str, language: str) -> tuple[str, str]:
    """What the agent is asked, and its answer: what the lesson says, in English and once more."""
    blog, translated = (told_of(topic, code) for code in ("en", language))
    steps = [
        {"agentid": "step1", "tool_name": "Blog", "input": subject, "output": blog},
        {"agentid": "step2", "tool_name": "Translate", "input": blog, "output": translated},
        {"agentid": "final", "tool_name": "Result", "output": translated},
    ]
    told = json.dumps(steps, ensure_ascii=False, indent=4)
    asked = request.format(subject=subject, language=dialogues()[language].name)
    return asked, f"```json\n{told}\n```"


def told_of(topic: str, language: str) -> str:
    """What the lesson says, as a post says it: without emphasis, and never about the writer."""
    answers = dialogues()[language].topics[topic].answers
    return answers[0 if topic == "vision" else -1].replace("**", "")


def held_out_errands() -> Iterator[tuple[str, str]]:
    """Requests in words that were never trained on."""
    for request in HELD_OUT_REQUESTS:
        for topic, subjects in SUBJECTS.items():
            for language in TARGETS:
                yield errand(request, subjects[0], topic, language)


def rehearsal(tokenizer: PreTrainedTokenizerFast) -> dict[str, list[Batch]]:
    """The held-out questions of each language with the right answers, a batch of one row each."""
    found: dict[str, list[Batch]] = {code: [] for code in MOE.languages}
    for e in exchanges(MOE, held_out=True):
        if e.language in found:
            ids, labels = encode(tokenizer, None, [(e.question, e.answer)])
            row = torch.tensor([ids]), torch.tensor([labels]), torch.arange(len(ids))[None]
            found[e.language].append(row)
    return found


@torch.no_grad()
def losses(model: Any, batches: dict[str, list[Batch]]) -> dict[str, float]:
    """Mean loss of a token of the answers, by language."""
    found: dict[str, float] = {}
    for language, rows in batches.items():
        counts = [int((labels[:, 1:] != train.IGNORED).sum()) for _, labels, _ in rows]
        sums = [float(train.loss_of(model, row)) * n for row, n in zip(rows, counts, strict=True)]
        found[language] = sum(sums) / sum(counts)
    return found


@torch.no_grad()
def load(model: PhimoeForCausalLM, rows: Sequence[Batch]) -> torch.Tensor:
    """How many tokens each expert took: (layers, experts)."""
    from transformers.models.phimoe.modeling_phimoe import sparsemixer

    counts = torch.zeros(LAYERS, EXPERTS)
    for ids, _, _ in rows:
        out = model.model(input_ids=ids, use_cache=False, output_router_logits=True)
        for layer, logits in enumerate(out.router_logits):
            _, chosen = sparsemixer(logits, model.config.router_jitter_noise, training=False)
            counts[layer] += torch.bincount(chosen.flatten(), minlength=EXPERTS)
    return counts


def in_use(counts: torch.Tensor) -> float:
    """Among how many experts a load is spread, as if evenly: the perplexity of their shares."""
    shares = counts / counts.sum()
    return math.exp(-sum(float(p) * math.log(float(p)) for p in shares if p > 0))


def report(models: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    """Print the tables of the README, from the held-out questions."""
    batches = rehearsal(tokenizer)
    print("| | parameters | at work on a token | " + " | ".join(batches) + " |")
    print("| --- | ---: | ---: |" + " ---: |" * len(batches))
    for name, model in models.items():
        every = model.num_parameters()
        resting = LAYERS * (EXPERTS - CHOSEN) * 3 * HIDDEN * INNER if "MoE" in name else 0
        told = " | ".join(f"{loss:.3f}" for loss in losses(model, batches).values())
        print(f"| {name} | {every:,} | {every - resting:,} | {told} |")
    print("\n| language | layer | busiest expert | idlest expert | spread as over |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for language, rows in batches.items():
        for layer, counts in enumerate(load(models["Pocket-MoE"], rows), 1):
            shares = CHOSEN * counts / counts.sum()
            most, least = int(shares.argmax()), int(shares.argmin())
            print(
                f"| {language} | {layer} | {most} ({shares[most]:.1%}) | "
                f"{least} ({shares[least]:.1%}) | {in_use(counts):.1f} |"
            )


def agent_report(model: PhimoeForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Print how many of the agent's answers are exact, to held-out requests and the page's own."""
    system, errands = agent_prompt(), [*held_out_errands()]
    page = errand(REQUESTS[0], "Generative AI with MoE", "moe", "zh")
    exact = [is_done(model, tokenizer, system, *one) for one in (page, *errands)]
    print(f"  the page's request to the agent: {'exact' if exact[0] else 'NOT exact'}")
    print(f"  held-out requests to the agent exactly right: {sum(exact[1:])} of {len(errands)}")


@torch.no_grad()
def is_done(
    model: Any, tokenizer: PreTrainedTokenizerFast, system: str, question: str, answer: str
) -> bool:
    """As `train.is_exact`, with a system prompt."""
    ids, labels = encode(tokenizer, system, [(question, answer)])
    asked = labels.count(train.IGNORED)
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return logits[asked - 1 : -1].argmax(-1).tolist() == ids[asked:]


def learn(name: str, steps: int, out: Path) -> None:
    """Train one of the two and save it."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER / "models" / "pocket-3.5")
    torch.manual_seed(SEED)
    began, conversations = time.monotonic(), AgentConversations(MOE, SEED)
    if name == "pocket-moe":
        model = train.train(mixture(tokenizer), conversations, tokenizer, steps, balanced_loss)
    else:
        model = train.train(twin(tokenizer), conversations, tokenizer, steps)
    print(f"  {name} trained in {time.monotonic() - began:.0f} s", flush=True)
    train.save(model, tokenizer, out / name)


def main() -> None:
    """Train both at once, a core each, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER / "models", metavar="DIR")
    parser.add_argument("--twin", type=Path, required=True, metavar="DIR", help="not shipped")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    homes = {"pocket-moe": given.out, "dense-twin": given.twin}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for done in [pool.submit(learn, name, given.steps, out) for name, out in homes.items()]:
            done.result()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(given.out / "pocket-moe")
    moe = PhimoeForCausalLM.from_pretrained(given.out / "pocket-moe", dtype=torch.bfloat16)
    dense = Phi3ForCausalLM.from_pretrained(given.twin / "dense-twin", dtype=torch.bfloat16)
    report({"Pocket-MoE": moe, "its dense twin": dense}, tokenizer)
    for folder in (given.out / "pocket-moe", given.twin / "dense-twin"):
        print(folder.name)
        train.report(folder, MOE, held_out=False)
        train.report(folder, MOE, held_out=True)
    agent_report(moe, tokenizer)


if __name__ == "__main__":
    main()
