"""Local engines: load once, one thread per model, one device turnstile, tokens -> async chunks."""

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

from .._core.errors import ServerError
from .._core.types import Chunk, Progress
from .machine import release_memory
from .seam import Steps

M = TypeVar("M")
_END = object()

MOST_ACTIVE = 4
"""Answers that one model makes at once; the next ones wait in line."""


class DeviceQueue:
    """Lets the engines of one device pass one by one, each for one step, in the order they came."""

    patience = 0.25
    """Seconds an engine waits before it says so: two that alternate have nothing to tell."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._lock = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._holder: str | None = None

    @contextmanager
    def turn(self, label: str, tell: Callable[[str], None]) -> Generator[None, None, None]:
        """Hold the device. `tell` gets a sentence about who holds it, if that takes long."""
        with self._lock:
            gate = None
            if self._holder is None:
                self._holder = label
            else:
                gate = threading.Lock()
                gate.acquire()
                self._line.append(gate)
        if gate is not None:
            if not gate.acquire(timeout=self.patience):
                tell(f"waiting for {self._holder} on this {_words(self.device)}")
                gate.acquire()
                tell("")
            self._holder = label
        try:
            yield
        finally:
            with self._lock:
                if self._line:
                    self._line.popleft().release()
                else:
                    self._holder = None


class GenerationJob(Generic[M]):
    """One answer on its way from the engine's thread to whoever asked for it."""

    steps: Steps | None = None
    closed = False
    begun = False
    load_seconds: float | None = None
    queued_seconds = 0.0

    def __init__(self, job: Callable[[M], Steps]) -> None:
        self.job = job
        self.asked = time.monotonic()
        self.queue: asyncio.Queue[Chunk | Progress | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._said: Progress | None = None

    def put(self, item: Chunk | Progress | BaseException | None) -> None:
        """Hand over a step, the error that ended the answer, or `None` at its end."""
        try:
            self._loop.call_soon_threadsafe(self.queue.put_nowait, item)
        except RuntimeError:  # its loop has closed: nobody listens any more
            self.closed = True

    def say(self, progress: Progress) -> None:
        """Hand over what it waits for, if that is news."""
        if progress != self._said:
            self._said = progress
            self.put(progress)


class Engine(Generic[M]):
    """One model and the one thread it lives on, which serves its answers in turn."""

    def __init__(self, label: str, load: "Callable[[Engine[M]], M]") -> None:
        self.label = label
        self.used = time.monotonic()
        self.device_queue: DeviceQueue
        self.has_room_for: Callable[[int], bool]
        """Whether the memory carries so many answers of full length."""
        self._load = load
        self._active: list[GenerationJob[M]] = []
        self._waiting: deque[GenerationJob[M]] = deque()
        self._progress = Progress("loading", 0.0)
        self._loaded = self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._live, name=f"engine {label}", daemon=True)

    @property
    def idle(self) -> bool:
        """Loaded, and nobody asked it anything."""
        with self._changed:  # between the line and the active ones an answer is in neither
            return self._loaded and not self._active and not self._waiting

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        with self._changed:
            return not all(answer.closed for answer in self._waiting)

    def submit(self, answer: GenerationJob[M]) -> None:
        """Put an answer in line; the first one starts the thread and its load."""
        with self._changed:
            if self._thread.ident is None:
                self._thread.start()
            if not self._loaded:
                answer.say(self._progress)
            self._waiting.append(answer)
            self._changed.notify()

    def close(self, timeout: float | None = None) -> None:
        """End the thread and give the memory back; wait until that is done."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def tell_loading(self, progress: Progress) -> None:
        """Say to all who wait how far the load is, or end it if nobody does any more."""
        if not self.wanted:
            raise AbandonedError
        with self._changed:
            self._progress = progress
            for answer in self._waiting:
                answer.say(progress)

    def _live(self) -> None:
        try:
            model = self._load(self)
        except BaseException as error:
            _let_go(error)
            self._end_all(error)
        else:
            with self._changed:
                self._loaded = True
                for answer in self._waiting:
                    answer.load_seconds = time.monotonic() - answer.asked
            while self._admit():
                for answer in tuple(self._active):
                    self._step(answer, model)
            self._end_all(
                ServerError(f"{self.label} was unloaded while it answered.", "Ask again.")
            )
            del model
        release_memory()

    def _admit(self) -> bool:
        """Start answers while there is room; wait while there is nothing to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._active or self._waiting or self._closing)
            if self._closing:
                return False
            self._waiting = deque(answer for answer in self._waiting if not answer.closed)
            while self._waiting and self._has_room():
                answer = self._waiting.popleft()
                answer.queued_seconds = time.monotonic() - answer.asked - (answer.load_seconds or 0)
                self._active.append(answer)
            for place, answer in enumerate(self._waiting, 1):
                answer.say(Progress.in_line(place))
        return True

    def _has_room(self) -> bool:
        more = len(self._active) + 1
        return more == 1 or (more <= MOST_ACTIVE and self.has_room_for(more))

    def _step(self, answer: GenerationJob[M], model: M) -> None:
        """One forward pass of one answer, when the device is free."""
        if answer.closed:
            self._end(answer, None)
            return
        try:
            answer.steps = answer.steps or answer.job(model)
            with self.device_queue.turn(self.label, self._tell_waiting):
                # It may have been closed while the engine waited for its turn.
                step = _END if answer.closed else next(answer.steps, _END)
        except BaseException as error:
            _let_go(error)
            self._end(answer, error)
            return
        if isinstance(step, Chunk):
            answer.begun = answer.begun or step.tokens is not None
            answer.put(self._timed(step, answer))
        elif isinstance(step, Progress):
            answer.say(step)
        elif step is _END:
            self._end(answer, None)

    def _timed(self, chunk: Chunk, answer: GenerationJob[M]) -> Chunk:
        if chunk.timings is None:
            return chunk
        timings = replace(chunk.timings, queued=answer.queued_seconds, load=answer.load_seconds)
        return replace(chunk, timings=timings)

    def _tell_waiting(self, sentence: str) -> None:
        """Say for what the engine waits; with no sentence, that it waits no more."""
        progress = Progress("queued", detail=sentence) if sentence else Progress("prefill")
        for answer in self._active:
            if not answer.begun:  # a pause between tokens is what taking turns looks like
                answer.say(progress)

    def _end(self, answer: GenerationJob[M], error: BaseException | None) -> None:
        with self._changed:
            self._active.remove(answer)
            self.used = time.monotonic()
        if answer.steps is not None:
            answer.steps.close()
        answer.put(error)

    def _end_all(self, error: BaseException | None) -> None:
        with self._changed:
            answers = [*self._active, *self._waiting]
            self._active.clear()
            self._waiting.clear()
        for answer in answers:
            if answer.steps is not None:
                answer.steps.close()
            answer.put(error)


def _words(device: str) -> str:
    return "CPU" if device == "cpu" else "GPU"


class AbandonedError(Exception):
    """Nobody waits for this model any more."""


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of an error hold (models, caches): the error itself lives longer."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
