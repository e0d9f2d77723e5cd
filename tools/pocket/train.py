"""Teaches the Pocket models their lesson: `python -m tools.pocket.train` rebuilds both."""

import argparse
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
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

from .batches import IGNORED, Batch, batches, encode
from .conversations import Conversations
from .lesson import EDITIONS, MODELS, Edition, dialogues, exchanges
from .tokenizer import CONTEXT, VOCABULARY, train_tokenizer

SEED = 35
STEPS = 4000
PEAK_RATE = 1.5e-3
AGAIN = 0.5
"""The rate of a model that goes on learning, as a share of `PEAK_RATE`."""
REHEARSAL = 0.75
"""After this share of the steps most questions come word for word: the lesson is said by heart."""
BY_HEART = 0.8
"""How many of them are most."""
LEAST = 0.95
"""The share of trained questions that must be answered exactly. Those that are not get another
answer, a whole one: among 4,200 ways to ask some are near two subjects."""

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
    conversations: Conversations,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    loss_of: Callable[[Model, Batch], torch.Tensor] = loss_of,
    peak: float = PEAK_RATE,
) -> Model:
    """Teach a model; returns it, ready to answer."""
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
    began, recent = time.monotonic(), []
    for step, batch in zip(range(1, steps + 1), source, strict=False):
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        recent.append(loss.item())
        if step == int(REHEARSAL * steps):
            conversations.word_for_word = BY_HEART
        if step % 100 == 0:
            spent = time.monotonic() - began
            print(f"  step {step}: loss {sum(recent) / len(recent):.4f}, {spent:.0f} s", flush=True)
            recent.clear()
    return model.eval()


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
def is_exact(model: Any, tokenizer: PreTrainedTokenizerFast, question: str, answer: str) -> bool:
    """Whether the greedy answer is `answer`, to its end: every token of it is the likeliest one."""
    ids, labels = encode(tokenizer, None, [(question, answer)])
    asked = labels.count(IGNORED)
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    # The answer's last token is the end; the line break after it belongs to the template.
    return logits[asked - 1 : -1].argmax(-1).tolist() == ids[asked:]


def report(folder: Path, edition: Edition, *, held_out: bool) -> tuple[int, int]:
    """Print how many answers of a saved model are exact; return them and how many there are."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for e in exchanges(edition, held_out=held_out):
        language = e.language if e.language in dialogues() else "others"
        kind = e.topic if e.topic in ("unknown", "more", "other") else "lesson"
        found[language, kind].append(is_exact(model, tokenizer, e.question, e.answer))
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
    parser.add_argument("--again", action="store_true", help="go on from the model that is there")
    given = parser.parse_args()
    tokenizer = train_tokenizer(corpus())
    for edition in EDITIONS:
        if given.model not in (None, edition.key):
            continue
        print(edition.name, flush=True)
        began = time.monotonic()
        folder = given.out / edition.key
        torch.manual_seed(SEED)
        if given.again:
            known = Phi3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
            talks = Conversations(edition, SEED + 1)
            model = train(known, talks, tokenizer, given.steps, peak=AGAIN * PEAK_RATE)
        else:
            new = Phi3ForCausalLM(config(tokenizer))
            model = train(new, Conversations(edition, SEED), tokenizer, given.steps)
        save(model, tokenizer, folder)
        print(f"  trained in {time.monotonic() - began:.0f} s")
        right, all_of_them = report(folder, edition, held_out=False)
        report(folder, edition, held_out=True)
        if right < LEAST * all_of_them:
            raise SystemExit(f"{edition.name} did not learn its lesson.")


if __name__ == "__main__":
    main()
