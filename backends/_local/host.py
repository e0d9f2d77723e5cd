"""The page's side of the local models: it starts their processes, feeds, watches and ends them."""

import asyncio
import atexit
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .._core.errors import MissingDependencyError, OutOfMemoryError, ServerError
from .._core.sentence import Sentence
from .._core.types import Chunk, GenerationParams, Message, Progress
from . import messages
from .job import Job
from .machine import LOOKS
from .memory_errors import HINT, tells_of_memory
from .messages import (
    Answer,
    Borrow,
    Cancel,
    Command,
    Ended,
    Event,
    Lent,
    Load,
    LoadFailed,
    Loading,
    Needs,
    Proceed,
    Steps,
    Unload,
    Unloaded,
    clean_message,
)

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds in which a worker must hear that an answer was stopped: a forward pass of 256 tokens
takes 10 s of a model of 4 billion parameters on two slow cores."""

_ROOT = Path(__file__).parents[2]
# A worker does not hear Ctrl+C: it ends with this process, which knows why.
if sys.platform == "win32":
    _APART: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _APART: dict[str, Any] = {"process_group": 0}
_USUAL = ("numpy", "tokenizers", "jinja2.sandbox", "onnxruntime_genai")
"""What a worker imports while it waits for its first model, where it is installed."""
_DEFAULTS = {"ORT_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""A worker's environment where it says nothing else, read when libraries are imported. ONNX Runtime
sends telemetry by default. PyTorch's threads wait for each other by spinning: beside another model
that took three quarters of the speed of both (six of Phi-3.5-mini's layers in bfloat16 on two busy
cores: 1.7 and 1.8 tokens/s, without it 6.2 and 6.3; alone 11.0 and 9.8)."""


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine, as its worker is told to load it."""

    key: str
    """Tells it from all others."""
    label: str
    engine: str
    """The name of the module that loads it."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What that module's `plan` takes beside the label: plain data."""
    process: str = ""
    """Models with the same one share a process, as those of PyTorch on a GPU; else its own."""
    hint: Callable[[int], str] = field(default=lambda free: "", compare=False)
    """Which models would fit into so many bytes, in a sentence."""


class _Model:
    """A model that is loaded, or being loaded, and who waits for its answers."""

    def __init__(self, facts: LocalModel, worker: "_Worker") -> None:
        self.facts, self.worker = facts, worker
        self.loaded = False
        self.device, self.need = "", 0
        self.loading = False
        """Whether it may take the memory that it needs, and is at it."""
        self.wants_room = False
        """Whether it waits for others to have taken theirs, or to give it back."""
        self.used = time.monotonic()
        self.jobs: dict[int, Job] = {}

    @property
    def idle(self) -> bool:
        """Loaded, and nobody asked it anything."""
        return self.loaded and not self.jobs


class _Worker:
    """One worker's process, and the threads that write to it and read from it."""

    def __init__(
        self, on_event: "Callable[[_Worker, Event], None]", on_end: "Callable[[_Worker, int], None]"
    ) -> None:
        self.models: dict[str, _Model] = {}
        self.ended_by_us = False
        self.stderr: deque[str] = deque(maxlen=20)
        """Its last lines."""
        self._commands: SimpleQueue[bytes | None] = SimpleQueue()
        self._on_event, self._on_end = on_event, on_end
        paths = filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backends._local.worker", *_USUAL],
            env={**_DEFAULTS, **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_APART,
        )
        for work in (self._write, self._read, self._listen):
            threading.Thread(target=work, name=f"worker {self.process.pid}", daemon=True).start()

    def send(self, command: Command) -> None:
        """Send a command; does not wait for the worker to read it."""
        self._commands.put(messages.command_bytes(command))

    def end(self) -> None:
        """End the process now."""
        self.ended_by_us = True
        self._commands.put(None)
        self.process.kill()

    def _write(self) -> None:
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended: the reader says so
            while (data := self._commands.get()) is not None:
                self.process.stdin.write(data)
                self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            while (event := messages.read_event(self.process.stdout)) is not None:
                self._on_event(self, event)
        except ValueError:
            logger.exception("a worker sent what cannot be read")
            self.process.kill()
        code = self.process.wait()
        self._commands.put(None)
        self._on_end(self, code)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.append(line.decode("utf-8", "replace").rstrip())


