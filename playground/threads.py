"""Threads for pictures, videos and languages: such work must not hold up the checks of backends."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MEDIA = ThreadPoolExecutor(4, "media")
"""Its own, since `asyncio.to_thread` lends the same few threads to everybody."""


async def in_media_thread(function: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> T:
    """Like `asyncio.to_thread`, for work that may take long and that no check may wait for."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(MEDIA, partial(function, *given, **named))
