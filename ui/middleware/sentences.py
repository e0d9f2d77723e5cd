"""The translated sentences of the page, a file a language: fetched when one is chosen, and kept."""

import hashlib
import json

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..texts import TRANSLATIONS

KEEP = "public, max-age=31536000, immutable"
"""Another text has another address."""
FILES = {
    code: json.dumps(dict(one.sentences), ensure_ascii=False, separators=(",", ":")).encode()
    for code, one in TRANSLATIONS.items()
}


def address_of(code: str) -> str:
    """Return where the page finds the sentences of a language, relative to itself."""
    return f"texts/{code}.json?v={hashlib.sha256(FILES[code]).hexdigest()[:8]}"


class Sentences:
    """Answers with the sentences of a language."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one of the files; let all others through."""
        path = scope["path"] if scope["type"] == "http" else ""
        body = FILES.get(path.removeprefix("/texts/").removesuffix(".json"))
        if body is None or not path.startswith("/texts/"):
            return await self.app(scope, receive, send)
        headers = {"cache-control": KEEP}
        await Response(body, media_type="application/json", headers=headers)(scope, receive, send)
