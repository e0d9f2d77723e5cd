"""What happens on a ZeroGPU Space, scene by scene: `python -m tests.zerogpu_scenarios FILE`.

Writes what came of each scene as a line of JSON: standard output is full of what `spaces` prints.
In a process of its own, since that reads the environment when it is imported, and forks the process
in which the models are. Further arguments name scenes.
"""
# ruff: noqa: E402

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from tests.zerogpu import DeviceApi, end, environment, import_spaces

API = DeviceApi()
FOLDER = Path(tempfile.mkdtemp())
os.environ.update(environment(API.url, FOLDER))
import_spaces()

import gradio as gr

from backends import (
    BATCH,
    Batch,
    Chunk,
    GenerationParams,
    ImagePart,
    Message,
    Progress,
    TextPart,
)
from backends._local.zerogpu_worker import FLAGS, MODELS
from backends.zerogpu import ZeroGPU
from tests import fake_engine

MINI_3, MINI_35 = "microsoft/Phi-3-mini-128k-instruct", "microsoft/Phi-3.5-mini-instruct"
VISION = "microsoft/Phi-3.5-vision-instruct"
SLOW, OTHER = "tests/slow", "tests/other"
WORDS = 400
HELLO = (Message.of("user", "What is a small language model?"),)
GREEDY = GenerationParams(temperature=0.0, max_tokens=40)
LONG = GenerationParams(temperature=0.0, max_tokens=WORDS + 50)

gpu = ZeroGPU()


