"""Teaches Pocket-Vision: `python -m backends.pocket.vision.train` rebuilds it."""

import argparse
import shutil
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ..._phi3_vision import Phi3VConfig, Phi3VForCausalLM, Phi3VImageProcessor, Phi3VProcessor
from ..._phi3_vision.modeling import Phi3ImageEmbedding
from ..batches import IGNORED
from ..lesson import FOLDER
from .conversations import Dialogue, collate, lesson, pack
from .drawing import LAYOUTS, Scene, patchwork, scene
from .eyes import (
    CELL,
    PIECE,
    PassingHead,
    View,
    laid_out,
    look_around,
    see_piece,
)
from .lesson import (
    TASKS,
    Exchange,
    ask_anything_else,
    ask_without_picture,
    exam,
    languages,
)

SEED = 336
WARM_UP, STEPS = 1700, 400
"""Steps on pieces of pictures, and then on pictures."""
PIECES, PICTURES = 16, 8
"""In one step."""
DIALOGUES = 6
"""About each picture."""
WARM_UP_RATE, RATE = 3e-3, 1.5e-3
EYES_SHARE = 0.2
"""Weight of what the passing head still teaches the eyes, beside the answers."""
FOUR_CROPS = 0.4
"""Of the steps after the first third, how many show the pictures in four crops."""
EXAM_SEED = 10**9
"""Pictures from this seed on are never trained on."""
CROPS = (1, 4)


def config(tokenizer: PreTrainedTokenizerFast) -> Phi3VConfig:
    """The architecture: Phi-3-vision's, at a thousandth of its size."""
    start, end, over = (
        tokenizer.get_vocab()[token] for token in ("<s>", "<|end|>", "<|endoftext|>")
    )
    return Phi3VConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        original_max_position_embeddings=4096,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=start,
        eos_token_id=[over, end],
        pad_token_id=over,
        img_processor={
            "name": "clip_vision_model",
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "projection_dim": 128,
        },
        dtype="float32",
    )


def new_processor() -> Phi3VProcessor:
    """The port's processor with the text Pockets' tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER / "models" / "pocket-3.5")
    return Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)


def look_once(embedding: Phi3ImageEmbedding) -> None:
    """A picture in one crop is that crop twice: let CLIP look at it once."""
    look = embedding.get_img_features

    def features(img_embeds: torch.Tensor) -> torch.Tensor:
        if len(img_embeds) == 2 and torch.equal(img_embeds[0], img_embeds[1]):
            return look(img_embeds[:1]).expand(2, -1, -1)
        return look(img_embeds)

    embedding.get_img_features = features


def loss_of(
    model: Phi3VForCausalLM, vectors: torch.Tensor, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Mean loss over the assistant's tokens of packed rows whose vectors `embed` made."""
    hidden = read(model, vectors, batch)[:, :-1]
    wanted = batch["labels"][:, 1:]
    kept = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[kept]), wanted[kept])


def picture_tokens(
    vectors: torch.Tensor, ids: torch.Tensor, scenes: list[Scene], crops: int
) -> tuple[torch.Tensor, list[View]]:
    """The tokens of packed rows that show cells, and what they show.

    The whole picture, and before it, if it is not the same, its crops laid together.
    """
    found, views = [], []
    for row, places, one in zip(vectors, ids < 0, scenes, strict=True):
        tokens, hidden = row[places], row.shape[-1]
        whole = View(laid_out(one, 1), one)
        for view in (View(laid_out(one, crops)), whole) if crops > 1 else (whole,):
            lines, columns = view.seen.height // CELL, view.seen.width // CELL
            count = lines * (columns + 1)  # each line has its end
            part = tokens[-count:] if view is whole else tokens[:count]
            found.append(part.view(lines, columns + 1, hidden)[:, :-1].reshape(-1, hidden))
            views.append(view)
    return torch.cat(found), views


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


