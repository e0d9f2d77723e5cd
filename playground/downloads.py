"""Downloads of models, each of which runs once, however many pages show it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from backends import Backend, BackendError, Connection, Progress


class Download:
    """One model that is being fetched. It goes on while no page shows it; `cancel` ends it."""

    def __init__(self, backend: Backend, model: str, connection: Connection | None) -> None:
        self.backend, self.model, self.connection = backend, model, connection
        self.progress = Progress("downloading")
        self.error: BackendError | None = None
        """Why it failed, if it did."""
        self._changed = asyncio.Event()
        """Set, and replaced by a new one, when the progress changes."""
        self._task = asyncio.ensure_future(self._fetch())

    @property
    def ended(self) -> bool:
        """True once the model is there, or the download failed or was cancelled."""
        return self._task.done()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called, unless it had ended before."""
        return self._task.cancelled() or self._task.cancelling() > 0

    def cancel(self) -> None:
        """End it for every page; what came so far is kept."""
        self._task.cancel()

    async def steps(self) -> AsyncGenerator[Progress, None]:
        """Its progress now, and whenever that changes, until it has ended.

        Raises what is no `BackendError`: that is a bug.
        """
        while not self.ended:
            changed = self._changed  # before the progress is read: none is missed
            yield self.progress
            waiting = asyncio.ensure_future(changed.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if not self.cancelled:
            self._task.result()

    async def _fetch(self) -> None:
        try:
            async with aclosing(self.backend.download(self.model, self.connection)) as steps:
                async for step in steps:
                    self.progress, changed, self._changed = step, self._changed, asyncio.Event()
                    changed.set()
        except BackendError as error:
            self.error = error


class Downloads:
    """The downloads of all visitors of one page."""

    def __init__(self) -> None:
        self._running: list[Download] = []

    def find(self, backend: Backend, model: str, to: Connection | None = None) -> Download | None:
        """The running download of a model; `None` if there is none."""
        self._running = [one for one in self._running if not one.ended and not one.cancelled]
        for one in self._running:
            if (one.backend, one.model, one.connection) == (backend, model, to):
                return one
        return None

    def start(self, backend: Backend, model: str, to: Connection | None = None) -> Download:
        """Begin to fetch a model onto the machine of a connection, or join who fetches it."""
        running = self.find(backend, model, to)
        if running is None:
            running = Download(backend, model, to)
            self._running.append(running)
        return running
