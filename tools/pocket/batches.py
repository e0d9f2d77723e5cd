"""Conversations as tensors: through the chat template, in rows of like length."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from .conversations import Conversations, Turns
from .tokenizer import CONTEXT

BATCH_TOKENS = 1024
"""Tokens in one step, padding included."""
WHOLE = 0.2
"""The share of conversations that are learned to the end of their last answer."""
LONG = 200
"""Tokens of an answer that is always learned whole: the lesson has none, an agent's JSON is one."""
IGNORED = -100
"""What `cross_entropy` skips: only the assistant's own tokens are learned."""

Row = tuple[list[int], list[int]]
"""Ids and labels of one conversation."""
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Ids, labels and positions, each (rows, tokens)."""


def encode(tokenizer: PreTrainedTokenizerFast, system: str | None, turns: Turns) -> Row:
    """A conversation as ids and as labels, put through the chat template turn by turn."""
    messages = [{"role": "system", "content": system}] if system else []
    text = _template(tokenizer, messages)
    ids = tokenizer.encode(text, add_special_tokens=False) if text else []
    labels = [IGNORED] * len(ids)
    for question, answer in turns:
        messages.append({"role": "user", "content": question})
        asked = _template(tokenizer, messages, prompt=True)
        messages.append({"role": "assistant", "content": answer})
        told = _template(tokenizer, messages)
        before = tokenizer.encode(asked[len(text) :], add_special_tokens=False)
        after = tokenizer.encode(told[len(asked) :], add_special_tokens=False)
        ids += before + after
        labels += [IGNORED] * len(before) + after
        text = told
    return ids, labels


def _template(
    tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]], *, prompt: bool = False
) -> str:
    if not messages:
        return ""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    assert isinstance(text, str)
    return text if prompt else text.removesuffix(str(tokenizer.eos_token))


def batches(
    tokenizer: PreTrainedTokenizerFast,
    conversations: Conversations,
    rng: Random,
) -> Iterator[Batch]:
    """Endless (ids, labels, positions) of shape (rows, tokens), rows of like length together."""
    while True:
        rows = [encode(tokenizer, *conversations.draw()) for _ in range(512)]
        rows = [_shortened(row, rng) for row in rows]
        groups = grouped(rows)
        rng.shuffle(groups)
        for group in groups:
            positions = [_positions(labels, rng) for _, labels in group]
            yield *tensors(group), _padded(positions, 0)


def grouped(rows: list[Row]) -> list[list[Row]]:
    """Rows of like length together, shortest first, as many as `BATCH_TOKENS` hold."""
    groups: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(row)
    return groups


def tensors(group: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of a group, each (rows, tokens), padded on the right: causality masks that."""
    return _padded([ids for ids, _ in group], 0), _padded([labels for _, labels in group], IGNORED)


def _padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def _shortened(row: Row, rng: Random) -> Row:
    """Most rows end early in their last answer: choosing it is harder than finishing it."""
    ids, labels = row
    last = max(at for at, label in enumerate(labels) if label == IGNORED)
    if rng.random() < WHOLE or len(ids) - last > LONG:
        return row
    return ids[: last + 11], labels[: last + 11]


def _positions(labels: list[int], rng: Random) -> list[int]:
    """A position for each token, with a leap after some answers.

    A short talk then has the distances of a long one, and the model learns that what was said
    long ago does not matter.
    """
    room = (CONTEXT - len(labels)) * rng.random() ** 2 if rng.random() < 0.7 else 0
    at, positions = 0, [0]
    for before, label in pairwise(labels):
        at += 1
        if before != IGNORED and label == IGNORED and room:
            leap = int(room * rng.random())
            at, room = at + leap, room - leap
        positions.append(at)
    return positions