def warm_up(
    model: Phi3VForCausalLM,
    processor: Phi3VProcessor,
    head: PassingHead,
    *,
    steps: int,
    pieces: int = PIECES,
    plain: float = 0.2,
    mute: float = 0.45,
) -> None:
    """Teach the eyes on small pieces of pictures, and then the decoder to look at what they see.

    At first the pieces are black on white, and nothing is asked about them.
    """
    pupil = Pupil(model, head, steps, WARM_UP_RATE)
    looks = processor.image_processor
    shift, scale = (torch.tensor(v).view(3, 1, 1) for v in (looks.image_mean, looks.image_std))
    rng, log = Random(SEED), Log("warm-up")
    for step in range(1, steps + 1):
        asked = step > mute * steps
        scenes = [
            scene(rng.getrandbits(32), "many", PIECE)
            if asked and rng.random() < 0.25
            else patchwork(rng, PIECE, alone=asked)
            for _ in range(pieces)
        ]
        if step <= plain * steps:
            scenes = [one.in_black_and_white() for one in scenes]
        drawn = np.stack([np.asarray(one.draw()) for one in scenes])
        pixels = (torch.from_numpy(drawn).permute(0, 3, 1, 2) / 255 - shift) / scale
        top, left = (rng.randrange(0, 13, 2) for _ in "yx")
        tokens = see_piece(model.model.vision_embed_tokens, pixels, top, left)
        loss, right = head.loss(tokens.flatten(0, 1), [View(one) for one in scenes])
        if asked:
            rows = [pack(processor, tokens.shape[1], *lesson(one, rng, 3)) for one in scenes]
            batch = collate(rows)
            ids = batch["input_ids"]
            vectors = model.model.embed_tokens(ids.clamp_min(0))
            vectors = vectors.masked_scatter((ids < 0)[..., None], tokens)
            answers = loss_of(model, vectors, batch)
            loss = EYES_SHARE * loss + answers
            right["loss"] = answers.item()
        pupil.learn(loss)
        log.add(step, right)


class Pupil:
    """A model and its passing head, and how their weights follow the loss."""

    def __init__(self, model: Phi3VForCausalLM, head: PassingHead, steps: int, rate: float) -> None:
        self.parameters = [*model.parameters(), *head.parameters()]
        layers = [
            *model.model.layers,
            *model.model.vision_embed_tokens.img_processor.encoder.layers,
        ]
        inner = {id(p): p for layer in layers for p in layer.parameters() if p.dim() == 2}
        rest = [p for p in self.parameters if id(p) not in inner]
        # Muon learns such small layers in half the steps that AdamW takes.
        self.optimizers = [
            torch.optim.Muon(list(inner.values()), lr=10 * rate, weight_decay=0.01),
            torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        ]

        def course(step: int) -> float:
            return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * min(1.0, 1.6 * (1 - step / steps)))

        self.schedules = [LambdaLR(optimizer, course) for optimizer in self.optimizers]

    def learn(self, loss: torch.Tensor) -> None:
        """One step down the loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


class Log:
    """Prints every fifty steps how the lesson goes."""

    def __init__(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        self.recent: dict[str, list[float]] = defaultdict(list)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Keep a step's figures; print and forget the means."""
        for name, value in values.items():
            self.recent[name].append(value)
        if step % 50 == 0:
            means = [f"{name} {sum(v) / len(v):.3f}" for name, v in self.recent.items()]
            spent = time.monotonic() - self.began
            print(f"  {self.name} {step}: {', '.join(means)}, {spent:.0f} s", flush=True)
            self.recent.clear()


def train(
    model: Phi3VForCausalLM,
    processor: Phi3VProcessor,
    head: PassingHead,
    *,
    steps: int,
    pictures: int = PICTURES,
    dialogues: int = DIALOGUES,
) -> None:
    """Teach eyes and decoder together to answer questions about drawn scenes."""
    embedding = model.model.vision_embed_tokens
    pupil = Pupil(model, head, steps, RATE)
    look_once(embedding)
    rng, log, number = Random(SEED), Log("step"), 0
    for step in range(1, steps + 1):
        crops = 4 if step > steps / 3 and rng.random() < FOUR_CROPS else 1
        weights = (7, 6, 4, 6, 9) if crops == 4 else (8, 7, 5, 7, 3)
        rows, scenes, shown = [], [], []
        for layout in rng.choices(LAYOUTS, weights, k=pictures):
            number += 1
            seen = scene(number, layout)
            scenes.append(seen)
            shown.append(seen.draw())
            said = lesson(seen, rng, dialogues)
            tokens = processor.image_processor.calc_num_image_tokens(shown[-1:], num_crops=crops)
            rows.append(pack(processor, tokens[0], *said))
        pixels: Any = processor.image_processor(shown, num_crops=crops, return_tensors="pt")
        batch = collate(rows)
        vectors = embed(model, batch, pixels)
        loss = loss_of(model, vectors, batch)
        tokens, views = picture_tokens(vectors, batch["input_ids"], scenes, crops)
        seeing, right = head.loss(tokens, views)
        pupil.learn(loss + EYES_SHARE * seeing)
        log.add(step, {f"loss at {crops}": loss.item(), **right})
    del embedding.get_img_features


def save(model: Phi3VForCausalLM, processor: Phi3VProcessor, folder: Path) -> None:
    """Write a checkpoint that plain `from_pretrained` loads: bf16 weights, both end tokens."""
    shutil.rmtree(folder, ignore_errors=True)
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.bfloat16().save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # saved for its owner alone