class Host:
    """The workers of this process: one for each model, and one that waits for the next model."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._shared: dict[str, _Worker] = {}
        """Workers by the name of the process that their models share."""
        self._spare: _Worker | None = None
        self._lock = threading.RLock()
        atexit.register(self.close)

    async def stream(
        self, model: LocalModel, conversation: Sequence[Message], params: GenerationParams
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer a conversation; the model is loaded first if it has to be.

        Closing it stops the work. Raises `BackendError`.
        """
        job = Job()
        talk = tuple(map(clean_message, conversation))
        answer = Answer(job.number, model.key, talk, params, time.monotonic())
        async with self._asking(model, job, answer):
            while (item := await job.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                if not isinstance(item, Lent):
                    yield item

    async def lend(self, model: LocalModel) -> AsyncGenerator[Progress | Lent, None]:
        """Load a model whose engine is a server, if it has to be; then say where it is asked.

        It is kept for this caller until the iterator is closed. After `Lent` only the end of its
        process comes, as the error that it is to an answer. Raises `BackendError`.
        """
        job = Job()
        borrow = Borrow(job.number, model.key, time.monotonic())
        async with self._asking(model, job, borrow):
            while (item := await job.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                if not isinstance(item, Chunk):
                    yield item

    @asynccontextmanager
    async def _asking(
        self, model: LocalModel, job: Job, command: Answer | Borrow
    ) -> AsyncGenerator[None, None]:
        """Have a worker begin, and stop at the end."""
        # In a thread: to start a process takes some milliseconds, and so do large pictures.
        loop = asyncio.get_running_loop()
        state = await loop.run_in_executor(LOOKS, self._begin, model, job, command)
        try:
            yield
        finally:
            self._leave(state, job)

    async def load(self, model: LocalModel) -> None:
        """Have a model ready, without a question. Raises `BackendError`; cancelling gives up."""
        async for _ in self.stream(model, (), GenerationParams()):
            pass

    async def warm(self) -> None:
        """Have a worker ready for the next model."""
        await asyncio.get_running_loop().run_in_executor(LOOKS, self._start_spare)

    def _start_spare(self) -> None:
        with self._lock:
            if self._spare is None:
                self._spare = _Worker(self._on_event, self._on_end)

    def loaded(self) -> tuple[str, ...]:
        """The keys of the models that are loaded or being loaded, least recently used first."""
        with self._lock:
            return tuple(sorted(self._models, key=lambda key: self._models[key].used))

    def memory(self, key: str) -> int:
        """Bytes that the process of a model holds; 0 if it is not loaded."""
        import psutil

        with self._lock:
            state = self._models.get(key)
        try:
            return psutil.Process(state.worker.process.pid).memory_info().rss if state else 0
        except psutil.Error:
            return 0

    def in_memory(self, backend: str) -> list[tuple[str, int]]:
        """The models of a backend that are loaded: label, and bytes that its process holds."""
        with self._lock:
            loaded = [one.facts for one in self._models.values() if one.loaded]
        ours = [one for one in loaded if one.key.startswith(f"{backend}:")]
        return [(one.label, self.memory(one.key)) for one in ours]

    def unload(self, key: str) -> bool:
        """Give a model's memory back. False if it answers somebody, or is not loaded."""
        with self._lock:
            state = self._models.get(key)
            if state is None or not state.idle:
                return False
            alone = self._forget(state)
        if alone:
            state.worker.process.wait()
            self._offer_room()
        return True

    def close(self) -> None:
        """End every worker."""
        with self._lock:
            workers = {state.worker for state in self._models.values()}
            for worker in (*workers, *([self._spare] if self._spare else [])):
                worker.end()

    def _begin(self, model: LocalModel, job: Job, command: Answer | Borrow) -> _Model:
        with self._lock:
            state = self._models.get(model.key)
            if state is None:
                state = self._models[model.key] = _Model(model, self._worker_for(model))
                state.worker.models[model.key] = state
                state.worker.send(Load(model.key, model.engine, model.label, dict(model.options)))
            if not state.loaded:
                job.put(Progress("loading", 0.0))
            state.jobs[job.number] = job
            state.worker.send(command)
        return state

    def _worker_for(self, model: LocalModel) -> _Worker:
        """The process that the model shares with others, else the spare one, else a new one."""
        worker = self._shared.get(model.process) if model.process else None
        if worker is None:
            worker, self._spare = self._spare or _Worker(self._on_event, self._on_end), None
            if model.process:
                self._shared[model.process] = worker
        return worker

    def _leave(self, state: _Model, job: Job) -> None:
        """Nobody listens to an answer any more: it is stopped, unless it has ended."""
        with self._lock:
            state.used = time.monotonic()
            if job.ended or job.number not in state.jobs:
                state.jobs.pop(job.number, None)
                return
            if not state.loaded and len(state.jobs) == 1:
                state.jobs.clear()
                self._forget(state)  # nobody waits for this load any more
                self._offer_room()
                return
        state.worker.send(Cancel(job.number))
        deadline = threading.Timer(PATIENCE, self._give_up, (state, job))
        deadline.daemon = True
        deadline.start()

    def _give_up(self, state: _Model, job: Job) -> None:
        """End a worker that has not heard that an answer was stopped."""
        with self._lock:
            if job.number in state.jobs:
                logger.error("%s did not stop within %.0f s", state.facts.label, PATIENCE)
                state.worker.process.kill()

    def _forget(self, state: _Model) -> bool:
        """Give a model up; its process too if no other model is in it, which is returned."""
        self._models.pop(state.facts.key, None)
        state.worker.models.pop(state.facts.key, None)
        if state.worker.models:
            state.worker.send(Unload(state.facts.key))
            return False
        self._shared.pop(state.facts.process, None)
        state.worker.end()
        return True

    # ── What workers say; on the threads that read from them ───────────────────────────────────

    def _on_event(self, worker: _Worker, event: Event) -> None:
        if isinstance(event, Steps | Lent | Ended):
            with self._lock:
                states = [state for state in worker.models.values() if event.job in state.jobs]
                job = states[0].jobs[event.job] if states else None
                if states and isinstance(event, Ended):
                    del states[0].jobs[event.job]
            if job and isinstance(event, Steps):
                job.put(*event.steps)
            elif job and isinstance(event, Lent):
                job.put(event)
            elif job and isinstance(event, Ended):
                job.put(event.failure.error if event.failure else None)
            return
        if isinstance(event, Unloaded):
            self._offer_room()
            return
        state = worker.models.get(event.model)
        if state is None:
            return
        if isinstance(event, Loading):
            if event.done:
                state.loaded, state.loading = True, False
                self._offer_room()
            else:
                _tell(state, Progress("loading", event.fraction))
        elif isinstance(event, LoadFailed):
            self._fail(state, event.failure.error)
        else:
            self._make_room(state, event)

    def _make_room(self, state: _Model, needs: Needs) -> None:
        """Let a model be loaded, once there is memory for it; unload idle ones for that."""
        state.device, state.need = needs.device, needs.need
        with self._lock:
            beside = [one for one in self._models.values() if one.device == needs.device]
            # What these have taken so far counts twice: too careful, but never too late.
            taking = [one.need for one in beside if one.loading]
            state.loading = needs.free - sum(taking) >= needs.need
            state.wants_room = not state.loading
            idle = [(one.used, one.facts.key) for one in beside if one.idle]
        if state.loading:
            state.worker.send(Proceed(needs.model))
            return
        if taking:
            _tell(state, Progress("queued", detail="waiting for another model to load"))
            return
        if idle:
            if not self.unload(min(idle)[1]):  # somebody asks it just now
                self._offer_room()
            return  # measured again when its memory is back
        error = OutOfMemoryError(
            Sentence(
                "{label} needs {need:bytes} of memory; {free:bytes} is free.",
                label=state.facts.label,
                need=needs.need,
                free=needs.free,
            ),
            state.facts.hint(needs.free),
            need=needs.need,
            free=needs.free,
        )
        self._fail(state, error)

    def _fail(self, state: _Model, error: Exception) -> None:
        """A model cannot be loaded: all who wait for it are told."""
        with self._lock:
            jobs, state.jobs = [*state.jobs.values()], {}
            self._forget(state)
        for job in jobs:
            job.put(error)
        self._offer_room()

    def _offer_room(self) -> None:
        """Let those that wait for memory look again: some may be free now."""
        with self._lock:
            waiting = [one for one in self._models.values() if one.wants_room]
            for state in waiting:
                state.wants_room = False
                _tell(state, Progress("loading", 0.0))
                state.worker.send(Proceed(state.facts.key, measure=True))

    def _on_end(self, worker: _Worker, code: int) -> None:
        """A worker's process has ended: by itself, by the system, or because it was told to."""
        with self._lock:
            states = [*worker.models.values()]
            waiting = [(state, job) for state in states for job in state.jobs.values()]
            for state in states:
                state.jobs = {}
                self._models.pop(state.facts.key, None)
                self._shared.pop(state.facts.process, None)
            if worker is self._spare:
                self._spare = None
        if not worker.ended_by_us:
            labels = ", ".join(state.facts.label for state in states) or "a spare worker"
            logger.error(
                "%s: the process ended with %d\n%s", labels, code, "\n".join(worker.stderr)
            )
        for state, job in waiting:
            job.put(_ended(state.facts.label, code, "\n".join(worker.stderr)))
        self._offer_room()


def _tell(state: _Model, progress: Progress) -> None:
    """Hand progress to all who wait for a model."""
    for job in tuple(state.jobs.values()):
        job.put(progress)


def _ended(label: str, code: int, said: str) -> Exception:
    """The error of an answer whose process has ended, and what it said last."""
    if code == -9:  # SIGKILL, which the system sends when the memory is full
        what = Sentence(
            "The system ended {label} while it answered; most likely the memory ran out.",
            label=label,
        )
        return OutOfMemoryError(what, HINT)
    if code == -4:  # SIGILL: an instruction that this processor does not know
        return MissingDependencyError(
            Sentence("{label} needs a newer processor than this one.", label=label),
            "Ollama or a server may run the same model here.",
        )
    if tells_of_memory(said):
        return OutOfMemoryError(
            Sentence("The memory ran out while {label} answered.", label=label), HINT
        )
    return ServerError(
        Sentence("{label} crashed while it answered.", label=label),
        "Ask again: it is loaded anew. The log says more.",
    )


HOST = Host()
"""The workers of this process."""
