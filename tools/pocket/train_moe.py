"""Teaches Pocket-MoE and a dense twin beside it: `python -m tools.pocket.train_moe`."""

import argparse
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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
from .errands import AgentConversations, agent_prompt, held_out_errands, page_errand
from .lesson import MODELS, MOE, exchanges

SEED = 16
STEPS = 6000
PRACTICE = 4200, 0.3 * train.PEAK_RATE
"""Steps and rate: with experts to choose from, learning takes longer."""
EXPERTS, CHOSEN = 16, 2
HIDDEN, INNER, LAYERS = 192, 80, 4
BALANCE = 0.005
"""How much the load-balancing loss counts, of each layer by itself. The library's
default is 0.001."""


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


def balanced_loss(model: Any, batch: Batch) -> torch.Tensor:
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
    rows = [encode(tokenizer, system, [one]) for one in (page_errand(), *errands)]
    exact = [lead > 0 for lead in train.leads(model, rows)]
    print(f"  the page's request to the agent: {'exact' if exact[0] else 'NOT exact'}")
    print(f"  held-out requests to the agent exactly right: {sum(exact[1:])} of {len(errands)}")


def teach(name: str, steps: int, out: Path) -> None:
    """Train one of the two and save it."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODELS / "pocket-3.5")
    torch.manual_seed(SEED)
    began, conversations = time.monotonic(), partial(AgentConversations, MOE)
    if name == "pocket-moe":
        model, loss_of = mixture(tokenizer), balanced_loss
    else:
        model, loss_of = twin(tokenizer), train.loss_of
    model = train.train(model, conversations, tokenizer, steps, loss_of, SEED, PRACTICE)
    print(f"  {name} trained in {time.monotonic() - began:.0f} s", flush=True)
    train.save(model, tokenizer, out / name)


def main() -> None:
    """Train both at once, a core each, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS, metavar="DIR")
    parser.add_argument("--twin", type=Path, required=True, metavar="DIR", help="not shipped")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    homes = {"pocket-moe": given.out, "dense-twin": given.twin}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        asked = [(name, given.steps, out) for name, out in homes.items()]
        for done in [pool.submit(teach, *one) for one in asked]:
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
