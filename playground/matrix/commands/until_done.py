"""Ask until a plan is done, and say how it ended."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...commands.failure import INTERRUPTED, Failure
from .progress import Teller

if TYPE_CHECKING:
    from ..plan import Plan


def until_done(plan: "Coroutine[Any, Any, Plan]", out: Path) -> int:
    """Make a plan and run it into a file; returns the exit code. Raises `Failure`."""
    from ..runner import run

    async def ask() -> int:
        return await run(await plan, out, Teller().tell)

    try:
        unasked = asyncio.run(ask())
    except KeyboardInterrupt:
        print(
            f"\nStopped. Every answer so far is in {out}; the same command goes on from there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    if unasked:
        raise Failure(
            f"{unasked:,} answers could not be asked for; the same command asks for them again."
        )
    print(f"Done. To see what came out: python -m playground.matrix report {out}")
    return 0
