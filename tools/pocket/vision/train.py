"""Teaches Pocket-Vision: `python -m tools.pocket.vision.train` rebuilds it."""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerFast

from backends._local.phi3_vision import (
    Phi3VConfig,
    Phi3VForCausalLM,
    Phi3VImageProcessor,
    Phi3VProcessor,
)
from backends._local.phi3_vision.crops import CROP
from backends._local.phi3_vision.modeling import Phi3ImageEmbedding

from ..batches import IGNORED
from ..lesson import MODELS
from ..train import save
from .conversations import collate, embed, lesson, pack, read
from .drawing import LAYOUTS, Scene, patchwork, scene
from .exam import SHIPPED, examine, report, share
from .eyes import CELL, Labels, PassingHead, View, laid_out, look_around, see_piece

SEED = 336
LOOKS = ((112, 64, 1600, 3e-3), (224, 20, 600, 2.1e-3), (336, 8, 1400, 1e-3))
"""What the eyes learn from: pictures of so many pixels a side, so many at once, steps, rate."""
TALKS = (168, 10, 500)
"""What the decoder learns first, on pieces: side, pieces at once, steps."""
STEPS, PICTURES = 800, 8
"""What it learns then, on whole pictures: steps, pictures at once."""
ROUNDS = 2
"""How often, each time on new pictures: where things are it understands last."""
RATE = 1.5e-3
DIALOGUES = 6
"""About each picture."""
FOUR_CROPS = 0.3
"""Of the steps, how many show the pictures in four crops."""


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
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "projection_dim": 128,
        },
        dtype="float32",
    )


def new_processor() -> Phi3VProcessor:
    """The port's processor with the text Pockets' tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODELS / "pocket-3.5")
    return Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)


class Lesson(NamedTuple):
    """Some pictures, and what they show or what is said about them."""

    pictures: dict[str, torch.Tensor]
    """As the image processor makes them; of pieces just `pixel_values` (pieces, 3, side, side)."""
    labels: Labels | None = None
    batch: dict[str, torch.Tensor] | None = None
    crops: int = 1


class Pieces(IterableDataset):
    """Small squares with things in them, or, of a crop's size, whole pictures as one crop."""

    def __init__(
        self, processor: Phi3VProcessor, side: int, pieces: int, steps: int, *, talk: bool = False
    ) -> None:
        self.processor, self.side, self.pieces, self.steps = processor, side, pieces, steps
        self.talk = talk
        """Whether there are questions about them, so about one thing in each."""

    def __iter__(self) -> Iterator[Lesson]:
        rng, tokens = Random(SEED + self.side), (self.side // CELL) ** 2
        for _ in range(self.steps):
            if self.side == CROP:
                scenes = [scene(rng.getrandbits(29)) for _ in range(self.pieces)]
                views = [View(laid_out(one, 1), one) for one in scenes]
            else:
                scenes = [patchwork(rng, self.side, alone=self.talk) for _ in range(self.pieces)]
                views = [View(one) for one in scenes]
            pictures = {"pixel_values": self._pixels(scenes)}
            if not self.talk:
                yield Lesson(pictures, Labels.of(views))
                continue
            said = [lesson(one, rng, DIALOGUES) for one in scenes]
            rows = [pack(self.processor, tokens, *one) for one in said]
            yield Lesson(pictures, batch=collate(rows))

    def _pixels(self, scenes: list[Scene]) -> torch.Tensor:
        look, shown = self.processor.image_processor, [one.draw() for one in scenes]
        if self.side == CROP:
            return look(shown, num_crops=1, return_tensors="pt")["pixel_values"][:, 0]
        pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in shown]))
        shift, scale = (torch.tensor(v).view(3, 1, 1) for v in (look.image_mean, look.image_std))
        return (pixels.permute(0, 3, 1, 2) / 255 - shift) / scale


