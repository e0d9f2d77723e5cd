"""A busy server is asked once more."""

import random
from asyncio import sleep
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from .._core.errors import BackendError
from .._core.sentence import Sentence
from .._core.types import Chunk, Progress

RETRY_STATUSES = frozenset({429, 502, 503, 504, 529})
"""HTTP statuses of a busy server: the request is sent again, once."""
MAX_RETRY_DELAY = 30.0
"""Seconds before a retry at most; if the server asks for more, the error is shown instead."""

StreamItem = Chunk | Progress
"""What `Backend.stream` yields."""


async def retry_once(
    attempt: Callable[[], AsyncGenerator[StreamItem, None]],
) -> AsyncGenerator[StreamItem, None]:
    """Yield the items of `attempt()`; if the server is busy before the first token, try once more.

    Waits as long as the server asks (`retry_after`), or one to three seconds, and yields the
    remaining time as `Progress`. After a closed kept connection it tries again at once.
    """
    begun = False
    try:
        async with aclosing(attempt()) as items:
            async for item in items:
                begun = begun or isinstance(item, Chunk)
                yield item
        return
    except BackendError as error:
        delay = retry_delay(error)
        if begun or delay is None:
            raise
    while delay > 0:
        yield Progress(
            "retrying", detail=Sentence("again in {wait:seconds}", wait=max(1, round(delay)))
        )
        second = min(1.0, delay)
        await sleep(second)
        delay -= second
    async with aclosing(attempt()) as items:
        async for item in items:
            yield item


def retry_delay(error: BackendError) -> float | None:
    """Seconds to wait before a retry, with jitter; `None` if there must be none."""
    if error.values.get("closed"):
        return 0.0
    if error.values.get("status") not in RETRY_STATUSES:
        return None
    asked = getattr(error, "retry_after", None) or error.values.get("retry_after")
    if not isinstance(asked, (int, float)):
        return random.uniform(1.0, 3.0)
    return asked + random.uniform(0.0, 0.5) if asked <= MAX_RETRY_DELAY else None
