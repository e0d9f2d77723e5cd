"""Response headers: what a model's answer may not make the reader's browser do."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware

from playground.limits import Limits

# A picture's address in an answer could carry the conversation to another host; so could a form.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:",
    "img-src 'self' data: blob:",
    "form-action 'self'",
    "object-src 'none'",
    "base-uri 'self'",
)
_FRAMES = "https://huggingface.co https://*.hf.space"
"""Who may show a public page inside their own: a Space stands in a frame."""


def headers(public: bool) -> dict[str, str]:
    """The headers of every response."""
    framing = f"frame-ancestors 'self' {_FRAMES if public else ''}".strip()
    return {
        "Content-Security-Policy": "; ".join((*_POLICY, framing)),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


class SecurityHeaders:
    """Pure ASGI: streams pass through it untouched."""

    def __init__(self, app: Any, public: bool) -> None:
        self.app, self.headers = app, headers(public)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Add the headers to every response."""

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def middleware(limits: Limits) -> list[Middleware]:
    """What stands between the network and the page."""
    return [Middleware(SecurityHeaders, public=limits.public)]
