"""What does a process cost a local model, and spare the page? `python -m benchmarks.engines`

Six of the 32 layers of Phi-3.5-mini, random, in int4 for ONNX Runtime GenAI, made on the spot by
the library's own builder (`benchmarks/requirements.txt` has what it wants). Measured in one run:

- tokens per second through `playground.Run`, the pipe and the worker, divided by those of the bare
  decode loop in this process; pairs, who goes first swapped each time;
- two models at once, each in its worker: both together divided by one alone, and one's share;
- bytes of weights that are read for a token times tokens per second, divided by the bytes per
  second that are read from memory in the same run: how much of what the memory gives is used;
- the speed that each of two says it would have had alone, divided by that of one that was;
- the eighth turn's first token of a conversation divided by the first turn's;
- the longest time for which this process's event loop could not run while its worker loaded the
  model, read a long prompt and answered.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from backends import Chunk, Connection, GenerationParams, Health, Message, Status
from backends._local import decode, onnx_text
from backends._local.backend import LocalBackend
from backends._local.host import HOST, LocalModel
from benchmarks.local import write_tokenizer
from benchmarks.machine import Figure, machine, write
from playground.answer import AnswerSnapshot, Request
from playground.compare import Run

PAIRS, TOKENS, LONG = 5, 96, 1500
"""Pairs of runs, tokens of an answer, and words of the long prompt."""
HELLO = (Message.of("user", "How does a small language model differ from a large one?"),)
PARAMS = GenerationParams(max_tokens=TOKENS, temperature=0.0)
EMBEDDINGS = 32_064 * 3_072 * 4
"""Bytes of the table of embeddings, float32: one row of it is read for a token."""
TURNS = 8


def build(folder: Path) -> Path:
    """Write the six layers as a checkpoint, and from it the folder in int4."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    write_tokenizer(folder / "bf16", 32_064)
    torch.set_default_dtype(torch.bfloat16)
    Phi3ForCausalLM(
        Phi3Config(
            num_hidden_layers=6,
            max_position_embeddings=4096,
            original_max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    ).save_pretrained(folder / "bf16")
    torch.set_default_dtype(torch.float32)
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", "int4", "-e", "cpu"]
    places = ["-i", str(folder / "bf16"), "-o", str(folder / "int4"), "-c", str(folder / "cache")]
    quiet = subprocess.DEVNULL
    subprocess.run([*builder, *places], check=True, stdout=quiet, stderr=quiet)
    return folder / "int4"


class Six(LocalBackend):
    """The same folder under two names: two models, each in a process of its own."""

    id, label = "six", "Six layers"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def check(self, connection: Connection | None = None) -> Health:
        """Always ready."""
        return Health(Status("ready", "Ready."))

    def local_model(self, model: str) -> LocalModel:
        """See `LocalBackend.local_model`."""
        options = {"folder": str(self.folder)}
        return LocalModel(model, model, "backends._local.onnx_text", options)


def bare(folder: Path) -> Callable[[], float]:
    """Tokens per second of the decode loop in this process, from the first to the last token."""
    model = onnx_text.plan("Six", str(folder)).load(lambda done: None)

    def measure() -> float:
        model.sessions.close()  # each reads its prompt from the beginning
        at = [step.at for step in decode.answer(model, HELLO, PARAMS) if isinstance(step, Chunk)]
        return (len(at) - 1) / (at[-1] - at[0])

    return measure


def bandwidth() -> float:
    """Bytes a second read from memory, as the page measures it: in a process of its own."""
    command = [sys.executable, "-m", "backends._local.bandwidth"]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


async def compare(backend: Six, *models: str) -> list[AnswerSnapshot]:
    """The answers of one comparison."""
    run = Run([Request(backend, model, HELLO, PARAMS) for model in models])
    async for _ in run.snapshots():
        pass
    answers = [side for side in run.snapshot() if side]
    assert all(side.state == "done" for side in answers), [side.error for side in answers]
    return answers


def speed(answer: AnswerSnapshot) -> float:
    """Its tokens per second."""
    assert answer.clock.tokens_per_second is not None
    return answer.clock.tokens_per_second


async def turns(backend: Six, topic: str) -> list[float]:
    """Seconds to the first token of each turn of a conversation."""
    talk: list[Message] = []
    took: list[float] = []
    for n in range(TURNS):
        question = f"Of {topic}, question {n}: " + "how does it differ from the last one? " * 4
        talk.append(Message.of("user", question))
        text, asked, first = "", time.perf_counter(), 0.0
        # One token: random weights write what is split into others when it is read again.
        async with aclosing(backend.stream("one", talk, GenerationParams(1, 0.0))) as steps:
            async for step in steps:
                if isinstance(step, Chunk):
                    first = first or time.perf_counter() - asked
                    text += step.text
        took.append(first)
        talk.append(Message.of("assistant", text))
    return took


async def longest_pause(backend: Six) -> float:
    """Seconds for which the event loop stood still while a worker loaded, read and answered."""
    HOST.unload("one")
    worst, last, ended = 0.0, time.perf_counter(), asyncio.Event()

    async def tick() -> None:
        nonlocal worst, last
        while not ended.is_set():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now

    ticking = asyncio.create_task(tick())
    long = (Message.of("user", "a b " * (LONG // 2)),)
    async for _ in Run([Request(backend, "one", long, PARAMS)]).snapshots():
        pass
    ended.set()
    await ticking
    return worst


def main() -> None:
    """Measure, print, write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    before = machine("onnxruntime-genai", "onnxruntime")
    with tempfile.TemporaryDirectory() as name:
        folder = build(Path(name))
        backend = Six(folder)
        loop = bare(folder)
        asyncio.run(compare(backend, "one", "two"))  # both loaded
        loop()
        ratios: list[float] = []
        alone: list[float] = []
        for n in range(PAIRS):
            pair: dict[str, float] = {}
            for side in ("loop", "run") if n % 2 else ("run", "loop"):
                if side == "loop":
                    pair[side] = loop()
                else:
                    pair[side] = speed(asyncio.run(compare(backend, "one"))[0])
            ratios.append(pair["run"] / pair["loop"])
            alone.append(pair["run"])
        reads = [bandwidth()]
        pairs = [asyncio.run(compare(backend, "one", "two")) for _ in ratios]
        together = [[speed(one) for one in pair] for pair in pairs]
        said = [one.clock.tokens_per_second_alone or 0.0 for pair in pairs for one in pair]
        reads.append(bandwidth())
        talks = [asyncio.run(turns(backend, topic)) for topic in ("mice", "bread", "rivers")]
        pause = asyncio.run(longest_pause(backend))
        weights = sum(file.stat().st_size for file in folder.glob("model.onnx*")) - EMBEDDINGS
    one = statistics.median(alone)
    both = statistics.median(left + right for left, right in together)
    share = statistics.median(left / (left + right) for left, right in together)
    figures = [
        Figure(
            "through Run, pipe and worker / bare loop",
            statistics.median(ratios),
            "x",
            at_least=0.97,
        ),
        Figure("tokens/s of one alone", one),
        Figure("bytes read from memory, measured alone", max(reads) / 1e9, "GB/s"),
        Figure("share of it that decoding uses", one * weights / max(reads), at_least=0.8),
        Figure("speed alone as one of two says / as measured", statistics.median(said) / one, "x"),
        Figure(
            f"first token of turn {TURNS} / of turn 1",
            statistics.median(talk[-1] / talk[0] for talk in talks),
            "x",
            at_most=1.3,
        ),
        Figure("two at once, together / one alone", both / one, "x", at_least=0.95),
        Figure("share of the first of two", share, "", at_most=0.55, at_least=0.45),
        Figure(
            "longest pause of the page's loop: load, prefill, answer",
            1000 * pause,
            "ms",
            at_most=20,
        ),
    ]
    print(*figures, sep="\n")
    measured = {"pairs": ratios, "together": together, "turns": talks, "reads": reads}
    write("engines", before, figures, measured)
    HOST.close()


if __name__ == "__main__":
    main()
