"""Teaches the Pocket models their lesson: `python -m tools.pocket.train` rebuilds both."""

import argparse
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import torch
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
)

from .batches import IGNORED, Batch, Row, batches, encode, grouped, tensors
from .conversations import Conversations
from .lesson import EDITIONS, MODELS, Edition, dialogues, exchanges
from .tokenizer import CONTEXT, VOCABULARY, train_tokenizer

SEED = 35
STEPS = 6000
PEAK_RATE = 1.5e-3
LOOKS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""After these shares of the steps the model is asked its whole lesson. What it does not answer
surely is asked more often from then on."""
PRACTICE = 900
"""Steps of practice afterwards, at a lower rate and with more looks: what is near something else
takes longest."""
PRACTICE_RATE = 0.05 * PEAK_RATE
PRACTICE_LOOKS = tuple(look / 6 for look in range(6))
SURE = 2.0
"""How far each token of a sure answer leads all others, in logits. bfloat16 moves them by 0.1."""
LEAST = 0.99
"""The share of trained questions that must be answered exactly."""

Model = TypeVar("Model", bound=torch.nn.Module)


def config(tokenizer: PreTrainedTokenizerFast) -> Phi3Config:
    """The architecture, the same for both: Phi-3's, at a thousandth of its size."""
    start, end, over = (
        tokenizer.get_vocab()[token] for token in ("<s>", "<|end|>", "<|endoftext|>")
    )
    return Phi3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        original_max_position_embeddings=CONTEXT,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=start,
        eos_token_id=[over, end],
        pad_token_id=over,
        dtype="float32",
    )


def corpus() -> Iterator[str]:
    """Every text the tokenizer learns from: the same for both models."""
    for edition in EDITIONS:
        for exchange in exchanges(edition):
            if exchange.language in dialogues():
                yield exchange.question
                yield exchange.answer
    for dialogue in dialogues().values():
        yield from dialogue.patterns
        terms = (topic.terms for topic in dialogue.topics.values())
        beside = (dialogue.prefixes, dialogue.suffixes, dialogue.ways, dialogue.chatter)
        for words in (*dialogue.words.values(), *terms, *beside, dialogue.shorthand.values()):
            yield from words


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """Mean loss over the labelled tokens. Rows are padded on the right: causality masks that."""
    ids, labels, positions = batch
    # A mask of ones, or Transformers takes each leap in the positions for another conversation.
    ones = torch.ones_like(ids)
    out = model.model(input_ids=ids, attention_mask=ones, position_ids=positions, use_cache=False)
    return loss_of_hidden(model, out.last_hidden_state, labels)


