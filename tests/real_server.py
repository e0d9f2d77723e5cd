"""A server of others: `transformers serve`, with Pocket under the names of the real Phis."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from backends import pocket
from tests.pages import free_port

MODELS = Path(pocket.__file__).parent / "models"
SERVED = {
    "microsoft/Phi-3-mini-4k-instruct": "pocket-3",
    "microsoft/Phi-3.5-mini-instruct": "pocket-3.5",
}
"""The ids that the server lists, and which Pocket answers to each."""
COMMIT = "a" * 40
BUSY = 180.0
"""Seconds that a busy machine may take for what a free one does in eight."""


@dataclass(frozen=True)
class RealServer:
    """A running server: its address, as a visitor would type it, and its process."""

    url: str
    process: psutil.Process
    log: Path

    def cpu(self) -> float:
        """Seconds of processor time that it has taken so far."""
        times = self.process.cpu_times()
        return times.user + times.system


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests of a module. It reaches no network and keeps to one thread."""
    folder = tmp_path_factory.mktemp("real_server")
    cache, log = folder / "hub", folder / "server.log"
    for model, key in SERVED.items():
        lay_out(cache, model, MODELS / key)
    port = free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = os.environ | {
        "HF_HOME": str(folder),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        # On matrices this small a second thread costs more than it brings.
        "OMP_NUM_THREADS": "1",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "transformers.cli.transformers", "serve", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        server = RealServer(f"http://127.0.0.1:{port}", psutil.Process(process.pid), log)
        wait_until_up(f"{server.url}/health", process, server.log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def lay_out(cache: Path, model: str, checkpoint: Path) -> None:
    """Put a checkpoint where a download from the Hub would have put the model of this name."""
    folder = cache / f"models--{model.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    shutil.copytree(checkpoint, folder / "snapshots" / COMMIT)


def wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return at the first HTTP 200; fail with the log when it ends or never answers."""
    end = time.monotonic() + BUSY
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=BUSY) as answer:
                assert answer.status == 200
                return
        except urllib.error.URLError:
            time.sleep(0.1)  # another process tells nobody when it listens
    pytest.fail(f"{address} did not start:\n{log.read_text()}")
