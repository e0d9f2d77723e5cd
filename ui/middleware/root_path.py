"""The path below which a proxy shows the page: `/phi` of `https://school.example/phi/`."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def clean_root_path(path: str) -> str:
    """The path without a slash at its end; `""` for none. Raises `ValueError`."""
    path = path.strip().rstrip("/")
    if path and not _PATH.fullmatch(path):
        raise ValueError(f"“{path}” is not a path below which a page can be: it looks like /phi.")
    return path


class RootPath:
    """Takes the root path off, so that a proxy may pass it on or not."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Shorten the path of a request that has it."""
        if scope["type"] == "http" and self.root_path:
            path = scope["path"]
            if path == self.root_path or path.startswith(f"{self.root_path}/"):
                scope["path"] = path.removeprefix(self.root_path) or "/"
                raw = scope.get("raw_path")
                if raw:
                    scope["raw_path"] = raw.removeprefix(self.root_path.encode()) or b"/"
        await self.app(scope, receive, send)
