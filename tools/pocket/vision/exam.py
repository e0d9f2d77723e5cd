"""Asks Pocket-Vision about pictures that it never saw, in words that it never read.

`python -m tools.pocket.vision.exam` prints the table that stands in `backends/pocket/README.md`.
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from backends._local.phi3_vision import Phi3VForCausalLM, Phi3VProcessor

from ..batches import IGNORED
from ..lesson import MODELS
from .conversations import Dialogue, collate, embed, pack, read
from .drawing import LAYOUTS, scene
from .lesson import (
    TASKS,
    Exchange,
    ask_anything_else,
    ask_without_picture,
    exam_questions,
    languages,
)

SEED = 10**9
"""Pictures from this seed on are never trained on."""
CROPS = (1, 4)
SCENES = 60
"""Of each layout."""
SHIPPED = MODELS / "pocket-vision"

Results = dict[tuple[str, str, int], list[tuple[str, bool]]]
"""By task, language and crops: what is true, and whether it was said."""


def examine(folder: Path, scenes: int = SCENES) -> Results:
    """Ask a saved model about so many new scenes of each layout, in words held out."""
    model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    processor = Phi3VProcessor.from_pretrained(folder)
    found: Results = defaultdict(list)
    for number in range(scenes * len(LAYOUTS)):
        seen, rng = scene(SEED + number, LAYOUTS[number % len(LAYOUTS)]), Random(SEED + number)
        asked = list(exam_questions(seen, rng))
        asked += [ask_anything_else(words, rng, held_out=True) for words in languages().values()]
        for crops in CROPS:
            right = right_answers(model, processor, [[turn] for turn in asked], seen.draw(), crops)
            for turn, hit in zip(asked, right, strict=True):
                found[turn.task, turn.language, crops].append((turn.truth, hit))
        for words in languages().values():
            turn = ask_without_picture(words, rng, held_out=True)
            hit = is_right(model, processor.tokenizer, turn)  # type: ignore[attr-defined]
            found[turn.task, turn.language, 0].append((turn.truth, hit))
    return found


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
def is_right(model: Phi3VForCausalLM, tokenizer: PreTrainedTokenizerFast, turn: Exchange) -> bool:
    """Whether the greedy answer to a question without a picture is exactly right."""
    asked = tokenizer(f"<|user|>\n{turn.question}<|end|>\n<|assistant|>\n").input_ids
    told = tokenizer(f"<|assistant|>\n{turn.answer}<|end|>\n").input_ids[1:]
    logits = model(input_ids=torch.tensor([asked + told]), use_cache=False).logits[0]
    return logits[len(asked) - 1 : -1].argmax(-1).tolist() == told


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
    """Parse the command line, examine, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, metavar="DIR")
    parser.add_argument("--scenes", type=int, default=SCENES, help="of each layout")
    given = parser.parse_args()
    report(examine(given.model, given.scenes))


if __name__ == "__main__":
    main()
