"""How much later than with Transformers alone is the first token of a ZeroGPU Space?

`python -m benchmarks.zerogpu`. Through the real `spaces` package, the page's joining of requests,
and a process that was forked: the time from the question to the first token on the page's side,
less that of a bare `generate` of one token with the same model and prompt. In turns, on the
processor, with Pocket-3.5 in PyTorch. The service that lends GPUs is the tests' stand-in on
loopback: what the real one takes, the way to it, and the weights' way onto the GPU are not in it.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from benchmarks.machine import Figure, machine, write
from tests.zerogpu import MODELS, DeviceApi, end, environment, import_spaces

PAIRS = 60
COLD = 10
QUESTION = "{}: How does a small language model differ from a large one?"
"""Another beginning each time: what was read once is not read again."""
MODEL = "microsoft/Phi-3.5-mini-instruct"
AIM = 30.0


def bare(question: str) -> float:
    """Milliseconds of `generate` until it has one token, with what Transformers has for it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not _BARE:
        folder = MODELS / "pocket-3.5"
        _BARE.append(AutoTokenizer.from_pretrained(folder))
        _BARE.append(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval())
    tokenizer, model = _BARE
    torch.set_num_threads(1)
    began = time.perf_counter()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode():
        model.generate(**prompt, max_new_tokens=1, do_sample=False)
    return 1000 * (time.perf_counter() - began)


_BARE: list = []


async def through_the_space(gpu, question: str, sides: int) -> float:
    """Milliseconds until the last of some sides, asked together, has its first token."""
    from collections import Counter

    from backends import BATCH, Batch, Chunk, GenerationParams, Message

    async def first() -> float:
        stream = gpu.stream(
            MODEL,
            [Message.of("user", question)],
            GenerationParams(temperature=0, max_tokens=1),
        )
        at = 0.0
        async for step in stream:
            if isinstance(step, Chunk) and not at:
                at = time.perf_counter()
        return at

    BATCH.set(Batch(Counter({gpu.id: sides})))
    began = time.perf_counter()
    return 1000 * (max(await asyncio.gather(*(first() for _ in range(sides)))) - began)


async def measure(api: DeviceApi) -> dict[str, Sequence[float]]:
    """Pairs with a process that is there already, then some with a new one each."""
    from backends.zerogpu import ZeroGPU

    gpu = ZeroGPU()
    gpu.start()
    questions = (QUESTION.format(n) for n in count(1000))
    for _ in range(3):
        bare(next(questions))
        await through_the_space(gpu, next(questions), 1)
    times: dict[str, list[float]] = {"bare": [], "one side": [], "two sides": [], "new": []}
    for _ in range(PAIRS):
        times["bare"].append(bare(next(questions)))
        times["one side"].append(await through_the_space(gpu, next(questions), 1))
        times["two sides"].append(await through_the_space(gpu, next(questions), 2))
    api.reuses = False
    for _ in range(COLD):
        times["new"].append(await through_the_space(gpu, next(questions), 1))
    return times


def main() -> None:
    """Measure and print."""
    api = DeviceApi()
    with tempfile.TemporaryDirectory() as name:
        os.environ.update(environment(api.url, Path(name)))
        import_spaces()
        before = machine("spaces", "torch", "transformers")
        times = asyncio.run(measure(api))
    overhead = [a - b for a, b in zip(times["one side"], times["bare"], strict=True)]
    both = [a - 2 * b for a, b in zip(times["two sides"], times["bare"], strict=True)]
    figures = [
        Figure("first token later than Transformers alone, one side", statistics.median(overhead),
               "ms", at_most=AIM),
        Figure("first token of both sides later than twice that", statistics.median(both), "ms",
               at_most=AIM),
        Figure("Transformers alone", statistics.median(times["bare"]), "ms"),
        Figure("first token, a process forked for it", statistics.median(times["new"]), "ms"),
    ]  # fmt: skip
    print(*figures, sep="\n")
    rounded = {what: [round(one, 2) for one in every] for what, every in times.items()}
    write("zerogpu", before, figures, {"model": "Pocket-3.5, float32", "milliseconds": rounded})
    end()


if __name__ == "__main__":
    main()
