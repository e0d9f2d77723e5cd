"""A run that is watched while it goes on, and that ends with its watcher."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from backends import BadRequestError, Sentence

from ..services import Services
from .plan import Plan
from .run_file import Cell, Header, RunFile, RunFileError, read
from .runner import RunStopped, Step, run

TICK = 0.3
"""Seconds between two looks at it."""
HEARTBEAT = 1.0
"""Seconds after which there is a look even if nothing came."""
_BROKEN = "Something broke inside Phi Playground. It is not your fault: please run it again."

logger = logging.getLogger(__name__)


class LiveRun:
    """One run with a watcher. What came stays in its file, however it ends."""

    def __init__(
        self,
        plan: Plan,
        head: Header,
        path: Path | None,
        services: Services,
        cells: Iterable[Cell] = (),
    ) -> None:
        """`path` is set before it begins; `cells` are in the file already."""
        self.plan, self.head, self.path, self.services = plan, head, path, services
        self.state: Literal["running", "done", "stopped", "failed"] = "running"
        self.sentence = ""
        """Why it ended, if it failed."""
        self.step: Step | None = None
        """The latest."""
        self.cells = {cell.key: cell for cell in cells}
        self._fresh: list[Step] = []
        self._changed = asyncio.Event()
        self._task: asyncio.Task[int] | None = None

    @property
    def visitor(self) -> str:
        """Whose run it is."""
        return self.plan.models[0].visitor.address

    @property
    def run(self) -> RunFile:
        """What came by now."""
        return RunFile(self.head, tuple(self.cells.values()))

    def stop(self) -> None:
        """End it. What came stays."""
        if self.state == "running":
            self.state = "stopped"
            if self._task:
                self._task.cancel()
            self._changed.set()

    @property
    def begun(self) -> bool:
        """Whether somebody runs it already."""
        return self._task is not None

    async def steps(self) -> AsyncGenerator[tuple[Step, ...], None]:
        """Run it; yields what is new, on a tick, and nothing at least once a second.

        Closing it ends the run. Raises `BadRequestError` if the visitor has too many.
        """
        most, going = self.services.limits.matrices, self.services.matrices
        if most is not None and going[self.visitor] >= most:
            self.state = "failed"
            raise BadRequestError(
                "You have a run going on this public page already.",
                "Stop it, or wait until it has ended.",
            )
        if self.state != "running":
            return
        going[self.visitor] += 1
        self._task = asyncio.create_task(self._run())
        try:
            while not self._task.done():
                await _wait(self._changed, HEARTBEAT)
                self._changed.clear()
                yield self._take()
                if not self._task.done():
                    await asyncio.wait({self._task}, timeout=TICK)
            self._end(self._task)
            yield self._take()
        finally:
            going[self.visitor] -= 1
            if not going[self.visitor]:
                del going[self.visitor]
            self.stop()
            with suppress(asyncio.CancelledError, Exception):
                await asyncio.wait({self._task})

    async def _run(self) -> int:
        try:
            if self.path is None:
                raise ValueError("a run needs a file")
            return await run(
                self.plan, self.path, self._note, services=self.services, head=self.head
            )
        finally:
            self._changed.set()

    def _note(self, step: Step) -> None:
        self.step = step
        if step.cell:
            self.cells[step.cell.key] = step.cell
        self._fresh.append(step)
        self._changed.set()

    def _take(self) -> tuple[Step, ...]:
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def _end(self, task: asyncio.Task[int]) -> None:
        """Note how it ended."""
        if task.cancelled():
            self.state = "stopped"
            return
        error = task.exception()
        if error is None:
            if self.state == "running":
                self.state = "done"
            if missing := task.result():
                why = [cell.error for cell in self.cells.values() if cell.error]
                self.sentence = Sentence.chain(
                    Sentence(
                        "{n} answers could not be asked for.",
                        one="{n} answer could not be asked for.",
                        n=missing,
                    ),
                    *why[-1:],
                )
        elif isinstance(error, RunFileError | RunStopped):
            self.state, self.sentence = "failed", str(error)
        else:
            logger.error("a run of the matrix failed", exc_info=error)
            self.state, self.sentence = "failed", _BROKEN


def read_named(path: Path, name: str) -> RunFile:
    """A run in a file that people know by another name. Raises `RunFileError`."""
    try:
        return read(path)
    except RunFileError as error:
        raise RunFileError(error.sentence.renamed(str(path), f"“{name}”")) from error


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
