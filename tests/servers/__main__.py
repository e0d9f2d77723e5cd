"""Drives real servers through the product, and prints what came of it: `make test-servers`.

python -m tests.servers [SERVER ...]      only these, by their keys
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.machine import machine

from . import page
from .checks import CHECKS, outcome
from .found import Ollama, PageLlamaCpp
from .models import BUILD, ROOT
from .process import DidNotStart
from .programs import PROGRAMS, NotInstalled, Program
from .report import Row, keep, markdown

Server = Program | Ollama | PageLlamaCpp
SERVERS: Sequence[Server] = (*PROGRAMS, PageLlamaCpp(), Ollama())


async def drive(server: Server) -> Row:
    """Start one server, run every check on it, and end it."""
    print(f"\n{server.label}", flush=True)
    outcomes, failure = {}, ""
    try:
        async with server.serve() as case:
            checks = CHECKS | ({page.TITLE: page.on_the_page} if server.on_the_page else {})
            for title, check in checks.items():
                outcomes[title] = await outcome(check, case)
                print(f"  {title}: {outcomes[title]}", flush=True)
    except (NotInstalled, DidNotStart, OSError) as why:
        failure = str(why)
        print(f"  could not be run: {why}", flush=True)
    processor = str(machine()["cpu"])
    today = time.strftime("%Y-%m-%d")
    return Row(
        *(server.key, server.label, server.version, today, processor),
        *(server.remark, failure, outcomes),
    )


async def main(keys: Sequence[str]) -> None:
    """Drive some servers, or all, one after the other."""
    # Told to end, it ends what it started, as it does with Ctrl+C.
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    asked = [server for server in SERVERS if not keys or server.key in keys]
    # One by one, so that what was tried is kept whatever comes after it.
    for server in asked:
        rows = keep([await drive(server)])
        if server is asked[-1]:
            print(f"\n{markdown(rows)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", nargs="*", choices=[one.key for one in SERVERS], metavar="SERVER")
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "tests.servers.models"], cwd=ROOT, check=True)
    try:
        asyncio.run(main(parser.parse_args().keys))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
