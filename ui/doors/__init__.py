"""The doors: what stands between the network and the page, each a small ASGI middleware."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from starlette.types import ASGIApp

from playground.limits import Limits

from .answers import Answers
from .events import Events
from .folder import UploadFolder, own_folder
from .hosts import Hosts
from .log import keep_log_short
from .origins import Origins
from .routes import Routes
from .uploads import Uploads
from .visits import Heartbeats, Visits

_LOG = logging.getLogger(__name__)
SWEEP = 10.0
"""Seconds between two looks at what visitors have left behind."""


def doors(
    app: ASGIApp, limits: Limits, hosts: Hosts, visits: Visits, files: UploadFolder
) -> ASGIApp:
    """The page behind all its doors. A request meets them from the last line to the first."""
    app = Heartbeats(app, visits)
    app = Uploads(app, limits, files)
    app = Events(app, limits, visits)
    app = Routes(app)
    app = Origins(app, hosts)
    return Answers(app, limits.public)


def lifespan(
    limits: Limits, hosts: Hosts, files: UploadFolder
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """What runs as long as the page is served: its doors, and who sweeps behind visitors."""

    @asynccontextmanager
    async def served(app: Any) -> AsyncGenerator[None, None]:
        visits = Visits(limits, app.state_holder)
        # Middleware that an app is given at its start stands inside of Gradio's own: what CORS
        # and the compression answer would not pass it. This is the outside.
        app.middleware_stack = doors(app.middleware_stack, limits, hosts, visits, files)
        sweeping = asyncio.create_task(_sweep(visits, files))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    return served


async def _sweep(visits: Visits, files: UploadFolder) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        try:
            visits.sweep()
            await asyncio.to_thread(files.sweep)
        except Exception:  # ours to mend; the next time it may go
            if not threading.main_thread().is_alive():
                return  # Python itself is ending
            _LOG.exception("sweeping failed")


__all__ = ["Hosts", "UploadFolder", "doors", "keep_log_short", "lifespan", "own_folder"]
