"""`/healthz`: whether the page may be visited, for whoever starts and stops it."""

import json

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from playground.services import Services

PATH = "/healthz"


class Healthz:
    """Answers 200 while the page may be visited; 503 while it starts, and once it stops."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app, self.services = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let another request through."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        phase = self.services.phase
        answer = Response(
            json.dumps({"status": phase}), 200 if phase == "ready" else 503,
            {"Cache-Control": "no-store"}, "application/json",
        )  # fmt: skip
        await answer(scope, receive, send)
