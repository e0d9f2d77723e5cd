"""The real `python app.py …` as a process: with pipes, or on a terminal of a given size."""

import asyncio
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.real_server import BUSY

ROOT = Path(__file__).parent.parent
_SEQUENCES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    """On a terminal everything that was drawn, one picture after the other, without colours."""
    err: str = ""


def environment(**more: str) -> dict[str, str]:
    others = ("NO_COLOR", "COLUMNS", "LINES")  # the terminal itself says how large it is
    kept = {name: value for name, value in os.environ.items() if name not in others}
    return {**kept, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1", **more}


def run(*arguments: str, given: bytes = b"", **more: str) -> Ended:
    """Run a command with pipes."""
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=environment(**more),
        input=given,
        capture_output=True,
        timeout=BUSY,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


async def run_on_terminal(
    *arguments: str,
    columns: int = 100,
    rows: int = 30,
    interrupt: Callable[[str], bool] = lambda drawn: False,
    **more: str,
) -> Ended:
    """Run a command on a terminal; Ctrl+C is typed once `interrupt` says so of what was drawn."""
    import fcntl
    import pty
    import termios

    def prepare() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background ignore it

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "app.py",
        *arguments,
        cwd=ROOT,
        env=environment(TERM="xterm-256color", **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=prepare,
    )
    os.close(theirs)
    drawn, typed = b"", False
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(BUSY):
            while True:
                try:
                    data = await loop.run_in_executor(None, os.read, ours, 65536)
                except OSError:  # Linux says so when the other end was closed
                    break
                if not data:
                    break
                drawn += data
                if not typed and interrupt(drawn.decode(errors="replace")):
                    typed = True
                    os.write(ours, b"\x03")
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)
    text = _SEQUENCES.sub("", drawn.decode())
    return Ended(code, text.replace("\r\n", "\n"))
