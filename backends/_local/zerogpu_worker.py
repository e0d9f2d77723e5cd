"""What runs on a ZeroGPU Space's GPU: the models, and the generator that answers with them.

A call of the GPU runs in a process that the package `spaces` forks off the page. It finds there
what the page has loaded, with the weights on the GPU by then; nothing that it changes gets back.
"""

import io
import json
import mmap
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.errors import BackendTimeoutError, ModelNotFoundError
from .._core.sentence import Sentence
from .._core.types import Progress
from . import messages, weights
from .bundle import Bundle
from .decode import answer
from .messages import Answer, Ended, Event, Failure
from .seam import Steps

if TYPE_CHECKING:
    from .torch_model import TorchModel

Records = Generator[tuple[int, bytes], None, None]
"""What a call yields: the number of a side, and a record as it crosses a worker's pipe."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files on this machine."""

    label: str
    folder: Path


class StopFlags:
    """Which sides of which calls were stopped: memory that the page shares with its forks.

    The package's own way to stop a call ends all of it, and its queue of arguments is read once.
    """

    CALLS, SIDES = 512, 8
    """So many calls there may be at once, and sides of each."""

    def __init__(self) -> None:
        self._flags = mmap.mmap(-1, self.CALLS * self.SIDES)
        self._free = deque(range(self.CALLS))

    def take(self) -> int:
        """A number for a call, of which no side is stopped. Raises `IndexError` if all are in use.

        The one that was given back the longest time ago: a process may still look at the latest.
        """
        call = self._free.popleft()
        self._flags[call * self.SIDES : (call + 1) * self.SIDES] = bytes(self.SIDES)
        return call

    def give_back(self, call: int) -> None:
        """The call has ended."""
        self._free.append(call)

    def stop(self, call: int, side: int) -> None:
        """Stop a side."""
        self._flags[call * self.SIDES + side] = 1

    def is_stopped(self, call: int, side: int) -> bool:
        """Whether a side was stopped."""
        return bool(self._flags[call * self.SIDES + side])


class Models:
    """The models by id: in memory, or loaded when they are first asked."""

    def __init__(self) -> None:
        self.loaded: dict[str, TorchModel] = {}
        self.checkpoints: Mapping[str, Checkpoint] = {}

    def device(self) -> str:
        """Where they run: `cuda`, also in the page's process, where `spaces` stands in for it."""
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def load(self, model: str, device: str) -> "TorchModel":
        """Read a model's checkpoint. Raises `BackendError`."""
        from .torch_engine import CLASSES
        from .torch_model import TorchModel, best_dtype

        checkpoint = self.checkpoints[model]
        try:
            config = json.loads((checkpoint.folder / "config.json").read_text("utf-8"))
            parameters = weights.parameter_count(checkpoint.folder)
        except (OSError, ValueError, KeyError) as error:
            raise weights.damaged(checkpoint.label, checkpoint.folder) from error
        kind = CLASSES.get(config.get("model_type"), TorchModel)
        dtype = best_dtype(self.device(), parameters)
        loaded = kind.load(checkpoint.folder, checkpoint.label, device, dtype, lambda done: None)
        self.loaded[model] = loaded
        return loaded

    def ready(self, model: str) -> "Generator[Progress, None, TorchModel]":
        """A model on the GPU, in the process that has one.

        One that the page loaded into main memory since is moved there; this process may be older
        than that, and then reads the files itself.
        """
        loaded = self.loaded.get(model)
        if loaded is None:
            if model not in self.checkpoints:
                raise ModelNotFoundError(
                    Sentence("This Space has no model called {model}.", model=model),
                    "Choose another one.",
                    model=model,
                )
            yield Progress("loading")
            return self.load(model, self.device())
        if loaded.device == "cpu" and self.device() == "cuda":
            yield Progress("loading")
            loaded.move_to("cuda")
        return loaded


MODELS = Models()
FLAGS = StopFlags()


class _Side:
    """One answer of a call."""

    def __init__(self, number: int, asked: Answer) -> None:
        self.number, self.asked = number, asked
        self.bundle = Bundle()
        self.ended = False
        self._steps: Steps = self._answer()

    def _answer(self) -> Steps:
        model = yield from MODELS.ready(self.asked.model)
        yield from answer(model, self.asked.messages, self.asked.params)

    def step(self, active: int) -> list[Event]:
        """Make one step, while so many sides take turns; what is to be sent now."""
        began = time.monotonic()
        try:
            step = next(self._steps)
        except StopIteration:
            return self.end()
        except Exception as error:
            return self.end(Failure.of(error))
        return self._news() if self.bundle.add(step, began, active) else []

    def end(self, failure: Failure | None = None) -> list[Event]:
        """End it here; what is to be sent of it."""
        self.ended = True
        self._steps.close()
        return [*self._news(), Ended(self.asked.job, failure)]

    def _news(self) -> list[Event]:
        news = self.bundle.take()
        return [messages.Steps(self.asked.job, news)] if news else []


def answer_sides(call: int, asked: Sequence[bytes], in_turn: bool, seconds: float) -> Records:
    """Answer some conversations with one GPU: step by step in turns, or one after the other.

    `asked` are `Answer` records. A side that fails or is stopped leaves the others alone. After
    `seconds` all end where they are: soon after that the platform would end this process.
    """
    ends = time.monotonic() + seconds
    waiting = deque(_Side(number, _read(record)) for number, record in enumerate(asked))
    active: list[_Side] = []
    while waiting or active:
        while waiting and not (active and in_turn):
            active.append(waiting.popleft())
        for side in active:
            if FLAGS.is_stopped(call, side.number):
                events = side.end()
            elif time.monotonic() > ends:
                events = side.end(Failure.of(_time_is_up(seconds)))
            else:
                events = side.step(len(active))
            for event in events:
                yield side.number, messages.event_bytes(event)
        active = [side for side in active if not side.ended]


def _read(record: bytes) -> Answer:
    command = messages.read_command(io.BytesIO(record))
    assert isinstance(command, Answer)
    return command


def _time_is_up(seconds: float) -> BackendTimeoutError:
    return BackendTimeoutError(
        Sentence(
            "The {seconds} s of GPU time for this answer are used up.", seconds=round(seconds)
        ),
        "What came is kept. Ask for fewer tokens, for one side alone, or press Continue.",
        seconds=seconds,
    )
