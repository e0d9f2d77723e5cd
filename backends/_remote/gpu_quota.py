"""How much time on ZeroGPU a visitor has left, as Hugging Face says with their token."""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

URL = "https://huggingface.co/api/spaces/zero-gpu/quota"
"""In the Hub's OpenAPI description since July 2026 (huggingface_hub#2842): seconds of GPU time."""
TIMEOUT = 1.5
KEPT = 15.0
"""Seconds for which an answer is good: a page asks at every look at its backends."""
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Quota:
    """Seconds of GPU time."""

    base: float
    """Of a day."""
    left: float
    resets_at: datetime | None = None
    """When it is `base` again; `None` if nothing was used."""


class Quotas:
    """Those of visitors; each is asked for once in `KEPT` seconds. No token is kept."""

    def __init__(self, url: str = URL) -> None:
        self._url = url
        self._known: dict[bytes, tuple[float, Quota | None]] = {}
        """By a hash of the token."""

    async def of(self, token: str) -> Quota | None:
        """A visitor's; `None` if it could not be read."""
        whose, now = _hash(token), time.monotonic()
        asked, quota = self._known.get(whose, (-KEPT, None))
        if now - asked < KEPT:
            return quota
        quota = await self._read(token)
        self._known = {key: one for key, one in self._known.items() if now - one[0] < KEPT}
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[whose] = time.monotonic(), quota
        return quota

    def forget(self, token: str) -> None:
        """Something of it was used: ask again the next time."""
        self._known.pop(_hash(token), None)

    async def _read(self, token: str) -> Quota | None:
        import httpx2

        from .http import use_credentials
        from .transport import build_client, read_bounded

        try:
            async with (
                asyncio.timeout(TIMEOUT),
                build_client(self._url, timeout=httpx2.Timeout(TIMEOUT)) as client,
            ):
                with use_credentials({"authorization": f"Bearer {token}"}):
                    async with client.stream("GET", self._url) as response:
                        if response.status_code != 200:
                            return None
                        return parse_quota(json.loads(await read_bounded(response)))
        except (httpx2.HTTPError, ValueError, TimeoutError, OSError):
            return None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def parse_quota(told: Any) -> Quota | None:
    """What the service says; `None` if that is something else."""
    try:
        base, left, resets = told["base"], told["current"], told.get("resetsAt")
        return Quota(
            float(base), max(0.0, float(left)), datetime.fromisoformat(resets) if resets else None
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
