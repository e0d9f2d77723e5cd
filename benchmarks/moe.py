"""What it costs to see the experts at work: `python -m benchmarks.moe`

Decoding with and without listening to the routers, in turns; the three ways in which Transformers
computes experts; the routing picture, at each tick, early and late in a long answer of 32 layers,
on the server and in a real Chromium. On a GPU with room for it, the real shape.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import PhimoeConfig, PhimoeForCausalLM

from backends import (
    MODELS,
    REGISTRY,
    Chunk,
    Connection,
    ExpertRouting,
    GenerationParams,
    Health,
    Message,
    Offer,
    Progress,
)
from backends._local.decode import answer
from backends._local.torch_model import TorchModel
from backends._local.torch_moe import MoeModel, freeze_rope
from benchmarks.local import write_tokenizer
from benchmarks.machine import Figure, machine, write
from benchmarks.watched import chromium
from playground.routing import Routing
from tests.fakes import READY, Scripted, last, said
from ui.tabs.moe import view
from ui.tabs.moe.figure import figure_delta

LAYERS, EXPERTS, CHOSEN = 32, 16, 2
WAYS = ("grouped_mm", "batched_mm", "eager")
QUESTION = [Message.of("user", "What is a mixture of experts, and why would anybody want one?")]
POCKET = Path(__file__).parents[1] / "backends" / "pocket" / "models" / "pocket-moe"
EARLY, LATE, WINDOW = 100, 2000, 100
"""Tokens of an answer after which a tick is measured, and for how many tokens."""
RATE = 100
"""Tokens per second of that answer."""
ROUNDS = 3
"""How often it is seen in the browser, with and without the picture; the median counts."""


def build(folder: Path, layers: int = 8, hidden: int = 1024, inner: int = 1600) -> PhimoeConfig:
    """Write a random mixture of experts, by default with a sixtieth of the real one's weights."""
    write_tokenizer(folder, 32_064)
    config = PhimoeConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 128,
        num_key_value_heads=max(1, hidden // 512),
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    PhimoeForCausalLM(config).save_pretrained(folder)
    torch.set_default_dtype(torch.float32)
    return config


# ── The engine ──────────────────────────────────────────────────────────────────────────────────


def decode(model: TorchModel, tokens: int) -> float:
    """Seconds for a token, from the first one on."""
    params = GenerationParams(temperature=0.0, max_tokens=tokens)
    times = [
        time.perf_counter()
        for step in answer(model, QUESTION, params)
        if isinstance(step, Chunk) and step.tokens
    ]
    return (times[-1] - times[0]) / (len(times) - 1)


def listening(folder: Path, dtype: str, tokens: int, pairs: int) -> list[dict[str, float]]:
    """Seconds for a token with and without the routing, in turns, who goes first swapped."""
    plain = TorchModel.load(folder, "plain", "cpu", dtype, lambda done: None)
    freeze_rope(plain.model.model.rotary_emb)
    models = {"plain": plain, "routing": MoeModel.load(folder, "moe", "cpu", dtype, lambda d: None)}
    for model in models.values():
        decode(model, 8)  # warm
    found: list[dict[str, float]] = []
    for n in range(pairs):
        order = list(models) if n % 2 else list(models)[::-1]
        found.append({name: decode(models[name], tokens) for name in order})
    return found


def ways(folder: Path, dtype: str, tokens: int, rounds: int) -> dict[str, list[float]]:
    """Seconds for a token with each way to compute the experts, in turns."""
    model = MoeModel.load(folder, "moe", "cpu", dtype, lambda done: None)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for n in range(rounds + 1):
        for way in WAYS:
            model.model.set_experts_implementation(way)
            seconds = decode(model, tokens)
            if n:  # the first round warms up
                found[way].append(seconds)
    return found


# ── The picture ─────────────────────────────────────────────────────────────────────────────────


def some_routing(n: int, rng: Random) -> ExpertRouting:
    """A token that met any experts."""
    experts = tuple(tuple(rng.sample(range(EXPERTS), CHOSEN)) for _ in range(LAYERS))
    weights = tuple((1.0, rng.random()) for _ in range(LAYERS))
    return ExpertRouting(n, f" word{n % 97}", n < 40, experts, weights, EXPERTS)


def on_the_server(tokens: int, fresh: int = 4) -> float:
    """Milliseconds to make the message of a tick with so many new tokens."""
    rng, routing = Random(1), Routing()
    for n in range(tokens):
        routing.add(some_routing(n, rng))
    times: list[float] = []
    for _ in range(200):
        started = time.perf_counter()
        figure_delta(routing, "Phi-3.5-MoE", (routing.key, tokens - fresh))
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


class Routed(Scripted):
    """Says words at a steady rate, with or without the routing of a model of the real shape."""

    id, label, reports_routing = "routed", "Routed", True
    sent = 0

    async def check(self, connection: Connection | None = None) -> Health:
        """With routing, and without."""
        spec = MODELS["phi-3.5-moe"]
        models = [replace(spec, key=key, label=key) for key in ("with", "without")]
        return Health(READY, [Offer(one.key, one, READY) for one in models])

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """More words than are measured."""
        rng, start, count = Random(1), time.monotonic(), LATE + WINDOW + 50
        for n in range(count):
            await asyncio.sleep(max(0.0, start + n / RATE - time.monotonic()))
            routing = (some_routing(n, rng),) if model == "with" else ()
            yield Chunk(f" word{n % 97}" + "\n\n" * (n % 60 == 59), 1, routing=routing)
            Routed.sent = n + 1
        yield last(40, count)


@contextmanager
def served() -> Iterator[str]:
    """The page, in this process, with this backend and one that says one word; its address."""
    from playground.services import Services
    from tests.pages import free_port
    from ui import page

    REGISTRY["routed"], REGISTRY["scripted"] = Routed(), Scripted(said("Yes."), last(1, 1))
    port = free_port()
    blocks = page.launch(Services(), page.Serving(port=port))
    yield f"http://127.0.0.1:{port}/"
    blocks.close()


def in_the_browser(page: Any, address: str, model: str) -> dict[str, dict[str, float]]:
    """Seconds of the main thread in a window of tokens, early and late in one answer."""
    page.goto(f"{address}?tab=moe&a=routed/{model}&b=scripted/fake&max_tokens=4096")
    page.wait_for_selector("#moe-state-b [data-state=ready]")
    page.wait_for_timeout(1500)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.fill("#moe-prompt textarea", "Go")
    Routed.sent = 0
    page.click("#moe-compare")

    def until(tokens: int) -> dict[str, float]:
        while Routed.sent < tokens:
            page.wait_for_timeout(20)
        told = session.send("Performance.getMetrics")["metrics"]
        return {row["name"]: row["value"] for row in told} | {"ticks": TICKS[0]}

    found: dict[str, dict[str, float]] = {}
    for when, first in (("early", EARLY), ("late", LATE)):
        before, after = until(first), until(first + WINDOW)
        names = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "ticks")
        found[when] = {name: after[name] - before[name] for name in names}
    page.wait_for_selector(
        "#moe-transcript .turn[data-last] .cell[data-side=a] .numbers[data-state=done]"
    )
    return found


