"""ASGI middleware between the network and Gradio, and the log and upload folder of the server."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from playground.services import Services

from .api_info import FreshApiInfo
from .calls import Calls
from .document import Document
from .doors import ALL_CLOSED, Doors
from .events import EventCheck
from .healthz import Healthz
from .hosts import Hosts
from .log import use_json_in_uvicorn, use_json_log, use_short_log
from .origins import OriginCheck
from .response_headers import ResponseHeaders
from .root_path import RootPath, clean_root_path
from .routes import RouteAllowList
from .sentences import Sentences, address_of
from .upload_folder import UploadFolder, own_folder
from .uploads import UploadLimit
from .visits import HeartbeatTracker, Visits

_LOG = logging.getLogger(__name__)
COMPRESSED_FROM = 1000
"""Bytes of a response from which on it is compressed. Gradio does so with scripts and styles only,
`Document` with the page itself. Streams are not touched, lest an event waits for the next one. A
length tells no other website anything: none can make this page say what it has not typed itself
(`OriginCheck`)."""
COMPRESSION = 6
SWEEP_INTERVAL = 10.0
"""Seconds between two sweeps of closed sessions and unclaimed uploads."""


def with_middleware(
    app: ASGIApp,
    services: Services,
    hosts: Hosts,
    visits: Visits,
    files: UploadFolder,
    doors: Doors = ALL_CLOSED,
    root_path: str = "",
) -> ASGIApp:
    """Wrap the page's app in all middleware. Requests pass it from the last line to the first."""
    limits = services.limits
    app = Calls(Sentences(Document(app)), limits, visits)  # it reads what is not packed yet
    app = GZipMiddleware(app, COMPRESSED_FROM, COMPRESSION)
    app = HeartbeatTracker(app, visits)
    app = UploadLimit(app, limits, files)
    app = EventCheck(app, limits, visits)
    app = RouteAllowList(app, doors)
    app = Healthz(app, services)
    app = OriginCheck(app, hosts, doors.sign_in)
    app = RootPath(app, root_path)
    return ResponseHeaders(app, limits.public)


def lifespan(
    services: Services,
    hosts: Hosts,
    files: UploadFolder,
    doors: Doors = ALL_CLOSED,
    root_path: str = "",
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return the lifespan of the served app: installs the middleware, and sweeps periodically."""

    @asynccontextmanager
    async def lifetime(app: Any) -> AsyncGenerator[None, None]:
        services.loop = asyncio.get_running_loop()
        visits = Visits(services.limits, app.state_holder)
        # Middleware passed to the app would run inside of Gradio's own, and not see the responses
        # of its CORS middleware. This wraps all of it.
        inner = FreshApiInfo(app.middleware_stack, app)
        app.middleware_stack = with_middleware(
            inner, services, hosts, visits, files, doors, root_path
        )
        sweeping = asyncio.create_task(_sweep(visits, files))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    return lifetime


async def _sweep(visits: Visits, files: UploadFolder) -> None:
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        try:
            visits.sweep()
            await asyncio.to_thread(files.sweep)
        except Exception:  # a bug of ours: report it, and try again at the next interval
            if not threading.main_thread().is_alive():
                return  # Python itself is ending
            _LOG.exception("sweeping failed")


__all__ = [
    "Doors",
    "Hosts",
    "UploadFolder",
    "address_of",
    "clean_root_path",
    "lifespan",
    "own_folder",
    "use_json_in_uvicorn",
    "use_json_log",
    "use_short_log",
    "with_middleware",
]
