"""Check of a request's host and origin: other websites can make a browser call this page."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from playground.visitors import VISITOR, on_platform, visitor_address

from .hosts import Hosts
from .refusal import Refusal
from .routes import CALLBACK

_SAME_SITE = frozenset({"", "same-origin", "none"})
"""`Sec-Fetch-Site` of the page's own requests and of typed addresses; programs send none."""

MCP = "/gradio_api/mcp"


class OriginCheck:
    """Answers 403 to requests for a foreign host name, or from another website.

    A link from another website may open the page: a navigation without `Origin` to the page itself,
    which has no side effect. Hugging Face leads back to the end of a sign-in, which is taken only
    with the word that its beginning left in the same browser.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, sign_in: bool = False) -> None:
        self.app, self.hosts, self.platform = app, hosts, on_platform()
        self.opened = frozenset({"", "/", *((CALLBACK,) if sign_in else ())})
        """Paths that another website may lead to."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if scope["type"] != "http":  # this page has no web sockets
            return await send({"type": "websocket.close", "code": 1008})
        if refusal := self._check(scope, headers):
            return await refusal(scope, receive, send)
        forwarded = headers.get("x-forwarded-host")
        if forwarded is not None and not self.hosts.trusts(forwarded):
            scope["headers"] = [*scope["headers"]]
            del MutableHeaders(scope=scope)["x-forwarded-host"]
        client = scope["client"][0] if scope.get("client") else ""
        chain = headers.getlist("x-forwarded-for") if self.platform else []
        visitor = visitor_address(client, chain)
        # Gradio's queue runs events in tasks of its own: they have the request, not the context.
        scope.setdefault("state", {})["visitor"] = visitor
        if scope["path"].startswith(MCP):
            # Gradio calls its own endpoints for a client of MCP, from this machine and with the
            # client's headers: what one says there of where it comes from is not believed.
            scope["headers"] = [*scope["headers"]]
            MutableHeaders(scope=scope)["x-forwarded-for"] = visitor
        token = VISITOR.set(visitor)
        try:
            await self.app(scope, receive, send)
        finally:
            VISITOR.reset(token)

    def _check(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not self.hosts.accepts(headers):
            return Refusal(
                403,
                f"This page answers only to {self.hosts.allowed_names}. To reach it by another "
                "name, start it with --allow-host NAME.",
            )
        foreign = headers.get("sec-fetch-site", "") not in _SAME_SITE
        if (foreign and not self._follows_link(scope, headers)) or not self.hosts.sent_by_page(
            headers
        ):
            return Refusal(
                403,
                "This request comes from another website. Open the page itself; behind a proxy, "
                "start it with --allow-host NAME.",
            )
        return None

    def _follows_link(self, scope: Scope, headers: Headers) -> bool:
        return (
            scope["method"] in ("GET", "HEAD")
            and scope["path"] in self.opened
            and headers.get("sec-fetch-mode") == "navigate"
        )
