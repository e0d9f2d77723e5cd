"""Does a local answer cost anything beside its forward passes? `python -m benchmarks.local`

Tokens per second of an answer through `playground.Run`, divided by those of a bare greedy
`generate` with the same random-weight Phi-3 of 0.3 billion parameters, in bfloat16, on the CPU.
Both count from the question to the last token. Seven pairs, who goes first swapped each time.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backends import GenerationParams, Message
from backends._core.catalog import ModelSpec
from backends._local.machine import physical_cores
from backends.transformers import Transformers
from benchmarks.machine import Figure, machine, write
from playground.answer import Request
from playground.compare import Run

PAIRS = 7
TOKENS = 64
QUESTION = "How does a small language model differ from a large one?"
AIM = 0.95


class Random(Transformers):
    """Serves one checkpoint of random weights."""

    id = "random"
    folder: Path

    def specs(self) -> Sequence[ModelSpec]:
        """The one model."""
        return (
            ModelSpec(
                key="random",
                label="Random-0.3B",
                family="Random",
                parameters=0.3e9,
                active_parameters=0.3e9,
                context=4096,
                languages=(),
                modalities=("text",),
                licence="none",
                source="benchmarks/local.py",
            ),
        )

    def checkpoint(self, spec: ModelSpec) -> Path | None:
        """Where it was built."""
        return self.folder


def write_tokenizer(folder: Path, size: int) -> None:
    """Write a tokenizer of `size` rows that knows letters, and many words that nobody says."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|end|>", *letters, *(f"word{n}" for n in range(size - len(letters) - 1))]
    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", chat_template=template
    ).save_pretrained(folder)


def build(folder: Path) -> int:
    """Write the random checkpoint; returns its number of parameters."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    size = 32_064
    write_tokenizer(folder, size)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = Phi3ForCausalLM(
        Phi3Config(
            vocab_size=size,
            hidden_size=1024,
            intermediate_size=2816,
            num_hidden_layers=20,
            num_attention_heads=16,
            num_key_value_heads=16,
            max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    )
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    return model.num_parameters()


def bare(folder: Path) -> Callable[[], float]:
    """Tokens per second of `generate`, greedy, with nothing around it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(physical_cores())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    talk = [{"role": "user", "content": QUESTION}]

    def measure() -> float:
        started = time.perf_counter()
        prompt = tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**prompt, max_new_tokens=TOKENS, do_sample=False)
        seconds = time.perf_counter() - started
        made = output.shape[1] - prompt["input_ids"].shape[1]
        assert made == TOKENS, f"the random model stopped by itself after {made} tokens"
        return made / seconds

    return measure


def through_run(backend: Random) -> Callable[[], float]:
    """Tokens per second of one side of a comparison."""
    params = GenerationParams(max_tokens=TOKENS, temperature=0)
    request = Request(backend, "random", (Message.of("user", QUESTION),), params)

    async def answer() -> float:
        started = time.perf_counter()
        run = Run((request,))
        async for _ in run.snapshots():
            pass
        seconds = time.perf_counter() - started
        (snapshot,) = run.snapshot()
        assert snapshot is not None and snapshot.error is None, snapshot
        assert snapshot.clock.tokens == TOKENS, snapshot
        return TOKENS / seconds

    return lambda: asyncio.run(answer())


def main() -> None:
    """Measure, print one line, write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    before = machine("torch", "transformers")
    with tempfile.TemporaryDirectory() as name:
        backend = Random()
        backend.folder = Path(name)
        parameters = build(backend.folder)
        sides = {"generate": bare(backend.folder), "run": through_run(backend)}
        for measure in sides.values():
            measure()  # warm
        gc.collect()
        pairs: list[dict[str, float]] = []
        for n in range(PAIRS):
            order = list(sides) if n % 2 else list(sides)[::-1]
            pairs.append({side: sides[side]() for side in order})
    ratio = statistics.median(pair["run"] / pair["generate"] for pair in pairs)
    speeds = {side: round(statistics.median(p[side] for p in pairs), 2) for side in sides}
    figures = [
        Figure("tokens/s through Run / bare generate, median of pairs", ratio, "x", at_least=AIM),
        *(Figure(f"tokens/s: {side}", speed) for side, speed in speeds.items()),
    ]
    print(*figures, sep="\n")
    measured = {
        "pairs": [{side: round(value, 2) for side, value in pair.items()} for pair in pairs],
        "model": f"random-weight Phi-3, {parameters:,} parameters, bfloat16",
        "tokens": TOKENS,
    }
    write("local", before, figures, measured)


if __name__ == "__main__":
    main()