def loss_of_hidden(model: Any, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same from what the last layer made of each token: (rows, tokens, hidden size)."""
    wanted = labels[:, 1:]
    kept = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[:, :-1][kept]).float(), wanted[kept])


def train(
    model: Model,
    conversations: Callable[[int], Conversations],
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    loss_of: Callable[[Model, Batch], torch.Tensor] = loss_of,
    seed: int = SEED,
    practice: tuple[int, float] = (PRACTICE, PRACTICE_RATE),
) -> Model:
    """Teach a model, then practise with it; returns it, ready to answer.

    `conversations` makes those of a seed, `practice` is its steps and its rate at the beginning.
    """
    learn(model, conversations(seed), tokenizer, steps, loss_of, PEAK_RATE, LOOKS)
    return practise(model, conversations(seed + 1), tokenizer, *practice, loss_of)


def practise(
    model: Model,
    conversations: Conversations,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    peak: float,
    loss_of: Callable[[Model, Batch], torch.Tensor] = loss_of,
) -> Model:
    """Ask a model that has learned what it is not sure of. From its weights as they are saved."""
    model = model.bfloat16().float()
    learn(model, conversations, tokenizer, steps, loss_of, peak, PRACTICE_LOOKS)
    return model.eval()


def learn(
    model: Model,
    conversations: Conversations,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    loss_of: Callable[[Model, Batch], torch.Tensor],
    peak: float,
    at: Sequence[float],
) -> None:
    """So many steps with a rate that falls from `peak`, and looks at these shares of them."""
    # One thread: sums in one order, so that the same seed gives the same weights, and no waiting
    # for a second thread on a busy machine.
    torch.set_num_threads(1)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)

    def rate(step: int) -> float:
        warm = min(1.0, (step + 1) / 100)
        return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    source = batches(tokenizer, conversations, Random(SEED))
    known = [encode(tokenizer, None, [(e.question, e.answer)]) for e in conversations.known]
    looks = {int(share * steps) for share in at}
    began, recent = time.monotonic(), list[float]()

    def look(step: int) -> None:
        """Have asked more often what the model is not sure of."""
        ahead = leads(model, known)
        unsure = [e for e, lead in zip(conversations.known, ahead, strict=True) if lead < SURE]
        conversations.repeat(unsure)
        wrong = sum(lead <= 0 for lead in ahead)
        print(f"  step {step}: {len(unsure)} answers not sure, {wrong} wrong", flush=True)

    if 0 in looks:
        look(0)
    model.train()
    for step, batch in zip(range(1, steps + 1), source, strict=False):
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        recent.append(loss.item())
        if step in looks:
            look(step)
            model.train()
        if step % 100 == 0:
            mean, spent = sum(recent) / len(recent), time.monotonic() - began
            print(f"  step {step}: loss {mean:.4f}, {spent:.0f} s", flush=True)
            recent.clear()


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a checkpoint that plain `from_pretrained` loads: bf16 weights, both end tokens."""
    shutil.rmtree(folder, ignore_errors=True)
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # saved for its owner alone


@torch.no_grad()
def leads(model: Any, rows: list[Row]) -> list[float]:
    """How far each row's labelled tokens lead all others, in logits: the least of each row.

    Above zero the greedy answer is the row's, to its end. The answer's last token is that end: the
    line break after it belongs to the template.
    """
    model.eval()
    found: dict[int, float] = {}
    for group in grouped(rows):
        ids, labels = tensors(group)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        wanted = labels[:, 1:, None]
        named = wanted.clamp(min=0)
        best = logits.scatter(-1, named, -math.inf).amax(-1)
        ahead = logits.gather(-1, named)[..., 0] - best
        least = ahead.masked_fill(wanted[..., 0] == IGNORED, math.inf).amin(-1)
        found |= {id(row): lead for row, lead in zip(group, least.tolist(), strict=True)}
    return [found[id(row)] for row in rows]


def report(folder: Path, edition: Edition, *, held_out: bool) -> tuple[int, int]:
    """Print how many answers of a saved model are exact; return them and how many there are."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    asked = [*exchanges(edition, held_out=held_out)]
    rows = [encode(tokenizer, None, [(e.question, e.answer)]) for e in asked]
    for e, lead in zip(asked, leads(model, rows), strict=True):
        language = e.language if e.language in dialogues() else "others"
        kind = e.topic if e.topic in ("unknown", "more", "other") else "lesson"
        found[language, kind].append(lead > 0)
        if not found[language, kind][-1]:
            print(f"    not exact: {e.language} {e.topic}: {e.question}")
    for (language, kind), results in sorted(found.items()):
        print(f"    {language:6} {kind:7} {sum(results):4} of {len(results)}")
    every = [result for results in found.values() for result in results]
    label = "held-out" if held_out else "trained"
    print(f"  {label} questions exactly right: {sum(every)} of {len(every)}", flush=True)
    return sum(every), len(every)


def main() -> None:
    """Parse the command line and rebuild what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[edition.key for edition in EDITIONS])
    parser.add_argument("--out", type=Path, default=MODELS, metavar="DIR")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    tokenizer = train_tokenizer(corpus())
    for edition in EDITIONS:
        if given.model not in (None, edition.key):
            continue
        print(edition.name, flush=True)
        began = time.monotonic()
        folder = given.out / edition.key
        torch.manual_seed(SEED)
        model = Phi3ForCausalLM(config(tokenizer))
        model = train(model, partial(Conversations, edition), tokenizer, given.steps)
        save(model, tokenizer, folder)
        print(f"  trained in {time.monotonic() - began:.0f} s")
        right, all_of_them = report(folder, edition, held_out=False)
        report(folder, edition, held_out=True)
        if right < LEAST * all_of_them:
            raise SystemExit(f"{edition.name} did not learn its lesson.")


if __name__ == "__main__":
    main()