class Answer:
    """What came of one side."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.progress: list[Progress] = []
        self.error: Exception | None = None

    def told(self) -> dict[str, Any]:
        last = self.chunks[-1] if self.chunks else Chunk()
        return {
            "text": "".join(chunk.text for chunk in self.chunks),
            "at": [chunk.at for chunk in self.chunks],
            "progress": [[one.stage, one.detail] for one in self.progress],
            "finish": last.finish_reason,
            "device": last.timings.device if last.timings else None,
            "error": self.error and [type(self.error).__name__, str(self.error)[-300:]],
            "reason": getattr(self.error, "values", {}).get("reason"),
        }


async def ask(
    model: str,
    params: GenerationParams = GREEDY,
    messages: Sequence[Message] = HELLO,
    then: Callable[[Answer], bool] = lambda answer: False,
) -> dict[str, Any]:
    """Ask, until it has ended or `then` wants no more."""
    answer = Answer()
    try:
        async with aclosing(gpu.stream(model, messages, params)) as steps:
            async for step in steps:
                (answer.chunks if isinstance(step, Chunk) else answer.progress).append(step)
                if then(answer):
                    break
    except Exception as error:
        answer.error = error
    return answer.told()


async def together(*asking: Any, in_turn: bool = False) -> list[dict[str, Any]]:
    """Answers that are asked in one go."""
    BATCH.set(Batch(gpu_batch(len(asking)), in_turn))
    return await asyncio.gather(*asking)


def gpu_batch(size: int) -> Any:
    from collections import Counter

    return Counter({gpu.id: size})


def feeds(model: str) -> int:
    """Forward passes of a slow model so far."""
    return len(Path(MODELS.loaded[model].options["feeds"]).read_text().split())  # type: ignore[attr-defined]


def three(answer: Answer) -> bool:
    return len(answer.chunks) >= 3


async def released(count: int) -> None:
    """Until so many calls have given their GPU back."""
    async with asyncio.timeout(120):
        while len(API.of("/release")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# ── The scenes ─────────────────────────────────────────────────────────────────────────────────


async def both_sides() -> Any:
    before = len(API.of("/schedule"))
    sides = await together(ask(MINI_3), ask(MINI_35))
    return {"sides": sides, "calls": len(API.of("/schedule")) - before}


async def not_together() -> Any:
    """Two visitors at the same moment."""
    before = len(API.of("/schedule"))

    async def alone() -> Any:
        BATCH.set(Batch(gpu_batch(1)))
        return await ask(MINI_3)

    sides = await asyncio.gather(asyncio.create_task(alone()), asyncio.create_task(alone()))
    return {"sides": sides, "calls": len(API.of("/schedule")) - before}


async def one_never_comes() -> Any:
    """Of two that were announced one is asked: it waits no longer than it has to."""
    BATCH.set(Batch(gpu_batch(2)))
    return await ask(MINI_3)


async def in_turn() -> Any:
    before = len(API.of("/schedule"))
    sides = await together(ask(MINI_3), ask(MINI_35), in_turn=True)
    return {"sides": sides, "calls": len(API.of("/schedule")) - before}


async def one_fails() -> Any:
    far_too_long = (Message.of("user", "word " * 6000),)
    return await together(ask(MINI_3, messages=far_too_long), ask(MINI_35))


async def one_breaks() -> Any:
    MODELS.loaded[OTHER].options["fail_at"] = 3  # type: ignore[attr-defined]
    API.reuses = False  # the next process is to know of that
    try:
        await ask(MINI_3)
        return await together(ask(OTHER, LONG), ask(MINI_35))
    finally:
        del MODELS.loaded[OTHER].options["fail_at"]  # type: ignore[attr-defined]
        await ask(MINI_3)
        API.reuses = True


async def stop_of_one() -> Any:
    seen: list[int] = []

    def enough(answer: Answer) -> bool:
        if three(answer):
            seen.append(feeds(SLOW))
        return bool(seen)

    sides = await together(ask(SLOW, LONG, then=enough), ask(OTHER, LONG))
    return {"sides": sides, "at_stop": seen[0], "in_all": feeds(SLOW), "words": WORDS}


async def stop_of_all() -> Any:
    count, before = len(API.of("/release")), feeds(SLOW)
    sides = await together(ask(SLOW, LONG, then=three), ask(OTHER, LONG, then=three))
    await released(count + 1)
    after = await ask(MINI_3)
    return {
        "sides": sides,
        "made": feeds(SLOW) - before,
        "words": WORDS,
        "failed": API.of("/release")[count]["fail"],
        "after": after,
    }


async def a_visitor_leaves_in_line() -> Any:
    """Nobody listens any more when the GPU is there."""
    count, before = len(API.of("/release")), feeds(SLOW)
    sides = await together(ask(SLOW, LONG, then=lambda answer: True))
    await released(count + 1)
    return {"sides": sides, "made": feeds(SLOW) - before}


async def the_worker_dies() -> Any:
    def kill(answer: Answer) -> bool:
        if len(answer.chunks) == 3:
            os.kill(API.pid(), signal.SIGKILL)
        return False

    sides = await together(ask(SLOW, LONG, then=kill), ask(OTHER, LONG))
    return {"sides": sides, "after": await ask(MINI_3)}


async def time_is_up() -> Any:
    pace = gpu._calls.pace  # type: ignore[union-attr]
    usual, pace.seconds = pace.seconds, lambda asked, left=None: 1.0  # type: ignore[method-assign]
    try:
        return await together(ask(SLOW, LONG), ask(OTHER, LONG))
    finally:
        pace.seconds = usual  # type: ignore[method-assign]


async def no_quota() -> Any:
    API.refusal = 429, {"left": 3, "wait": 3600}, "quota-exceeded"
    try:
        return await together(ask(MINI_3), ask(MINI_35))
    finally:
        API.refusal = None


async def too_long_for_anybody() -> Any:
    API.refusal = 429, {"left": 3, "wait": -1}, "illegal-duration"
    try:
        return await together(ask(MINI_3))
    finally:
        API.refusal = None


async def no_gpu_is_free() -> Any:
    API.busy = True
    try:
        return await together(ask(MINI_3))
    finally:
        API.busy = False


async def a_picture() -> Any:
    """The model with eyes is loaded when it is asked, by a process that is older than that, too."""
    from io import BytesIO

    from PIL import Image

    data = BytesIO()
    Image.new("RGB", (336, 336), "red").save(data, "png")
    question = TextPart("What do you see?")
    messages = (Message("user", (ImagePart(data.getvalue(), "image/png"), question)),)
    first = VISION in MODELS.loaded
    sides = [await ask(VISION, messages=messages)]
    API.reuses = False
    sides += [await ask(VISION, messages=messages), await ask(VISION, messages=messages)]
    API.reuses = True
    return {"sides": sides, "loaded_before": first, "loaded": VISION in MODELS.loaded}


SCENES = (
    *(both_sides, not_together, one_never_comes, in_turn, one_fails, one_breaks, stop_of_one),
    *(stop_of_all, a_visitor_leaves_in_line, the_worker_dies, time_is_up, no_quota),
    *(too_long_for_anybody, no_gpu_is_free, a_picture),
)


def start() -> None:
    """As `app.py` does it: the backend first, then the page."""
    gpu.start()
    for name in (SLOW, OTHER):
        file = FOLDER / f"{name.partition('/')[2]}.feeds"
        file.touch()
        options = {"text": "one " * WORDS, "feeds": str(file), "pause": 0.01}
        loaded = fake_engine.plan(name, **options).load(lambda done: None)
        MODELS.loaded[name] = loaded  # type: ignore[assignment]
        MODELS.checkpoints = {**MODELS.checkpoints, name: None}  # type: ignore[dict-item]
    with gr.Blocks() as page:
        gr.HTML("")
    page.launch(prevent_thread_lock=True, quiet=True)


def told(scene: str, came: Any) -> None:
    """Write down what came of a scene."""
    with Path(sys.argv[1]).open("a") as file:
        file.write(json.dumps({"scene": scene, "came": came}) + "\n")


async def play(scenes: Sequence[Callable[[], Any]]) -> None:
    for scene in scenes:
        # A context of its own: a scene that sets no batch has none.
        async with asyncio.timeout(240):
            came = await asyncio.create_task(scene())
        told(scene.__name__, came)
    async with asyncio.timeout(240):
        while len(FLAGS._free) < FLAGS.CALLS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    told("end", {"asked": API.asked})


if __name__ == "__main__":
    start()
    asyncio.run(play([one for one in SCENES if not sys.argv[2:] or one.__name__ in sys.argv[2:]]))
    end()
