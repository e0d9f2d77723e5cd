"""Pictures and questions as tensors: each picture is paid for once, each question stands alone."""

from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from backends._local.phi3_vision import Phi3VForCausalLM, Phi3VProcessor

from ..batches import IGNORED
from .drawing import Scene
from .lesson import Exchange, ask, ask_anything_else, ask_without_picture, languages, points, varied

OPENING = "<|user|>\n"
Dialogue = list[Exchange]
"""Turns about one picture, or about none."""


@dataclass(slots=True)
class Row:
    """One picture and what is said about it, and some talk without a picture."""

    ids: list[int]
    labels: list[int]
    positions: list[int]
    talks: list[int]
    """Which dialogue a token belongs to: 0 for the picture, negative without a picture."""


def pack(
    processor: Phi3VProcessor, image_tokens: int, seen: list[Dialogue], unseen: list[Dialogue]
) -> Row:
    """Lay dialogues side by side, each as the model would read it alone.

    The ids are those that the processor makes of `<|user|>\\n<|image_1|>\\n…`: the text before and
    after a picture is encoded by itself.
    """
    tokenizer: Any = processor.tokenizer
    opening = tokenizer(OPENING).input_ids + [-1] * image_tokens
    places = list(range(len(opening)))
    row = Row(opening, [IGNORED] * len(opening), places, [0] * len(opening))
    start, end = tokenizer.convert_tokens_to_ids(["<|assistant|>", "<|end|>"])
    for number, (dialogue, first) in enumerate(
        [*((d, "\n") for d in seen), *((d, OPENING) for d in unseen)], start=1
    ):
        text = first + OPENING.join(
            f"{turn.question}<|end|>\n<|assistant|>\n{turn.answer}<|end|>\n" for turn in dialogue
        )
        ids = tokenizer(text).input_ids
        at = len(opening) if first == "\n" else 0
        row.ids += ids
        row.positions += range(at, at + len(ids))
        row.talks += [number if first == "\n" else -number] * len(ids)
        answering = False
        for token in ids:
            row.labels.append(token if answering else IGNORED)
            answering = token == start or (answering and token != end)
    return row


def collate(rows: list[Row]) -> dict[str, torch.Tensor]:
    """Rows as `input_ids`, `labels`, `position_ids` and a mask (rows, 1, tokens, tokens)."""
    longest = max(len(row.ids) for row in rows)

    def padded(values: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in values])

    talks = padded([row.talks for row in rows], 10**6)
    same = talks[:, :, None] == talks[:, None, :]
    picture = (talks[:, :, None] > 0) & (talks[:, None, :] == 0)
    return {
        "input_ids": padded([row.ids for row in rows], 0),
        "labels": padded([row.labels for row in rows], IGNORED),
        "position_ids": padded([row.positions for row in rows], 0),
        "attention_mask": ((same | picture).tril())[:, None],
    }


def lesson(scene: Scene, rng: Random, dialogues: int) -> tuple[list[Dialogue], list[Dialogue]]:
    """Random dialogues about a scene, most of one turn, and one or two about no picture."""
    known, words = points(scene), list(languages().values())

    def about(language: Any) -> Exchange:
        if rng.random() < 0.05:
            return ask_anything_else(language, rng)
        while True:
            if exchange := ask(scene, rng.choice(known), language, rng):
                return exchange

    def typed(exchange: Exchange) -> Exchange:
        question = varied(exchange.question, exchange.language, rng)
        return Exchange(exchange.language, exchange.task, question, exchange.answer, exchange.truth)

    seen = []
    for _ in range(dialogues):
        language = rng.choice(words)
        turns = rng.choice((1, 1, 1, 1, 2, 3))
        seen.append([typed(about(language)) for _ in range(turns)])
    language = rng.choice(words)
    absent = rng.choice((ask_without_picture, ask_without_picture, ask_anything_else))
    return seen, [[typed(absent(language, rng))]]


def embed(
    model: Phi3VForCausalLM, batch: dict[str, torch.Tensor], pictures: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The vectors of packed rows and their pictures: (rows, tokens, hidden)."""
    return model.model.vision_embed_tokens(
        batch["input_ids"], pictures["pixel_values"], pictures["image_sizes"]
    )


def read(
    model: Phi3VForCausalLM, vectors: torch.Tensor, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """What the decoder makes of them: (rows, tokens, hidden)."""
    mask = torch.zeros(batch["attention_mask"].shape, dtype=vectors.dtype)
    mask.masked_fill_(~batch["attention_mask"], torch.finfo(vectors.dtype).min)
    out = model.model(
        inputs_embeds=vectors,
        attention_mask=mask,
        position_ids=batch["position_ids"],
        use_cache=False,
    )
    return out.last_hidden_state
