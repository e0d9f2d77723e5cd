"""Whether a side's speed depends on the other side, or on the place it stands at. No browser."""

from dataclasses import dataclass

from backends import Backend, Message
from benchmarks.paced import PACED, Script
from playground.answer import Request
from playground.compare import Run


@dataclass(frozen=True)
class Speeds:
    """Tokens per second of each side of one run, by its own clock; `None` where nobody stood."""

    left: float | None
    right: float | None


async def speeds(left: Script | None, right: Script | None) -> Speeds:
    """Run two paced answers side by side, or one alone, read as the page reads them."""
    requests = [_request(PACED["a"](), left), _request(PACED["b"](), right)]
    run = Run(requests)
    async for _ in run.snapshots():
        pass
    sides = run.snapshot()
    for script, side in zip((left, right), sides, strict=True):
        if script and (side is None or side.text != script.text):
            raise RuntimeError(f"{script.prompt}: the answer is not whole")
    return Speeds(*(side.clock.tokens_per_second if side else None for side in sides))


def _request(backend: Backend, script: Script | None) -> Request | None:
    if script is None:
        return None
    return Request(backend, "paced", (Message.of("user", script.prompt),))
