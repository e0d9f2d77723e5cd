"""The process of a local model: `python -m backends._local.worker`, fed by `host` over a pipe."""

import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import BinaryIO

from .._core.types import Chunk, Progress
from . import messages
from .bundle import Bundle
from .decode import answer
from .machine import release_memory
from .messages import (
    Answer,
    Borrow,
    Cancel,
    Command,
    Ended,
    Event,
    Failure,
    Lent,
    Load,
    Needs,
    Proceed,
    Unload,
    Unloaded,
)
from .seam import Loaded, Plan, Serving, Step, Steps

MAX_ACTIVE = 4
"""Answers that one model makes at once; the next ones wait in line."""


class _Job:
    """One answer in the worker, or one user of a model that is a server."""

    def __init__(self, asked: Answer | Borrow) -> None:
        self.asked = asked
        self.loaded_after: float | None = None
        """Seconds that it waited for its model to be loaded, if it did."""
        self.queued = 0.0
        """Seconds that it waited in line."""
        self.cancelled = False
        self.steps: Steps | None = None
        self.bundle = Bundle()


class _Abandoned(Exception):
    """Nobody waits for this load any more."""


class Worker:
    """Loads models and answers, one forward pass of one answer at a time.

    Everything happens in the main thread: an engine may hold Python's lock for as long as it
    computes, so a second thread would not help. Another one only reads the pipe. While a model is
    loaded, those that are here go on answering, a pass each time it reports how far it is.
    """

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._events = events
        self._labels: dict[str, str] = {}
        self._plans: dict[str, Plan] = {}
        self._models: dict[str, Loaded | Serving] = {}
        self._to_load: deque[str] = deque()
        self._active: list[_Job] = []
        self._lent: list[_Job] = []
        """Those who ask a server, which computes on threads of its own."""
        self._waiting: deque[_Job] = deque()
        threading.Thread(target=self._listen, args=(commands,), daemon=True).start()

    def run(self) -> None:
        """Serve until the page has gone."""
        while True:
            self._turn(wait=True)
            while self._to_load:
                self._load(self._to_load.popleft())

    def _turn(self, wait: bool) -> None:
        """Carry out what has come, and one forward pass of each answer."""
        self._take(wait)
        self._admit()
        for job in tuple(self._active):
            self._step(job)

    def _listen(self, pipe: BinaryIO) -> None:
        """Read commands; when the page has ended, however it ended, so does this process."""
        try:
            while (command := messages.read_command(pipe)) is not None:
                self._commands.put(command)
        finally:
            os._exit(0)

    def _take(self, wait: bool) -> None:
        """Carry out the commands that have come; perhaps wait while there is nothing to do."""
        wait = wait and not self._active and not any(map(self._can_begin, self._waiting))
        while True:
            try:
                command = self._commands.get(block=wait)
            except Empty:
                return
            wait = False
            if isinstance(command, Load):
                self._plan(command)
            elif isinstance(command, Proceed) and command.model in self._plans:
                if command.measure:
                    self._measure(command.model)
                else:
                    self._to_load.append(command.model)
            elif isinstance(command, Answer | Borrow):
                self._waiting.append(_Job(command))
            elif isinstance(command, Cancel):
                self._cancel(command)
            elif isinstance(command, Unload):
                self._unload(command.model)

    def _plan(self, command: Load) -> None:
        model, self._labels[command.model] = command.model, command.label
        try:
            engine = import_module(command.engine)
            self._plans[model] = engine.plan(label=command.label, **command.options)
        except BaseException as error:
            self._send(messages.LoadFailed(model, Failure.of(error, self._labels[model])))
        else:
            self._measure(model)

    def _measure(self, model: str) -> None:
        plan = self._plans[model]
        try:
            needs = Needs(model, plan.device, plan.need, plan.free())
        except BaseException as error:
            del self._plans[model]
            self._send(messages.LoadFailed(model, Failure.of(error, self._labels[model])))
        else:
            self._send(needs)

    def _load(self, model: str) -> None:
        """Load a model for which there is room."""
        if (plan := self._plans.get(model)) is None:
            return
        told = 0.0

        def report(done: float) -> None:
            nonlocal told
            if round(done, 2) > told:  # a hundred reports are enough for any bar
                told = round(done, 2)
                self._send(messages.Loading(model, told))
            self._turn(wait=False)
            if self._plans.get(model) is not plan:
                raise _Abandoned

        try:
            loaded = plan.load(report)
        except _Abandoned:
            release_memory()
        except BaseException as error:
            del self._plans[model]
            self._send(messages.LoadFailed(model, Failure.of(error, self._labels[model])))
            release_memory()
        else:
            self._models[model] = loaded
            for job in self._waiting:
                if job.asked.model == model:
                    job.loaded_after = time.monotonic() - job.asked.at
            self._send(messages.Loading(model, 1.0, True))

    def _unload(self, model: str) -> None:
        """Give a model's memory back."""
        self._plans.pop(model, None)
        if loaded := self._models.pop(model, None):
            loaded.close()
            del loaded
        release_memory()
        self._send(Unloaded(model))

    def _cancel(self, command: Cancel) -> None:
        for job in [job for job in self._lent if job.asked.job == command.job]:
            self._lent.remove(job)
            self._send(Ended(command.job))
        for job in (*self._active, *self._waiting):
            if job.asked.job == command.job:
                job.cancelled = True

    def _admit(self) -> None:
        """Begin answers while there is room; tell the others their place in line."""
        for job in [job for job in self._waiting if job.cancelled]:
            self._waiting.remove(job)
            self._send(Ended(job.asked.job))
        for job in [job for job in self._waiting if self._can_begin(job)]:
            if self._can_begin(job):  # each takes room of the next one
                self._waiting.remove(job)
                job.queued = time.monotonic() - job.asked.at - (job.loaded_after or 0)
                self._begin(job)
        loaded = (job for job in self._waiting if job.asked.model in self._models)
        for place, job in enumerate(loaded, 1):
            self._tell(job, Progress.in_line(place))

    def _begin(self, job: _Job) -> None:
        """Begin an answer, or lend a server."""
        if not isinstance(job.asked, Borrow):
            self._active.append(job)
            return
        model = self._models[job.asked.model]
        if isinstance(model, Serving):
            self._lent.append(job)
            self._send(Lent(job.asked.job, model.served, job.queued, job.loaded_after))
        else:
            fault = TypeError(f"{self._labels[job.asked.model]} is no server")
            self._send(Ended(job.asked.job, Failure.of(fault)))

    def _can_begin(self, job: _Job) -> bool:
        """Whether a waiting answer could begin now, or end."""
        model = job.asked.model
        if job.cancelled:
            return True
        if model not in self._models:
            return False
        beside = sum(one.asked.model == model for one in (*self._active, *self._lent))
        if not beside:
            return True
        plan, loaded = self._plans[model], self._models[model]
        most = loaded.answers if isinstance(loaded, Serving) else MAX_ACTIVE
        # Answers that run may still grow to full length, so room is asked for all of them.
        return beside < most and plan.free() >= plan.per_answer * (beside + 1)

    def _tell(self, job: _Job, progress: Progress) -> None:
        """Send progress at once, if it is news."""
        if job.bundle.news[-1:] != [progress]:
            job.bundle.news = [progress]
            self._send(messages.Steps(job.asked.job, [progress]))

    def _step(self, job: _Job) -> None:
        """One forward pass of one answer."""
        asked = job.asked
        if isinstance(asked, Borrow) or job.cancelled or not asked.messages:  # or it only waited
            self._end(job)
            return
        began = time.monotonic()
        try:
            if job.steps is None:
                job.bundle.news.clear()
                loaded = self._models[asked.model]
                if isinstance(loaded, Serving):
                    raise TypeError(f"{self._labels[asked.model]} is asked at its server")
                job.steps = answer(loaded, asked.messages, asked.params)
            step = next(job.steps)
        except StopIteration:
            self._end(job)
        except BaseException as error:
            self._end(job, Failure.of(error))
        else:
            if job.bundle.add(_timed(step, job), began, len(self._active)):
                self._flush(job)

    def _flush(self, job: _Job) -> None:
        """Send what is new of an answer."""
        if news := job.bundle.take():
            self._send(messages.Steps(job.asked.job, news))

    def _end(self, job: _Job, failure: Failure | None = None) -> None:
        self._active.remove(job)
        if job.steps is not None:
            job.steps.close()
        self._flush(job)
        self._send(Ended(job.asked.job, failure))

    def _send(self, event: Event) -> None:
        try:
            self._events.write(messages.event_bytes(event))
            self._events.flush()
        except OSError:  # the page has gone
            os._exit(0)


def _timed(step: Step, job: _Job) -> Step:
    """A step with the times that its answer waited."""
    if not isinstance(step, Chunk) or step.timings is None:
        return step
    timings = replace(step.timings, queued=job.queued, load=job.loaded_after)
    return replace(step, timings=timings)


def main() -> None:
    """Take the pipes for ourselves: what a library prints goes to standard error."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    commands = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    # Loaded now rather than with the first model: this worker may be waiting for one.
    for name in sys.argv[1:]:
        with suppress(ImportError):
            import_module(name)
    Worker(commands, events).run()


if __name__ == "__main__":
    main()
