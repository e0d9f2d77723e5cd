"""The process of a server: started, waited for, and ended with all that it started."""

import asyncio
import subprocess
import urllib.request
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

START_LIMIT = 900.0
"""Seconds that a server may take until it answers."""
_END_LIMIT = 20.0


class DidNotStart(Exception):
    """A server that ended, or never answered; what it said last."""


@asynccontextmanager
async def running(
    command: Sequence[str], environment: Mapping[str, str], address: str, log: Path
) -> AsyncGenerator[None, None]:
    """A process from its start, once it answers at `address`, to its end. Raises `DidNotStart`.

    It has a session of its own: Ctrl+C reaches this program alone, which then ends the server.
    """
    process = _start(command, environment, log)
    try:
        await _until_it_answers(address, process, log)
        yield
    finally:
        _end(process)


def _start(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("w", encoding="utf-8") as output:
        return subprocess.Popen(
            command, env=environment, cwd=log.parent, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


async def _until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        async with asyncio.timeout(START_LIMIT):
            while process.poll() is None:
                if await asyncio.to_thread(_answers, address):
                    return
                await asyncio.sleep(0.2)  # another process tells nobody when it listens
    except TimeoutError:
        raise DidNotStart(f"no answer within {START_LIMIT:.0f} s: {_last_words(log)}") from None
    raise DidNotStart(f"it ended with {process.returncode}: {_last_words(log)}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.status == 200
    except OSError:
        return False


def _last_words(log: Path) -> str:
    """The last line of a log; the last one that names an error, if there is one."""
    text = log.read_text("utf-8", errors="replace")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return next(reversed(errors or lines), "it said nothing")[:300]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what is left of those that it had started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(_END_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=3)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive, timeout=3)
