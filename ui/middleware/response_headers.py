"""Headers of responses: of security, of keeping; a sentence in place of an unhandled exception."""

import logging

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger(__name__)

# A picture's address in an answer could carry the conversation to another host; so could a form,
# a frame or a script's request. Gradio needs scripts and styles within the page, and `eval` for
# the templates of `gr.HTML`.
_POLICY = (
    "default-src 'none'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "manifest-src 'self'",
    "frame-src 'none'",
    "worker-src 'none'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'none'",
)
_FRAMES = "https://huggingface.co https://*.hf.space"
"""Origins that may frame a public page: Hugging Face shows a Space in a frame."""

_NAMED_BY_CONTENT = "/assets/"
_KEEP = "public, max-age=31536000, immutable"
"""For Gradio's scripts and styles: each has a hash of its content in its name, so that a browser
that has it need not ask again."""


def headers(public: bool) -> dict[str, str]:
    """Return the headers of every response."""
    framing = f"frame-ancestors 'self' {_FRAMES if public else ''}".strip()
    return {
        "Content-Security-Policy": "; ".join((*_POLICY, framing)),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


class ResponseHeaders:
    """The outermost middleware. Streams pass through it unchanged."""

    def __init__(self, app: ASGIApp, public: bool) -> None:
        self.app, self.headers = app, headers(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to every response; log unhandled exceptions and answer 500."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                found = MutableHeaders(scope=message)
                found.update(self.headers)
                if message["status"] == 200 and scope["path"].startswith(_NAMED_BY_CONTENT):
                    found.setdefault("Cache-Control", _KEEP)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # nobody is left to respond to
        except Exception:
            _LOG.exception("a request failed")
            if not begun:
                sentence = "Something broke inside Phi Playground. It is not your fault."
                await PlainTextResponse(sentence, 500)(scope, receive, send_with_headers)