class Pictures(IterableDataset):
    """Whole pictures in one crop or in four, and dialogues about them."""

    def __init__(
        self, processor: Phi3VProcessor, pictures: int, steps: int, number: int = 0
    ) -> None:
        self.processor, self.pictures, self.steps = processor, pictures, steps
        self.number = number
        """Of the round."""

    def __iter__(self) -> Iterator[Lesson]:
        rng, look = Random(SEED + self.number), self.processor.image_processor
        number = 10**6 * self.number
        for _ in range(self.steps):
            crops = 4 if rng.random() < FOUR_CROPS else 1
            weights = (7, 6, 4, 6, 9) if crops == 4 else (8, 7, 5, 7, 3)
            rows, shown = [], []
            # Four crops are as much work as three pictures in one.
            count = self.pictures if crops == 1 else max(1, self.pictures // 3)
            for layout in rng.choices(LAYOUTS, weights, k=count):
                number += 1
                seen = scene(number, layout)
                shown.append(seen.draw())
                (tokens,) = look.calc_num_image_tokens(shown[-1:], num_crops=crops)
                rows.append(pack(self.processor, tokens, *lesson(seen, rng, DIALOGUES)))
            pixels: Any = look(shown, num_crops=crops, return_tensors="pt")
            yield Lesson(dict(pixels), batch=collate(rows), crops=crops)


class Pupil:
    """What learns, and how its weights follow the loss."""

    def __init__(self, *modules: torch.nn.Module, steps: int, rate: float) -> None:
        self.parameters = list({id(p): p for m in modules for p in m.parameters()}.values())
        inner = {
            id(p)
            for module in modules
            for name, p in module.named_parameters()
            if ".layers." in name and p.dim() == 2
        }
        # Muon learns such small layers in half the steps that AdamW takes.
        self.optimizers = [
            torch.optim.Muon(
                [p for p in self.parameters if id(p) in inner], lr=10 * rate, weight_decay=0.1
            ),
            torch.optim.AdamW(
                [p for p in self.parameters if id(p) not in inner],
                lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True,
            ),
        ]  # fmt: skip

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
        self.name, self.began, self.steps = name, time.monotonic(), 0
        self.recent: dict[str, list[float]] = defaultdict(list)

    def add(self, values: dict[str, float]) -> None:
        """Keep a step's figures; print and forget the means."""
        self.steps += 1
        for name, value in values.items():
            self.recent[name].append(value)
        if self.steps % 50 == 0:
            means = [f"{name} {sum(v) / len(v):.3f}" for name, v in self.recent.items()]
            spent = time.monotonic() - self.began
            print(f"  {self.name} {self.steps}: {', '.join(means)}, {spent:.0f} s", flush=True)
            self.recent.clear()


def drawn(source: IterableDataset) -> Any:
    """What a process of its own draws meanwhile."""
    return DataLoader(source, batch_size=None, num_workers=1, prefetch_factor=4)


def look(model: Phi3VForCausalLM, head: PassingHead, source: Pieces, rate: float) -> None:
    """Teach the eyes alone."""
    embedding = model.model.vision_embed_tokens
    pupil = Pupil(
        embedding.img_processor, embedding.img_projection, head,
        steps=source.steps, rate=rate,
    )  # fmt: skip
    rng, log = Random(SEED), Log(f"looking at {source.side} pixels")
    for given in drawn(source):
        start = somewhere(source.side, rng)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = see_piece(embedding, given.pictures["pixel_values"], start)
        loss, right = head.loss(tokens.flatten(0, 1), given.labels, start)
        pupil.learn(loss)
        log.add(right)


def somewhere(side: int, rng: Random) -> tuple[int, int]:
    """Where in a crop a piece may begin: row and column of its first cell."""
    room = (CROP - side) // CELL
    return rng.randint(0, room), rng.randint(0, room)


def talk(model: Phi3VForCausalLM, source: Pieces) -> None:
    """Teach the decoder to understand questions, on pieces: a fifth of the work of pictures."""
    pupil = Pupil(model, steps=source.steps, rate=RATE)
    rng, log = Random(SEED), Log("talking about pieces")
    for given in drawn(source):
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                pixels = given.pictures["pixel_values"]
                tokens = see_piece(
                    model.model.vision_embed_tokens, pixels, somewhere(source.side, rng)
                )
            ids = given.batch["input_ids"]
            words = model.model.embed_tokens(ids.clamp_min(0))
            vectors = words.masked_scatter((ids < 0)[..., None], tokens.to(words))
            loss = loss_of(model, vectors, given.batch)
        pupil.learn(loss)
        log.add({"loss": loss.item()})


def answer(model: Phi3VForCausalLM, source: Pictures) -> None:
    """Teach the decoder to answer questions about whole pictures."""
    embedding = model.model.vision_embed_tokens
    look_once(embedding)
    pupil, log = Pupil(model, steps=source.steps, rate=RATE), Log("pictures")
    for given in drawn(source):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, embed(model, given.batch, given.pictures), given.batch)
        pupil.learn(loss)
        log.add({f"loss at {given.crops}": loss.item()})
    del embedding.get_img_features


def loss_of(
    model: Phi3VForCausalLM, vectors: torch.Tensor, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Mean loss over the assistant's tokens of packed rows."""
    hidden, wanted = read(model, vectors, batch)[:, :-1], batch["labels"][:, 1:]
    kept = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[kept]).float(), wanted[kept])


def look_once(embedding: Phi3ImageEmbedding) -> None:
    """Keep the eyes as they are, and let them look once at a picture that is its only crop."""
    see = embedding.get_img_features

    @torch.no_grad()
    def features(img_embeds: torch.Tensor) -> torch.Tensor:
        twice = len(img_embeds) == 2 and torch.equal(img_embeds[0], img_embeds[1])
        return see(img_embeds[:1]).expand(2, -1, -1) if twice else see(img_embeds)

    embedding.get_img_features = features


def new_model(processor: Phi3VProcessor) -> Phi3VForCausalLM:
    """A model that knows nothing yet, except where its neighbouring patches are."""
    model = Phi3VForCausalLM(config(processor.tokenizer))
    # On processors its gradient is several times faster than that of the fused attention.
    model.set_attn_implementation("eager")
    model.model.vision_embed_tokens.img_processor.set_attn_implementation("eager")
    look_around(model.model.vision_embed_tokens.img_processor)
    return model


def main() -> None:
    """Parse the command line, train, save, examine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="DIR")
    given = parser.parse_args()
    # A fixed number of threads: sums in one order, so that the same seed gives the same weights.
    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    began = time.monotonic()
    processor = new_processor()
    model = new_model(processor)
    print(f"Pocket-Vision, {model.num_parameters():,} parameters", flush=True)
    head = PassingHead(model.config.hidden_size)
    for *pieces, rate in LOOKS:
        look(model, head, Pieces(processor, *pieces), rate)
    talk(model, Pieces(processor, *TALKS, talk=True))
    for number in range(ROUNDS):
        answer(model, Pictures(processor, PICTURES, STEPS, number))
    save(model, processor.tokenizer, given.out)  # type: ignore[attr-defined]
    processor.image_processor.save_pretrained(given.out)
    print(f"  trained in {time.monotonic() - began:.0f} s", flush=True)
    found = examine(given.out)
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
