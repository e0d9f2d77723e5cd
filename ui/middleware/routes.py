"""Allow-list of the page's routes; Gradio has more than the page needs.

Some of them would bypass other middleware: `file=https://…` fetches any address under this page's
own origin, and `upload_progress` keeps whatever names it is asked for.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from .refusal import Refusal

_API = "run/predict|queue/(join|data)|component_server|cancel|reset|upload"
_ALLOWED = re.compile(
    rf"""
    /?                                                  # the page
  | /(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?
  | /(assets|static|svelte)/.+                          # Gradio's scripts and styles
  | /gradio_api/({_API})/?
  | /gradio_api/(app_id|startup-events|theme\.css|heartbeat/[A-Za-z0-9-]{{1,64}})/?
    """,
    re.VERBOSE,
)


class RouteAllowList:
    """Answers 404 to every route that the page itself does not use."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through if its path is on the list."""
        if scope["type"] == "http" and not _ALLOWED.fullmatch(scope["path"]):
            return await Refusal(404, "There is nothing here.")(scope, receive, send)
        await self.app(scope, receive, send)