TICKS = [0]
"""How often a picture was sent."""


def count_ticks() -> None:
    """From now on `TICKS` counts."""

    def counted(*given: Any) -> Any:
        TICKS[0] += 1
        return figure_delta(*given)

    view.figure_delta = counted


# ── The real shape, on a GPU ────────────────────────────────────────────────────────────────────


def on_a_gpu(context: int = 1024, tokens: int = 64) -> dict[str, Any]:
    """Tokens per second at the real shape with each way to compute experts, by the ceiling.

    As many of the 32 layers as fit, with random weights; the ceiling is the memory's measured
    bandwidth by the bytes that a token reads: two experts of a layer, attention, head and cache.
    """
    from transformers import DynamicCache

    free, _ = torch.cuda.mem_get_info()
    per_layer = 2 * (EXPERTS * 3 * 4096 * 6400 + 2 * 4096 * 4096 + 2 * 4096 * 1024)
    layers = min(LAYERS, int((free - 6e9) // per_layer))
    config = PhimoeConfig(
        num_hidden_layers=layers,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = PhimoeForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    freeze_rope(model.model.rotary_emb)
    active = layers * 2 * (CHOSEN * 3 * 4096 * 6400 + 2 * 4096 * 4096 + 2 * 4096 * 1024)
    read = active + 2 * 32_064 * 4096 + layers * 4096 * context  # 2 x 8 heads x 128 x 2 bytes
    ceiling = _bandwidth() / read

    def speed() -> float:
        cache = DynamicCache(config=config)
        ids = torch.randint(1, 32_000, (1, context), device="cuda")
        with torch.inference_mode():
            model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            token = torch.ones(1, 1, dtype=torch.long, device="cuda")
            for n in range(tokens + 8):
                if n == 8:
                    torch.cuda.synchronize()
                    started = time.perf_counter()
                out = model(input_ids=token, past_key_values=cache, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
            torch.cuda.synchronize()
        return tokens / (time.perf_counter() - started)

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "layers": layers,
        "ceiling": ceiling,
    }
    for way in WAYS:
        model.set_experts_implementation(way)
        found[way] = speed()
    return found


def _bandwidth() -> float:
    """Bytes a second that the GPU's memory reads and writes, by copying."""
    source = torch.empty(2 * 2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    rates: list[float] = []
    for _ in range(10):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        rates.append(2 * source.nbytes / (time.perf_counter() - started))
    return max(rates)


# ── All of it ───────────────────────────────────────────────────────────────────────────────────


def measure_engine(measured: dict[str, Any]) -> list[Figure]:
    """Listening, and the three ways, on Pocket-MoE and on a random model."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        for label, folder, tokens in (("Pocket-MoE", POCKET, 80), ("0.7 B", Path(name), 24)):
            pairs = listening(folder, "bfloat16", tokens, 9)
            ratio = statistics.median(pair["routing"] / pair["plain"] for pair in pairs)
            figures.append(Figure(f"{label}: decode with routing", ratio, "x without", 1.1))
            found = ways(folder, "bfloat16", tokens, 3)
            best = statistics.median(found["grouped_mm"])
            figures += [
                Figure(f"{label}: a token with {way} experts", statistics.median(t) / best, "x")
                for way, t in found.items()
            ]
            measured[label] = {"pairs": pairs, "ways": found}
    return figures


def measure_picture(measured: dict[str, Any]) -> list[Figure]:
    """The message of a tick, and the browser's work for it."""
    server = {tokens: on_the_server(tokens) for tokens in (EARLY, LATE)}
    count_ticks()
    with served() as address, chromium() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        seen = [
            {model: in_the_browser(page, address, model) for model in ("without", "with")}
            for _ in range(ROUNDS)
        ]

    def per_tick(when: str) -> float:
        extra = [
            (one["with"][when]["TaskDuration"] - one["without"][when]["TaskDuration"])
            / one["with"][when]["ticks"]
            for one in seen
        ]
        return 1000 * statistics.median(extra)

    measured["picture"] = {"server_ms": server, "browser": seen}
    return [
        Figure(f"server, message of a tick after {EARLY} tokens", server[EARLY], "ms"),
        Figure(f"server, after {LATE:,} tokens", server[LATE] / server[EARLY], "x that", 1.25),
        Figure(f"browser, picture's part of a tick after {EARLY} tokens", per_tick("early"), "ms"),
        Figure(f"browser, after {LATE:,} tokens", per_tick("late"), "ms", 16),
        Figure(f"browser, after {LATE:,} tokens", per_tick("late") / per_tick("early"), "x that"),
    ]


def main() -> None:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="only the real shape, on a GPU")
    only_gpu = parser.parse_args().gpu
    before, measured = machine("torch", "transformers", "gradio"), dict[str, Any]()
    parts: list[Callable[[dict[str, Any]], list[Figure]]] = [measure_engine, measure_picture]
    figures = [] if only_gpu else [figure for part in parts for figure in part(measured)]
    if torch.cuda.is_available():
        gpu = measured["gpu"] = on_a_gpu()
        figures += [
            Figure(f"{gpu['device']}: {way} / ceiling", gpu[way] / gpu["ceiling"], "x")
            for way in WAYS
        ]
    print(*figures, sep="\n")
    write("moe_gpu" if only_gpu else "moe", before, figures, measured)


if __name__ == "__main__":
    main()