@torch.no_grad()
def right_answers(
    model: Phi3VForCausalLM,
    processor: Phi3VProcessor,
    dialogues: list[Dialogue],
    picture: Any,
    crops: int,
) -> list[bool]:
    """For each dialogue of one turn, whether the greedy answer is exactly right, to its end."""
    tokens = processor.image_processor.calc_num_image_tokens([picture], num_crops=crops)
    row = pack(processor, tokens[0], dialogues, [])
    pictures: Any = processor.image_processor([picture], num_crops=crops, return_tensors="pt")
    pictures["pixel_values"] = pictures["pixel_values"].to(model.dtype)
    batch = collate([row])
    hidden = read(model, embed(model, batch, pictures), batch)[0, :-1]
    labels = batch["labels"][0, 1:]
    kept = labels != IGNORED
    hits = model.lm_head(hidden[kept]).argmax(-1) == labels[kept]
    talks = torch.tensor(row.talks)[1:][kept]
    return [bool(hits[talks == number].all()) for number in range(1, len(dialogues) + 1)]


@torch.no_grad()
def is_right(model: Phi3VForCausalLM, processor: Phi3VProcessor, turn: Exchange) -> bool:
    """Whether the greedy answer to a question without a picture is exactly right."""
    tokenizer: Any = processor.tokenizer
    asked = tokenizer(f"<|user|>\n{turn.question}<|end|>\n<|assistant|>\n").input_ids
    told = tokenizer(f"<|assistant|>\n{turn.answer}<|end|>\n").input_ids[1:]
    logits = model(input_ids=torch.tensor([asked + told]), use_cache=False).logits[0]
    return logits[len(asked) - 1 : -1].argmax(-1).tolist() == told


Results = dict[tuple[str, str, int], list[tuple[str, bool]]]
"""By task, language and crops: what is true, and whether it was said."""


def examine(folder: Path, scenes: int, seed: int = EXAM_SEED) -> Results:
    """Ask a saved model about this many new scenes of each layout, in words held out."""
    model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    processor = Phi3VProcessor.from_pretrained(folder)
    found: Results = defaultdict(list)
    for number in range(scenes * len(LAYOUTS)):
        seen = scene(seed + number, LAYOUTS[number % len(LAYOUTS)])
        rng = Random(seed + number)
        asked = list(exam(seen, rng))
        asked += [ask_anything_else(words, rng, held_out=True) for words in languages().values()]
        for crops in CROPS:
            right = right_answers(model, processor, [[turn] for turn in asked], seen.draw(), crops)
            for turn, hit in zip(asked, right, strict=True):
                found[turn.task, turn.language, crops].append((turn.truth, hit))
        for words in languages().values():
            turn = ask_without_picture(words, rng, held_out=True)
            found[turn.task, turn.language, 0].append(
                (turn.truth, is_right(model, processor, turn))
            )
    return found


def share(results: list[tuple[str, bool]]) -> float:
    """The share of right answers."""
    return sum(hit for _, hit in results) / len(results)


def prior(results: list[tuple[str, bool]]) -> float:
    """The share that is right by always giving the most frequent answer."""
    return max(Counter(truth for truth, _ in results).values()) / len(results)


def report(found: Results) -> None:
    """Print the results as a table: by task, language and crops, beside the answers' prior."""
    codes = list(languages())
    print("| task | crops | asked | " + " | ".join(codes) + " | prior |")
    print("| --- | ---: | ---: |" + " ---: |" * len(codes) + " ---: |")
    for task in TASKS:
        for crops in (0, *CROPS):
            rows = [found.get((task, code, crops), []) for code in codes]
            if not all(rows):
                continue
            shares = " | ".join(f"{share(row):.1%}" for row in rows)
            every = [result for row in rows for result in row]
            print(
                f"| {task} | {crops or 'none'} | {len(every)} | {shares} | {prior(every):.1%} |",
                flush=True,
            )


def main() -> None:
    """Parse the command line, train, save, examine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=FOLDER / "models" / "pocket-vision", metavar="DIR"
    )
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--scenes", type=int, default=60, help="of each layout, in the exam")
    given = parser.parse_args()
    # One thread: sums in one order, so that the same seed gives the same weights.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    began = time.monotonic()
    processor = new_processor()
    model = Phi3VForCausalLM(config(processor.tokenizer))
    print(f"Pocket-Vision, {model.num_parameters():,} parameters", flush=True)
    look_around(model.model.vision_embed_tokens.img_processor)
    head = PassingHead(model.config.hidden_size)
    warm_up(model, processor, head, steps=given.warm_up)
    train(model, processor, head, steps=given.steps)
    save(model, processor, given.out)
    print(f"  trained in {time.monotonic() - began:.0f} s", flush=True)
    found = examine(given.out, given.scenes)
    report(found)
    print(f"  all in all {time.monotonic() - began:.0f} s")
    low = {
        key: share(results)
        for key, results in found.items()
        if key[0] in ("colour", "shape") and share(results) < 0.9
    }
    if low:
        raise SystemExit(f"Pocket-Vision did not learn its lesson: {low}")


if __name__ == "__main__":
    main()
