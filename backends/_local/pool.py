"""The loaded models: each loaded once, the least recently used unloaded for another."""

import atexit
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .._core.errors import OutOfMemoryError
from .._core.types import Chunk, Progress
from .engine import AbandonedError, DeviceQueue, Engine, GenerationJob
from .machine import gigabytes
from .seam import Steps

M = TypeVar("M")


@dataclass(frozen=True)
class Plan(Generic[M]):
    """How one model gets onto a device. Made on its engine's thread, so it may import an engine."""

    device: str
    """Such as `cpu` or `cuda:0`: engines on one device take turns."""
    need: int
    """Bytes that the model and one answer of full length take."""
    per_answer: int
    """Bytes that every further answer may take."""
    free: Callable[[], int]
    """Bytes that are free on the device now."""
    load: Callable[[Callable[[float], None]], M]
    """Load it, reporting the fraction that is done."""
    hint: Callable[[int], str]
    """Which models would fit into so many bytes, in a sentence."""


class Pool:
    """The loaded models: each loaded once, the least recently used unloaded for another."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine[Any]] = {}
        self._device_queues: dict[str, DeviceQueue] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        atexit.register(self.close)

    async def stream(
        self, key: str, label: str, prepare: Callable[[], Plan[M]], job: Callable[[M], Steps]
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Run a job on the model `key`, which `prepare` tells how to load if it is not yet."""
        answer = GenerationJob(job)
        with self._lock:
            engine = self._engines.get(key)
            if engine is None:
                engine = Engine(label, lambda engine: self._load(key, engine, prepare))
                self._engines[key] = engine
            engine.submit(answer)
        try:
            while (item := await answer.queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            answer.closed = True  # seen by the engine before its next step

    def device_queue(self, device: str) -> DeviceQueue:
        """The turnstile of a device."""
        with self._lock:
            return self._device_queues.setdefault(device, DeviceQueue(device))

    def loaded(self) -> tuple[str, ...]:
        """The keys of the models that are loaded or being loaded, least recently used first."""
        with self._lock:
            return tuple(sorted(self._engines, key=lambda key: self._engines[key].used))

    def unload(self, key: str) -> bool:
        """Give a model's memory back. False if it answers somebody, or is not loaded."""
        with self._lock:
            engine = self._engines.get(key)
            if engine is None or not engine.idle:
                return False
            del self._engines[key]
        engine.close()
        return True

    def close(self) -> None:
        """End every engine: a thread inside torch must not outlive the interpreter."""
        with self._lock:
            engines = [*self._engines.values()]
            self._engines.clear()
        for engine in engines:
            engine.close(timeout=5)

    def _load(self, key: str, engine: Engine[M], prepare: Callable[[], Plan[M]]) -> M:
        """On the engine's thread: make room and load, unless everybody has gone meanwhile."""
        while True:
            try:
                return self._load_once(engine, prepare)
            except BaseException as error:
                with self._lock:
                    if isinstance(error, AbandonedError) and engine.wanted:
                        continue  # somebody came in that very moment
                    self._engines.pop(key, None)
                raise

    def _load_once(self, engine: Engine[M], prepare: Callable[[], Plan[M]]) -> M:
        plan = prepare()
        engine.device_queue = self.device_queue(plan.device)
        # Answers that run may still grow to full length, so room is asked for all of them.
        engine.has_room_for = lambda answers: plan.free() >= plan.per_answer * answers
        if not self._loading.acquire(blocking=False):
            engine.tell_loading(Progress("queued", detail="waiting for another model to load"))
            self._loading.acquire()
        try:
            engine.tell_loading(Progress("loading", 0.0))
            self._make_room(engine.label, plan)
            # A hundred reports are enough for any bar.
            return plan.load(lambda done: engine.tell_loading(Progress("loading", round(done, 2))))
        finally:
            self._loading.release()

    def _make_room(self, label: str, plan: Plan[Any]) -> None:
        while (free := plan.free()) < plan.need:
            with self._lock:
                idle = [
                    (engine.used, key)
                    for key, engine in self._engines.items()
                    if engine.idle and engine.device_queue.device == plan.device
                ]
            if not idle:
                raise OutOfMemoryError(
                    f"{label} needs {gigabytes(plan.need)} of memory; {gigabytes(free)} is free.",
                    plan.hint(free),
                    need=plan.need,
                    free=free,
                )
            self.unload(min(idle)[1])


POOL = Pool()
"""The engines of this process."""
