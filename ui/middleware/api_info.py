"""What is told of the public endpoints, made anew for whoever asks."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

_TOLD = ("/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/call/v2/")


class FreshApiInfo:
    """Has Gradio make its description of the endpoints for each request.

    It would keep the first one, whose programs name the address that its request was sent to: on a
    page that answers to every name, whoever asks first could have others send their keys elsewhere.
    To make it costs a small part of what the page's own document does, so nobody counts how often
    it is asked for.
    """

    def __init__(self, app: ASGIApp, gradio_app: Any) -> None:
        self.app, self.gradio_app = app, gradio_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop what Gradio has kept, before it is read."""
        if scope["type"] == "http" and scope["path"].startswith(_TOLD):
            self.gradio_app.api_info = None
        await self.app(scope, receive, send)
