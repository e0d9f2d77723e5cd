"""Allow-list of routes; Gradio has more than the page and its public endpoints need.

Some of them would bypass other middleware: `file=https://…` fetches any address under this page's
own origin, and `upload_progress` keeps whatever names it is asked for.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from .doors import ALL_CLOSED, Doors
from .refusal import Refusal

_API = "run/predict|queue/(join|data)|component_server|cancel|reset|upload"
_ALLOWED = re.compile(
    rf"""
    /?                                                  # the page
  | /(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?
  | /(assets|static|svelte)/.+                          # Gradio's scripts and styles
  | /texts/[a-z]{{2}}\.json                               # sentences in a language
  | /gradio_api/({_API})/?
  | /gradio_api/(app_id|startup-events|theme\.css|heartbeat/[A-Za-z0-9-]{{1,64}})/?
    """,
    re.VERBOSE,
)
_PROGRAMS = r"/gradio_api/(info|openapi\.json)/?|/gradio_api/call/(v2/)?({})(/[0-9a-f]{{1,64}})?/?"
"""Where programs find out about the public endpoints, and call them; no other one by its name."""
_MCP = r"/gradio_api/mcp(/(http|sse|schema|messages)?/?)?"

CALLBACK = "/login/callback"
"""Where Hugging Face sends a visitor back to."""
SIGN_IN = ("/login/huggingface", CALLBACK, "/logout")
"""Gradio's routes of a sign-in, where the page has one."""


class RouteAllowList:
    """Answers 404 to every route that neither the page nor its public endpoints use."""

    def __init__(self, app: ASGIApp, doors: Doors = ALL_CLOSED) -> None:
        self.app = app
        patterns = [_ALLOWED.pattern]
        if doors.endpoints:
            patterns.append(_PROGRAMS.format("|".join(map(re.escape, doors.endpoints))))
        if doors.mcp:
            patterns.append(_MCP)
        if doors.sign_in:
            patterns += map(re.escape, SIGN_IN)
        self._allowed = re.compile("|".join(f"(?:{one}\n)" for one in patterns), re.VERBOSE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through if its path is on the list."""
        if scope["type"] == "http" and not self._allowed.fullmatch(scope["path"]):
            return await Refusal(404, "There is nothing here.")(scope, receive, send)
        await self.app(scope, receive, send)
